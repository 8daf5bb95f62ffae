"""``mlops predict``: scores for a whole table, the same that the service gives row by row.

What the service would refuse is put aside with its reason; what it would log is logged.
"""

import csv
import html
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mlops.artifact import sample
from mlops.artifact.model_folder import Array
from mlops.predictions.batch_predictor import BatchLog, BatchPredictor, Predicted
from mlops.predictions.tables import Part, Source, Target
from mlops.project import actions, files
from mlops.project.errors import MlopsError
from mlops.project.params import Batch, Params
from mlops.registry import model_version
from mlops.serving import served_model
from mlops.serving.served_model import ServedModel
from mlops.serving.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

AHEAD = 2  # batches that are predicted while one is written
SHOWN = 3  # reasons for rejects, in a sentence
SAMPLE = 1_000_000  # scores of which quantiles are told
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def choose(client: "MlflowClient", params: Params, version: str) -> ServedModel:
    """Return a version of the registry; where it has none at all, the model that is trained here.

    Raises
    ------
    MlopsError
        When there is no such version.
    """
    if version == model_version.CHAMPION and not model_version.aliases(client, params.name):
        return served_model.load(files.MODEL, params.name)
    record = model_version.resolve(client, params.name, version)
    folder = model_version.load(client, record).folder
    return replace(served_model.load(folder, params.name), version=str(record.version))


def run(
    model: ServedModel,
    limits: Batch,
    settings: Settings,
    source: Source,
    target: Target,
    keep: list[str] | None = None,
) -> list[str]:
    """Predict all rows of ``source``, and write them to ``target`` and to the prediction log.

    Parameters
    ----------
    settings : Settings
        Those of the service, of which the prediction log's hold here, too.
    keep : list of str, optional
        Columns that the result gets beside its own; by default, all.

    Returns
    -------
    list of str
        Sentences that say what came of it; a table goes to the summary of a workflow.

    Raises
    ------
    MlopsError
        When a column is missing, or more rows are bad than ``serving.batch.rejects`` allows:
        then nothing is written.
    """
    started = time.perf_counter()
    predictor = BatchPredictor(model, settings, keep)
    with ExitStack() as stack:
        stack.enter_context(target)
        log = stack.enter_context(BatchLog(predictor, settings))
        pool = stack.enter_context(ThreadPoolExecutor(AHEAD))
        told = Told(limits, source.rows(), target.aside / "rejects.csv")
        for part in source.parts:
            target.begin(part)
            rows = 0
            batches = source.batches(part)
            for predicted in _in_order(pool, partial(predictor.predict, part), batches):
                for it in predicted.rejects:
                    told.reject(part, _number(rows + it.row, source.skipped), it.column, it.reason)
                rows += predicted.rows
                target.write(predicted.result)
                log.write(predicted)
                told.predict(predicted.scores)
            for row in source.skipped:
                told.reject(part, row + 1, "", "it has too few or too many columns")
            told.rows += rows + len(source.skipped)
        told.finish()
        target.finish(told.rejects if told.reasons else None)
        removed = log.finish()
    seconds = time.perf_counter() - started
    actions.summary(_markdown(model, told, seconds))
    return _sentences(model, target, told, seconds, log, removed)


class Told:
    """What came of it: rows, a sample of the scores, and the rejects, listed in a file.

    ``known`` is the number of rows, where it is known before they are read.
    """

    def __init__(self, limits: Batch, known: int | None, rejects: Path) -> None:
        self.rejects = rejects
        self.rows = 0
        self.reasons: Counter[str] = Counter()
        self._limits, self._known = limits, known
        self._scores: list[Array] = []
        self._step = 1
        self._write_line("w", "file", "row", "column", "reason")

    @property
    def rejected(self) -> int:
        return self.reasons.total()

    @property
    def scores(self) -> Array:
        return np.concatenate(self._scores) if self._scores else np.zeros(0)

    def predict(self, scores: Array) -> None:
        """Note scores; of many, every second, fourth and so on."""
        self._scores.append(scores[:: self._step])
        if sum(map(len, self._scores)) > SAMPLE:
            self._scores, self._step = [self.scores[::2]], 2 * self._step

    def reject(self, part: Part, row: int, column: str, reason: str) -> None:
        """Note a row that gets no score; the first of a file is 1."""
        self._write_line("a", part.name, row, column, reason)
        self.reasons[f"column {column}: {reason}" if column else reason] += 1
        if self._known is not None:
            self._check(self._known)

    def finish(self) -> None:
        self._check(self.rows)

    def _check(self, rows: int) -> None:
        if self.rejected > self._limits.most(rows):
            common = "; ".join(f"{why} ({n:,})" for why, n in self.reasons.most_common(SHOWN))
            raise MlopsError(
                f"more rows are bad than serving.batch.rejects in {files.PARAMS} allows "
                f"({self._limits.rejects} of {rows:,}), and nothing was written; most often: "
                f"{common}"
            )

    def _write_line(self, mode: str, *values: Any) -> None:
        with self.rejects.open(mode, encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(values)


def _in_order(
    pool: ThreadPoolExecutor, predict: "partial[Predicted]", tables: Iterable[pa.Table]
) -> Iterator[Predicted]:
    """Yield results in the order of the tables; at most ``AHEAD`` more are in memory."""
    waiting = deque[Any]()
    for table in tables:
        waiting.append(pool.submit(predict, table))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _number(row: int, skipped: list[int]) -> int:
    """Return the number in its file, from 1 on, of a row counted without those skipped."""
    for other in skipped:
        row += other <= row
    return row + 1


def _sentences(
    model: ServedModel, target: Target, told: Told, seconds: float, log: BatchLog, removed: int
) -> list[str]:
    said = [
        f"{target.place}: {told.rows - told.rejected:,} rows, predicted by {model.name} "
        f"version {model.version} in {seconds:.1f} s"
    ]
    if told.reasons:
        said.append(f"{target.rejects}: {told.rejected:,} bad rows, and why")
    if log.place:
        said.append(f"{log.place}: the same predictions, for `mlops drift` and `mlops label`")
    if removed:
        said.append(f"{removed:,} older records were removed there (PREDICTION_LOG_KEEP_*)")
    return said


def _markdown(model: ServedModel, told: Told, seconds: float) -> str:
    """Return a table for the page of a workflow's run."""
    lines = [
        f"## {told.rows - told.rejected:,} rows predicted",
        "",
        f"By `{model.name}` version {model.version}, in {seconds:.1f} s; {told.rejected:,} of "
        f"{told.rows:,} rows were rejected.",
        "",
    ]
    if told.reasons:
        lines += ["| rows | rejected because |", "|--:|---|"]
        for why, rows in told.reasons.most_common(20):
            lines.append(f"| {rows:,} | {html.escape(why).replace('|', '&#124;')} |")
        lines.append("")
    if len(told.scores):
        lines += _distribution(model, told.scores)
    return "\n".join([*lines, ""])


def _distribution(model: ServedModel, scores: Array) -> list[str]:
    """Compare the scores with those of the model's holdout, of which it has a sample."""
    path = model.artifact.folder / sample.NAME
    held = np.array(files.read_json(path, files.REPRO)["scores"]) if path.is_file() else None
    classes = [str(name) for name in model.facts.classes or []] if scores.ndim > 1 else None
    heads = classes or [f"{share:.0%}" for share in QUANTILES]
    what = "mean score of" if classes else "quantiles of the scores of"
    lines = [f"| {what} | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for name, values in {"these rows": scores, "the model's holdout": held}.items():
        if values is not None and len(values):
            shown = values.mean(axis=0) if classes else np.quantile(values, QUANTILES)
            lines.append(f"| {name} | {' | '.join(f'{it:.4g}' for it in shown)} |")
    return lines
