"""A second version on its way to production: stopped at each step once, then through.

One push, whose failed jobs run again and again: what it costs is one training.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import recorded
from act_run import Run
from cancelling import Cancellation
from hosted import JUNE, Hosted
from overtaking import overtaken
from projects import Project
from webhook import Webhook

from mlops.artifact import model_folder
from mlops.artifact.table import to_columns
from mlops.project.params import Canary
from mlops.trial.canary_gate import distance

FOUND = {"id": "CVE-2026-1", "package": "numpy", "severity": "HIGH", "fixed": "9.9", "image": ":v2"}
DEPLOY = "exec mlops deploy"
# Appended to the champion's features.py: it no longer predicts as it did.
ODD = """

_build = build_features


def build_features(columns):
    return {name: values * 0 for name, values in _build(columns).items()}
"""


@dataclass(frozen=True)
class Scene:
    """How things stood after a run."""

    run: int
    attempt: int
    aliases: dict[str, int]
    tags: dict[str, str]
    store: list[str]
    saved_by_others: int
    told: list[str]  # by the webhook, of this run


class SecondVersion(Project):
    """A folder with the local GitHub after all of it, and the scenes on the way."""

    @cached_property
    def hosted(self) -> Hosted:
        return Hosted(self.folder)

    @cached_property
    def scenes(self) -> dict[str, Scene]:
        told: dict[str, Any] = json.loads((self.folder / "scenes.json").read_text())
        return {name: Scene(**scene) for name, scene in told.items()}

    def run_of(self, name: str) -> Run:
        scene = self.scenes[name]
        (run,) = [
            it
            for it in self.hosted.github.runs
            if (it.id, it.attempt) == (scene.run, scene.attempt)
        ]
        return run


def bring_to_production(version: SecondVersion) -> None:
    """Push it, and run again what failed, each time with something else that is broken."""
    hosted = version.hosted
    scenes: dict[str, Scene] = {}

    def note(name: str, run: Run, others: int = 0) -> Run:
        log = hosted.github.log("mlops-store")
        aliases = hosted.registry()["aliases"]
        told, webhook.told = webhook.texts, []
        scenes[name] = Scene(run.id, run.attempt, aliases, hosted.tags(), log, others, told)
        (version.folder / "scenes.json").write_text(
            json.dumps({key: asdict(scene) for key, scene in scenes.items()})
        )
        return run

    with hosted.github as github, Webhook() as webhook:
        github.secrets["NOTIFY_URL"] = webhook.address
        github.actions.left_out.add("ci.yml")
        hosted.project.set(data__window=JUNE)
        hosted.commit("Train on June")
        github.push(hosted.project.folder, run=False)
        with overtaken(hosted, 1, registry=True) as others:
            (run,) = github.run(github.pending[0])
        note("overtaken", run, len(others))
        run = note("overtaken again", github.rerun(run, failed=True))

        with changed(hosted.vulnerabilities, lambda known: json.dumps([*json.loads(known), FOUND])):
            run = note("vulnerable", github.rerun(run, job="register"))
        sample = run.artifacts["image"] / "sample.json"
        with changed(sample, other_scores):
            run = note("other scores", github.rerun(run, failed=True))
        (hosted.docker / "kill").write_text("^load ")
        run = note("not loaded", github.rerun(run, failed=True))
        built = run.artifacts["built"] / "image.tar"
        with replaced(built, b"Another image"):
            run = note("other image", github.rerun(run, failed=True))
        with changed(champions_features(hosted), lambda text: text + ODD):
            run = note("other predictions", github.rerun(run, failed=True))
        note("without an image", github.dispatch("rollback.yml", version="2"))
        features, export = champions_features(hosted), run.artifacts["image"]
        with changed(features, lambda text: text + half_as_odd(features.parent, export)):
            run = note("undecided", github.rerun(run, failed=True))
            ends = Cancellation("production", DEPLOY, "confirm ...", "deploy")
            github.actions.cancellation = ends
            run = note("cancelled", github.rerun(run, failed=True))
        (hosted.docker / "kill").write_text("imagetools create .*:production")
        github.variables["ATTEST"] = "false"
        run = note("killed", github.rerun(run, job="attest"))
        del github.variables["ATTEST"]
        with overtaken(hosted, 1, registry=True) as others:
            run = note("not saved", github.rerun(run, failed=True), len(others))
        run = note("too late", github.rerun(run, job="promote"))
        with overtaken(hosted, 1) as others:
            note("deployed", github.rerun(run, job="production"), len(others))

        hosted.project.set(serving__latency_ms=4000.0)
        hosted.commit("Another limit")
        (run,) = github.push(hosted.project.folder)
        note("same", run)
        (hosted.project / "README.md").write_text("# Flights of 2013\n")
        hosted.commit("Say more")
        (run,) = github.push(hosted.project.folder)
        note("prose", run)
        recorded.check(github.github.requests)
        assert github.github.refused == []
        del github.secrets["NOTIFY_URL"]  # nobody listens there any more


@contextmanager
def changed(file: Path, change: Callable[[str], str]) -> Iterator[None]:
    """Change a file for a while."""
    before = file.read_text(encoding="utf-8")
    assert change(before) != before
    file.write_text(change(before), encoding="utf-8")
    yield
    file.write_text(before, encoding="utf-8")


@contextmanager
def replaced(file: Path, content: bytes) -> Iterator[None]:
    """Put something else in place of a file for a while."""
    before = file.read_bytes()
    file.write_bytes(content)
    yield
    file.write_bytes(before)


def other_scores(sample: str) -> str:
    told = json.loads(sample)
    return json.dumps({**told, "scores": [1 - score for score in told["scores"]]})


def half_as_odd(champion: Path, export: Path) -> str:
    """Return what makes the champion as odd as a canary just lets pass, or just does not.

    Below some distance of a flight, it predicts as with ``ODD``.
    """
    asked = pd.DataFrame(json.loads((export / "sample.json").read_text())["rows"])
    asked["time_hour"] = pd.to_datetime(asked["time_hour"], utc=True)
    columns = to_columns(asked)
    with TemporaryDirectory() as folder:
        shutil.copytree(champion, folder, dirs_exist_ok=True)
        (Path(folder) / "features.py").write_text((champion / "features.py").read_text() + ODD)
        folders = champion, Path(folder), export / "model"
        usual, odd, theirs = (model_folder.load(it).predict(columns) for it in folders)

    def beyond(cut: float) -> float:
        champions = np.where(columns["distance"] < cut, odd, usual)
        return abs(distance(champions[:, None], theirs[:, None]) - Canary().shift)

    cut = min(np.unique(columns["distance"]), key=beyond)
    assert beyond(cut) < 0.01
    below = f"np.where(columns['distance'] < {cut}, 0 * values, values)"
    return ODD.replace("values * 0", below)


def champions_features(hosted: Hosted) -> Path:
    """Return a file of the image that the tag `production` names."""
    repository = hosted.docker / "registry" / f"ghcr.io/{hosted.github.repository}.json"
    manifests = json.loads(repository.read_text())["manifests"]
    image: str = manifests[hosted.tags()["production"]]
    return hosted.docker / "images" / image.removeprefix("sha256:") / "model" / "features.py"
