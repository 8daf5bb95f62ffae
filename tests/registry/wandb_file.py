"""A ``.wandb`` file read back: records of W&B's own protobuf, in blocks as LevelDB's log."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

from wandb.proto.wandb_internal_pb2 import Record

HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
BLOCK = 32 * 1024
CHUNK = struct.Struct("<IHB")  # checksum, length, and which part of a record it is
FULL, LAST = 1, 4


def records(path: Path) -> Iterator[Any]:
    """Give the records of a file, whose every checksum has to be right."""
    data = path.read_bytes()
    assert data.startswith(HEADER)
    place, record = len(HEADER), b""
    while place < len(data):
        if (left := BLOCK - place % BLOCK) < CHUNK.size:
            place += left  # filled up
            continue
        checksum, length, part = CHUNK.unpack_from(data, place)
        chunk = data[place + CHUNK.size - 1 : place + CHUNK.size + length]  # with the part's byte
        assert checksum == crc32(chunk), place
        record += chunk[1:]
        place += CHUNK.size + length
        if part in (FULL, LAST):
            yield Record.FromString(record)
            record = b""


def run(path: Path) -> dict[str, Any]:
    """Return what a file says of its run: names, tags, config, metrics, exit code."""
    told: dict[str, Any] = {"config": {}, "metrics": {}}
    for record in records(path):
        if record.WhichOneof("record_type") == "run":
            opened = record.run
            told |= {"name": opened.display_name, "project": opened.project}
            told |= {"tags": list(opened.tags), "git": opened.git.commit}
            told["config"] = {it.key: json.loads(it.value_json) for it in opened.config.update}
        elif record.WhichOneof("record_type") == "history":
            told["metrics"] |= {
                it.key or ".".join(it.nested_key): json.loads(it.value_json)
                for it in record.history.item
            }
        elif record.WhichOneof("record_type") == "exit":
            told["exit_code"] = record.exit.exit_code
    return told
