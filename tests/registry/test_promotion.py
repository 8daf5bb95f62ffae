"""Promote and roll back, what either would do, and both killed at every step."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_project import NAME, ToyProject, champion_predicts, refused

from mlops.judgement.compare import load_champion
from mlops.project import files
from mlops.registry import audit, promotion, tracking, versions


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
    said = refused(lambda: promotion.promote(client, params, worse))
    why = "(finding: worse; ROC AUC is 0.7, and its floor 0.8); promote another"
    assert f"version 3 did not pass the gate {why}" in said
    client.delete_registered_model_alias(NAME, "challenger")
    assert "has no challenger (champion: version 1)" in refused(
        lambda: promotion.promote(client, params)
    )
    assert "has no previous champion (version 1 is the first)" in refused(
        lambda: promotion.rollback(client, params)
    )
    other = params.model_copy(update={"name": "renamed"})
    assert "has no champion to roll back" in refused(lambda: promotion.rollback(client, other))
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


def _to_a_notebook(client: Any) -> None:
    run = client.create_run(client.create_experiment("notebook"))
    made = client.create_model_version(NAME, "store:/artifacts/notebook", run.info.run_id)
    client.set_registered_model_alias(NAME, "champion", made.version)


@pytest.mark.parametrize("record", [True, False], ids=["with its audit", "a clone of elsewhere"])
@pytest.mark.parametrize(
    ("hand", "said", "advice"),
    [
        (
            lambda client: client.delete_registered_model_alias(NAME, "champion"),
            "is no longer it, and none is now",
            "1",
        ),
        (
            lambda client: client.delete_model_version(NAME, "1"),
            "is gone, and none is now",
            "VERSION",
        ),
        (
            lambda client: client.set_registered_model_alias(NAME, "champion", "2"),
            "is no longer it, and version 2, which nobody promoted, is now",
            "1",
        ),
        (
            _to_a_notebook,
            "is no longer it, and version 3, which nobody promoted, is now",
            "1",
        ),
    ],
    ids=["no alias", "no version", "past the gate", "a notebook"],
)
def test_a_champion_that_a_hand_took_away_is_missed_by_all_who_ask(
    project: ToyProject, hand: Callable[[Any], None], said: str, advice: str, record: bool
) -> None:
    client, params = tracking.connect(), project.params
    hand(client)
    if not record:
        (files.STORE / audit.AUDIT).unlink()
    for ask in (
        lambda: load_champion(params),
        lambda: promotion.promote(client, params),
        lambda: promotion.check_promotion(tracking.connect(reading=True), params),
        lambda: promotion.rollback(client, params),
        lambda: versions.lineage(client, params, "champion"),
    ):
        sentence = refused(ask)
        assert f"{NAME} version 1, which was made champion, {said};" in sentence
        assert f"`mlops promote {advice} --override REASON`" in sentence
    promotion.promote(client, params, 2, "as agreed")
    assert project.aliases()["champion"] == 2
    assert project.audit()[-1]["override"] == "as agreed"
    assert load_champion(params) is not None


def test_a_registered_model_that_a_hand_renamed_is_missed(project: ToyProject) -> None:
    client = tracking.connect()
    client.rename_registered_model(NAME, "old")
    assert "version 1, which was made champion, is gone" in refused(
        lambda: load_champion(project.params)
    )
    # The numbers begin anew, and the new 1 is not the old one.
    assert project.register(3) == 1
    assert "is gone" in refused(lambda: load_champion(project.params))


def test_a_promotion_that_this_audit_has_not_heard_of_is_no_alarm(project: ToyProject) -> None:
    record = files.STORE / audit.AUDIT
    behind = record.read_bytes()
    promotion.promote(tracking.connect(), project.params)
    record.write_bytes(behind)
    assert load_champion(project.params).version == 2  # type: ignore[union-attr]
    record.unlink()
    assert load_champion(project.params).version == 2  # type: ignore[union-attr]


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
