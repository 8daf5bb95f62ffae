"""A sample of this project's own rows goes once around the loop, in a folder of its own.

Whatever the problem is, its stations must fit together. How good the model is does not matter:
floors, budgets and slices are generous here. Data, models and registry of the project stay as they
are; so do its stores and servers, which nothing here knows.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import pytest
import yaml
from pandera.errors import SchemaError, SchemaErrors

from mlops.artifact import model_folder, skops_model
from mlops.artifact.agreement import check_agreement
from mlops.artifact.split import sides
from mlops.artifact.table import read, to_columns
from mlops.project import files, params
from mlops.project.errors import MlopsError
from mlops.project.params import Params

ROOT = Path(__file__).parents[2]
TRAINS, JUDGES = 1400, 600  # rows
FEW = 20  # rows of a class or month that are taken before any other row, where it has them
PATIENCE = 120  # seconds until the service must listen, on a machine that is busy
SHOWN = 25  # lines of what a broken station said

OURS = "nothing of yours decides this: compare src/mlops with the template's (`cruft diff`)."
WHAT_TO_DO = {
    "sample": "run `dvc pull` (or `make repro`) first. If data/raw.parquet is there, correct "
    "data.time and data.target in params.yaml.",
    "validate": "correct what `make repro` says. If it passes, the schema demands what no sample "
    "has, such as a number of rows: that belongs in tests/data.",
    "bad row": "say in src/model/schema.py what must not be: nullable=False, types, checks.",
    "features": "build_features (src/model/features.py) must turn columns of n raw values into "
    "columns of n numbers.",
    "train": "build_estimator (src/model/estimator.py) must fit 1,400 rows, and ONNX express it; "
    "or set serving.runtime: skops in params.yaml.",
    "ONNX = model": "replace the step in src/model/estimator.py that ONNX computes otherwise, or "
    "set serving.runtime: skops in params.yaml.",
    "evaluate": "choose a gate.metric in params.yaml that can score such a target.",
    "compare": f"correct gate in params.yaml, if that is named; else {OURS}",
    "register": f"correct src/model/estimator.py, if types are named; else {OURS}",
    "smoke": "build_features (src/model/features.py) must give one row what it gives among many, "
    "and take a missing value.",
}

# In one process, because the imports take longer than the work. As `mlops ...`, one by one.
RUN = """
import shlex, sys
from mlops import cli
for command in sys.argv[1:]:
    print(f"> mlops {command}", flush=True)
    sys.argv = ["mlops", *shlex.split(command)]
    try:
        cli.main()
    except SystemExit as stopped:
        if stopped.code:
            raise
"""

# Without a champion it is the first; against itself it is the same.
AROUND = (
    *("ingest", "validate", "features", "train", "evaluate", "compare", "report", "verdict"),
    *("register", "promote --override 'the loop is tested, not the model'"),
    *("compare", "report", "verdict", "export export champion"),
)

LOAD_DATA = """

def load_data():
    return __import__("pandas").read_parquet({rows!r})
"""


def broke(station: str, said: object) -> NoReturn:
    last = "\n".join(str(said).strip().splitlines()[-SHOWN:])
    pytest.fail(
        f"station {station!r} broke:\n{last}\nWhat to do: {WHAT_TO_DO.get(station, OURS)}",
        pytrace=False,
    )


class Loop:
    """A project in a folder of its own: the settings, other than this one's where they judge."""

    def __init__(self, folder: Path, settings: Params) -> None:
        self.folder = folder / "project"
        self.rows = folder / "rows.parquet"  # what its load_data returns
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src/model", self.folder / "src/model", ignore=ignored)
        with (self.folder / "src/model/__init__.py").open("a", encoding="utf-8") as package:
            package.write(LOAD_DATA.format(rows=str(self.rows)))
        shutil.copyfile(ROOT / files.LOCK, self.folder / files.LOCK)
        changed = settings.model_dump()
        if not settings.data.hashed:  # then their defaults are no settings
            changed["data"] = {
                name: it for name, it in changed["data"].items() if name not in ("by", "share")
            }
        changed["tracking_uri"] = ""
        budgets = dict.fromkeys(("calibration", "latency_ms", "size_mb"), 1e9)
        # In a sample, hardly two rows may have a block in common.
        changed["gate"] |= {"floors": {}, "resamples": 100, "blocks": "row", **budgets}
        changed["gate"]["slices"]["min_rows"] = 50
        changed["serving"]["latency_ms"] = 1e9
        if changed["serving"]["threshold"]:
            changed["serving"]["threshold"] = 0.5  # costs want days that a sample may not have
        text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)
        (self.folder / files.PARAMS).write_text(text, encoding="utf-8")
        # Nothing else: a variable may name the project's tracking server or prediction log.
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ} | {
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONUNBUFFERED": "1",
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",  # for a small sample, more of them only wait for each other
            "PORT": "0",  # a free one
            "DRAIN_SECONDS": "0",
        }

    def load(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Have ``load_data`` return these rows, which are returned as Parquet holds them."""
        rows.to_parquet(self.rows, index=False)
        return pd.read_parquet(self.rows)

    def start(self, log: Path, *arguments: str) -> "subprocess.Popen[bytes]":
        with log.open("wb") as said:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    def run(self, *commands: str) -> tuple[str, str]:
        """Run ``mlops`` commands; returns which of them failed, if any, and what all said."""
        log = self.folder.with_name("commands.log")
        failed = self.start(log, "-c", RUN, *commands).wait()
        said = log.read_text(encoding="utf-8")
        station = said.rpartition("> mlops ")[2].split()[0] if failed else ""
        return station, said

    def go(self, *commands: str) -> str:
        """Run ``mlops`` commands that must succeed; returns what they said."""
        station, said = self.run(*commands)
        if station:
            broke(station, said)
        return said


def test_own_rows_go_once_around_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    try:
        settings = params.load()
        rows = sample(raw_table(), settings)
    except Exception as error:
        broke("sample", f"{type(error).__name__}: {error}")
    loop = Loop(tmp_path, settings)

    rows = loop.load(rows)
    loop.go("ingest", "validate")
    column = spoil(loop, rows, settings.data.target)
    _, said = loop.run("ingest", "validate")
    failures = files.read_json(loop.folder / files.DATA_REPORT, "mlops validate")["failures"]
    if "is refused" not in said or column not in [failure["column"] for failure in failures]:
        broke("bad row", f"{said}\nthis must be refused for its {column}")

    loop.load(rows)
    said = loop.go(*AROUND)
    check_model(loop.folder)
    if (findings := re.findall("^finding=(.*)", said, re.MULTILINE)) != ["first", "same"]:
        broke("compare", f"{said}\nthe findings must be first, then same; they are {findings}")
    report = (loop.folder / files.REPORT).read_text(encoding="utf-8")
    if not report.startswith("## "):
        broke("report", f"{report}\nit must begin with the verdict")

    log = tmp_path / "service.log"
    service = loop.start(log, "-m", "mlops.cli", "serve", "--export", "export")
    try:
        loop.go(f"smoke {address(service, log)} export --wait {PATIENCE}")
    finally:
        service.terminate()
        service.wait()


def raw_table() -> pd.DataFrame:
    if (ROOT / files.RAW).is_file():
        return pd.read_parquet(ROOT / files.RAW)
    from model import load_data

    return load_data().reset_index(drop=True)


def sample(table: pd.DataFrame, settings: Params) -> pd.DataFrame:
    """Return at most 2,000 rows in their order: on either side of the split each class and month.

    The first rows of every class and month are drawn before the others, which are as frequent as
    they are in the table. A row keeps the side that it has in the table.
    """
    data, drawn = settings.data, []
    for rows, size in zip(sides(table, data), (TRAINS, JUDGES), strict=True):
        side = table[rows].sample(frac=1, random_state=0)
        turn = pd.Series(np.arange(len(side)), side.index)
        if not data.hashed:
            months = 12 * side[data.time].dt.year + side[data.time].dt.month
            turn = side.groupby(months).cumcount()
        if settings.task != "regression":
            turn = np.minimum(turn, side.groupby(data.target, dropna=False).cumcount())
        drawn += turn.clip(upper=FEW).sort_values(kind="stable").index[:size].tolist()
    return table.loc[sorted(drawn)].reset_index(drop=True)


def spoil(loop: Loop, table: pd.DataFrame, target: str) -> str:
    """Have the loop load what the schema must refuse; returns the column that it must name."""
    from model import SCHEMA

    for column in [target, *table.columns]:
        emptied = table[column].where(table.index != len(table) // 2)  # in the middle row
        for bad in (table.assign(**{column: emptied}), table.drop(columns=column)):
            try:
                SCHEMA.validate(loop.load(bad), lazy=True)
            except (SchemaError, SchemaErrors):
                return column
    broke("bad row", "SCHEMA refuses nothing: no missing value, and no missing column")


def check_model(folder: Path) -> None:
    """The model that was written predicts the holdout as the estimator does that was fitted."""
    model = model_folder.load(folder / files.MODEL)
    columns = to_columns(read(folder / files.HOLDOUT))
    fitted = skops_model.load(model.folder / model_folder.SKOPS)
    holdout = model.features(columns)
    try:
        check_agreement(fitted, model, model.build_features, holdout, holdout)
    except MlopsError as error:
        broke("ONNX = model", str(error))


def address(service: "subprocess.Popen[bytes]", log: Path) -> str:
    """Return where the service listens."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and service.poll() is None:
        if found := re.search(r"listening at (http://[\d.:]+)", log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.05)
    broke("serve", log.read_text(encoding="utf-8"))
