"""A canary asks what users asked, where a prediction log says it, and says which rows it asked."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running_service import RunningService
from s3_server import BUCKET, READER, S3, s3_server
from written_log import eventually

from mlops.project.errors import MlopsError
from mlops.project.params import Canary, load
from mlops.registry import export
from mlops.trial import asked_log, asked_rows, canary, canary_gate
from mlops.trial.service_client import JSON, Service

EXAMPLE = Path(__file__).parents[1] / "example" / "params.yaml"
LIMITS = Canary(requests=100, latency_ratio=1000.0)
OTHERS = 150
USER = {"X-Request-ID": "of-a-user"}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_KEY", raising=False)
    monkeypatch.delenv("PREDICTION_LOG_URI", raising=False)
    monkeypatch.setattr(canary_gate, "RESAMPLES", 200)
    monkeypatch.setattr(asked_log, "PAUSE", 0)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def sample(exported: Path) -> list[dict[str, Any]]:
    read = export.read(exported).sample
    assert read
    return read.rows


def others(sample: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows that are not in the sample; users may leave out what may be missing."""
    rows = [{**row, "distance": 5000 + n} for n, row in enumerate(sample[:OTHERS])]
    return [{k: v for k, v in row.items() if v is not None} for row in rows]


def fill(service: str, log: Path, *asked: list[dict[str, Any]]) -> None:
    with Service(service) as client:
        for rows in asked:
            body = json.dumps(rows).encode()
            assert client.ask("POST", "/predict", body, JSON | USER).status == 200
    wanted = sum(map(len, asked))
    eventually(lambda: sum(p.read_bytes().count(b"\n") for p in log.glob("*.jsonl")) >= wanted)


@pytest.fixture(scope="module")
def logging(
    exported: Path, sample: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A champion, and a log of it with rows of users, and between them those of trials.

    Those of an older service's trial have no mark.
    """
    folder = tmp_path_factory.mktemp("logging")
    log = folder / "log"
    log.mkdir()
    settings = {"prediction_log_uri": log, "prediction_log_flush_seconds": 0.05}
    champion = RunningService(exported / "model", folder, **settings).wait()
    rows = others(sample)
    fill(champion.url, log, rows[:70], sample[:100], rows[70:], rows[:20])
    with Service(champion.url) as client:
        assert client.predict([{**rows[0], "distance": 4000 + n} for n in range(50)]).status == 200
    eventually(lambda: b'"trial":true' in next(log.glob("*.jsonl")).read_bytes())
    kept = Path(shutil.copytree(log, folder / "kept"))  # as a canary's own requests are logged
    yield champion.url, kept
    champion.kill()


def columns(url: str) -> list[dict[str, Any]]:
    with Service(url) as service:
        return list(service.about()["columns"])


def chosen(url: str, exported: Path, limits: Canary = LIMITS) -> asked_rows.Asked:
    return asked_rows.choose(export.read(exported), columns(url), columns(url), limits)


@pytest.fixture
def _log(logging: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(logging[1], tmp_path / "log")
    monkeypatch.setenv("PREDICTION_LOG_URI", str(tmp_path / "log"))


def rewrite(log: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    for path in log.glob("*.jsonl"):
        lines = [json.dumps(change(json.loads(line))) for line in path.read_bytes().splitlines()]
        path.write_text("\n".join(lines) + "\n")


@pytest.mark.usefixtures("_log")
def test_rows_of_the_log_are_asked_and_none_of_the_sample(
    logging: tuple[str, Path], served: str, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = chosen(logging[0], exported)
    assert (asked.source, len(asked.rows)) == ("prediction log", 100)
    distances = {row["distance"] for row in asked.rows}
    assert len(distances) == 100
    assert distances <= set(range(5000, 5000 + OTHERS))
    assert not asked.lacks(columns(logging[0]))  # what may be missing is null again

    params = load(EXAMPLE)
    serving = params.serving.model_copy(update={"canary": LIMITS})
    params = params.model_copy(update={"serving": serving})
    report = canary.run(params, logging[0], served, exported)
    assert report["passed"]
    said = f"asked 100 of the newest {OTHERS} rows of the prediction log"
    assert report["asked"] == {"source": "prediction log", "said": said}
    assert report["measured"]["errors"]["value"] == report["measured"]["shift"]["value"] == 0
    assert f"- {said}" in capsys.readouterr().out.splitlines()


def test_they_are_spread_over_the_scores() -> None:
    logged = [asked_rows.Logged({"n": n}, ("", n / 1000)) for n in range(1000)]
    picked = [each.row["n"] for each in asked_rows.stratified(logged[::-1], 100)]
    assert picked == list(range(5, 1000, 10))
    assert len(asked_rows.stratified(logged[:30], 100)) == 30


@pytest.mark.usefixtures("_log")
def test_the_newest_are_taken(
    logging: tuple[str, Path], exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked_rows, "POOL", 1)
    distances = {row["distance"] for row in chosen(logging[0], exported).rows}
    # Asked last: 20 of the first rows once more, and before them the 80 of the end.
    assert distances == {*range(5000, 5020), *range(5070, 5150)}


def test_without_a_log_the_holdout_is_asked(
    served: str, exported: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = chosen(served, exported).said
    why = "PREDICTION_LOG_URI is not set, so there is no prediction log"
    assert said == f"asked 100 rows of the holdout: {why}"
    for uri, why in (
        (str(tmp_path / "nowhere"), f"there is no prediction log in {tmp_path / 'nowhere'} that "),
        ("gopher://x/y", "nothing that is installed here reads gopher://, where the prediction"),
    ):
        monkeypatch.setenv("PREDICTION_LOG_URI", uri)
        asked = chosen(served, exported)
        assert asked.source == "holdout"
        assert why in asked.said


@pytest.mark.usefixtures("_log")
@pytest.mark.parametrize("how", ["left_out", "hashed"])
def test_a_log_without_a_column_is_not_asked(
    logging: tuple[str, Path], exported: Path, tmp_path: Path, how: str
) -> None:
    rewrite(tmp_path / "log", lambda record: {**record, how: ["carrier"]})
    asked = chosen(logging[0], exported)
    assert asked.source == "holdout"
    assert asked.said.endswith("the prediction log does not hold carrier (PREDICTION_LOG_EXCLUDE)")


@pytest.mark.usefixtures("_log")
def test_too_few_rows_and_the_setting_are_said(
    logging: tuple[str, Path], exported: Path, tmp_path: Path
) -> None:
    said = chosen(logging[0], exported, Canary(rows="holdout")).said
    assert said == "asked 500 rows of the holdout: serving.canary.rows in params.yaml says so"

    rewrite(tmp_path / "log", lambda record: record | {"features": {"distance": 1}})
    for path in (tmp_path / "log").glob("*.jsonl"):
        path.write_bytes(path.read_bytes() + b'{"id": "torn')
    said = chosen(logging[0], exported).said
    assert said.endswith("has 0 other rows that both services take, and 100 are needed")


@pytest.mark.usefixtures("_log")
def test_a_log_that_fails_once_is_read_again_and_then_it_is_an_error(
    logging: tuple[str, Path], exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, failures = asked_log._listed, [TimeoutError("timed out")] * 2

    def failing(uri: str) -> Iterator[tuple[str, int]]:
        if failures:
            raise failures.pop()
        return listed(uri)

    monkeypatch.setattr(asked_log, "_listed", failing)
    assert chosen(logging[0], exported).source == "prediction log"
    for error, tries in ((TimeoutError("timed out"), 3), (PermissionError("403: denied"), 1)):
        failures[:] = [error] * 3
        with pytest.raises(MlopsError, match=rf"the prediction log in .* cannot be read \({error}"):
            chosen(logging[0], exported)
        assert len(failures) == 3 - tries


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3") / "files") as server:
        yield server


def test_a_log_in_a_bucket(
    logging: tuple[str, Path], exported: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read by whoever may only read; one who may not read stops it, and no holdout takes over."""
    for name, value in {**READER, "AWS_ENDPOINT": s3.address, "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)
    uri = f"s3://{BUCKET}/predictions"
    monkeypatch.setenv("PREDICTION_LOG_URI", uri)
    asked = chosen(logging[0], exported)
    assert asked.said.endswith(f"there is no prediction log in {uri} that this machine can see")

    (kept,) = logging[1].glob("*.jsonl")
    lines = kept.read_bytes().splitlines(keepends=True)
    s3.client.put_object(Bucket=BUCKET, Key=f"predictions/{kept.name}", Body=b"".join(lines))
    asked = chosen(logging[0], exported)
    assert asked.said == f"asked 100 of the newest {OTHERS} rows of the prediction log"

    tail = asked_log.Tail(uri)
    assert list(tail.new()) == []
    later = kept.name.replace("predictions-2", "predictions-3")
    s3.client.put_object(Bucket=BUCKET, Key=f"predictions/{later}", Body=b"".join(lines[:3]))
    assert [record["id"] for record in tail.new()] == [json.loads(line)["id"] for line in lines[:3]]
    assert list(tail.new()) == []

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(MlopsError, match=r"cannot be read .* so the canary cannot ask what users"):
        chosen(logging[0], exported)
