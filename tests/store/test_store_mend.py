"""Objects that DVC holds damaged and takes for whole: dropped, and pulled or made anew."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from parcels import parcels
from projects import ROOT, Project

from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.store import cache

TABLE = "1 2 3\n"
STAGES = {
    "table": {"cmd": "printf '1 2 3\\n' > table", "deps": ["code"], "outs": ["table"]},
    "folder": {"cmd": "mkdir out; cp table out/a", "deps": ["table", "n"], "outs": ["out"]},
}
PULL = ("dvc", "repro", "--pull", "--allow-missing")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose stages have run, and whose results are in cache and remote."""
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    Path("code").touch()
    Path("n").write_text("1")
    project.run("dvc", "init", "--no-scm", "--quiet")
    project.run("dvc", "remote", "add", "--default", "--quiet", "store", ".store/dvc")
    project.run("dvc", "repro", "--quiet")
    project.run("dvc", "push", "--quiet")
    return project


def _damage(place: str, md5: str) -> Path:
    path = Path(place, "files/md5", md5[:2], md5[2:])
    path.chmod(0o644)
    path.write_text("1 2")
    path.chmod(0o444)
    return path


def _oid(stage: str) -> str:
    return str(yaml.safe_load(Path("dvc.lock").read_text())["stages"][stage]["outs"][0]["md5"])


def _next_run() -> None:
    """Begin as a workflow does: with a cache and a remote, and a change of the later stage."""
    Path("table").unlink()
    Path("out/a").unlink()
    Path("n").write_text("2")


@pytest.mark.parametrize("places", [[".dvc/cache"], [".store/dvc"], [".dvc/cache", ".store/dvc"]])
def test_a_damaged_object_is_dropped_wherever_it_lies(made: Project, places: list[str]) -> None:
    damaged = [_damage(place, _oid("table")) for place in places]
    _next_run()
    (said,) = cache.mend()
    assert said.startswith("table was damaged in ")
    assert all(str(Path.cwd() / place) in said for place in places)
    assert not any(path.exists() for path in damaged)
    nobody = len(places) == 2
    assert said.endswith(
        "dropped: stage table is to run again" if nobody else "dropped: another copy is whole"
    )
    ran = made.run(*PULL).stdout
    assert ("Running stage 'table'" in ran) == nobody
    assert (Path("table").read_text(), Path("out/a").read_text()) == (TABLE, TABLE)
    made.run("dvc", "push", "--quiet")
    assert cache.mend() == []


def test_what_a_damaged_object_left_in_the_folder_goes_too(made: Project) -> None:
    _damage(".dvc/cache", _oid("table"))
    Path("table").unlink()
    made.run("dvc", "checkout", "--quiet")
    assert Path("table").read_text() == "1 2"
    cache.mend()
    assert not Path("table").exists()
    made.run("dvc", "repro", "--pull")
    assert Path("table").read_text() == TABLE


def test_files_of_a_folder_and_the_folder_itself_are_objects(made: Project) -> None:
    folder = _damage(".dvc/cache", _oid("folder"))
    (said,) = cache.mend()
    assert said.startswith("out was damaged in ")
    assert not folder.exists()
    made.run("dvc", "pull", "--quiet")
    _damage(".dvc/cache", _oid("table"))  # the same bytes as those of out/a
    assert [line.split(" was ")[0] for line in cache.mend()] == ["table"]


def test_only_what_the_lock_names_is_looked_at(made: Project) -> None:
    other = Path(".dvc/cache/files/md5/00/0")
    other.parent.mkdir(parents=True)
    other.write_text("of another commit")
    before = Path("dvc.lock").read_bytes()
    assert cache.mend() == []
    assert other.exists()
    assert Path("dvc.lock").read_bytes() == before


def test_a_remote_that_is_not_there_is_said(made: Project) -> None:
    made.run("dvc", "remote", "modify", "store", "url", "gs://bucket")
    with pytest.raises(MlopsError, match=r"remote gs://bucket cannot .+; run `make add GROUP=gs`"):
        cache.mend()


def test_a_lock_in_conflict_is_said(made: Project) -> None:
    Path("dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\n")
    with pytest.raises(MlopsError, match="run `make merge-lock`"):
        cache.mend()


def test_a_stage_that_reads_a_damaged_object_drops_it_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = parcels(tmp_path)
    project.run("dvc", "repro", "--quiet", "features")
    monkeypatch.chdir(project.folder)
    outs = yaml.safe_load(Path("dvc.lock").read_text())["stages"]["features"]["outs"]
    (train,) = (out["md5"] for out in outs if out["path"] == "data/train.parquet")
    _damage(".dvc/cache", train)
    Path("data/train.parquet").unlink()
    failed = project.run("dvc", "repro", "train", fails=True)
    assert "mlops: data/train.parquet is damaged (" in failed.stderr
    assert "mlops: data/train.parquet was damaged in " in failed.stderr
    project.run("dvc", "repro", "train")
    assert Path("models/model.json").is_file()


def _hand_over(made: Project, folder: Path) -> Path:
    """Copy what the job that trained hands over, and begin as the one that registers does."""
    shutil.copytree(".dvc/cache", folder / ".dvc/cache")
    Path("dvc.lock").rename(folder / "dvc.lock")
    shutil.rmtree(".dvc/cache")
    Path("table").unlink()
    Path("out/a").unlink()
    return folder


def test_what_was_trained_elsewhere_is_taken_over(made: Project) -> None:
    folder = _hand_over(made, Path("handed"))
    (folder / "n").write_text("evil")  # as anything else in the artifact, left where it lies
    (folder / ".dvc/cache/runs/ab").mkdir(parents=True)
    assert cache.take(folder) == "dvc.lock and 2 objects are taken over from handed"
    assert (Path("table").read_text(), Path("out/a").read_text()) == (TABLE, TABLE)
    assert Path("n").read_text() == "1"
    runs = [it for it in Path(".dvc/cache/runs").rglob("*") if it.is_file()]
    assert len(runs) == len(STAGES), "so that the next training finds them by the run-cache"
    said = made.run("dvc", "repro", "--dry").stdout
    assert "Data and pipelines are up to date." in said


@pytest.mark.parametrize("stage", STAGES)
def test_another_object_than_its_name_says_is_not_taken_over(made: Project, stage: str) -> None:
    oid = _oid(stage)
    folder = _hand_over(made, Path("handed"))
    _damage("handed/.dvc/cache", oid)
    with pytest.raises(MlopsError, match="is not what its name says; nothing is taken over"):
        cache.take(folder)
    assert not Path("dvc.lock").exists()
    assert not Path(".dvc/cache/files").exists()


def test_a_link_is_not_taken_over(made: Project) -> None:
    oid = _oid("table")
    folder = _hand_over(made, Path("handed"))
    path = folder / ".dvc/cache/files/md5" / oid[:2] / oid[2:]
    path.rename("elsewhere")
    path.symlink_to(Path("elsewhere").absolute())
    with pytest.raises(MlopsError, match="is not what its name says"):
        cache.take(folder)


def test_a_name_that_leads_elsewhere_is_not_taken_over(made: Project) -> None:
    oid = _oid("table")
    folder = _hand_over(made, Path("handed"))
    lock = folder / "dvc.lock"
    lock.write_text(lock.read_text().replace(oid, "../../../../../n"))
    with pytest.raises(MlopsError, match="no MD5; nothing is taken over"):
        cache.take(folder)


def test_a_stage_that_did_not_run_elsewhere_is_left_out(made: Project) -> None:
    folder = _hand_over(made, Path("handed"))
    lock = yaml.safe_load((folder / "dvc.lock").read_text())
    del lock["stages"]["folder"]
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert cache.take(folder) == "dvc.lock and 1 objects are taken over from handed"
    assert Path("table").read_text() == TABLE
    assert len([it for it in Path(".dvc/cache/runs").rglob("*") if it.is_file()]) == 1


@pytest.mark.parametrize("on_main", [False, True])
def test_what_main_deploys_is_not_what_the_run_cache_says(made: Project, on_main: bool) -> None:
    """As after an edit of the branch that the remote lies on: another result of the same code."""
    made.run("dvc", "push", "--run-cache", "--quiet")
    (entry,) = [it for it in Path(".store/dvc/runs").rglob("*") if _tells_of(it, "path: table")]
    Path("evil").write_text("evil")
    oid = files.md5(Path("evil"))
    poisoned = Path(".store/dvc/files/md5", oid[:2], oid[2:])
    poisoned.parent.mkdir(parents=True, exist_ok=True)
    Path("evil").rename(poisoned)
    text = entry.read_text().replace(_oid("table"), oid).replace("size: 6", "size: 4")
    entry.write_text(text)
    for gone in (Path(".dvc/cache"), Path("out")):
        shutil.rmtree(gone)
    for lost in ("dvc.lock", "table"):
        Path(lost).unlink()
    recipe = (ROOT / "{{cookiecutter.project_slug}}" / "Makefile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\t(dvc repro --pull --allow-missing .*)$", recipe, re.MULTILINE)
    workflow = (ROOT / ".github/workflows/train.yml").read_text(encoding="utf-8")
    (flag,) = re.findall(r"RUN_CACHE: .* == 'push' && '(.+)' \|\| ''", workflow)
    made.run(*command.replace("$(RUN_CACHE)", flag if on_main else "").split())
    assert Path("table").read_text() == (TABLE if on_main else "evil")


def _tells_of(path: Path, words: str) -> bool:
    return path.is_file() and f"- {words}" in path.read_text().partition("outs:")[2]
