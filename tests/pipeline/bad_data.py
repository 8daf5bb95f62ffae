"""Ways in which the flights can be bad, and what validation says of each. Run in a project."""

import contextlib
import io
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

Spoil = Callable[[pd.DataFrame], pd.DataFrame]


def with_values(column: str, value: Any, rows: int) -> Spoil:
    def spoil(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = table[column].where(np.arange(len(table)) >= rows, value)
        return table

    return spoil


CASES: dict[str, Spoil] = {
    "missing column": lambda table: table.drop(columns="distance"),
    "column too many": lambda table: table.assign(arr_time=1),
    "wrong type": lambda table: table.astype({"distance": str}),
    "out of range": with_values("humid", 400.0, 7),
    "missing value": with_values("carrier", None, 5),
    "unknown category": with_values("dest", "XYZ", 3),
    "duplicate key": lambda table: pd.concat([table, table.head(2)], ignore_index=True),
    "three at once": lambda table: with_values("dest", "XYZ", 3)(
        with_values("humid", -1.0, 2)(table.drop(columns="seats"))
    ),
    "hostile value": with_values("dest", "[red]`$(id)`|<b>", 1),
    "empty window": lambda table: table[table["time_hour"].dt.month != 2],
    "future window": lambda table: table[table["time_hour"].dt.month < 4],
    "one class": lambda table: table.assign(late=0),
    "no rows": lambda table: table.head(0),
}


def main() -> None:
    """Spoil the raw table in every way, validate each, and print what came of it as JSON."""
    from mlops.pipeline import validate
    from mlops.project import files, params
    from mlops.project.errors import MlopsError

    whole = pd.read_parquet(files.RAW)
    # Some of every day: the windows stay covered, and thirteen validations stay quick.
    table = whole.iloc[::25].reset_index(drop=True)
    found = {}
    for name, spoil in {"good": lambda good: good, **CASES}.items():
        spoil(table.copy()).to_parquet(files.RAW, index=False)
        for path in (files.METRICS, files.COMPARISON, files.REPORT):
            path.write_text("{}")
        validate.console.file = printed = io.StringIO()
        error = ""
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                validate.run(params.load())
            except MlopsError as refused:
                error = str(refused)
        found[name] = {
            "error": error,
            "printed": printed.getvalue(),
            "report": json.loads(files.DATA_REPORT.read_text()),
            "left": [
                str(path)
                for path in (files.METRICS, files.COMPARISON, files.REPORT)
                if path.exists()
            ],
        }
    whole.to_parquet(files.RAW, index=False)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
