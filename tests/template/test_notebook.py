"""notebooks/champion.ipynb shows what is so, for every problem, as a kernel runs it."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nbformat
import pytest
from generation import ROOT
from nbclient import NotebookClient
from parcels import parcels
from projects import FROM_ROOT, copy_from_root
from workbench import Workbench

sys.path.insert(0, str(ROOT / "tests/start"))
import tables

NOTEBOOK = "notebooks/champion.ipynb"
# What `make start` puts its own in place of.
EXAMPLE = ["src/model", "params.yaml", "data/README.md", "tests/data", "tests/model"]
STAGES = ("ingest", "validate", "settings", "features", "train", "evaluate", "compare")
NO_CHAMPION = "There is no champion here yet, so this is the model that `make repro` has trained."

Shown = dict[str, str]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Shown]:
    """Run the notebook in a project; returns what each cell printed and showed, as text."""
    own = {name: str(tmp_path / name) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}
    for name, folder in own.items():
        monkeypatch.setenv(name, folder)

    def show(project: Workbench, folder: str = "notebooks") -> Shown:
        notebook = nbformat.read(ROOT / NOTEBOOK, 4)
        where = {"metadata": {"path": str(project / folder)}}
        NotebookClient(notebook, timeout=120, resources=where).execute(
            env=project.environment | own
        )
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for cell in code:
            assert [it for it in cell.outputs if it.get("name") == "stderr"] == [], cell.id
        assert "image/png" in code[-1].outputs[-1].data
        return {cell.id: "".join(map(as_text, cell.outputs)) for cell in code}

    return show


def as_text(output: nbformat.NotebookNode) -> str:
    return str(output.text if output.output_type == "stream" else output.data["text/plain"])


def has_numbers(text: str, scores: dict[str, float]) -> bool:
    return all(f"{value:.4f}" in text for value in scores.values())


def test_it_holds_nothing_but_its_cells() -> None:
    for path in (ROOT / "notebooks").iterdir():
        assert path.suffix == ".ipynb", f"{path.name} does not belong there"
        notebook = json.loads(path.read_text(encoding="utf-8"))
        nbformat.validate(notebook)
        assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
        assert notebook["metadata"]["kernelspec"]["name"] == "python3"
        assert notebook["metadata"]["language_info"] == {"name": "python"}
        for cell in notebook["cells"]:
            assert cell["metadata"] == {}
            assert cell.get("outputs", []) == []
            assert cell.get("execution_count") is None
            words = "".join(cell["source"]).split()
            assert len(words) < (60 if cell["cell_type"] == "markdown" else 90), cell["id"]


def test_without_and_with_a_champion(tmp_path: Path, shown: Callable[..., Shown]) -> None:
    project = parcels(tmp_path)
    copy_from_root("notebooks", project.folder)
    project.do(*STAGES)
    said = shown(project)
    metrics = project.json("metrics")
    rows = metrics.pop("rows")
    assert said["data"].startswith(f"{rows:,} rows of 2023-04; to be predicted: late\n")
    assert said["model"].startswith(f"{NO_CHAMPION}\n")
    assert "`mlops store pull` brings it." in said["model"]
    assert "trained model: learned from " in said["model"]
    assert "LogisticRegression" in said["model"]
    assert has_numbers(said["scores"], metrics.pop("baseline"))
    assert has_numbers(said["scores"], metrics)
    assert said["comparison"].startswith("Against no champion: first; gate passed\n")
    assert "difference" not in said["comparison"]
    assert "tube" in said["slices"]

    project.do("register", "promote")
    project.set(estimator__c=0.0001)
    project.do("settings", "features", "train", "evaluate", "compare")
    judged = project.json("comparison")
    said = shown(project, ".")
    assert said["model"].startswith("champion v1: learned from ")
    assert NO_CHAMPION not in said["model"]
    assert "champion v1" in said["scores"]
    assert has_numbers(said["scores"], judged["champion"]["metrics"])
    assert said["comparison"].startswith(f"Against champion v1: {judged['finding']}; gate failed\n")
    assert f"- {judged['reasons'][0]}\n" in said["comparison"]
    row = judged["differences"][0]
    assert has_numbers(said["comparison"], {name: row[name] for name in ("difference", "low")})
    kinds = [part for part in judged["slices"] if part["column"] == "kind"]
    assert len(kinds) == 3
    for part in kinds:
        assert has_numbers(said["slices"], {name: part[name] for name in ("champion", "high")})


@pytest.mark.parametrize(
    ("table", "target", "metric", "part"),
    [
        (partial(tables.reviews, n=1200), "label", "ROC AUC", "Vectorizer"),
        (partial(tables.rides, n=3000), "count", "mean absolute error", "Regressor"),
        (tables.irises, "target", "ROC AUC (one class against the rest)", "LogisticRegression"),
    ],
    ids=["texts", "a number", "three classes"],
)
def test_on_a_table_of_ones_own(
    tmp_path: Path,
    shown: Callable[..., Shown],
    table: Callable[[Path], Path],
    target: str,
    metric: str,
    part: str,
) -> None:
    project = Workbench(tmp_path / "project")
    for path in [*FROM_ROOT, *EXAMPLE, "notebooks"]:
        copy_from_root(path, project.folder)
    project.run("git", "init", "--quiet")
    project.do(f"start {table(tmp_path)} --target {target}", *STAGES)
    said = shown(project)
    metrics = project.json("metrics")
    assert said["data"].startswith(f"{metrics.pop('rows'):,} rows of ")
    assert f"; to be predicted: {target}\n" in said["data"]
    assert NO_CHAMPION in said["model"]
    assert part in said["model"]
    assert metric in said["scores"]
    assert has_numbers(said["scores"], metrics.pop("baseline"))
    assert has_numbers(said["scores"], metrics)
    assert "Against no champion: first; gate passed\n" in said["comparison"]
