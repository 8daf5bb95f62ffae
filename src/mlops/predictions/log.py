"""Reads the prediction log back: what was asked and answered in a span of time, with labels."""

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from mlops.project.errors import MlopsError
from mlops.serving import log_file

# Files' names bound the times of their records, but for clocks that are set and slow requests.
SLACK = timedelta(minutes=5)
LABEL_FOLDER = "labels"  # in the log's folder; `mlops label` writes there
LABELS = re.compile(r"labels-(\d{8}T\d{6}Z)-[0-9a-f]{12}\.parquet")
LONGEST_LINE = 16 * 1024**2
RECORD = {"id": pa.string(), "time": pa.timestamp("us", "UTC"), "model_version": pa.string()}


@dataclass(frozen=True)
class Predictions:
    """Tables of ``n`` rows each, with the same index, in the order of time.

    ``records``
        ``id``, ``time`` (UTC) and ``model_version``; with labels also ``label``, missing where
        there is none yet.
    ``scores``
        One column ``score``, or one for each class.
    ``features``
        The raw inputs, as they were received.
    ``skipped``
        How many lines were no whole record: torn by a crash, or damaged.
    ``left_out``, ``hashed``
        Features that are in no record of some files, and those that are hashes there.
    """

    records: pd.DataFrame
    scores: pd.DataFrame
    features: pd.DataFrame
    skipped: int
    left_out: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()


def read(
    uri: str,
    start: datetime,
    end: datetime,
    *,
    labelled: bool = False,
    dtypes: Mapping[str, str] | None = None,
) -> Predictions:
    """Read the predictions made from ``start`` up to, not including, ``end``.

    Only files that can hold them are read, one after the other. From an address such as ``s3://``,
    what services have not uploaded yet is missing.

    Parameters
    ----------
    uri : str
        ``PREDICTION_LOG_URI`` of the services.
    start, end : datetime.datetime
        With a time zone.
    labelled : bool
        Whether to join the labels that ``mlops label`` wrote; the latest of an id counts.
    dtypes : mapping of str to str, optional
        Types of the features (``schema_columns`` in ``model.json``). A column that does not fit,
        such as integers of which some are missing, keeps the type that it was read with.

    Raises
    ------
    MlopsError
        When ``uri`` cannot be read.
    """
    types = {name: dtype.split(";")[0] for name, dtype in (dtypes or {}).items()}
    expected = _expected(types)
    first, after = (pa.scalar(time, RECORD["time"]) for time in (start, end))
    tables, skipped = [pa.schema(list(expected.items())).empty_table()], 0
    withheld: dict[str, set[str]] = {"left_out": set(), "hashed": set()}
    for path, content in _contents(uri, start, end):
        # A process has the same settings for all of a file; a hash is a text, whatever it is of.
        for how, names in withheld.items():
            names.update(_first_record(content).get(how, ()))
        plain = {name: kind for name, kind in types.items() if name not in withheld["hashed"]}
        table, torn = _parse(path, content, _expected(plain))
        skipped += torn
        times = table["time"]
        asked = pc.and_(pc.greater_equal(times, first), pc.less(times, after))
        if "trial" in table.column_names:  # by a smoke test or a canary, which are no users
            asked = pc.and_(asked, pc.is_null(table["trial"]))
        tables.append(table.filter(asked))
    # A write that failed and could not be undone was repeated: the same prediction, twice.
    records = _concat([table.select(list(RECORD)).to_pandas() for table in tables])
    order = records.drop_duplicates("id").sort_values("time", kind="stable").index
    scores = _concat(map(_scores, tables))
    features = _concat([pd.DataFrame(_fields(table, "features")) for table in tables])
    records, scores, features = (
        frame.loc[order].reset_index(drop=True) for frame in (records, scores, features)
    )
    if labelled:
        records["label"] = _latest_labels(uri, records["id"])
    left_out, hashed = (frozenset(names) for names in withheld.values())
    types |= dict.fromkeys(hashed.intersection(types), "string")  # also where a file has the value
    return Predictions(records, scores, _with_types(features, types), skipped, left_out, hashed)


def unknown(uri: str, ids: set[str]) -> set[str]:
    """Return those of ``ids`` that no prediction in the log has, looking into new files first."""
    ids = set(ids)
    for path, content in _contents(uri, newest_first=True):
        if not ids:
            break
        table, _ = _parse(path, content, {"id": pa.string()}, others="ignore")
        ids -= set(table["id"].to_pylist())
    return ids


def label_files(place: Any, folder: str) -> list[str]:
    """Return the paths of the label files, oldest first."""
    try:
        found = place.ls(f"{folder}/{LABEL_FOLDER}", detail=False)
    except FileNotFoundError:
        return []
    return sorted(path for path in found if LABELS.fullmatch(path.rsplit("/", 1)[-1]))


def _latest_labels(uri: str, ids: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the latest label of each id, missing where there is none.

    Later is by ``time``; where the file said none, by when it was added.
    """
    place, folder = log_file.connect(uri)
    found = []
    for path in label_files(place, folder):
        table = pd.read_parquet(io.BytesIO(place.cat_file(path)))
        table = table[table["id"].isin(ids)]
        added = LABELS.fullmatch(path.rsplit("/", 1)[-1])
        assert added
        found.append(table.fillna({"time": pd.to_datetime(added[1], utc=True)}))
    if not found:
        return pd.Series(np.nan, ids.index)
    labels = pd.concat(found).sort_values("time", kind="stable").drop_duplicates("id", keep="last")
    by_id = labels.set_index("id")["label"]
    if pd.api.types.is_integer_dtype(by_id):
        by_id = by_id.astype("Int64")  # has room for a missing one
    return ids.map(by_id)


def _contents(
    uri: str,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    newest_first: bool = False,
) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of the files that can hold records of a span, in order of time."""
    files, folder = log_file.connect(uri)
    try:
        paths = files.ls(folder, detail=False)
    except FileNotFoundError:
        raise MlopsError(f"there is no prediction log in {uri}") from None
    found = [
        (match[2], int(match[3]), datetime.strptime(match[1], log_file.READ_TIME), path)
        for path in paths
        if (match := log_file.NAME.fullmatch(path.rsplit("/", 1)[-1]))
    ]
    # A process begins its next file when it has closed the one before.
    following = dict(pairwise(sorted(found)))
    for this in sorted(found, key=lambda file: file[2], reverse=newest_first):
        process, _, first, path = this
        if end and first - SLACK >= end:
            continue
        after = following.get(this)
        try:
            if start:
                last = after[2] if after and after[0] == process else files.modified(path)
                if last + SLACK < start:
                    continue
            content = files.cat_file(path)
        except FileNotFoundError:  # a service removes a file that it closes without a record
            continue
        yield path, content


def _expected(types: Mapping[str, str]) -> dict[str, pa.DataType]:
    """Say which types to expect; whole numbers are left to be found, as clients may send 5.0."""
    features = {
        name: pa.float64() if dtype.startswith("float") else pa.string()
        for name, dtype in types.items()
        if not dtype.lower().startswith(("int", "uint", "bool"))
    }
    return RECORD | {"features": pa.struct(list(features.items()))}


def _parse(
    path: str, data: bytes, types: Mapping[str, pa.DataType], others: str = "infer"
) -> tuple[pa.Table, int]:
    """Return the records in ``data``, and how many lines are none."""
    whole, newline, torn = data.rpartition(b"\n")
    skipped = 1 if torn.strip() else 0
    schema = pa.schema(list(types.items()))
    reading = pyarrow.json.ReadOptions(block_size=LONGEST_LINE)
    parsing = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others)
    if not whole.strip():
        return schema.empty_table(), skipped
    try:
        return pyarrow.json.read_json(pa.BufferReader(whole + newline), reading, parsing), skipped
    except pa.ArrowInvalid as error:
        lines = [line for line in whole.split(b"\n") if line.strip()]
        good = [line for line in lines if _is_record(line)]
        if len(good) == len(lines):
            raise MlopsError(
                f"{path} has other types than this model's columns ({error}); "
                "read from when a version with these columns was deployed"
            ) from None
        again, _ = _parse(path, b"\n".join([*good, b""]), types, others)
        return again, skipped + len(lines) - len(good)


def _first_record(data: bytes) -> dict[str, Any]:
    return next((dict(json.loads(line)) for line in io.BytesIO(data) if _is_record(line)), {})


def _is_record(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and isinstance(record.get("id"), str)


def _scores(table: pa.Table) -> pd.DataFrame:
    single = {"score": table["score"].to_pandas()} if "score" in table.column_names else {}
    return pd.DataFrame(single | _fields(table, "scores"))


def _fields(table: pa.Table, name: str) -> "dict[str, pd.Series[Any]]":
    if name not in table.column_names:
        return {}
    column = table[name]
    return {field.name: pc.struct_field(column, field.name).to_pandas() for field in column.type}


def _concat(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put tables one below the other; the first is empty and says what columns there are."""
    first, *others = frames
    filled = [frame for frame in others if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else first


def _with_types(features: pd.DataFrame, types: Mapping[str, str]) -> pd.DataFrame:
    """Give each column the type that the schema says, where its values allow."""
    known = [name for name in types if name in features]
    features = features[[*known, *features.columns.difference(known, sort=False)]].copy()
    for name in known:
        dtype, values = types[name], features[name]
        if dtype.startswith("datetime"):
            times = pd.to_datetime(values, utc=True, format="ISO8601")
            values = times if "," in dtype else times.dt.tz_localize(None)
        with suppress(ValueError, TypeError):
            values = values.astype(pd.api.types.pandas_dtype(dtype))
        features[name] = values
    return features
