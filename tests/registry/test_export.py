"""A version as a folder: what a service needs of it, whole or not at all."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toy_project import NAME, ToyProject, refused

from mlops.artifact import model_folder, sample
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.registry import export, tracking, versions

TARGET = Path("build/image")
IMAGE = f"ghcr.io/amelia/flight-delays@sha256:{'0123456789abcdef' * 4}"


def run(version: int | str = "challenger", target: Path = TARGET) -> list[str]:
    return export.run(tracking.connect(), ToyProject.params, target, version)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_an_export_has_what_a_service_needs(project: ToyProject) -> None:
    project.hold_out()
    assert project.register(3) == 3
    assert run() == [f"{NAME} version 3 is in build/image"]
    assert set(content(TARGET)) == {
        *("model/model.onnx", "model/features.py", "model/model.json", "model/version.json"),
        *("sample.json", "model_card.md"),
    }
    for name in ("model.onnx", "features.py", "model.json"):
        assert (TARGET / "model" / name).read_bytes() == (files.MODEL / name).read_bytes()
    told = json.loads((TARGET / "model/version.json").read_text())
    lineage = versions.lineage(tracking.connect(), project.params, 3)
    assert lineage.pop("audit") == []
    assert told == lineage
    assert (told["version"], told["aliases"], told["runtime"]) == (3, ["challenger"], "onnx")
    assert (TARGET / "model_card.md").read_text().startswith(f"# Model card: {NAME}, version 3\n")


def test_a_workflow_is_told_what_is_in_an_export(
    project: ToyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    versions.record_image(tracking.connect(), project.params, 1, IMAGE)
    run("champion")
    run(2)
    champion, challenger = (versions.lineage(tracking.connect(), project.params, n) for n in (1, 2))
    assert (tmp_path / "output").read_text() == (
        f"version=1\nimage={IMAGE}\ncompared_with={champion['compared_with']}\n"
        f"version=2\nimage=\ncompared_with={challenger['compared_with']}\n"
    )


def test_an_export_replaces_an_earlier_one(project: ToyProject) -> None:
    run(2)
    (TARGET / "model/model.skops").touch()  # as an export of another runtime would have
    assert run("champion")[0] == f"{NAME} version 1 is in build/image"
    assert json.loads((TARGET / "model/version.json").read_text())["version"] == 1
    assert "model/model.skops" not in content(TARGET)
    assert [path.name for path in Path("build").iterdir()] == ["image"]


def test_a_version_without_a_sample_is_exported_with_a_sentence(project: ToyProject) -> None:
    first, second = run(2)
    assert first == f"{NAME} version 2 is in build/image"
    assert second.startswith("it has no sample.json, because it was trained before models had one")
    assert not (TARGET / "sample.json").exists()


def test_what_is_no_export_is_not_replaced(project: ToyProject) -> None:
    for name in ("notes.txt", "model/weights.bin"):
        target = Path("mine") / name.split(".")[0]
        (target / name).parent.mkdir(parents=True)
        (target / name).write_text("years of work")
        sentence = refused(lambda target=target: run(2, target))
        assert sentence.endswith("; name another folder")
        assert (target / name).read_text() == "years of work"
    assert refused(lambda: run(2, Path("mine/notes/notes.txt"))) == (
        "mine/notes/notes.txt is a file; name a folder to export to"
    )
    assert refused(lambda: run(2, Path())).endswith("no part of an export; name another folder")


@pytest.mark.parametrize("step", ["mlops.registry.export.shutil.copyfile", "pathlib.Path.replace"])
def test_a_killed_export_leaves_the_old_one(
    project: ToyProject, killed_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run(1)
    before = content(TARGET)
    killed_at(lambda: run(2), lambda die: monkeypatch.setattr(step, die))
    assert content(TARGET) == before
    run(2)
    assert json.loads((TARGET / "model/version.json").read_text())["version"] == 2
    assert [path.name for path in Path("build").iterdir()] == ["image"]


def test_an_export_killed_between_two_moves_is_put_right(
    project: ToyProject, killed_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(1)
    move, moved = Path.replace, []

    def arm(die: Callable[..., None]) -> None:
        def second_dies(source: Path, target: Path) -> None:
            moved.append(source)
            die() if len(moved) == 2 else move(source, target)

        monkeypatch.setattr("pathlib.Path.replace", second_dies)

    killed_at(lambda: run(2), arm)
    assert not TARGET.exists()
    with pytest.raises(MlopsError, match="has no version 9"):
        run(9)  # what it was before is there again, whatever comes next
    assert json.loads((TARGET / "model/version.json").read_text())["version"] == 1


def test_a_model_that_is_not_what_was_registered_is_not_exported(project: ToyProject) -> None:
    found = versions.fetch(tracking.connect(), NAME, 2)
    assert found is not None
    (found[1] / "model.onnx").write_bytes(b"other")
    assert "model.onnx is not what was registered as" in refused(run)
    assert not TARGET.exists()
    known = "aliases: challenger (2), champion (1)"
    assert refused(lambda: run("prod")) == f"{NAME} has no version with the alias prod; {known}"


def test_the_sample_is_what_the_model_said_of_the_holdout(project: ToyProject) -> None:
    table = project.hold_out(rows=700)
    table.loc[3, "a"] = np.nan
    table.loc[5, "b"] = np.inf
    table.to_parquet(files.HOLDOUT, index=False)
    project.register(3)
    run()
    made = json.loads((TARGET / "sample.json").read_text())
    assert made["columns"] == ["a", "b"]
    assert len(made["rows"]) == len(made["scores"]) == sample.ROWS
    assert all(list(row) == ["a", "b"] for row in made["rows"])
    model = model_folder.load(TARGET / "model")
    rows = pd.DataFrame(made["rows"]).astype(float)
    again = model.predict({"a": rows["a"].to_numpy(), "b": rows["b"].to_numpy()})
    np.testing.assert_allclose(again, made["scores"], atol=1e-6)
    assert table["b"].isin(rows["b"]).sum() == sample.ROWS  # rows of the holdout, and none twice
    first = (TARGET / "sample.json").read_bytes()
    project.register(3)
    run()
    assert (TARGET / "sample.json").read_bytes() == first
