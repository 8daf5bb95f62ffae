"""Wherever raw data lies: changes are noticed and bad rows refused, here and in the workflows."""

import http.server
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy
from debian_programs import MissingError
from parcels import Parcels, parcels
from postgres_server import postgres
from projects import MAKEFILE

FILE = Path("data/source/parcels.csv")


def table(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    times = pd.date_range("2023-01-01", "2023-04-30 23:00", periods=n, tz="UTC")
    stops = rng.integers(1, 9, n)
    return pd.DataFrame(
        {
            "seen_at": times.as_unit("us").floor("s"),
            "weight": rng.gamma(2, 3, n).round(2),
            "stops": stops,
            "kind": rng.choice(["box", "bag", "tube"], n),
            "late": (rng.random(n) < stops / 10).astype("int64"),
        }
    )


def spoilt() -> pd.DataFrame:
    return table().assign(stops=lambda it: it.stops.where(it.index != 7, 99))


READ = '''"""Parcels."""

import pandas as pd


def load_data() -> pd.DataFrame:
    table = {reads}
    if "seen_at" in table:
        table["seen_at"] = pd.to_datetime(table["seen_at"], utc=True).dt.as_unit("us")
    return table
'''


@dataclass(frozen=True)
class Source:
    """What ``load_data`` reads; how its owner changes it, and what they then type."""

    reads: str
    write: Callable[[Parcels, pd.DataFrame], object]
    then: tuple[str, ...] = ()


def write_csv(project: Parcels, rows: pd.DataFrame) -> None:
    rows.to_csv(project / str(FILE), index=False)


def write_parts(project: Parcels, rows: pd.DataFrame) -> None:
    folder = project / "data/source/parts"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for month, part in rows.groupby(rows.seen_at.dt.month):
        part.to_parquet(folder / f"{month:02}.parquet", index=False)


CSV = "pd.read_csv('data/source/parcels.csv')"
PUSH = "mlops push-data"
WATCHED = {
    "CSV in git": Source(CSV, write_csv),
    "CSV in DVC": Source(CSV, write_csv, (f"dvc add {FILE}", PUSH)),
    "folder of Parquet in DVC": Source(
        "pd.read_parquet('data/source/parts')", write_parts, ("dvc add data/source/parts", PUSH)
    ),
}


def start(folder: Path, source: Source) -> Parcels:
    """A project that reads it, with an origin, and published there."""
    project = parcels(folder)
    (project / "src/model/data.py").write_text(READ.format(reads=source.reads), encoding="utf-8")
    shutil.copyfile(MAKEFILE, project / "Makefile")
    (project / ".venv").mkdir()  # that of the tests is what it would make
    project.run("git", "init", "--bare", "--quiet", "-b", "main", str(folder / "origin.git"))
    project.run("git", "remote", "add", "origin", str(folder / "origin.git"))
    source.write(project, table())
    publish(project, source)
    return project


def publish(project: Parcels, source: Source) -> None:
    for command in source.then:
        project.run(*command.split())
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--allow-empty", "--message", "What changed")
    project.run("git", "push", "--quiet", "origin", "HEAD:main")


def accepts(project: Parcels, *command: str) -> int | None:
    """How many rows pass the schema by this command; None when it refuses them."""
    done = subprocess.run(
        command, cwd=project.folder, env=project.environment, capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    if done.returncode:
        assert "data/raw.parquet is refused" in said, said
        assert "stops" in said
        return None
    return int(project.json("data")["rows"])


def in_workflow(project: Parcels, folder: Path) -> int | None:
    """The same in two fresh clones, by the commands of ci.yml and by those of drift.yml."""
    found = []
    for name, commands, validate in (
        ("ci", ("store pull", "check", "pull-data", "store mend"), "--pull"),
        ("drift", ("store pull", "ingest --fresh"), "--single-item"),
    ):
        place = folder / name
        project.run("git", "clone", "--quiet", str(project / "../origin.git"), str(place))
        clone = Parcels(place)
        for command in commands:
            clone.run("mlops", *command.split())
        found.append(accepts(clone, "dvc", "repro", validate, "validate"))
    assert found[0] == found[1]
    return found[0]


def changed(project: Parcels, since: str) -> bool:
    """What `make changed` says, by which train.yml decides."""
    done = project.run("make", "--silent", "changed", f"SINCE={since}")
    return "changed=true" in done.stdout


def test_a_project_from_before_there_was_the_folder_reads_anew(tmp_path: Path) -> None:
    project = parcels(tmp_path)
    shutil.rmtree(project / "data/source")
    project.run("mlops", "ingest", "--fresh")
    assert (project / "data/raw.parquet").exists()


@pytest.mark.parametrize("kind", WATCHED)
def test_a_change_is_noticed_here_and_in_the_workflows(kind: str, tmp_path: Path) -> None:
    source = WATCHED[kind]
    project = start(tmp_path, source)
    here = partial(accepts, project, "dvc", "repro", "validate")
    assert here() == 400
    assert not changed(project, "HEAD")
    for wanted, rows in ((None, spoilt()), (400, table()), (500, table(500))):
        source.write(project, rows)
        publish(project, source)
        assert changed(project, "HEAD~1")
        assert here() == wanted
        if wanted != 400:
            assert in_workflow(project, tmp_path / f"clone-{wanted}") == wanted


def test_what_a_laptop_has_promoted_is_not_published_with_its_data(tmp_path: Path) -> None:
    source = WATCHED["CSV in DVC"]
    project = start(tmp_path, source)
    project.run("dvc", "repro")
    project.do("compare", "register", "promote --override tried")
    source.write(project, table(500))
    publish(project, source)
    listed = project.run("git", "--git-dir", "../origin.git", "ls-tree", "-r", "mlops-store")
    names = [line.rpartition("\t")[2] for line in listed.stdout.splitlines()]
    assert len(names) == 2  # the file as it was, and as it is
    assert all(name.startswith("dvc/files/md5/") for name in names)
    said = project.run(*PUSH.split()).stdout
    assert "has all of it already" in said

    # And what it has promoted can still be taken there, by the command for that.
    project.run("mlops", "store", "pull", "--force")


def test_a_file_that_was_not_added_again_is_not_pushed(tmp_path: Path) -> None:
    project = start(tmp_path, WATCHED["CSV in DVC"])
    write_csv(project, table(500))
    said = project.mlops("push-data").err
    assert "data/source/parcels.csv is not what data/source/parcels.csv.dvc says (modified)" in said
    assert "run `dvc add data/source/parcels.csv`" in said


def test_a_file_that_nobody_pushed_is_asked_for(tmp_path: Path) -> None:
    project = start(tmp_path, WATCHED["CSV in git"])
    project.run("git", "rm", "--quiet", "--cached", str(FILE))
    project.run("dvc", "add", str(FILE))
    project.commit()
    project.run("git", "push", "--quiet", "origin", "HEAD:main")
    project.run("git", "clone", "--quiet", "../origin.git", "../clone")
    clone = Parcels(tmp_path / "clone")
    said = clone.mlops("pull-data").err
    assert "data/source/parcels.csv is in no DVC remote" in said
    assert "whoever has it runs `make push-data`" in said
    said = clone.mlops("ingest").err
    assert "No such file or directory: 'data/source/parcels.csv'" in said
    assert "DVC keeps data/source/parcels.csv: run `mlops pull-data`" in said


def rows_of(address: str, rows: pd.DataFrame) -> None:
    engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        rows.to_sql("parcels", connection, if_exists="replace", index=False)


@pytest.fixture(params=["sqlite", "PostgreSQL"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/parcels.db"
        return
    try:
        with postgres(tmp_path) as address:
            yield address
    except MissingError as missing:
        pytest.skip(f"no PostgreSQL: {missing}")


def test_a_database_is_read_anew_by_one_command(database: str, tmp_path: Path) -> None:
    reads = f"pd.read_sql('select * from parcels', '{database}')"
    source = Source(reads, lambda _, rows: rows_of(database, rows))
    project = start(tmp_path, source)
    here = partial(accepts, project, "dvc", "repro", "validate")
    assert here() == 400
    for rows in (spoilt(), table(500)):
        source.write(project, rows)
        project.run("mlops", "ingest", "--fresh")
        assert here() == (None if rows.stops.max() > 20 else len(rows))


def test_a_database_that_is_down_is_said(tmp_path: Path) -> None:
    reads = "pd.read_sql('select 1', 'postgresql+psycopg://ada:secret@127.0.0.1:1/parcels')"
    project = start(tmp_path, Source(reads, lambda *_: None))
    said = project.mlops("ingest")
    assert said.code == 1
    assert "src/model/data.py:7: load_data stops: OperationalError" in said.err
    assert "check that the database is up, its address, and your credentials" in said.err
    assert "secret" not in said.err
    assert not (project / "data/raw.parquet").exists()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which a server shows it."""
    folder = tmp_path / "web"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_file_on_a_web_server_is_the_one_that_was_imported(
    web: tuple[Path, str], tmp_path: Path
) -> None:
    folder, address = web
    table().to_csv(folder / "parcels.csv", index=False)
    source = Source(CSV, lambda *_: None)
    project = start(tmp_path, source)
    project.run("dvc", "import-url", f"{address}/parcels.csv", str(FILE))
    publish(project, Source(CSV, write_csv, (PUSH,)))
    here = partial(accepts, project, "dvc", "repro", "validate")
    assert here() == 400

    spoilt().to_csv(folder / "parcels.csv", index=False)
    assert here() == 400  # the hash in git says which file it is
    assert in_workflow(project, tmp_path / "before") == 400
    project.run("dvc", "update", f"{FILE}.dvc")
    publish(project, Source(CSV, write_csv, (PUSH,)))
    assert here() is None
    assert in_workflow(project, tmp_path / "after") is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"seen_at;late\n2023-01-01;0\n",
            "returns one column, named 'seen_at;late'",
        ),
        (b"seen_at;late\n1;0\n1,5;0\n", "is its separator a comma?"),
        ("größe,late\n1,0\n".encode("cp1252"), "the file is not UTF-8: say what it is"),
        (None, "put the file into data/source, and into git or DVC (data/source/README.md)"),
    ],
)
def test_a_file_that_cannot_be_read_is_said(
    content: bytes | None, sentence: str, tmp_path: Path
) -> None:
    project = parcels(tmp_path)
    (project / "src/model/data.py").write_text(READ.format(reads=CSV), encoding="utf-8")
    if content is not None:
        (project / str(FILE)).write_bytes(content)
    said = project.mlops("ingest")
    assert said.code == 1
    assert sentence in said.err
    assert len(said.err.splitlines()) <= 2  # one says how long it took
    assert not (project / "data/raw.parquet").exists()
