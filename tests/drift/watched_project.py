"""A project with a champion to watch, windows that have drifted or not, and a prediction log."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from workbench import Workbench

from mlops.artifact import model_folder
from mlops.artifact.table import to_columns
from mlops.serving.prediction_log import Keep, PredictionLog
from mlops.serving.predictor import Record
from mlops.serving.withheld import Withheld

ROWS = 8000  # of each window: the noise of 100 destinations then stays below their threshold
MONTHS = {"2013-03": -4, "2013-04": 0, "2013-05": 5, "2013-06": 9, "2013-07": 13}  # weeks on

Change = Callable[[pd.DataFrame], pd.DataFrame]


class Watched(Workbench):
    """A project with a champion of January to March, whose own holdout is April."""

    def check(self, *arguments: str) -> dict[str, Any]:
        """Return what ``mlops drift`` writes."""
        said = self.mlops("drift", *arguments)
        assert said.code == 0, said.err
        drift: dict[str, Any] = self.json("drift")
        assert said.out.splitlines()[0] == drift["sentence"]
        return drift

    def record(self, *arguments: str) -> dict[str, Any]:
        """Return the same, and note it in the history, as the workflow does."""
        drift = self.check(*arguments)
        self.do("drift --record")
        return drift

    def load(self, table: pd.DataFrame) -> None:
        """Replace what the data source gave."""
        table.to_parquet(self / "data/checked.parquet", index=False)

    def log(
        self,
        folder: Path,
        table: pd.DataFrame,
        version: int = 1,
        factor: float = 1,
        exclude: str = "",
    ) -> None:
        """Write the log of a service that was asked for ``table``, hour by hour, with labels."""
        scores = model_folder.load(self / "models").predict(to_columns(table)) * factor
        hours = table["time_hour"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        inputs = table.drop(columns="late").assign(time_hour=hours).to_dict("records")
        times = table["time_hour"].dt.to_pydatetime()
        ids = [f"{version}-{number}" for number in range(len(table))]
        withheld = Withheld(exclude, "key", table.columns)
        given = withheld.without(inputs)
        told = zip(ids, times, scores.tolist(), given, strict=True)
        names = (withheld.left_out, withheld.hashed)
        lines = [Record(one, at, str(version), score, row, *names) for one, at, score, row in told]
        settings = {"flush_seconds": 0.1, "rotate_mb": 64, "rotate_seconds": 3600, "keep": Keep()}
        before = set(folder.glob("predictions-*"))
        log = PredictionLog(str(folder), fsync=False, spool=folder / "spool", **settings)
        assert log.append(msgspec.json.Encoder().encode_lines(lines), len(table))
        log.close(30)
        # The service names a file by its own clock; these are records of back then.
        (file,) = set(folder.glob("predictions-*")) - before
        name = f"predictions-{min(times):%Y%m%dT%H%M%SZ}-{'a' * 11}{version}-1.jsonl"
        file.rename(folder / name)
        labels = pd.DataFrame({"id": ids, "label": table["late"]}).dropna()
        labels.to_parquet(folder / "labels.parquet", index=False)
        if len(labels):
            self.do(f"label {folder / 'labels.parquet'} --log {folder}")


@dataclass(frozen=True)
class Flights:
    """The flights of April, which the champion has not seen."""

    april: pd.DataFrame

    def windows(
        self, newest: Change | None = None, *later: Change | None, seed: int = 0, rows: int = ROWS
    ) -> pd.DataFrame:
        """Return ``rows`` flights in March, in April, in May, and in a month for each ``later``.

        Each draws from the same flights, with replacement, and moves them by whole weeks, as the
        model reads the hour and the weekday: nothing tells the windows apart but chance and the
        changes.
        """
        changes = (None, None, newest, *later)
        parts = []
        for place, (change, weeks) in enumerate(zip(changes, MONTHS.values(), strict=False)):
            drawn = self.april.sample(rows, replace=True, random_state=100 * seed + place)
            moved = drawn.assign(time_hour=drawn["time_hour"] + weeks * pd.Timedelta(days=7))
            parts.append(change(moved) if change else moved)
        return pd.concat(parts, ignore_index=True)


def month(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["time_hour"].dt.strftime("%Y-%m") == name]


def violated(drift: dict[str, Any]) -> list[str]:
    """Return the questions that are violated, and check that all others are answered."""
    states = {name: question["state"] for name, question in drift["questions"].items()}
    assert set(states.values()) <= {"ok", "violated"}, states
    return [name for name, state in states.items() if state == "violated"]
