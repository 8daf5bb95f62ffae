"""A pull request's model is judged by the base branch, whatever the pull request would like."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from parcels import Parcels, parcels
from projects import ROOT

from mlops.pipeline import judge

# Replaces what judges, wherever the code may run.
FORGERY = """
def _forge():
    import sys
    for module in list(sys.modules.values()):
        for name in ("roc_auc_score", "differences", "difference", "judge", "find"):
            if hasattr(module, name):
                setattr(module, name, lambda *_, **__: 1.0)
    try:
        __import__("sklearn.metrics").metrics.roc_auc_score = lambda *_, **__: 1.0
    except ImportError:
        pass


_forge()
"""
WORSE = {"estimator__c": 1e-7}


class Both:
    """The base branch, with a champion, and a checkout of a pull request; to change and judge."""

    def __init__(self, folder: Path, base: Parcels) -> None:
        self.base = base.copy(folder / "base")
        self.pull = base.copy(folder / "pull")
        self.made = folder / "made"

    def propose(self, *, apart: bool = False) -> None:
        """Train the pull request as its workflow does, and keep what that hands over.

        ``apart``: in processes of its own, for code that is out to change the one that runs it.
        """
        (self.pull / "README.md").write_text("A pull request.\n")
        self.pull.commit()
        if apart:
            self.pull.run("dvc", "repro", "--quiet", "train")
        else:
            self.pull.train(data=True)
        self.hand_over()

    def hand_over(self) -> None:
        for path in ("models", "reports"):
            shutil.copytree(self.pull / path, self.made / path)
        for path in ("data/checked.parquet", "params.yaml"):
            target = self.made / path
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(self.pull / path, target)

    def own(self) -> str:
        """Judge; returns why the base cannot, else an empty text."""
        outputs = self.made / "outputs"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GITHUB_OUTPUT", str(outputs))
            patch.setenv("PATH", f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}")
            self.base.do(f"judge {self.pull.folder} {self.made}")
        said = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
        return said["own"]

    def judged(self) -> dict[str, Any]:
        """Judge by the base, and return its comparison."""
        assert self.own() == ""
        written = self.base.json("comparison")
        assert written["by_base"]
        return dict(written)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Parcels:
    project = parcels(tmp_path_factory.mktemp("parcels"))
    project.commit()
    project.run("dvc", "repro", "--quiet", "validate")
    project.train()
    project.do("evaluate", "compare", "register", "promote")
    shutil.rmtree(project / "models")
    shutil.rmtree(project / "reports")
    project.commit()
    return project


@pytest.fixture
def both(tmp_path: Path, champion: Parcels) -> Both:
    return Both(tmp_path, champion)


def failed(written: dict[str, Any]) -> list[str]:
    return [check["name"] for check in written["checks"] if not check["passed"]]


def test_an_ordinary_change_is_judged_on_the_base_branchs_rows(both: Both) -> None:
    both.pull.change("features", '"stops": columns["stops"],', '"stops": columns["stops"] ** 2,')
    both.pull.set(estimator__c=0.5)
    both.propose()
    written = both.judged()
    assert written["champion"]["version"] == 1
    assert written["holdout"]["made"] is None
    assert written["changes"]["code"] == ["features.py"]
    assert [it["key"] for it in written["changes"]["params"]] == ["estimator.c"]
    assert written["sandbox"][0] == "files"
    report = both.base.report()
    assert "rows that judge are not those" not in report
    # The base's own files but settings and data are as they were.
    changed = both.base.run("git", "status", "--porcelain", "--", "src").stdout
    assert changed == ""


def test_a_change_of_the_machinery_does_not_judge_itself(both: Both) -> None:
    """As in the pull request that brings a project up to date: the model is the same."""
    gate = both.pull / "src/mlops/judgement/gate.py"
    gate.write_text(gate.read_text() + "\n\ndef judge(*_, **__):\n    return []\n")
    (both.pull / "Makefile").write_text("changed:\n\t@echo changed=false\n")
    both.propose()
    written = both.judged()
    assert (written["finding"], written["mode"]) == ("same", "upkeep")
    assert len(written["checks"]) > 5


def test_a_looser_gate_does_not_pass_a_worse_model(both: Both) -> None:
    both.pull.set(
        **WORSE, gate__margin=0.5, gate__floors={"roc_auc": 0.1}, gate__change="not_worse"
    )
    both.pull.set(gate__calibration=1.0)
    both.propose()
    written = both.judged()
    assert not written["passed"]
    assert written["gate"]["margin"] == 0.005
    report = both.base.report()
    assert (
        "**This pull request changes the gate itself.** It was judged by the gate that is" in report
    )


def test_a_forgery_in_the_features_changes_nothing(both: Both) -> None:
    """When they are imported, and when they are called."""
    both.pull.set(**WORSE)
    both.pull.change("features", "import numpy as np\n", f"import numpy as np\n{FORGERY}")
    both.pull.change("features", "    return {\n", "    _forge()\n    return {\n")
    both.propose(apart=True)
    written = both.judged()
    assert not written["passed"]
    assert written["differences"][0]["candidate"] < 1


def test_a_forgery_in_the_champions_features_changes_nothing(both: Both) -> None:
    (features,) = both.base.folder.glob(".store/artifacts/**/features.py")
    features.write_text(FORGERY + features.read_text())
    both.pull.set(**WORSE)
    both.propose(apart=True)
    said = both.base.mlops("judge", str(both.pull.folder), str(both.made))
    assert said.code == 1 or not both.base.json("comparison")["passed"]


def test_a_forgery_in_the_schema_never_runs_here(both: Both) -> None:
    both.pull.set(**WORSE)
    both.pull.change("schema", "SCHEMA = ", f"{FORGERY}\nopen('ran', 'w').close()\nSCHEMA = ")
    both.propose(apart=True)
    written = both.judged()
    assert not written["passed"]
    assert not (both.base / "ran").exists()
    assert written["holdout"]["made"] == {
        "why": ["this pull request changes src/model/schema.py"],
        "common": 1.0,
    }


def test_pickled_state_is_never_loaded(both: Both) -> None:
    """Neither in arrays nor where MLflow or skops would look for it."""
    both.propose()

    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(both.base / "exploded"),)

    for name in ("rows.npy", "model.pkl", "metrics.npy"):
        np.save(both.made / f"models/{name}", np.array([Bomb()], object), allow_pickle=True)
        saved = both.made / f"models/{name}.npy"
        if saved.exists():
            saved.rename(both.made / f"models/{name}")
    both.judged()
    assert not (both.base / "exploded").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("dvc.yaml", "stages: {x: {cmd: touch ran, outs: [x.csv]}}", "says what DVC runs"),
        ("x.csv.dvc", "cmd: touch ran\nouts: [{path: x.csv}]", "x.csv.dvc says cmd; only"),
        ("x.csv.dvc", "wdir: ../..\nouts: [{path: x.csv}]", "x.csv.dvc says wdir; only"),
        (
            "x.csv.dvc",
            "outs: [{path: ../../src/mlops/cli.py, md5: 00}]",
            "is about ['../../src/mlops/cli.py']; it may be about 'x.csv' only",
        ),
        ("x.csv.dvc", "[", "x.csv.dvc is not what `dvc add` writes"),
    ],
)
def test_data_is_no_pipeline(both: Both, name: str, text: str, said: str) -> None:
    """Else `dvc repro` would run its commands, and `dvc pull` write what judges."""
    both.propose()
    (both.pull / "data/source" / name).write_text(text)
    done = both.base.mlops("judge", str(both.pull.folder), str(both.made))
    assert done.code == 1
    assert said in done.err
    assert not list(both.base.folder.rglob("ran"))


def test_what_the_artifact_links_to_is_not_taken(both: Both, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    both.propose()
    written = json.loads((both.made / "reports/training.json").read_text())
    secret.write_text(json.dumps(written | {"run_id": "secret"}))
    (both.made / "reports/plots").mkdir(exist_ok=True)
    (both.made / "reports/plots/link.csv").symlink_to(secret)
    (both.made / "reports/training.json").unlink()
    (both.made / "reports/training.json").symlink_to(secret)
    said = both.base.mlops("judge", str(both.pull.folder), str(both.made))
    assert said.code == 0
    assert not list(both.base.folder.rglob("link.csv"))
    taken = both.base / "reports/training.json"
    assert not taken.is_symlink()
    assert json.loads(taken.read_text())["run_id"] is None


def test_the_environment_of_the_pull_request_does_not_get_here(both: Both) -> None:
    """Neither a module beside the project nor what Python would run before all others."""
    both.pull.set(**WORSE)
    for name in ("sitecustomize.py", "usercustomize.py", "numpy.py", "mlops.py"):
        (both.pull / name).write_text(FORGERY)
        (both.pull / "src" / name).write_text(FORGERY)
    both.pull.commit()
    for path in ("sitecustomize.py", "usercustomize.py", "numpy.py", "mlops.py"):
        (both.pull / path).unlink()
        (both.pull / "src" / path).unlink()
    both.pull.run("dvc", "repro", "--quiet", "train")
    both.hand_over()
    both.pull.run("git", "checkout", "--quiet", "--", ".")
    assert not both.judged()["passed"]


def test_a_model_of_other_code_than_the_pull_request_has_is_refused(both: Both) -> None:
    """Else what changed, and so which policy applies, would be what the model says."""
    both.pull.change("features", '"stops": columns["stops"],', '"stops": columns["stops"] ** 2,')
    both.propose()
    facts = json.loads((both.made / "models/model.json").read_text())
    facts["code"]["estimator.py"] = "0" * 32
    (both.made / "models/model.json").write_text(json.dumps(facts))
    said = both.base.mlops("judge", str(both.pull.folder), str(both.made))
    assert said.code == 1
    assert "was trained with another src/model/estimator.py than the pull request has" in said.err


def test_a_model_whose_settings_the_base_reads_otherwise_is_not_judged_by_it(both: Both) -> None:
    both.propose()
    facts = json.loads((both.made / "models/model.json").read_text())
    facts["params"]["seed"] += 1
    (both.made / "models/model.json").write_text(json.dumps(facts))
    assert both.own() == "production's code reads its settings in another way"


def test_the_rows_that_judge_are_made_whatever_the_run_cache_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is of the store, where whoever can push can say what a stage had made."""
    ran: list[tuple[str, ...]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(judge, "_command", lambda *command: ran.append(command))
    assert judge._load() is None
    (repro,) = [it for it in ran if it[:2] == ("dvc", "repro")]
    assert "--no-run-cache" in repro


def test_rows_of_the_pull_requests_own_making_are_said(both: Both) -> None:
    """The one that swaps in its own data: easy rows, of which none is the base's."""
    both.pull.also("table['late'] = (table.weight > 6).astype('int64'); table['weight'] += 0.01")
    both.propose()
    written = both.judged()
    assert written["holdout"]["made"] == {
        "why": ["this pull request changes src/model/data.py"],
        "common": 0.0,
    }
    second = both.base.report().splitlines()[2]
    assert second == (
        "⚠️ **The rows that judge are not those of the base branch**: this pull request changes "
        "src/model/data.py. 0% of them are the same."
    )


def test_a_moved_holdout_is_said(both: Both) -> None:
    both.pull.set(data__holdout={"start": "2023-04-15", "end": "2023-05"})
    both.propose()
    made = both.judged()["holdout"]["made"]
    assert made["why"] == ["this pull request changes params.yaml: data"]
    assert 0.2 < made["common"] < 0.5
    assert "% of them are the same." in both.base.report().splitlines()[2]


def test_a_moved_training_window_judges_on_the_same_rows(both: Both) -> None:
    both.pull.set(data__window={"start": "2023-02", "end": "2023-03"})
    both.propose()
    written = both.judged()
    assert written["holdout"]["made"] is None
    assert written["mode"] == "retrain"


def test_a_new_category_that_the_base_refuses_is_judged_as_the_pull_request_reads_it(
    both: Both,
) -> None:
    (both.pull / "data/source/kinds.csv").write_text("kind\nsack\n")
    for project in (both.base, both.pull):
        project.also(
            "import pathlib; extra = pathlib.Path('data/source/kinds.csv'); "
            "table.loc[::50, 'kind'] = 'sack' if extra.exists() else 'bag'"
        )
    both.base.commit()
    both.pull.change("schema", '"tube"]', '"tube", "sack"]')
    both.propose()
    made = both.judged()["holdout"]["made"]
    assert made["why"] == [
        "this pull request changes src/model/schema.py",
        "this pull request changes data",
    ]
    assert 0.9 < made["common"] < 1


def test_data_that_the_base_refuses_is_said_with_its_words(both: Both) -> None:
    """As where features.py names the categories that the schema allows."""
    for project in (both.base, both.pull):
        project.change("schema", "import pandas", "from model.features import KINDS\nimport pandas")
        project.change("schema", 'Check.isin(["box", "bag", "tube"])', "Check.isin(KINDS)")
        project.also("table.loc[::50, 'kind'] = open('data/source/kind').read()")
        (project / "data/source/kind").write_text("bag")
    both.base.commit()
    (both.pull / "data/source/kind").write_text("sack")
    both.pull.change("features", '"tube": 2', '"tube": 2, "sack": 3')
    both.propose()
    made = both.judged()["holdout"]["made"]
    assert made["why"][0] == "this pull request changes data"
    assert made["why"][1].startswith("production's code does not read its data (")


def test_a_new_column_is_judged_as_the_pull_request_reads_it(both: Both) -> None:
    both.pull.also("table['new'] = table.weight * 2")
    both.pull.change("schema", '"late": ', '"new": Column(float), "late": ')
    both.pull.change("features", '"stops": c', '"new": columns["new"], "stops": c')
    both.propose()
    made = both.judged()["holdout"]["made"]
    assert made["common"] == 1.0
    assert len(made["why"]) == 2


def test_other_libraries_answer_in_an_environment_of_their_own(both: Both) -> None:
    """Made without running anything of the pull request: from wheels, with their hashes."""
    lock = (ROOT / "requirements-serve-skops.txt").read_text(encoding="utf-8")
    (both.base / "requirements-serve-skops.txt").write_text(lock)
    (both.pull / "requirements-serve-skops.txt").write_text(lock + "# another\n")
    both.propose()
    written = both.judged()
    assert written["finding"] == "same"
    assert (both.base / "build/candidate/bin/python").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "boxes"}, "params.yaml: name changes from parcels to boxes"),
        (
            {"name": "**@ada** <b>"},
            "params.yaml: name changes from parcels to &#42;&#42;@\u200bada",
        ),
        ({"gate__metric": "accuracy"}, "params.yaml: gate.metric changes from roc_auc to accuracy"),
        ({"data__key": 1}, "production's code cannot read it (ValidationError: "),
    ],
)
def test_what_the_base_cannot_judge_is_judged_by_its_own_rules(
    both: Both, change: dict[str, Any], said: str
) -> None:
    both.propose()
    both.pull.set(**change)
    assert both.own().startswith(said)
    assert not (both.base / "reports/comparison.json").exists()


def test_a_format_that_the_base_does_not_know_is_judged_by_its_own_rules(both: Both) -> None:
    both.propose()
    facts = json.loads((both.made / "models/model.json").read_text())
    (both.made / "models/model.json").write_text(json.dumps(facts | {"format": 99}))
    assert "format 99" in both.own()


def test_a_training_that_stopped_leaves_its_reason(both: Both) -> None:
    both.pull.change(
        "data", "    return table", "    table.loc[0, 'weight'] = -5\n    return table"
    )
    both.pull.commit()
    both.pull.do("ingest")
    assert both.pull.mlops("validate").code == 1
    (both.made / "reports").mkdir(parents=True)
    shutil.copyfile(both.pull / "reports/data.json", both.made / "reports/data.json")
    assert both.own() == ""
    both.base.do("report --anyway --commit " + "c" * 40)
    report = (both.base / "reports/report.md").read_text()
    assert report.startswith("## ⛔ Data refused")


def test_the_first_model_is_judged_by_the_base_as_well(both: Both) -> None:
    shutil.rmtree(both.base / ".store")
    both.pull.set(gate__floors={"roc_auc": 0.2}, **WORSE)
    both.base.set(gate__floors={"roc_auc": 0.99})
    both.propose()
    written = both.judged()
    assert written["finding"] == "first"
    assert "floor: roc_auc" in failed(written) or not written["passed"]
    assert yaml.safe_load((both.base / "params.yaml").read_text())["gate"]["floors"] == {
        "roc_auc": 0.99
    }
