"""kill -9 of a real writer process: what was acknowledged is there, and every line is whole."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from written_log import eventually, ids, open_log

# Says on its standard output what is acknowledged: a pipe keeps it when the writer dies.
WRITER = """
import asyncio, os, sys
from written_log import line, open_log

folder, mode, size = sys.argv[1], sys.argv[2], int(sys.argv[3])

def acknowledge(name):
    os.write(1, f"{name}\\n".encode())

async def client(log, number):
    for request in range(10**9):
        name = f"{number}-{request}"
        if log.append(line(name, size), 1) and await log.sync():
            acknowledge(name)
        await asyncio.sleep(0 if mode == "fsync" else 0.01)

async def main():
    log = open_log(folder, fsync=mode == "fsync", flush_seconds=1.0, rotate_mb=0.05)
    await asyncio.gather(*(client(log, number) for number in range(8)))

asyncio.run(main())
"""


def killed(folder: Path, mode: str, size: int, after: int) -> list[str]:
    """Kill a writer that has acknowledged so many records; returns all that it did, in order."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), mode, str(size)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert writer.stdout
    said = [writer.stdout.readline() for _ in range(after)]
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.readlines()
    writer.wait()
    return [name.decode().strip() for name in said]


@pytest.mark.parametrize("size", [0, 20_000])
def test_with_fsync_nothing_acknowledged_is_lost(tmp_path: Path, size: int) -> None:
    for number in range(2):
        acknowledged = killed(tmp_path / str(number), "fsync", size, 50)
        restarted = open_log(tmp_path / str(number))  # cuts what was torn
        eventually(lambda log=restarted: not log.status().reason)
        restarted.close(5)
        assert set(acknowledged) <= set(ids(tmp_path / str(number)))


@pytest.mark.parametrize("size", [0, 20_000])
def test_without_it_only_the_last_moment_is(tmp_path: Path, size: int) -> None:
    acknowledged = killed(tmp_path, "default", size, 1000)
    if size == 0:  # lines within a page are whole as they are
        assert ids(tmp_path)
    restarted = open_log(tmp_path)
    eventually(lambda: not restarted.status().reason)
    restarted.close(5)
    there = ids(tmp_path)
    assert len(there) == len(set(there))
    missing = [name for name in acknowledged if name not in set(there)]
    assert len(there) > 100
    assert missing == acknowledged[len(acknowledged) - len(missing) :]
    assert len(list(tmp_path.iterdir())) > 1  # it also rotated


def test_a_record_is_json_even_when_it_is_long(tmp_path: Path) -> None:
    killed(tmp_path, "default", 20_000, 400)
    whole = torn = 0
    for path in tmp_path.iterdir():
        for text in path.read_bytes().split(b"\n"):
            try:
                whole += bool(text.strip() and json.loads(text))
            except ValueError:
                torn += 1
    assert whole > 10
    assert torn <= 1  # the last one of the last file at most
