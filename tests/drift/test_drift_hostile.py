"""What anybody may send to the service harms no reader of a report, and no later check."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from watched_project import Flights, Watched, month

from mlops.drift import columns
from mlops.drift.columns import Wanted

MAY = "--as-of=2013-05-31"
ATTACK = "</script><script>alert(1)</script>"
MEASURE = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)

Ask = Callable[[str, int, int], dict[str, Any]]


class Scripts(HTMLParser):
    """The scripts that a browser finds in a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = False
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._inside = tag == "script"
        if self._inside:
            self.found.append("")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "script"


@pytest.fixture
def asked(
    watched: Watched, flights: Flights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Ask:
    """Adds requests with a new category each to an ordinary log, and checks for drift."""
    table, log = flights.windows(), tmp_path / "log"
    watched.load(table)
    watched.log(log, month(table, "2013-05"))
    monkeypatch.setenv("PREDICTION_LOG_URI", str(log))

    def ask(column: str, requests: int, size: int) -> dict[str, Any]:
        with next(log.glob("predictions-*")).open() as ordinary:
            record = json.loads(ordinary.readline())
        file = log / f"predictions-20130501T000000Z-{'b' * 12}-1.jsonl"
        with file.open("w") as lines:
            for number in range(requests):
                features = record["features"] | {column: f"{number:06}{ATTACK}{'x' * size}"}
                lines.write(json.dumps(record | {"id": f"2-{number}", "features": features}) + "\n")
        # By a small process: one that is forked from this large one would begin with its peak.
        command = [sys.executable, "-c", MEASURE]
        command += [sys.executable, "-m", "mlops.cli", "--project", str(watched.folder)]
        done = subprocess.run([*command, "drift", MAY], capture_output=True, text=True, check=True)
        drift: dict[str, Any] = watched.json("drift")
        return drift | {"peak_mb": int(done.stdout.splitlines()[-1]) / 1024}

    return ask


@pytest.mark.parametrize(
    ("column", "requests", "size"),
    [("carrier", 60, 900_000), ("carrier", 54_000, 1_000), ("dest", 60, 900_000)],
)
def test_a_flood_of_long_categories_with_scripts_in_them(
    watched: Watched, asked: Ask, column: str, requests: int, size: int
) -> None:
    drift = asked(column, requests, size)
    assert drift["peak_mb"] < 1500
    assert drift["current"]["rows"] == 8000 + requests
    page = watched / "reports/drift.html"
    assert page.stat().st_size < 10e6
    assert not [script for script in Scripts(page).found if script.startswith("alert")]
    assert (watched / "reports/drift.json").stat().st_size < 50_000
    summary = (watched / "reports/drift.md").read_text(encoding="utf-8")
    assert len(summary) < 60_000
    assert "<script" not in summary
    watched.do("drift --record")  # and the next window is judged as ever


def test_evidently_gets_no_markup_in_names_and_categories_and_judges_them_alike(
    tmp_path: Path,
) -> None:
    long = "x" * 200
    name = f"{ATTACK} carrier"
    values = [ATTACK, f"{long}a", f"{long}b", "b & c", "‹/script›", True]  # noqa: RUF001
    before = pd.DataFrame({name: pd.Series(values * 40, dtype=object)})
    after = pd.DataFrame({name: pd.Series(values * 20 + values[:2] * 70, dtype=object)})
    page = tmp_path / "page.html"
    (found,) = columns.draw(before, after, [Wanted(name, "categorical", 0.1)], page).items()
    plain = {value: f"c{number}" for number, value in enumerate(values)}
    simple = [side.rename(columns={name: "c"}).map(plain.get) for side in (before, after)]
    (alike,) = columns.draw(*simple, [Wanted("c", "categorical", 0.1)], tmp_path / "b").items()
    assert found == (name, pytest.approx(alike[1]))
    assert not [script for script in Scripts(page).found if script.startswith("alert")]
    assert re.search(r"<script>alert|x{150}", page.read_text(encoding="utf-8")) is None
