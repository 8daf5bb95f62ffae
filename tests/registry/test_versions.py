"""A model becomes a version: its files, history and image, from one training and whole."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from github_git import git, resolve
from github_server import FakeGitHub
from sklearn.preprocessing import FunctionTransformer
from toy_project import NAME, ToyProject, refused

from mlops.artifact import model_folder, skops_model
from mlops.project import files, images
from mlops.project.errors import MlopsError
from mlops.project.params import Thresholds
from mlops.registry import export, model_version, promotion, tracking, versions

IMAGE = f"ghcr.io/amelia/flight-delays@sha256:{'0123456789abcdef' * 4}"

REGISTER = """
import sys
sys.path.insert(0, sys.argv[1])
from toy_project import ToyProject
from mlops.registry import tracking, versions
print("version", versions.register(ToyProject.params, tracking.connect()))
"""


def test_a_version_carries_its_files_and_its_history(project: ToyProject) -> None:
    found = versions.fetch(tracking.connect(), NAME, "challenger")
    assert found is not None
    record, folder = found
    assert {path.name for path in folder.iterdir()} >= {
        *("MLmodel", "model.skops", "model.onnx", "model.json", "features.py"),
        *("metrics.json", "training.json", "comparison.json"),
    }
    for name in ("model.skops", "model.onnx", "features.py", "model.json"):
        assert (folder / name).read_bytes() == (files.MODEL / name).read_bytes()
    assert record.tags == {
        "git_commit": f"{2:040x}",
        "git_dirty": "false",
        "data_md5": "da7a2",
        "model_md5": files.md5(files.MODEL / "model.onnx"),
        "window": "2013-01 to 2013-03",
        "rows": "200",
        "finding": "better",
        "passed": "true",
        "compared_with": "1",
        "registered_by": "amelia",
        "metric.roc_auc": "0.7",
    }


def test_a_version_belongs_to_the_run_that_trained_it(project: ToyProject) -> None:
    client = tracking.connect()
    run = client.create_run(tracking.experiment_id(client, NAME)).info.run_id
    project.train(3)
    training = files.read_json(files.TRAINING, "")
    files.write_json(files.TRAINING, training | {"run_id": run})
    version = versions.register(project.params, client)
    assert client.get_model_version(NAME, str(version)).run_id == run


def test_a_model_trained_in_another_job_brings_its_run_along(project: ToyProject) -> None:
    files.write_text(files.PLOTS / "curve.csv", "x,y\n0,1\n")
    version = project.register(1)
    client = tracking.connect()
    run = client.get_run(client.get_model_version(NAME, str(version)).run_id)
    assert run.data.tags["trained_in_run"] == "f" * 32
    assert run.data.tags["mlflow.source.git.commit"] == f"{1:040x}"
    assert run.info.run_name == "2013-01 to 2013-03 00000000"
    assert run.data.metrics == {"roc_auc": 0.7, "seconds": 1.5, "peak_memory_mb": 200.0}
    assert [file.path for file in client.list_artifacts(run.info.run_id, "plots")] == [
        "plots/curve.csv"
    ]


def test_settings_with_any_names_and_any_length_are_logged(project: ToyProject) -> None:
    settings = {"names": ["depot"] * 2000, **{f"setting {n}": n for n in range(200)}}
    params = project.params.model_copy(update={"estimator": settings}, deep=True)
    own = {"weight (kg, net)": 0.5, "../a//b %": 0.1, "ø" * 300: 0.2}
    params.drift.columns.own.update({name: Thresholds(distance=it) for name, it in own.items()})
    project.train(3)
    client = tracking.connect()
    version = versions.register(params, client)
    logged = client.get_run(client.get_model_version(NAME, str(version)).run_id).data.params
    assert logged["drift.columns.own.weight _kg_ net_"] == "0.5"
    assert logged["drift.columns.own..._a__b _"] == "0.1"
    assert logged[f"drift.columns.own.{'ø' * 300}"[:250]] == "0.2"
    assert logged["estimator.setting 199"] == "199"
    names = logged["estimator.names"]
    assert (names[:9], names[-1], len(names)) == ("['depot',", "…", 6000)


def test_a_model_that_was_not_compared_does_not_pass(project: ToyProject) -> None:
    client = tracking.connect()
    project.train(3)
    never = versions.register(project.params, client)
    project.judge("better", True, 1)
    stale = files.COMPARISON.read_text()
    project.train(4)
    files.COMPARISON.write_text(stale)
    other = versions.register(project.params, client)
    for version in (never, other):
        tags = client.get_model_version(NAME, str(version)).tags
        assert (tags["finding"], tags["passed"]) == ("not compared", "false")
        sentence = refused(lambda v=version: promotion.promote(client, project.params, v))
        assert "did not pass the gate (finding: not compared)" in sentence
    assert project.aliases()["champion"] == 1


def test_files_of_two_trainings_are_refused(project: ToyProject) -> None:
    client = tracking.connect()
    (files.MODEL / "model.onnx").write_bytes(b"half")
    sentence = refused(lambda: versions.register(project.params, client))
    assert sentence == f"models is not what one training wrote; {files.MEND}"
    assert project.aliases() == {"champion": 1, "challenger": 2}


def test_a_model_that_dvc_brought_has_no_clock_and_the_commit_of_this_folder(
    project: ToyProject,
) -> None:
    project.train(3)
    project.judge("better", True, 1)
    files.TRAINING.unlink()
    git(Path(), "init", "--quiet")
    named = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    git(Path(), *named, "commit", "--quiet", "--allow-empty", "--message", "With a lock")
    client = tracking.connect()
    version = versions.register(project.params, client)
    told = versions.lineage(client, project.params, version)
    assert told["commit"] == git(Path(), "rev-parse", "HEAD").strip()
    unknown = ("trained", "seconds", "peak_memory_mb")
    assert [told[name] for name in unknown] == [None, None, None]
    run = client.get_run(told["run_id"])
    assert run.data.metrics == {"roc_auc": 0.7}
    assert not {"trained_in_run", "python", "platform"} & set(run.data.tags)
    exported = Path("exported")
    export.run(client, project.params, exported, str(version))
    written = (exported / files.MODEL_CARD.name).read_text(encoding="utf-8")
    assert "How long training took is not known" in written


def test_a_model_with_foreign_types_is_refused(project: ToyProject) -> None:
    foreign = skops_model.dump(FunctionTransformer(os.system))
    (files.MODEL / "model.skops").write_bytes(foreign)
    sentence = refused(lambda: versions.register(project.params, tracking.connect()))
    assert "models/model.skops needs posix.system; only types of scikit-learn," in sentence


def test_two_registrations_at_once_give_two_versions(project: ToyProject) -> None:
    command = [sys.executable, "-c", REGISTER, str(Path(__file__).parents[1])]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate() for process in both]
    assert {out.strip() for out, _ in said} == {"version 3", "version 4"}, said
    sources = set()
    for version in (3, 4):
        found = versions.fetch(tracking.connect(), NAME, version)
        assert found is not None
        model_version.load(tracking.connect(), found[0])
        sources.add(found[0].source)
    assert len(sources) == 2
    assert project.aliases()["challenger"] in (3, 4)


@pytest.mark.parametrize("step", ["log_artifacts", "create_model_version"])
def test_a_killed_registration_is_never_reachable(
    project: ToyProject, killed_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    project.train(3)
    killed_at(
        lambda: versions.register(project.params, tracking.connect()),
        lambda die: monkeypatch.setattr(f"mlflow.MlflowClient.{step}", die),
    )
    assert project.aliases() == {"champion": 1, "challenger": 2}
    assert versions.register(project.params, tracking.connect()) == 3
    assert project.aliases()["challenger"] == 3


def test_a_version_has_the_sample_that_training_left_and_runs_no_code_of_the_model(
    project: ToyProject,
) -> None:
    project.hold_out()
    project.train(3)
    (files.MODEL / "features.py").write_text("raise SystemExit('features.py was run')\n")
    version = versions.register(project.params, tracking.connect())
    found = versions.fetch(tracking.connect(), NAME, version)
    assert found is not None
    kept = (found[1] / "sample.json").read_bytes()
    assert kept == (files.MODEL / "sample.json").read_bytes()


def test_lineage_tells_where_a_version_came_from(project: ToyProject) -> None:
    client = tracking.connect()
    promotion.promote(client, project.params)
    told = versions.lineage(client, project.params, 2)
    assert told["aliases"] == ["champion"]
    assert (told["commit"], told["dirty"]) == (f"{2:040x}", False)
    assert (told["data_md5"], told["window"], told["rows"]) == ("da7a2", "2013-01 to 2013-03", 200)
    assert (told["features"], told["params"]) == (["a", "b"], {"C": 1.0})
    assert told["metrics"] == {"roc_auc": 0.7}
    assert (told["finding"], told["passed"], told["compared_with"]) == ("better", True, "1")
    assert told["model_md5"] == files.md5(files.MODEL / "model.onnx")
    assert (told["seconds"], told["trained"]) == (1.5, "2013-04-01T00:00:00+00:00")
    assert [line["to"] for line in told["audit"]] == [2]
    assert versions.lineage(client, project.params, "champion") == told
    assert "has no version 9" in refused(lambda: versions.lineage(client, project.params, 9))
    assert "the alias nobody" in refused(lambda: versions.lineage(client, project.params, "nobody"))


# The image


def test_an_image_goes_on_record(project: ToyProject) -> None:
    client, params = tracking.connect(), project.params
    assert versions.lineage(client, params, 2)["image"] is None
    assert versions.record_image(client, params, "challenger", IMAGE) == 2
    told = versions.lineage(client, params, 2)
    assert told["image"] == IMAGE
    assert versions.field(told, params, "image") == IMAGE
    assert versions.field(versions.lineage(client, params, 1), params, "image") == ""
    assert (versions.field(told, params, "version"), versions.field(told, params, "passed")) == (
        "2",
        "true",
    )
    assert json.loads(versions.field(told, params, "aliases")) == ["challenger"]
    sentence = refused(lambda: versions.field(told, params, "digest"))
    assert re.match(r"a version has no field 'digest'; it has name, version, .*, image, ", sentence)


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "ghcr.io/amelia/flights",
        "ghcr.io/amelia/flights:3",
        IMAGE[:-1],
        f"{IMAGE}0",
        IMAGE.replace("sha256:0", "sha256:X"),
        IMAGE.replace("amelia", "Amelia"),
        IMAGE.replace("ghcr.io/", ""),
        f"{IMAGE}\n",
        f"{IMAGE}; rm -rf /",
        IMAGE.replace("ghcr.io", "ghcr.io:port"),
    ],
)
def test_what_could_mean_another_image_tomorrow_is_refused(
    project: ToyProject, reference: str
) -> None:
    sentence = refused(
        lambda: versions.record_image(tracking.connect(), project.params, 2, reference)
    )
    assert "expected HOST[:PORT]/PATH@sha256:DIGEST with 64 hex digits" in sentence
    assert versions.lineage(tracking.connect(), project.params, 2)["image"] is None


@pytest.mark.parametrize("host", ["ghcr.io", "localhost", "localhost:5000", "127.0.0.1:5000"])
def test_images_of_any_registry_are_known(host: str) -> None:
    assert images.IMAGE.fullmatch(IMAGE.replace("ghcr.io", host))


FOREIGN = IMAGE.replace("ghcr.io/amelia/flight-delays", "evil.example/backdoor")


def test_a_workflow_takes_no_image_of_others_out_of_the_registry(
    project: ToyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an edit of the branch that the registry lies on."""
    client, params = tracking.connect(), project.params
    for version, image in ((1, IMAGE), (2, FOREIGN)):
        versions.record_image(client, params, version, image)
    monkeypatch.setenv("GITHUB_REPOSITORY", "Amelia/Flight-Delays")
    own = versions.field(versions.lineage(client, params, 1), params, "image")
    assert own == IMAGE
    export.run(client, params, Path("build/one"), 1)
    told = versions.lineage(client, params, 2)
    takes: dict[str, Callable[[], object]] = {
        "lineage": lambda: versions.field(told, params, "image"),
        "export": lambda: export.run(client, params, Path("build/two"), 2),
        "promote": lambda: promotion.promote(client, params, 2),
        "rollback": lambda: promotion.check_rollback(client, params, 2),
        "image": lambda: versions.record_image(client, params, 1, FOREIGN),
    }
    for name, take in takes.items():
        sentence = refused(take)
        expected = f"image '{FOREIGN}' is not one of this repository, ghcr.io/amelia/flight-delays@"
        assert sentence.startswith(expected), name
    assert not Path("build/two").exists()
    assert project.aliases() == {"champion": 1, "challenger": 2}
    for near in ("ghcr.io/amelia/flight-delays-2", "evil.example/amelia/flight-delays"):
        assert "not one of this" in refused(lambda it=near: images.check(f"{it}@sha256:{'0' * 64}"))


def test_an_image_from_before_the_repository_was_renamed_is_taken(
    project: ToyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "amelia/arrivals")
    assert "serving.former_images in params.yaml" in refused(lambda: images.check(IMAGE))
    images.check(IMAGE, ["ghcr.io/amelia/flight-delays"])


@pytest.fixture
def merged(github: FakeGitHub, tmp_path: Path) -> Callable[[str, bytes], None]:
    """Return what commits a file to a branch of octo/flights."""
    bare = github.path("octo/flights")

    def commit(branch: str, content: bytes) -> None:
        file = tmp_path / "content"
        file.write_bytes(content)
        blob = git(bare, "hash-object", "-w", str(file))
        git(bare, "update-index", "--add", "--cacheinfo", f"100644,{blob},src/model/features.py")
        before = ["-p", tip] if (tip := resolve(bare, f"refs/heads/{branch}")) else []
        made = git(bare, "commit-tree", "-m", "Features", *before, git(bare, "write-tree"))
        git(bare, "update-ref", f"refs/heads/{branch}", made)

    return commit


def test_the_champions_code_is_code_that_was_merged(
    project: ToyProject, merged: Callable[[str, bytes], None]
) -> None:
    """Also where main went on since, or has it with the line ends of Unix."""
    code = (files.MODEL / "features.py").read_bytes()
    merged("main", code)
    merged("main", code + b"\nMORE = 1\n")
    model_version.check_code("1", model_folder.load(files.MODEL))
    (files.MODEL / "features.py").write_bytes(code.replace(b"\n", b"\r\n"))
    model_version.check_code("1", model_folder.load(files.MODEL))


@pytest.mark.parametrize("branch", ["mine", "mlops-store"])
def test_the_champions_code_is_of_a_branch_that_nobody_merged(
    project: ToyProject, merged: Callable[[str, bytes], None], branch: str
) -> None:
    code = (files.MODEL / "features.py").read_bytes()
    merged("main", b"MERGED = 1\n")
    merged(branch, code)
    with pytest.raises(MlopsError, match=r"champion v1 has feature code that .* never was on"):
        model_version.check_code("1", model_folder.load(files.MODEL))


def test_github_does_not_say_whether_it_was_merged(
    project: ToyProject, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.fail("GET", "/commits", 503)
    with pytest.raises(MlopsError, match="HTTP 503"):
        model_version.check_code("1", model_folder.load(files.MODEL))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MlopsError, match="the command gh is not there"):
        model_version.check_code("1", model_folder.load(files.MODEL))
