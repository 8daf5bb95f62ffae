"""From a table to the first report: `mlops start`, the pipeline, the judgement."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import tables
from pipeline import ROOT, call

MINUTES = 5
SHAPES = {
    "150 rows of three classes": (tables.irises, "target"),
    "6,000 rows by the hour, a number": (tables.rides, "count"),
    "50,000 rows, two classes, texts and gaps": (
        lambda folder: tables.subscribers(folder, 50_000),
        "Churned",
    ),
}


def run() -> Iterator[str]:
    """Measure once for each shape, in a fresh clone; yield a line as soon as it is there."""
    for shape, (table, target) in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder, "project")
            call(ROOT, "git", "clone", "--quiet", str(ROOT), str(project))
            file = table(Path(folder))
            start = call(project, "mlops", "start", str(file), "--target", target)
            train = call(project, "dvc", "repro")
            report = call(project, "mlops", "compare") + call(project, "mlops", "report")
            whole = start + train + report
            yield (
                f"from CSV to report, {shape}: {whole:.0f} s (start {start:.1f}, pipeline "
                f"{train:.1f}, report {report:.1f}; goal: {MINUTES} minutes, setup aside)"
            )
