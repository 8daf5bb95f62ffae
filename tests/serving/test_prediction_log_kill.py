"""kill -9 of a real writer process: what was acknowledged is there, and every line is whole."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from written_log import eventually, ids, open_log

FLUSH_SECONDS = 1.0  # the service's default

# Says on its standard output what is acknowledged, and when: a pipe keeps it when the writer dies.
WRITER = """
import asyncio, json, os, sys, time
from written_log import line, open_log

folder, mode, size = sys.argv[1], sys.argv[2], int(sys.argv[3])

def acknowledge(name):
    os.write(1, f"{name} {time.monotonic()}\\n".encode())

async def client(log, number):
    for request in range(10**9):
        name = f"{number}-{request}"
        if log.append(line(name, size), 1) and await log.sync():
            acknowledge(name)
        await asyncio.sleep(0 if mode == "fsync" else 0.01)

async def main():
    log = open_log(folder, fsync=mode == "fsync", flush_seconds=FLUSH_SECONDS, rotate_mb=0.05)
    await asyncio.gather(*(client(log, number) for number in range(8)))

asyncio.run(main())
""".replace("FLUSH_SECONDS", str(FLUSH_SECONDS))


def killed(folder: Path, mode: str, size: int, after: float) -> tuple[dict[str, float], float]:
    """Return what a writer acknowledged, with times, and when it was killed."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), mode, str(size)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )
    assert writer.stdout
    first = writer.stdout.readline()
    output: list[bytes] = []
    end = time.monotonic() + after
    while time.monotonic() < end:
        output.append(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    at = time.monotonic()
    output += writer.stdout.read().splitlines()
    writer.wait()
    said = [text.split() for text in (first, *output)]
    return {words[0].decode(): float(words[1]) for words in said}, at


@pytest.mark.parametrize("size", [0, 20_000])
def test_with_fsync_nothing_acknowledged_is_lost(tmp_path: Path, size: int) -> None:
    acknowledged: dict[str, float] = {}
    for number in range(2):
        now, _ = killed(tmp_path / str(number), "fsync", size, 0.3)
        restarted = open_log(tmp_path / str(number))  # cuts what was torn
        eventually(lambda log=restarted: not log.status().reason)
        restarted.close(5)
        assert len(now) > 20
        assert now.keys() <= set(ids(tmp_path / str(number)))
        acknowledged |= now
    assert acknowledged


@pytest.mark.parametrize("size", [0, 20_000])
def test_without_it_only_the_last_moment_is(tmp_path: Path, size: int) -> None:
    acknowledged, at = killed(tmp_path, "default", size, 1.4)
    if size == 0:  # lines within a page are whole as they are
        assert ids(tmp_path)
    restarted = open_log(tmp_path)
    eventually(lambda: not restarted.status().reason)
    restarted.close(5)
    there = ids(tmp_path)
    assert len(there) == len(set(there))
    missing = [when for name, when in acknowledged.items() if name not in set(there)]
    assert len(there) > 100
    assert all(at - when < FLUSH_SECONDS for when in missing)
    assert len(list(tmp_path.iterdir())) > 1  # it also rotated


def test_a_record_is_json_even_when_it_is_long(tmp_path: Path) -> None:
    killed(tmp_path, "default", 20_000, 0.8)
    whole = torn = 0
    for path in tmp_path.iterdir():
        for text in path.read_bytes().split(b"\n"):
            try:
                whole += bool(text.strip() and json.loads(text))
            except ValueError:
                torn += 1
    assert whole > 10
    assert torn <= 1  # the last one of the last file at most
