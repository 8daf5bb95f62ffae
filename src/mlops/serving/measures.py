"""What Prometheus reads: requests, latencies, and what the model was asked and answered.

With several workers each writes to files in PROMETHEUS_MULTIPROC_DIR, and any of them answers for
all (https://prometheus.github.io/client_python/multiprocess/).
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from mlops.artifact.model_folder import Array, Facts
from mlops.serving.prediction_log import LogState
from mlops.serving.predictor import Predicted
from mlops.serving.served_model import ServedModel

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4


class Measures:
    """All metrics of the service."""

    def __init__(self, model: ServedModel, logs_predictions: bool) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        counter = partial(Counter, registry=registry)
        self._registry = registry
        self._requests = counter("serving_requests", "Requests answered.", ["path", "status"])
        self._seconds = Histogram(
            "serving_request_seconds",
            "Seconds from a request's headers to its answer, /predict.",
            buckets=SECONDS,
            registry=registry,
        )
        self._errors = counter("serving_errors", "Requests refused or failed.", ["kind"])
        self._rows = counter("serving_rows", "Rows predicted.")
        self._unknown = counter(
            "serving_unknown_categories", "Values that the schema does not list.", ["column"]
        )
        self._missing = counter(
            "serving_missing_values", "Values that were null or absent.", ["column"]
        )
        self._scores = _scores(model.facts, registry)
        self._log = _LogMeasures(registry) if logs_predictions else None
        self._describe(model)
        for column in model.facts.columns:  # zeros from the start: a rate needs a first value
            if column.nullable:
                self._missing.labels(column.name)
            if column.categories is not None:
                self._unknown.labels(column.name)
        if FOLDER not in os.environ:
            prometheus_client.ProcessCollector(registry=registry)
        else:
            _forget_dead_workers(Path(os.environ[FOLDER]))

    def _describe(self, model: ServedModel) -> None:
        info = Gauge(
            "serving_model_info",
            "The model that is served; always 1.",
            ["name", "version", "commit", "window"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        commit = str(model.lineage.get("commit", ""))
        info.labels(model.name, model.version, commit, model.facts.trained_on).set(1)

    def note(self, path: str, status: int, kind: str | None) -> None:
        """Count one request, and the ``kind`` of its error, if it was one."""
        self._requests.labels(path, status).inc()
        if kind:
            self._errors.labels(kind).inc()

    def note_seconds(self, seconds: float) -> None:
        """Count how long a request for predictions took."""
        self._seconds.observe(seconds)

    def note_predicted(self, predicted: Predicted) -> None:
        """Count rows, their scores, and what is odd about them."""
        self._rows.inc(len(predicted.rows))
        self._scores(predicted.scores)
        for column, count in predicted.table.unknown.items():
            self._unknown.labels(column).inc(count)
        for column, count in predicted.table.missing.items():
            self._missing.labels(column).inc(count)

    def text(self, log: LogState) -> bytes:
        """Return all metrics as Prometheus reads them."""
        self.note_log(log)
        if FOLDER not in os.environ:
            return prometheus_client.generate_latest(self._registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return prometheus_client.generate_latest(everyone)

    def note_log(self, log: LogState) -> None:
        """Take over what the prediction log counts by itself."""
        if self._log is not None:
            self._log.note(log)


class _LogMeasures:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._up = Gauge(
            "serving_prediction_log_up",
            "Whether the prediction log takes records.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._up.set(1)
        counter = partial(Counter, registry=registry)
        self._written = counter("serving_prediction_log_written", "Records written.")
        self._dropped = counter("serving_prediction_log_dropped", "Records lost.")
        self._removed = counter(
            "serving_prediction_log_removed", "Oldest records removed, by size or age."
        )
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livemax")
        self._bytes = gauge("serving_prediction_log_bytes", "Size of the folder of the log.")
        self._limit = gauge(
            "serving_prediction_log_limit_bytes", "Size from which the oldest go; 0: none do."
        )
        self._last = LogState()

    def note(self, log: LogState) -> None:
        last, self._last = self._last, log
        self._up.set(log.state == "ok")
        self._written.inc(max(0, log.written - last.written))
        self._dropped.inc(max(0, log.dropped - last.dropped))
        self._removed.inc(max(0, log.removed - last.removed))
        self._bytes.set(log.bytes)
        self._limit.set(log.limit)


def _forget_dead_workers(folder: Path) -> None:
    """Remove what killed workers said about themselves; what they counted stays."""
    for file in folder.glob("gauge_live*.db"):
        worker = int(file.stem.rpartition("_")[2])
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            mark_process_dead(worker)  # type: ignore[no-untyped-call]


def _scores(facts: Facts, registry: CollectorRegistry) -> Any:
    """Return what counts scores, as the task wants it."""
    if facts.task == "multiclass":
        assert facts.classes is not None
        counter = Counter(
            "serving_classes", "Rows by their most probable class.", ["class"], registry=registry
        )
        classes = [counter.labels(str(label)) for label in facts.classes]

        def count(scores: Array) -> None:
            best = np.bincount(scores.argmax(axis=1), minlength=len(classes))
            for one, rows in zip(classes, best.tolist(), strict=True):
                if rows:
                    one.inc(rows)

        return count
    ends = [step / 20 for step in range(1, 21)]
    if facts.task == "regression":
        ends = sorted(set(facts.target_quantiles or facts.base_rate))
    histogram = Histogram("serving_scores", "Scores predicted.", buckets=ends, registry=registry)

    def observe(scores: Array) -> None:
        if len(scores) == 1:
            histogram.observe(float(scores[0]))
            return
        # What `observe` does for each; for 100 rows that would take as long as to predict them.
        counts = np.bincount(np.searchsorted(ends, scores), minlength=len(ends) + 1)
        for bucket, count in zip(histogram._buckets, counts.tolist(), strict=True):
            if count:
                bucket.inc(count)
        histogram._sum.inc(float(scores.sum()))

    return observe
