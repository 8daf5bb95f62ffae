"""Register, promote and roll back in a real registry: built in, on a server, and killed midway."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_project import NAME, ToyProject

from mlops.artifact import model_folder
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.registry import audit, database, model_version, promotion, tracking, versions

ROWS = np.random.default_rng(7).normal(size=(5, 2)).astype(np.float32)

MODEL_URI = f"models:/{NAME}@champion"
PLAIN_MLFLOW = """
import sys, mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
rows = np.load(sys.argv[3])
model = mlflow.sklearn.load_model(sys.argv[2])
print(type(model).__name__, model.predict_proba(rows)[:, 1].tolist())
print(mlflow.pyfunc.load_model(sys.argv[2]).predict(rows).astype(int).tolist())
"""

REGISTER = """
import sys
sys.path.insert(0, sys.argv[1])
from toy_project import ToyProject
from mlops.registry import tracking, versions
print("version", versions.register(ToyProject.params, tracking.connect()))
"""


def refused(function: Callable[[], Any]) -> str:
    """Return the one line that the user reads."""
    with pytest.raises(MlopsError) as caught:
        function()
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def champion_predicts(seed: int) -> None:
    """Assert that the champion loads and is the model trained with ``seed``."""
    found = versions.fetch(tracking.connect(), NAME, "champion")
    assert found is not None
    record, _ = found
    assert record.tags["data_md5"] == f"da7a{seed}"
    model = model_version.load(tracking.connect(), record)
    assert model.predict({"a": ROWS[:, 0], "b": ROWS[:, 1]}).shape == (5,)


# Register


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
    assert sentence == "models is not what one training wrote; run `dvc repro` again"
    project.train(3)
    training = files.read_json(files.TRAINING, "")
    files.write_json(files.TRAINING, training | {"model_md5": "0"})
    assert "is about another model" in refused(lambda: versions.register(project.params, client))
    assert project.aliases() == {"champion": 1, "challenger": 2}


def test_a_model_with_foreign_types_is_refused(
    project: ToyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skops.io.get_untrusted_types", lambda **_: ["sklearn.a", "os.system"])
    sentence = refused(lambda: versions.register(project.params, tracking.connect()))
    assert "models/model.skops needs os.system; only scikit-learn's own types" in sentence


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


# Promote and roll back


def test_promote_roll_back_and_forward(project: ToyProject) -> None:
    client = tracking.connect()
    said = promotion.promote(client, project.params)
    assert said == f"{NAME} version 2 is now champion (was version 1)"
    assert project.aliases() == {"champion": 2, "previous": 1}
    champion_predicts(2)
    promotion.rollback(client, project.params)
    assert project.aliases() == {"champion": 1, "previous": 2}
    champion_predicts(1)
    promotion.rollback(client, project.params)
    assert project.aliases() == {"champion": 2, "previous": 1}
    lines = project.audit()
    assert [(line["action"], line["from"], line["to"]) for line in lines] == [
        ("promote", None, 1),
        ("promote", 1, 2),
        ("rollback", 2, 1),
        ("rollback", 1, 2),
    ]
    assert len({line["id"] for line in lines}) == 4
    second = lines[1]
    assert (second["who"], second["commit"]) == ("amelia", f"{2:040x}")
    assert (second["data_md5"], second["finding"]) == ("da7a2", "better")
    assert second["time"].endswith("+00:00")


def test_promoting_the_champion_changes_nothing(project: ToyProject) -> None:
    before = project.audit()
    said = promotion.promote(tracking.connect(), project.params, 1)
    assert said == f"{NAME} version 1 is champion already; nothing changed"
    assert project.audit() == before
    assert project.aliases() == {"champion": 1, "challenger": 2}


def test_rolling_back_to_a_named_version(project: ToyProject) -> None:
    client = tracking.connect()
    promotion.promote(client, project.params)
    assert project.register(3, champion=2) == 3
    promotion.promote(client, project.params)
    promotion.rollback(client, project.params, 1)
    assert project.aliases() == {"champion": 1, "previous": 3}


def test_what_cannot_be_promoted_is_refused(project: ToyProject) -> None:
    client, params = tracking.connect(), project.params
    unknown = refused(lambda: promotion.promote(client, params, 9))
    assert unknown == f"{NAME} has no version 9; registered: 1, 2"
    worse = project.register(3, "worse", passed=False)
    assert "version 3 did not pass the gate (finding: worse)" in refused(
        lambda: promotion.promote(client, params, worse)
    )
    client.delete_registered_model_alias(NAME, "challenger")
    assert "has no challenger (champion: version 1)" in refused(
        lambda: promotion.promote(client, params)
    )
    assert "has no previous champion (version 1 is the first)" in refused(
        lambda: promotion.rollback(client, params)
    )
    client.delete_registered_model_alias(NAME, "champion")
    assert "has no champion to roll back" in refused(lambda: promotion.rollback(client, params))
    assert len(project.audit()) == 1


def test_a_version_judged_against_another_champion_is_refused(project: ToyProject) -> None:
    client = tracking.connect()
    third = project.register(3, champion=1)
    promotion.promote(client, project.params, 2)
    sentence = refused(lambda: promotion.promote(client, project.params, third))
    assert "version 3 was compared with champion 1, but the champion now is 2" in sentence
    assert project.aliases()["champion"] == 2


def test_an_override_needs_a_reason_and_goes_on_record(project: ToyProject) -> None:
    client = tracking.connect()
    worse = project.register(3, "worse", passed=False)
    assert "needs a reason" in refused(
        lambda: promotion.promote(client, project.params, worse, "  ")
    )
    promotion.promote(client, project.params, worse, "the airport moved")
    assert project.aliases()["champion"] == worse
    assert project.audit()[-1]["override"] == "the airport moved"
    assert project.audit()[-1]["finding"] == "worse"


def test_a_version_whose_files_changed_or_went_is_refused(project: ToyProject) -> None:
    client = tracking.connect()
    found = versions.fetch(client, NAME, 2)
    assert found is not None
    folder = found[1]
    intact = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(intact + b"x")
    sentence = refused(lambda: promotion.promote(client, project.params, None, "hurry"))
    assert "model.onnx is not what was registered" in sentence
    shutil.rmtree(folder)
    sentence = refused(lambda: promotion.promote(client, project.params))
    assert f"{NAME} version 2 lacks MLmodel, model.onnx" in sentence
    assert "mlops store restore DIR" in sentence
    assert project.aliases() == {"champion": 1, "challenger": 2}
    assert not folder.exists()


KILL_POINTS = [
    "mlflow.MlflowClient.set_registered_model_tag",
    "mlflow.MlflowClient.set_registered_model_alias",
    "mlflow.MlflowClient.delete_registered_model_alias",
    "mlflow.MlflowClient.set_model_version_tag",
    "mlops.registry.audit.append",
    "mlflow.MlflowClient.delete_registered_model_tag",
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", KILL_POINTS)
def test_a_killed_promotion_is_finished_by_the_next(
    project: ToyProject,
    killed_at: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    after: bool,
) -> None:
    owner, name = step.rsplit(".", 1)
    original = getattr(audit if owner == "mlops.registry.audit" else _client_class(), name)

    def arm(die: Callable[..., None]) -> None:
        def do_and_die(*arguments: Any) -> None:
            original(*arguments)
            die()

        monkeypatch.setattr(step, do_and_die if after else die)

    killed_at(lambda: promotion.promote(tracking.connect(), project.params, 2), arm)
    began = project.aliases()["champion"]
    champion_predicts(began)
    promotion.promote(tracking.connect(), project.params, 2)
    assert project.aliases() == {"champion": 2, "previous": 1}
    assert [(line["from"], line["to"]) for line in project.audit()] == [(None, 1), (1, 2)]
    assert "transition" not in tracking.connect().get_registered_model(NAME).tags
    champion_predicts(2)


def _client_class() -> Any:
    import mlflow

    return mlflow.MlflowClient


def test_a_killed_rollback_is_finished_and_not_undone(
    project: ToyProject, killed_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    promotion.promote(tracking.connect(), project.params)
    # A second copy: a process must not inherit this one's open database.
    shutil.copytree(Path.cwd(), "../killed")
    monkeypatch.chdir("../killed")
    killed_at(
        lambda: promotion.rollback(tracking.connect(), project.params),
        lambda die: monkeypatch.setattr("mlops.registry.audit.append", die),
    )
    said = promotion.rollback(tracking.connect(), project.params)
    assert said == f"finished: {NAME} version 1 is now champion (was version 2)"
    assert project.aliases() == {"champion": 1, "previous": 2}
    assert [line["action"] for line in project.audit()] == ["promote", "promote", "rollback"]


def test_a_rollback_first_finishes_a_killed_promotion(
    project: ToyProject, killed_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(
        lambda: promotion.promote(tracking.connect(), project.params),
        lambda die: monkeypatch.setattr("mlops.registry.audit.append", die),
    )
    promotion.rollback(tracking.connect(), project.params)
    assert project.aliases() == {"champion": 1, "previous": 2}
    assert [line["to"] for line in project.audit()] == [1, 2, 1]


# What promote and rollback would do


def test_a_check_says_what_would_happen_and_moves_nothing(project: ToyProject) -> None:
    client, params = tracking.connect(), project.params
    before = (project.aliases(), project.audit())
    said = promotion.check_promotion(client, params)
    assert said == f"{NAME} version 2 can become champion (now: version 1)"
    said = promotion.check_promotion(client, params, 1)
    assert said == f"{NAME} version 1 is champion already; nothing would change"
    assert promotion.check_rollback(client, params, 2) == 2
    assert (project.aliases(), project.audit()) == before
    promotion.promote(client, params)
    assert promotion.check_rollback(client, params) == 1
    assert project.aliases() == {"champion": 2, "previous": 1}


def test_a_check_refuses_what_would_be_refused(project: ToyProject) -> None:
    client, params = tracking.connect(), project.params
    worse = project.register(3, "worse", passed=False)
    for version, override in ((worse, None), (9, None), (2, " "), (None, None)):
        checked = refused(
            lambda v=version, o=override: promotion.check_promotion(client, params, v, o)
        )
        assert checked == refused(
            lambda v=version, o=override: promotion.promote(client, params, v, o)
        )
    assert "can become champion" in promotion.check_promotion(client, params, worse, "it snowed")
    checked = refused(lambda: promotion.check_rollback(client, params))
    assert checked == refused(lambda: promotion.rollback(client, params))
    found = versions.fetch(client, NAME, 2)
    assert found is not None
    (found[1] / "model.onnx").write_bytes(b"other")
    for check in (promotion.check_promotion, promotion.check_rollback):
        assert "is not what was registered" in refused(lambda c=check: c(client, params, 2))
    assert project.aliases() == {"champion": 1, "challenger": worse}
    assert len(project.audit()) == 1


def test_a_check_leaves_a_killed_promotion_to_the_next(
    project: ToyProject, killed_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    third = project.register(3, champion=1)
    killed_at(
        lambda: promotion.promote(tracking.connect(), project.params, 2),
        lambda die: monkeypatch.setattr("mlflow.MlflowClient.set_registered_model_alias", die),
    )
    client, params = tracking.connect(), project.params
    assert "version 2 can become champion (now: version 1)" in promotion.check_promotion(
        client, params, 2
    )
    assert promotion.check_rollback(client, params) == 1  # once version 2 is champion
    assert "was compared with champion 1, but the champion now is 2" in refused(
        lambda: promotion.check_promotion(client, params, third)
    )
    assert project.aliases() == {"champion": 1, "challenger": third}
    assert "transition" in client.get_registered_model(NAME).tags


def test_the_audit_record_names_the_image(project: ToyProject) -> None:
    client, image = tracking.connect(), f"ghcr.io/amelia/flights@sha256:{'7' * 64}"
    versions.record_image(client, project.params, 2, image)
    promotion.promote(client, project.params)
    promotion.rollback(client, project.params)
    promotion.rollback(client, project.params)
    assert [line["image"] for line in project.audit()] == [None, image, None, image]


# Lineage and audit


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


def test_an_audit_line_that_was_cut_short_swallows_nothing(project: ToyProject) -> None:
    path = files.STORE / "audit.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "torn", "tim')
    audit.append({"id": "next", "model": NAME})
    audit.append({"id": "next", "model": NAME})
    assert [line["id"] for line in audit.read()][1:] == ["next"]
    assert path.read_bytes().startswith(whole)


def test_who_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "octocat")
    assert audit.who() == "octocat"
    monkeypatch.delenv("GITHUB_ACTOR")
    (tmp_path / "config").write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    assert audit.who() == "Ada <ada@example.org>"
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("LOGNAME", "ada")
    assert audit.who() == "ada"


# Where the registry is


def test_a_moved_store_loads_with_plain_mlflow(project: ToyProject, tmp_path: Path) -> None:
    moved = tmp_path / "else where&é" / "store"
    moved.parent.mkdir()
    shutil.move(files.STORE, moved)
    np.save(tmp_path / "rows.npy", ROWS)
    uri = f"sqlite:///{moved}/mlflow.db"
    said = subprocess.run(
        [sys.executable, "-c", PLAIN_MLFLOW, uri, MODEL_URI, tmp_path / "rows.npy"],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    project.train(1)
    expected = model_folder.load(files.MODEL).predict({"a": ROWS[:, 0], "b": ROWS[:, 1]})
    first, second = said.stdout.splitlines()
    assert first.startswith("LogisticRegression "), said.stderr
    np.testing.assert_allclose(json.loads(first.split(" ", 1)[1]), expected, atol=1e-6)
    assert json.loads(second) == (expected > 0.5).astype(int).tolist()


def test_an_artifact_outside_the_store_is_not_read(project: ToyProject) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    from mlops.store.artifacts import StoreArtifactRepository

    uri = tracking.connect().tracking_uri
    with pytest.raises(MlopsError, match="would lie outside"):
        StoreArtifactRepository("store:/artifacts/../../secret", uri)
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    mlflow.set_registry_uri("http://127.0.0.1:9")
    with pytest.raises(MlflowException, match="lies beside a sqlite database"):
        StoreArtifactRepository("store:/artifacts/x")


@pytest.fixture
def server(template: Path, tmp_path: Path) -> Iterator[str]:
    """A real MLflow server with nothing in it."""
    shutil.copyfile(template / "empty.db", tmp_path / "server.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "server-artifacts")]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=tmp_path,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
        try:
            _wait_for(port, process, tmp_path / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 15)
            process.wait(20)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_a_server_is_used_like_the_built_in_store(
    project: ToyProject, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    shutil.rmtree(files.STORE)
    monkeypatch.setenv(tracking.URI, server)
    client, params = tracking.connect(), project.params
    assert versions.fetch(client, NAME, "champion") is None
    assert project.register(1, "first", champion=None) == 1
    promotion.promote(client, params)
    assert project.register(2) == 2
    promotion.promote(client, params)
    promotion.rollback(client, params)
    assert project.aliases() == {"champion": 1, "previous": 2}
    champion_predicts(1)
    found, again = (versions.fetch(client, NAME, "champion") for _ in range(2))
    assert found is not None
    assert again is not None
    assert found[1] == again[1]
    assert versions.lineage(client, params, 1)["aliases"] == ["champion"]
    assert [line["to"] for line in project.audit()] == [1, 2, 1]
    model = mlflow.sklearn.load_model(MODEL_URI)
    assert model.predict(ROWS).shape == (5,)
    assert not (files.STORE / "mlflow.db").exists()
    assert os.environ[tracking.URI] == server


def test_a_server_that_is_down_is_named(
    project: ToyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tracking.URI, "http://amelia:secret@127.0.0.1:9")
    before = sorted(Path.cwd().rglob("*"))
    assert refused(tracking.connect) == (
        "MLFLOW_TRACKING_URI=http://127.0.0.1:9 does not answer; start the server or correct the "
        "address, or unset MLFLOW_TRACKING_URI to use .store"
    )
    assert sorted(Path.cwd().rglob("*")) == before


def test_connecting_leaves_the_environment_to_the_user(project: ToyProject) -> None:
    before = dict(os.environ)
    tracking.connect()
    assert {name for name in os.environ if name.endswith("_URI")} == {
        name for name in before if name.endswith("_URI")
    }


def test_what_is_read_without_mlflow_is_what_mlflow_says(project: ToyProject) -> None:
    mlflow, reader = tracking.connect(), tracking.connect(reading=True)
    mlflow.set_registered_model_tag(NAME, "transition", "{}")
    project.register(3)
    mlflow.delete_model_version(NAME, "3")
    for ask in (
        lambda client: model_version.registered(client, NAME),
        lambda client: model_version.find(client, NAME, 2),
        lambda client: min(client.search_model_versions(f"name='{NAME}'"), key=lambda v: v.version),
    ):
        told, theirs = vars(ask(reader)), ask(mlflow)
        assert told == {field: getattr(theirs, field) for field in told}
    assert model_version.registered(reader, "nobody") is None
    assert refused(lambda: model_version.find(reader, NAME, 3)) == refused(
        lambda: model_version.find(mlflow, NAME, 3)
    )


@pytest.mark.parametrize("uri", ["sqlite:///a/b.db", "sqlite:////a%25b%3Fc d.db?timeout=5"])
def test_a_database_is_where_sqlalchemy_opens_it(uri: str) -> None:
    from sqlalchemy.engine import make_url

    assert database.to_path(uri) == Path(str(make_url(uri).database)).absolute()
