"""How a table is read: looked for in its file, or in what a database answers."""

import csv
import difflib
import gzip
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from numbers import Number
from pathlib import Path
from typing import Any

import pandas as pd

from mlops.project import database
from mlops.project.database import ADDRESS
from mlops.project.errors import MlopsError, first_line
from mlops.project.user_code import shortened

SEPARATORS = ",;\t|"
# What stands for a missing number in many files; "?" does so among texts, too.
GAPS = ("?", "-", "--", ".")
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?([eE][-+]?\d+)?")
COMMA = re.compile(r"[-+]?(\d+|\d{1,3}(\.\d{3})+),\d+")
THOUSANDS = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")
ISO = re.compile(r"\d{4}-\d\d(-\d\d([T ]\d\d:?\d\d.*)?)?")
ZONE = re.compile(r"\d\d:?\d\d.*(?:Z|[+-]\d\d:?\d\d)$")
DAYS = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d", "%d-%m-%Y", "%d.%m.%y", "%m/%d/%y")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
WORDS = ("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y")
FORMATS = ("ISO8601", *(day + clock for day in DAYS for clock in CLOCKS), *WORDS, "%Y%m%dT%H%M%S")
# Of whole numbers, which are times only where `--time` says so: from, to, how they are read.
WHOLE: tuple[tuple[float, float, dict[str, Any]], ...] = (
    (1800, 2200, {"format": "%Y"}),
    (180001, 220012, {"format": "%Y%m"}),
    (18000101, 22001231, {"format": "%Y%m%d"}),
    (10**8, 10**10, {"unit": "s"}),
    (10**11, 10**13, {"unit": "ms"}),
)


@dataclass(frozen=True)
class Reading:
    """How ``load_data`` reads a table.

    Attributes
    ----------
    file : Path or None
        Where it lies now; None of a database.
    query : str
    options : dict
        Of :func:`pandas.read_csv`.
    renamed : dict
        Columns whose names no request to the service could hold, and what they become.
    times : dict
        Options of :func:`pandas.to_datetime`, by column.
    types : dict
        What a column becomes that Parquet or a model could not take as it is, by column.
    left : dict
        Columns that no row of the table needs, and why.
    infinite : bool
        Whether infinity stands for missing numbers.
    """

    file: Path | None = None
    query: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    times: dict[str, dict[str, Any]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    infinite: bool = False


def look(file: Path | None, query: str, encoding: str, target: str, time: str) -> Reading:
    """Look at a table, and find out how it is read.

    Raises
    ------
    MlopsError
        When it is not there, or is no table with a name for each column; when ``target`` or
        ``time`` names none of them, or ``time`` one whose values are no times.
    """
    options: dict[str, Any] = {}
    if query:
        raw = _asked(query)
    elif file is None or not file.is_file():
        raise MlopsError(
            f"there is no file {str(file or '')!r}; give a CSV or Parquet file, as in `mlops start "
            f"flights.csv --target late`, or a --query of the database in {ADDRESS}"
        )
    elif file.suffix == ".parquet":
        with _readable(file):
            raw = pd.read_parquet(file).reset_index(drop=True)
    elif file.suffix in (".xls", ".xlsx", ".ods", ".json", ".zip"):
        raise MlopsError(f"{file} is not a table as text; save it as CSV or Parquet")
    else:
        options = _csv_options(file, encoding)
        with _readable(file):
            raw = pd.read_csv(file, **options)
    renamed = {name: plain(name) for name in map(str, raw.columns) if plain(name) != name}
    raw = raw.rename(columns=renamed)
    _check_names(raw, file or Path("the query"))
    _check_asked(raw, target, time)
    return _converted(raw, Reading(file, query, options, renamed), time)


def plain(name: str) -> str:
    """Return a column's name without double quotes, backslashes, line breaks and outer blanks."""
    one_line = "".join(part if part.isprintable() else " " for part in name)
    return " ".join(one_line.replace('"', "'").replace("\\", "/").split())


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Say in one sentence what a library says about a file."""
    try:
        yield
    except Exception as error:
        raise MlopsError(
            f"{file} cannot be read ({first_line(error)}); open it, and correct that line"
        ) from None


def _asked(query: str) -> pd.DataFrame:
    import sqlalchemy

    with database.connected() as connection:
        return pd.read_sql_query(sqlalchemy.text(query), connection)


def _csv_options(file: Path, encoding: str) -> dict[str, Any]:
    """Return what :func:`pandas.read_csv` has to know of a file."""
    text, found = _decoded(file, encoding)
    options: dict[str, Any] = {} if found == "utf-8" else {"encoding": found}
    lines = [line for line in text[:100_000].splitlines() if line.strip()][:50]
    if len(lines) < 2:
        raise MlopsError(f"{file} has no rows; expected a line of names, and a line for each row")
    separator = max(SEPARATORS, key=lambda it: _columns(lines, it))
    if separator != ",":
        options["sep"] = separator
    names = next(csv.reader(lines, delimiter=separator))
    if all(NUMBER.fullmatch(name.strip()) for name in names):
        raise MlopsError(
            f"{file} begins with numbers ({shortened(lines[0], 60)}); write a name for each column "
            "into a first line"
        )
    stripped = [name.strip() for name in names if name.strip()]
    if twice := [name for name in stripped if stripped.count(name) > 1]:
        raise MlopsError(f"{file} has two columns named {twice[0]!r}; rename one")
    if separator != "\t" and any(name.startswith(" ") for name in names[1:]):
        options["skipinitialspace"] = True
    with _readable(file):
        texts = pd.read_csv(file, **options, dtype=str, keep_default_na=True)
    if separator != "," and (decimal := [name for name in texts if _all(COMMA, texts[name])]):
        options["decimal"] = ","
        if any(_some(".", texts[name]) for name in decimal):
            options["thousands"] = "."
    elif any(_all(THOUSANDS, texts[name]) and _some(",", texts[name]) for name in texts):
        options["thousands"] = ","
    if gaps := {name: marks for name in texts if (marks := _gaps(texts[name]))}:
        options["na_values"] = gaps
    # Numbers that are names, as postal codes are: 01067 is not 1067. Nor is 31.12.2020 a number.
    kept = [name for name in texts if _padded(texts[name])]
    if mark := options.get("thousands"):
        number = COMMA if mark == "." else THOUSANDS
        kept += [it for it in texts if _some(mark, texts[it]) and not _all(number, texts[it])]
    if kept:
        options["dtype"] = dict.fromkeys(kept, "str")
    return {**options, "low_memory": False}


def _decoded(file: Path, encoding: str) -> tuple[str, str]:
    """Return a file's text, and the encoding that it has."""
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = encoding or "utf-16"
    for tried in [encoding] if encoding else ["utf-8", "cp1252", "latin-1"]:
        try:
            return content.decode(tried).removeprefix("\ufeff"), tried
        except LookupError:
            raise MlopsError(f"--encoding: got {tried!r}; expected one such as cp1252") from None
        except UnicodeDecodeError as error:
            why = f"{error.reason} at byte {error.start:,}"
    raise MlopsError(f"{file} is not {encoding} ({why}); say what it is with --encoding")


def _columns(lines: list[str], separator: str) -> int:
    """Return into how many columns a separator cuts the first line, if the others fit."""
    try:
        counts = [len(row) for row in csv.reader(lines, delimiter=separator)]
    except csv.Error:
        return 0
    fit = sum(count == counts[0] for count in counts)
    return counts[0] if fit >= 0.8 * len(counts) else 1


def _all(pattern: "re.Pattern[str]", values: "pd.Series[Any]") -> bool:
    known = values.dropna()
    return bool(len(known)) and all(pattern.fullmatch(value.strip()) for value in known)


def _some(part: str, values: "pd.Series[Any]") -> bool:
    return bool(values.str.contains(part, regex=False).any())


def _gaps(values: "pd.Series[Any]") -> list[str]:
    known = values.dropna()
    rest = known[~known.isin(GAPS)]
    if len(rest) and _all(NUMBER, rest):
        return [gap for gap in GAPS if (known == gap).any()]
    return ["?"] if len(rest) and (known == "?").any() else []


def _padded(values: "pd.Series[Any]") -> bool:
    return _all(re.compile(r"\d+"), values) and bool(values.str.fullmatch(r"0\d+").any())


def _check_names(raw: pd.DataFrame, where: Path) -> None:
    names = [str(name) for name in raw.columns]
    if twice := [name for name in names if names.count(name) > 1]:
        raise MlopsError(f"{where} has two columns named {twice[0]!r}; rename one")
    if odd := [name for name in raw.columns if not isinstance(name, str)]:
        raise MlopsError(f"{where} has a column named {odd[0]!r}; expected a text as its name")
    if len(names) < 2:
        raise MlopsError(
            f"{where} has one column, {shortened(names[0], 60)!r}; a model learns one from others"
        )


def _check_asked(table: pd.DataFrame, target: str, time: str) -> None:
    """Refuse a name that no column has, with those that come close, and a target without values."""
    for option, name in (("--target", target), ("--time", time)):
        if name and name not in table:
            near = difflib.get_close_matches(name, map(str, table.columns), n=3, cutoff=0.5)
            lower = [it for it in map(str, table.columns) if it.lower() == name.lower()]
            meant = " or ".join(map(repr, dict.fromkeys(lower + near)))
            has = ", ".join(map(str, table.columns))
            raise MlopsError(
                f"{option}: the table has no column {name!r}; "
                + (f"is it {meant}?" if meant else f"it has {shortened(has)}")
            )
    if not table[target].notna().any():
        raise MlopsError(f"--target: no row has a value in {target!r}; choose another column")


def _converted(raw: pd.DataFrame, found: Reading, time: str) -> Reading:
    """Add what is to be done with the columns after they were read."""
    times: dict[str, dict[str, Any]] = {}
    types: dict[str, str] = {}
    left: dict[str, str] = {}
    infinite = False
    for name, values in raw.items():
        name, known = str(name), values.dropna()
        if not len(known):
            left[name] = "no row has a value"
        elif isinstance(values.dtype, pd.CategoricalDtype):
            types[name] = str(values.cat.categories.dtype)
        elif values.dtype.kind == "f" and known.abs().max() == float("inf"):
            infinite = True
        elif name == time and values.dtype.kind in "iuf":
            times[name] = _whole(name, known)
        elif pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values):
            kinds = {type(value) for value in known}
            if kinds == {bool}:
                types[name] = "boolean"
            elif all(issubclass(kind, date) for kind in kinds):
                times[name] = {}
            elif kinds != {str}:
                if all(issubclass(kind, Number) for kind in kinds):
                    types[name] = "float64"  # as databases give numbers of so many places
                elif any(issubclass(kind, Mapping | list | bytes) for kind in kinds):
                    left[name] = f"holds {known.iloc[0].__class__.__name__}, which is no value"
                else:
                    types[name] = "str"
            elif (how := _times(known)) or name == time:
                times[name] = how or _refuse_times(name, known)
    if time and time in raw and time not in times and raw[time].dtype.kind != "M":
        raise MlopsError(f"--time: column {time!r} holds {raw[time].dtype}; expected times")
    return replace(found, times=times, types=types, left=left, infinite=infinite)


def _whole(name: str, known: "pd.Series[Any]") -> dict[str, Any]:
    if (known % 1 == 0).all():
        for low, high, how in WHOLE:
            if low <= known.min() and known.max() <= high:
                return how
    raise MlopsError(f"--time: column {name!r} holds numbers such as {known.iloc[0]}; no times")


def _times(known: "pd.Series[Any]") -> dict[str, Any]:
    """Return how all of the texts are times; nothing when they are not."""
    first = known.iloc[0].strip()
    for form in FORMATS:
        if form == "ISO8601" and not ISO.fullmatch(first):
            continue
        if not _parsed(known.head(1), form).notna().all() or not _parsed(known, form).notna().all():
            continue
        how: dict[str, Any] = {"format": form}
        return how | {"utc": True} if known.str.contains(ZONE).any() else how
    return {}


def _parsed(values: "pd.Series[Any]", form: str) -> "pd.Series[Any]":
    return pd.to_datetime(values, format=form, errors="coerce", utc=True)


def _refuse_times(name: str, known: "pd.Series[Any]") -> dict[str, Any]:
    found = max((_parsed(known, form) for form in FORMATS), key=lambda it: it.notna().sum())
    row = found[found.isna()].index[0]
    raise MlopsError(
        f"--time: column {name!r} holds {shortened(known[row], 40)!r} in row {int(row) + 1:,}; "
        "expected times such as 2013-03-15 08:30, all in one form"
    )
