"""Columns that the logs leave out or hash, and what the page on privacy says to do."""

import hashlib
import hmac
import json
import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from projects import ROOT, Project
from running_service import RunningService
from written_log import ids, open_log

from mlops.project.errors import MlopsError
from mlops.serving import settings
from mlops.serving.predictor import Record
from mlops.serving.withheld import Withheld


def logged(trained: Project, folder: Path, **wanted: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a row, and the record of it in the log of a service."""
    log = {"prediction_log_uri": folder / "log", "prediction_log_flush_seconds": 0.05}
    service = RunningService(trained / "models", folder, **log, **wanted).wait()
    row = service.example()
    assert service.predict(row).json()["logged"]
    service.stop()
    (file,) = (folder / "log").iterdir()
    return row, json.loads(file.read_text())


def test_a_column_is_left_out_or_hashed_wherever_rows_are_logged(
    trained: Project, tmp_path: Path
) -> None:
    row, record = logged(
        trained,
        tmp_path,
        prediction_log_exclude="dest, carrier:hash,distance:hash",
        prediction_log_hash_key="secret",
        log_features="true",
    )
    rest = {name: value for name, value in row.items() if name != "dest"}
    hashes = {
        name: hmac.new(b"secret", str(row[name]).encode(), hashlib.sha256).hexdigest()
        for name in ("carrier", "distance")
    }
    assert record["features"] == rest | hashes
    assert (record["left_out"], record["hashed"]) == (["dest"], ["carrier", "distance"])
    lines = (tmp_path / "service.log").read_text().splitlines()
    (line,) = [it for it in map(json.loads, lines) if "features" in it]
    assert line["features"] == [rest | hashes]
    assert "is not set: whoever reads the prediction log" not in "".join(lines)


def test_a_hash_without_a_key_can_be_guessed_and_the_service_says_so(
    trained: Project, tmp_path: Path
) -> None:
    row, record = logged(trained, tmp_path, prediction_log_exclude="carrier:hash")
    plain = hashlib.sha256(row["carrier"].encode()).hexdigest()
    assert record["features"] == row | {"carrier": plain}
    said = "PREDICTION_LOG_HASH_KEY is not set: whoever reads the prediction log and guesses"
    assert (tmp_path / "service.log").read_text().count(said) == 1


def test_a_record_of_all_columns_says_nothing_of_others(trained: Project, tmp_path: Path) -> None:
    row, record = logged(trained, tmp_path)
    assert record["features"] == row
    assert set(record) == {"id", "time", "model_version", "score", "features"}


def test_what_is_missing_has_no_hash() -> None:
    rows = [{"email": None, "age": 3}, {"age": 4}]
    held = Withheld("email:hash", "key", ["email", "age"])
    assert held.without(rows) == rows


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(MlopsError) as error:
        Withheld("emial:hash", "", ["email", "age"])
    assert str(error.value) == (
        "PREDICTION_LOG_EXCLUDE: the model has no column 'emial'; did you mean email?"
    )


def test_a_key_that_is_wrong_is_not_repeated() -> None:
    with pytest.raises(MlopsError) as error:
        settings.read({"PREDICTION_LOG_HASH_KEY": "my sécret"})
    assert "sécret" not in str(error.value)


@pytest.mark.parametrize(("exclude", "place"), [("", 0), ("customer:hash", 1)])
def test_the_page_on_privacy_deletes_who_asks_for_it_and_nobody_else(
    tmp_path: Path, exclude: str, place: int
) -> None:
    page = (ROOT / "deploy/privacy.md").read_text(encoding="utf-8")
    command = re.findall(r"^\$ (sed .*)$", page, re.MULTILINE)[place]
    held = Withheld(exclude, "a key", ["customer"])
    rows = held.without([{"customer": "4711"}, {"customer": "47110"}, {"customer": "4711"}])
    log = open_log(tmp_path)
    for number, row in enumerate(rows):
        record = Record(str(number), datetime.now(UTC), "3", 0.5, row)
        assert log.append(msgspec.json.encode(record) + b"\n", 1)
    log.close(5)
    environment = os.environ | {"PREDICTION_LOG_HASH_KEY": "a key"}
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, check=True)
    assert ids(tmp_path) == ["1"]
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
