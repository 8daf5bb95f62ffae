"""What becomes in ``train`` of every estimator, of LightGBM and XGBoost too, with both runtimes."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir
from time import perf_counter

from every_estimator import sweep


def run() -> Iterator[str]:
    """Try all; yield one line of text for each as soon as it is there, and how many serve."""
    start, counted = perf_counter(), Counter[str]()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for name, task, missing, runtime, refusal in sweep():
            counted["refused" if refusal else "served"] += 1
            null = "null" if missing else ""
            said = refusal or "agrees, registers, serves"
            yield f"{name:38} {task:10} {null:4} {runtime:5} {said}"
    told = ", ".join(f"{number:,} {what}" for what, number in counted.items())
    yield f"{told} in {perf_counter() - start:.0f} s"
