"""Stages that run apart, each in a clone of its own, with one DVC remote between them."""

from pathlib import Path

import pytest
import yaml
from apart import bytes_of, small_project
from projects import Project

ORDER = ("ingest", "validate", "features", "settings", "train", "evaluate")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small project whose stages can pass their results through a folder."""
    return small_project(tmp_path_factory.mktemp("apart"))


def clone(origin: Project, name: str) -> Project:
    folder = origin.folder.parent / name
    origin.run("git", "clone", "--quiet", str(origin.folder), str(folder))
    return Project(folder)


def ran(done: str) -> list[str]:
    return [line.split("'")[1] for line in done.splitlines() if line.startswith("Running stage")]


def test_each_stage_runs_once_and_two_machines_have_the_same_lock(origin: Project) -> None:
    started = []
    for name in ORDER:
        one = clone(origin, f"pod-{name}")
        assert not (one / "dvc.lock").exists()
        started += ran(one.run("mlops", "stage", name).stdout)
    assert started == list(ORDER)
    last = Project(origin.folder.parent / "pod-evaluate")
    trained = Project(origin.folder.parent / "pod-train")
    # Another machine, which sees none of these results, at another hour.
    alone = clone(origin, "alone")
    alone.run("mlops", "pull-data")
    alone.run("dvc", "remote", "modify", "store", "url", str(alone / "nowhere"))
    assert sorted(ran(alone.run("dvc", "repro").stdout)) == sorted(ORDER)
    assert bytes_of(alone / "models") == bytes_of(last / "models")
    locks = [yaml.safe_load((it / "dvc.lock").read_text())["stages"] for it in (alone, last)]
    assert locks[0] == locks[1]
    clocks = [it.json("training") for it in (alone, trained)]
    assert clocks[0]["model_md5"] == clocks[1]["model_md5"]
    assert clocks[0]["run_id"] != clocks[1]["run_id"]
    # The clock stays where the model was trained.
    assert not (last / "reports/training.json").exists()
    last.run("mlops", "compare")
    assert last.json("comparison")["candidate"]["seconds"] is None
    assert last.json("training")["commit"] == origin.run("git", "rev-parse", "HEAD").stdout.strip()


def test_a_stage_does_not_run_those_before_it(origin: Project) -> None:
    here = clone(origin, "impatient")
    here.run("dvc", "remote", "modify", "store", "url", str(here.folder.parent / "empty"))
    (here / "data/source/weights.csv.dvc").unlink()
    said = here.run("mlops", "stage", "features", fails=True)
    assert said.stderr.splitlines()[-1] == (
        f"mlops: stage features needs what ingest makes, and {here.folder.parent / 'empty'} has "
        "no result of it for what is here; run `mlops stage ingest` first"
    )
    assert not (here / "data/raw.parquet").exists()
    assert not (here / "dvc.lock").exists()


@pytest.mark.parametrize(
    ("remote", "stage", "sentence"),
    [
        (
            ("remote", "modify", "store", "url", ".store/dvc"),
            "train",
            "mlops: stages that run apart pass their results through a DVC remote, and this "
            "project has only the one built into each clone: name one that all reach, as in "
            "`dvc remote modify store url s3://bucket/path`, and commit .dvc/config",
        ),
        (("config", "--unset", "core.remote"), "train", "this project has none: name one"),
        (
            (),
            "trian",
            "mlops: dvc.yaml has no stage 'trian'; expected one of ingest, validate, features, "
            "settings, train, evaluate",
        ),
    ],
)
def test_what_cannot_be_run_apart_is_said(
    origin: Project, tmp_path: Path, remote: tuple[str, ...], stage: str, sentence: str
) -> None:
    here = Project(tmp_path / "here")
    origin.run("git", "clone", "--quiet", str(origin.folder), str(here.folder))
    if remote:
        here.run("dvc", *remote)
    said = here.run("mlops", "stage", stage, fails=True)
    assert sentence in said.stderr.splitlines()[-1]
    assert [path.name for path in (here / "reports").iterdir()] == ["failure.json"]
    assert not any((here / path).exists() for path in ("dvc.lock", "models", "data/raw.parquet"))
