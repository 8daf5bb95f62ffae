"""The newest window: from the data source, or from the prediction log joined with its labels."""

import hashlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from mlops.artifact.model_folder import Facts, ModelArtifact
from mlops.artifact.table import Array
from mlops.drift.rows import Rows
from mlops.drift.snapshot import Snapshot, write_new
from mlops.judgement.compare import Champion
from mlops.predictions import log
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Data, Params, Period, Window

LOG = "PREDICTION_LOG_URI"
DAY = timedelta(days=1)
LOGGED = "logged "  # before a score's name in the log's table: an input may have the same name

Computed = Mapping[str, Callable[[dict[str, Array]], Array]]


@dataclass(frozen=True)
class Newest:
    """``rows`` have the champion's inputs and the target; ``scored`` are the same with its scores.

    ``labelled`` of them have a target. ``labels`` identifies the targets, missing ones too.
    ``withheld`` are inputs that the prediction log leaves out or has only as hashes.
    """

    window: Window
    rows: Rows
    scored: Rows
    count: int
    labelled: int
    labels: str
    of_data: str = ""  # in words, where they are not those of the window
    withheld: frozenset[str] = frozenset()

    @property
    def named(self) -> str:
        return self.of_data or str(self.window)

    def described(self, fingerprint: str) -> dict[str, Any]:
        """Return what ``reports/drift.json`` says of it."""
        return {
            "window": self.named,
            "start": self.window.first_day.isoformat(),
            "end": self.window.last_day.isoformat(),
            "rows": self.count,
            "labelled": self.labelled,
            "fingerprint": fingerprint,
        }


class NoNewDataError(Exception):
    """There is no window to judge; the message says why."""


def choose(
    champion: Champion, params: Params, as_of: date | None, recorded: Sequence[dict[str, Any]]
) -> Window:
    """Return the window that this check judges.

    In a replay, that is the next one with rows after the last that was recorded for this champion,
    but none that begins in the future: one mistyped year must not end the replay there. Otherwise
    it is the newest that was over on ``as_of`` (by default yesterday, UTC: today is not over).

    Raises
    ------
    NoNewDataError
        When it is not after the champion's own holdout, or the replay is at its end.
    """
    settings, own = params.drift, own_holdout(champion.model.facts)
    unseen = own.first_day_after if own else date.min
    if as_of is None and settings.replay:
        today = yesterday() + DAY
        mine = [it for it in recorded if it["champion"] == champion.version]
        after = [
            date.fromisoformat(it["end"]) + DAY
            for it in mine
            if date.fromisoformat(it["start"]) <= today
        ]
        following = first_from(max([unseen, *after]), settings.period)
        first = _first_day(Rows(files.CHECKED, params.data.time, following.first_day))
        if first is None:
            raise NoNewDataError(f"{files.CHECKED} ends before {following}, which would be next")
        if first > today:
            raise NoNewDataError(
                f"{files.CHECKED} has no rows from {following} on but of the future, such as "
                f"{first}; correct their dates, or check them in src/model/schema.py"
            )
        return containing(first, settings.period)
    window = newest_complete(as_of or yesterday(), settings.period)
    if window.first_day < unseen:
        raise NoNewDataError(
            f"{window}, the newest {settings.period} that is over, is not after "
            f"the champion's own holdout {own}"
        )
    return window


def yesterday() -> date:
    return datetime.now(UTC).date() - DAY


@contextmanager
def since(champion: Champion, known: Snapshot, folder: Path, day: date) -> Iterator[Newest]:
    """Yield the rows that are new since the champion's snapshot; the champion scores them anew."""
    rows = Rows(folder / "new.parquet")
    write_new(known, rows.path)
    scored = replace(rows, computed=predicted(champion.model))
    window = Window(start=day.isoformat(), end=day.isoformat())
    whose = f"{files.CHECKED}, beside what champion v{champion.version} knows,"
    counted = _counted(window, rows, scored, champion.model.facts.target, whose)
    yield replace(counted, of_data=f"the rows that are new by {day}")


def own_holdout(facts: Facts) -> Window | None:
    """Return the window that a model was judged on before it was registered, if it was one."""
    return Data.model_validate(facts.params["data"]).holdout


@contextmanager
def from_data(champion: Champion, column: str, window: Window) -> Iterator[Newest]:
    """Yield a window of ``data/checked.parquet``; the champion scores it anew."""
    rows = Rows(files.CHECKED, column, window.first_day, window.first_day_after)
    scored = replace(rows, computed=predicted(champion.model))
    yield _counted(window, rows, scored, champion.model.facts.target, str(files.CHECKED))


@contextmanager
def from_log(champion: Champion, uri: str, column: str, window: Window) -> Iterator[Newest]:
    """Yield what the champion was asked in a window and answered, as a table of its own.

    Where the model does not read ``column``, it holds when each prediction was made.
    """
    facts = champion.model.facts
    first, after = (
        datetime.combine(day, time(), UTC) for day in (window.first_day, window.first_day_after)
    )
    read = log.read(uri, first, after, labelled=True, dtypes=facts.schema_columns)
    with tempfile.TemporaryDirectory(prefix="mlops-") as folder:
        path = Path(folder, "predictions.parquet")
        pyarrow.parquet.write_table(_table(read, facts, column, champion.version), path)
        rows = Rows(path)
        scored = replace(rows, computed=logged(facts))
        whose = f"the prediction log of champion v{champion.version}"
        counted = _counted(window, rows, scored, facts.target, whose)
        yield replace(counted, withheld=(read.left_out | read.hashed).intersection(facts.inputs))


def _table(read: log.Predictions, facts: Facts, time: str, version: int) -> pa.Table:
    """Return inputs, time, target and logged scores of the predictions that ``version`` made.

    Inputs that the log leaves out are no columns of it, and hashes are texts.
    """
    ours = (read.records["model_version"] == str(version)).to_numpy()
    types = pyarrow.parquet.read_schema(files.CHECKED)
    kinds = {it: pa.string() if it in read.hashed else types.field(it).type for it in facts.inputs}
    columns = {
        name: _typed(read.features[name], kind)
        if name in read.features  # what may be missing need not be sent
        else pa.nulls(len(ours), kind)
        for name, kind in kinds.items()
        if name not in read.left_out
    }
    columns.setdefault(time, pa.Array.from_pandas(read.records["time"]))
    columns[facts.target] = pa.Array.from_pandas(read.records["label"])
    for name, answered in score_names(facts).items():
        columns[f"{LOGGED}{name}"] = (
            pa.Array.from_pandas(read.scores[answered], type=pa.float64())
            if answered in read.scores
            else pa.nulls(len(ours), pa.float64())
        )
    return pa.table(columns).filter(pa.array(ours))


def _typed(values: "pd.Series[Any]", kind: Any) -> Any:
    """Return values as the raw data has them, so that both sides are judged alike."""
    try:
        return pa.Array.from_pandas(values, type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.Array.from_pandas(values)


def _counted(window: Window, rows: Rows, scored: Rows, target: str, where: str) -> Newest:
    digest, labelled = hashlib.md5(usedforsecurity=False), 0
    for batch in rows.batches([target]):
        values = batch.column(0).to_pandas()
        labelled += int(values.notna().sum())
        digest.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
    if not (count := rows.count()):
        raise NoNewDataError(f"{where} has no rows in {window}")
    return Newest(window, rows, scored, count, labelled, digest.hexdigest())


def _first_day(rows: Rows) -> date | None:
    """Return the day of the earliest row."""
    assert rows.time
    first = [batch.column(0).to_pandas().min() for batch in rows.batches([rows.time])]
    return min(first).date() if first else None


def read_day(text: str) -> date:
    """Read a day that a person or a workflow wrote.

    Raises
    ------
    MlopsError
        When it is none.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise MlopsError(f"--as-of: got {text!r}; expected a day such as 2013-06-30") from None


def containing(day: date, period: Period) -> Window:
    """Return the year, month, week (Monday to Sunday) or day in which ``day`` lies."""
    if period == "year":
        return Window(start=f"{day:%Y}", end=f"{day:%Y}")
    if period == "month":
        month = f"{day:%Y-%m}"
        return Window(start=month, end=month)
    if period == "week":
        monday = day - day.weekday() * DAY
        return Window(start=monday.isoformat(), end=(monday + 6 * DAY).isoformat())
    return Window(start=day.isoformat(), end=day.isoformat())


def newest_complete(as_of: date, period: Period) -> Window:
    """Return the newest period that is over when the day ``as_of`` is."""
    last = containing(as_of, period)
    return last if last.last_day <= as_of else containing(last.first_day - DAY, period)


def first_from(day: date, period: Period) -> Window:
    """Return the first period that begins on ``day`` or later."""
    this = containing(day, period)
    return this if this.first_day >= day else containing(this.first_day_after, period)


def score_names(facts: Facts) -> dict[str, str]:
    """Name the score of a row, or the probability of each class; by name, as the log calls it."""
    if facts.task != "multiclass":
        return {"score": "score"}
    return {f"score of {name}": str(name) for name in facts.classes or []}


def predicted(model: ModelArtifact) -> Computed:
    """Return the scores as functions of raw columns; the model is asked once for all of them."""
    latest: list[Any] = [None, None]

    def score(place: int, columns: dict[str, Array]) -> Array:
        if latest[0] is not columns:
            prediction = model.predict(columns)
            latest[:] = columns, prediction[:, None] if prediction.ndim == 1 else prediction
        return np.asarray(latest[1][:, place])

    return {name: partial(score, place) for place, name in enumerate(score_names(model.facts))}


def logged(facts: Facts) -> Computed:
    """Return the scores as functions of the columns that hold what was answered."""
    return {name: itemgetter(f"{LOGGED}{name}") for name in score_names(facts)}


def scores_in(table: pd.DataFrame, columns: Collection[str]) -> Array:
    """Return score columns as a metric takes them: shape (n,), or (n, k) of several classes."""
    values = table[list(columns)].to_numpy(np.float64)
    return values[:, 0] if len(columns) == 1 else values
