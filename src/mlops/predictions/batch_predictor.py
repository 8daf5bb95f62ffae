"""Batches of rows predicted, in the form that the result has and in that of the prediction log."""

import secrets
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops.artifact.model_folder import Array
from mlops.predictions.columnar import Checker, Plain, Reject
from mlops.predictions.tables import Part, put
from mlops.project.errors import MlopsError
from mlops.project.user_code import running
from mlops.serving import log_file
from mlops.serving.log_file import LogFile
from mlops.serving.prediction_log import Keep
from mlops.serving.predictor import ClassRecord, Record
from mlops.serving.served_model import ServedModel
from mlops.serving.settings import Settings
from mlops.serving.withheld import Withheld

ID, SCORE, LABEL, VERSION = "prediction_id", "score", "label", "model_version"


@dataclass(frozen=True)
class Predicted:
    """What became of a batch of ``rows`` rows; all but ``rejects`` is of the good ones."""

    rows: int
    result: pa.Table
    columns: dict[str, Plain]
    scores: Array
    rejects: list[Reject]


class BatchPredictor:
    """Predicts tables with one model, and gives every prediction an id as the service does.

    Parameters
    ----------
    keep : list of str or None
        Columns that results get from the tables; None for all.
    """

    def __init__(self, model: ServedModel, settings: Settings, keep: list[str] | None) -> None:
        facts = model.facts
        self.model = model
        self.checker = Checker(facts)
        self.classes = None
        if facts.task == "multiclass":
            self.classes = [str(name) for name in facts.classes or ()]
        self._keep = keep
        self._prefix = secrets.token_hex(8)
        self._numbers = count()

    def predict(self, part: Part, table: pa.Table) -> Predicted:
        """Predict a batch; from any thread.

        Raises
        ------
        MlopsError
            When the table lacks a column, or has one that is named as one of the result.
        """
        self._check_names(part, table.column_names)
        checked = self.checker.check(table, part.texts)
        columns, good, rejects = checked.columns, checked.good, checked.rejects
        with running("build_features"):
            scores = self._scores(self.checker.in_training_form(columns), len(good))
        finite = np.isfinite(scores if scores.ndim == 1 else scores.sum(axis=1))
        if not finite.all():
            why = "the model has no finite prediction for it"
            rejects = rejects + [Reject(row, "", why) for row in good[~finite].tolist()]
            rejects.sort(key=lambda it: it.row)
            columns = {
                name: Plain(it.values[finite], it.missing[finite]) for name, it in columns.items()
            }
            scores, good = scores[finite], good[finite]
        kept = table if self._keep is None else table.select(self._keep)
        kept = kept if len(good) == len(table) else kept.take(good)
        return Predicted(len(table), self._result(kept, scores), columns, scores, rejects)

    @property
    def own(self) -> list[str]:
        """Names of the columns that a result has beside those that are kept."""
        scores = [SCORE] if self.classes is None else [f"{SCORE}_{it}" for it in self.classes]
        label = [LABEL] if self.model.facts.threshold is not None else []
        return [ID, *scores, *label, VERSION]

    def _scores(self, columns: dict[str, Array], rows: int) -> Array:
        if rows:
            return self.model.artifact.predict(columns)
        return np.zeros((0, len(self.classes)) if self.classes else 0)

    def _result(self, kept: pa.Table, scores: Array) -> pa.Table:
        facts, rows = self.model.facts, len(scores)
        numbers = pa.array(np.arange(rows)).cast(pa.string())
        # The batch's own number first: batches are predicted side by side.
        ids = pc.binary_join_element_wise(f"{self._prefix}-{next(self._numbers)}", numbers, "-")
        values: list[Any] = [ids, *(scores[:, None] if scores.ndim == 1 else scores).T]
        if facts.threshold is not None:
            pair = pa.array(facts.classes)
            values.append(pair.take(pa.array((scores >= facts.threshold).astype(np.int8))))
        values.append(pa.repeat(self.model.version, rows))
        for name, column in zip(self.own, values, strict=True):
            kept = kept.append_column(name, pa.chunked_array([pa.array(column)]))
        return kept

    def _check_names(self, part: Part, names: list[str]) -> None:
        inputs = [column.name for column in self.model.facts.columns]
        for name in [*inputs, *(self._keep or [])]:
            if name not in names:
                raise MlopsError(
                    f"{part.name} has no column {name!r}; it has {', '.join(names) or 'none'}"
                )
        for name in names if self._keep is None else self._keep:
            if name in self.own:
                raise MlopsError(
                    f"{part.name} has a column {name!r}, as the result shall; name those of its "
                    "columns that you need there with --keep"
                )


class BatchLog:
    """The service's prediction log, written aside, whole at the end; nothing where it is off.

    ``PREDICTION_LOG_EXCLUDE``, ``_HASH_KEY``, ``_ROTATE_MB`` and ``_KEEP_*`` mean what they mean
    for the service.

    Raises
    ------
    MlopsError
        When nothing that is installed can write to the place, or a column is withheld that is none.
    """

    def __init__(self, predictor: BatchPredictor, settings: Settings) -> None:
        self.place = settings.prediction_log_uri
        self._predictor = predictor
        self._keep = Keep(settings.prediction_log_keep_mb, settings.prediction_log_keep_days)
        self._full = self._keep.rotate_bytes(settings.prediction_log_rotate_mb)
        facts = predictor.model.facts
        known = dict.fromkeys([*(it.name for it in facts.columns), *facts.schema_columns])
        self._withheld = Withheld(
            settings.prediction_log_exclude, settings.prediction_log_hash_key, known
        )
        self._encoder = msgspec.json.Encoder()
        self._process = secrets.token_hex(6)
        self._written: list[LogFile] = []
        self._aside: Path | None = None

    def __enter__(self) -> Self:
        if self.place:
            self._files, self._path = log_file.connect(self.place)
            self._folder = log_file.folder_of(self.place)
            if self._folder:
                self._folder.mkdir(parents=True, exist_ok=True)
            self._aside = Path(tempfile.mkdtemp(prefix=".predict-", dir=self._folder))
        return self

    def __exit__(self, *_: TracebackType | object) -> None:
        if self._aside:
            self._close()
            shutil.rmtree(self._aside, ignore_errors=True)

    def write(self, predicted: Predicted) -> None:
        """Append the records of a batch."""
        if not self._aside or not len(predicted.scores):
            return
        now = datetime.now(UTC)
        if not self._written or self._written[-1].size >= self._full:
            self._close()
            number = len(self._written) + 1
            self._written.append(LogFile.create(self._aside, now, self._process, number))
        self._written[-1].write(self._lines(predicted, now), fsync=False)

    def finish(self) -> int:
        """Put the files where drift checks read them; returns how many old records went."""
        if not self._aside:
            return 0
        self._close()
        for file in self._written:
            name = f"{self._path}/{file.path.name}"
            put(self._files, self._folder is not None, file.path, name)
        if not self._folder:
            return 0
        limit = self._keep.limit_bytes(self._full) or float("inf")
        return log_file.remove_oldest(self._folder, limit, self._keep.since())[0]

    def _lines(self, predicted: Predicted, now: datetime) -> bytes:
        rows = self._withheld.without(self._predictor.checker.as_sent(predicted.columns))
        ids, scores = predicted.result[ID].to_pylist(), predicted.scores.tolist()
        version = self._predictor.model.version
        withheld = self._withheld.left_out, self._withheld.hashed
        lines: list[Any] = []
        if (classes := self._predictor.classes) is None:
            for one, score, row in zip(ids, scores, rows, strict=True):
                lines.append(Record(one, now, version, score, row, *withheld))
        else:
            for one, each, row in zip(ids, scores, rows, strict=True):
                named = dict(zip(classes, each, strict=True))
                lines.append(ClassRecord(one, now, version, named, row, *withheld))
        return self._encoder.encode_lines(lines)

    def _close(self) -> None:
        if self._written:
            self._written[-1].close()
