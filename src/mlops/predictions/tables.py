"""Tables read and written batch by batch: files, folders, buckets, and what a database answers."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from mlops.project import database
from mlops.project.errors import MlopsError, first_line
from mlops.serving import log_file

ROWS = 16_384  # of a batch: enough that what one costs is its rows, few enough for memory
SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True)
class Part:
    """A file, by its path below the place it was asked for at; or a database's answer."""

    name: str
    path: str = ""
    query: str = ""

    @property
    def texts(self) -> bool:
        """Whether all of its columns are texts, from which numbers are to be read."""
        return self.name.endswith(".csv")


class Source:
    """What is to be predicted: a Parquet or CSV file, all those in a folder, or a query.

    ``skipped`` are the rows of the part read last, counted from 0, that have too few or too many
    columns; no batch has them.

    Raises
    ------
    MlopsError
        When there is nothing to be read.
    """

    def __init__(self, place: str, query: str = "") -> None:
        self.place = place
        self.skipped: list[int] = []
        if query:
            self.parts = [Part("query", query=query)]
            return
        self._files, root = log_file.connect(place, "IN")
        with _readable(place):
            found = self._files.find(root) if self._files.isdir(root) else [root]
            there = self._files.exists(root)
        listed = [path for path in sorted(found) if path.endswith(SUFFIXES)]
        # As Spark's _SUCCESS, and what others are just writing.
        listed = [path for path in listed if not path.rsplit("/", 1)[-1].startswith(("_", "."))]
        if not there or not listed:
            wrong = "holds no such file" if there else "is not there"
            raise MlopsError(
                f"{place} {wrong}; expected a .parquet or .csv file, or a folder of them"
            )
        names = {path: path[len(root) :].strip("/") or path.rsplit("/", 1)[-1] for path in listed}
        self.parts = [Part(name, path) for path, name in names.items()]

    def rows(self) -> int | None:
        """Return how many rows there are, where that can be known without reading them."""
        if not all(part.name.endswith(".parquet") for part in self.parts):
            return None
        total = 0
        for part in self.parts:
            with _readable(part.path), self._files.open(part.path, "rb") as file:
                total += pq.ParquetFile(file).metadata.num_rows
        return total

    def batches(self, part: Part) -> Iterator[pa.Table]:
        """Yield the rows of a part; without rows, one table that has only its columns."""
        self.skipped = []
        if part.query:
            yield from _answered(part.query)
            return
        with _readable(part.path), self._files.open(part.path, "rb") as file:
            if part.texts:
                yield from self._of_csv(file)
                return
            parquet = pq.ParquetFile(file, buffer_size=2**20)  # not a whole row group at once
            yield parquet.schema_arrow.empty_table()
            for batch in parquet.iter_batches(ROWS, use_threads=False):
                yield pa.Table.from_batches([batch])

    def _of_csv(self, file: Any) -> Iterator[pa.Table]:
        """Yield a file's columns as texts: Arrow would stop at the first that is no number."""
        header = file.readline().decode("utf-8-sig").strip("\r\n")
        file.seek(0)
        if not header:
            return
        names = pc.read_csv(pa.py_buffer(f"{header}\n".encode())).column_names
        if twice := [name for name in names if names.count(name) > 1]:
            raise MlopsError(f"{self.place} has two columns named {twice[0]!r}; rename one")

        def skip(row: pc.InvalidRow) -> str:
            self.skipped.append(row.number - 2)  # the first line is 1, and has the names
            return "skip"

        reader = pc.open_csv(
            file,
            pc.ReadOptions(use_threads=False, block_size=2**22),
            pc.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
            pc.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True
            ),
        )
        yield reader.schema.empty_table()
        for batch in reader:
            for start in range(0, batch.num_rows, ROWS):
                yield pa.Table.from_batches([batch.slice(start, ROWS)])


def _answered(query: str) -> Iterator[pa.Table]:
    import sqlalchemy

    with database.connected() as connection:
        streaming = connection.execution_options(stream_results=True, yield_per=ROWS)
        answer = streaming.execute(sqlalchemy.text(query))
        names = list(answer.keys())
        empty = True
        for rows in answer.partitions(ROWS):
            empty = False
            try:
                columns = [pa.array(values) for values in zip(*rows, strict=True)]
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise MlopsError(
                    f"the query answers with values of different types in a column ({error}); "
                    "cast it there"
                ) from None
            yield pa.table(columns, names)
        if empty:
            yield pa.table({name: pa.nulls(0) for name in names})


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Say in one sentence what a library says about a file."""
    try:
        yield
    except MlopsError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise MlopsError(f"{path} cannot be read ({first_line(error)})") from None


class Target:
    """Where files are, whole, once all of them are: they are written aside, and then moved.

    ``place`` is a file, by its suffix, or a folder that gets a file for each part; the list of
    ``rejects`` goes beside it.
    """

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/")
        self._files, self._path = log_file.connect(self.place, "OUT")
        self._local = log_file.folder_of(self.place) is not None
        self._single = self.place.endswith(SUFFIXES)
        self._made: dict[str, Path] = {}
        self._writer: pq.ParquetWriter | pc.CSVWriter | None = None

    @property
    def rejects(self) -> str:
        return f"{_stem(self.place)}.rejects.csv"

    def __enter__(self) -> Self:
        parent = None
        if self._local:  # the same file system, so that moving is renaming
            parent = Path(self._path).parent
            parent.mkdir(parents=True, exist_ok=True)
        self._aside = Path(tempfile.mkdtemp(prefix=".predict-", dir=parent))
        return self

    def __exit__(self, *_: TracebackType | object) -> None:
        self._close()
        shutil.rmtree(self._aside, ignore_errors=True)

    def begin(self, part: Part) -> None:
        """Begin the file of a part; where there is one for all, go on with it."""
        if not self._single:
            self._close()
        self._name = self._path if self._single else f"{self._path}/{_stem(part.name)}.parquet"

    def write(self, table: pa.Table) -> None:
        """Append rows.

        Raises
        ------
        MlopsError
            When a column has another type than in the rows before.
        """
        if self._writer is None:
            # What is only missing so far may be anything; a text can hold it.
            fields = [
                it.with_type(pa.string()) if pa.types.is_null(it.type) else it
                for it in table.schema
            ]
            self._schema = pa.schema(fields)
            kind = pc.CSVWriter if self._name.endswith(".csv") else pq.ParquetWriter
            self._writer = kind(self._new(self._name), self._schema)
        try:
            cast = table.select(self._schema.names).cast(self._schema)
        except (pa.ArrowException, KeyError, ValueError) as error:
            raise MlopsError(
                f"{self.place}: the columns that are kept are not the same in all rows "
                f"({first_line(error)}); name those to keep with --keep"
            ) from None
        if isinstance(self._writer, pq.ParquetWriter):
            self._writer.write_table(cast)
        else:
            self._writer.write(cast)

    def finish(self, rejects: Path | None) -> None:
        """Put everything where it belongs; a list of an earlier run's rejects goes."""
        self._close()
        listed = f"{_stem(self._path)}.rejects.csv"
        if rejects:
            self._made[listed] = rejects
        elif self._files.exists(listed):
            self._files.rm(listed)
        for name, made in self._made.items():
            put(self._files, self._local, made, name)

    @property
    def aside(self) -> Path:
        """A folder for files that are not finished."""
        return self._aside

    def _new(self, name: str) -> Path:
        self._made[name] = self._aside / f"{len(self._made)}{Path(name).suffix}"
        return self._made[name]

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def put(files: Any, local: bool, made: Path, path: str) -> None:
    """Move a file to where it belongs; an object is there once it is whole."""
    if not local:
        files.put_file(str(made), path)
        return
    made.chmod(0o644)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    made.replace(path)


def _stem(name: str) -> str:
    return name.removesuffix(".parquet").removesuffix(".csv")
