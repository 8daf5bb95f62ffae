"""Drift as metrics: what they say, where they go, and that a check does not need anybody there."""

import base64
import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from monthly_checks import check, nothing_new, too_few
from prometheus_client.parser import text_string_to_metric_families
from running_prometheus import MONITORING, Prometheus, free_address, program

from mlops.drift import export, history
from mlops.project import files

BOARD = json.loads((MONITORING / "grafana/board.json").read_text(encoding="utf-8"))["panels"]
PANELS = BOARD[[panel["type"] for panel in BOARD].index("row") + 1 :]
RULES = yaml.safe_load((MONITORING / "rules.yml").read_text(encoding="utf-8"))["groups"]
CHECKED = 1793516400  # 2026-11-01T07:00:00Z

Values = dict[str, float]


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for proxy in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(proxy, raising=False)


def parsed(text: str) -> Values:
    """Return the samples of an exposition; all have the model's name."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("model") == "flight-delays"
            found[" ".join([sample.name, *labels.values()])] = sample.value
    return found


def written(drift: dict[str, Any]) -> Values:
    export.write(drift)
    return parsed(files.DRIFT_METRICS.read_text(encoding="utf-8"))


# What they say


def test_each_number_of_a_check_is_a_metric() -> None:
    assert written(check()) == pytest.approx(
        {
            "drift_check_timestamp_seconds": CHECKED,
            "drift_decision none": 0,
            "drift_decision watch": 0,
            "drift_decision retrain": 1,
            "drift_rows reference": 77809,
            "drift_rows current": 27075,
            "drift_value data": 2,
            "drift_value predictions": 0.14,
            "drift_value concept": 0.039,
            "drift_value staleness": 91,
            "drift_threshold data": 1,
            "drift_threshold predictions": 0.1,
            "drift_threshold concept": 0.02,
            "drift_threshold staleness": 180,
            "drift_violated data": 1,
            "drift_violated predictions": 1,
            "drift_violated concept": 1,
            "drift_violated staleness": 0,
            "drift_column_score temp": 0.314,
            "drift_column_score dewp": 0.314,
            "drift_column_score dest": 0.04,
            "drift_column_threshold temp": 0.1,
            "drift_column_threshold dewp": 0.1,
            "drift_column_threshold dest": 0.1,
            "drift_concept_low": 0.031,
            "drift_concept_high": 0.048,
        }
    )


def test_concept_drift_is_large_when_the_model_is_worse_whatever_the_metric() -> None:
    drift = check()
    drift["questions"]["concept"] |= {"metric": "log_loss", "greater_is_better": False}
    drift["questions"]["concept"] |= {"value": 0.05, "low": 0.01, "high": 0.09}
    found = written(drift)
    names = ("drift_value concept", "drift_concept_low", "drift_concept_high")
    assert [found[name] for name in names] == [0.05, 0.01, 0.09]


def test_an_unanswered_question_has_a_threshold_and_no_number() -> None:
    waiting, unanswered = written(check(newest=None)), written(too_few())
    assert {name for name in waiting if "concept" in name} == {"drift_threshold concept"}
    assert not [name for name in unanswered if re.match("drift_(value|violated|column)", name)]
    assert unanswered["drift_decision none"] == 1
    assert unanswered["drift_rows current"] == 27075


@pytest.mark.parametrize(
    ("version", "decision"), [(1, "retrain"), (2, "none"), (None, "none")], ids=str
)
def test_without_new_data_the_decision_on_the_champion_stays(
    version: int | None, decision: str
) -> None:
    history.record(check(month=5, decision="watch"))
    history.record(check(month=6, decision="retrain", day=2))
    found = written(nothing_new(version))
    assert found.pop("drift_check_timestamp_seconds") == CHECKED + 7 * 24 * 3600
    assert {name for name, value in found.items() if value} == {f"drift_decision {decision}"}
    assert len(found) == len(export.DECISIONS)


def test_what_rules_and_board_ask_for_is_what_a_check_says() -> None:
    rules = [rule["expr"] for group in RULES for rule in group["rules"] if group["name"] == "drift"]
    asked = rules + [target["expr"] for panel in PANELS for target in panel["targets"]]
    names = {name.split()[0] for name in written(check())}
    assert set(re.findall(r"\bdrift_\w+", "\n".join(asked))) == names


def test_the_page_lists_each_metric() -> None:
    listed = re.findall(r"`(drift_\w+)", (MONITORING / "README.md").read_text(encoding="utf-8"))
    assert set(listed) == {name.split()[0] for name in written(check())}


def test_prometheus_has_nothing_to_say_against_their_form() -> None:
    export.write(check())
    promtool = program("promtool", "prometheus")
    with files.DRIFT_METRICS.open("rb") as text:
        done = subprocess.run([promtool, "check", "metrics"], stdin=text, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# Where they go


class Gateway(ThreadingHTTPServer):
    """Takes what is pushed, and notes it."""

    def __init__(self, status: int = 200) -> None:
        self.requests: list[tuple[str, str, str | None, Values]] = []
        taken = self.requests

        class Taking(BaseHTTPRequestHandler):
            def take(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                login = self.headers["Authorization"]
                taken.append((self.command, self.path, login, parsed(body)))
                self.send_response(status)
                self.end_headers()

            do_PUT = do_POST = take  # noqa: N815 - the names that are called

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Taking)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    yield server
    server.shutdown()
    server.server_close()


def test_without_an_address_nothing_is_pushed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for unset in ("", " "):
        monkeypatch.setenv("PUSHGATEWAY_URL", unset)
        export.push(check())
    assert (gateway.requests, capsys.readouterr().err) == ([], "")


@pytest.mark.parametrize(
    ("before", "after", "login"),
    [
        ("", "", None),
        ("http://", "/", None),
        ("http://ada:p%40ss%2Fw%3Ard@", "/prefix", "ada:p@ss/w:rd"),
        ("ada@", "", "ada:"),
    ],
)
def test_they_are_pushed_with_user_and_password_from_the_address(
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: str,
    after: str,
    login: str | None,
) -> None:
    monkeypatch.setenv("PUSHGATEWAY_URL", f"{before}{gateway.address}{after}")
    export.push(check())
    ((method, path, header, values),) = gateway.requests
    assert (method, path) == ("PUT", f"{after.rstrip('/')}/metrics/job/drift/model/flight-delays")
    assert header == (login and f"Basic {base64.b64encode(login.encode()).decode()}")
    assert values == written(check())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("version", "method"), [(1, "POST"), (2, "PUT"), (None, "PUT")])
def test_without_new_data_the_numbers_of_the_champion_stay_and_others_go(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, version: int | None, method: str
) -> None:
    """PUT replaces all that was pushed of a model, POST what has the same name."""
    history.record(check())
    monkeypatch.setenv("PUSHGATEWAY_URL", gateway.address)
    export.push(nothing_new(version))
    ((used, _, _, values),) = gateway.requests
    assert (used, values) == (method, written(nothing_new(version)))


# A check goes on without anybody who takes them


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """Push, which must not fail; return the one sentence about it."""
    export.push(check())
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert said.out == ""
    assert "s3cret" not in line
    assert line.startswith("mlops: drift's numbers are not pushed: ")
    assert line.endswith("; the check goes on")
    return line


def test_a_gateway_that_refuses_is_named_by_its_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Gateway(status=401)
    monkeypatch.setenv("PUSHGATEWAY_URL", f"http://ada:s3cret@{server.address}")
    assert ": HTTP Error 401: Unauthorized; " in refusal(capsys)
    assert len(server.requests) == 1
    server.shutdown()
    server.server_close()


def test_a_gateway_that_is_not_there_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PUSHGATEWAY_URL", f"http://ada:s3cret@{free_address()}")
    assert "Connection refused" in refusal(capsys)
    monkeypatch.setattr(export, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PUSHGATEWAY_URL", f"ada:s3cret@127.0.0.1:{silent.getsockname()[1]}")
        assert "timed out" in refusal(capsys)


def test_something_that_is_no_gateway_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv(
            "PUSHGATEWAY_URL", f"http://ada:s3cret@127.0.0.1:{server.getsockname()[1]}"
        )

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert ": BadStatusLine; " in refusal(capsys)
        thread.join()


@pytest.mark.parametrize(
    "address",
    [
        "http://ada:s3cret/@127.0.0.1:9091",  # %2F is meant
        "http://ada:s3cret#@127.0.0.1:9091",
        "http://ada:x@127.0.0.1:s3cret",
        "http://[s3cret",
        "http://ada:s3cret@",
        "ftp://ada:s3cret@127.0.0.1",
        "http://s3cret℀@127.0.0.1",
    ],
)
def test_an_address_that_is_none_is_explained_without_quoting_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    monkeypatch.setenv("PUSHGATEWAY_URL", address)
    assert "PUSHGATEWAY_URL is not like https://user:password@host:port" in refusal(capsys)


# With real ones


@pytest.fixture
def pushgateway(tmp_path: Path) -> Iterator[str]:
    """The address of a real Pushgateway."""
    start, address = program("prometheus-pushgateway", "prometheus-pushgateway"), free_address()
    command = [start, f"--web.listen-address={address}", "--persistence.file=", "--log.level=error"]
    process = subprocess.Popen(command, cwd=tmp_path)
    yield address
    process.terminate()
    process.wait(20)


@pytest.fixture
def prometheus(pushgateway: str, tmp_path: Path) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path, "drift", pushgateway)
    server.wait_for('up{job="drift"} == 1')
    yield server
    server.stop()


def values(prometheus: Prometheus, name: str) -> dict[str, str]:
    return {
        it["metric"].get("question", ""): it["value"][1]
        for it in prometheus.query(f'{name}{{model="flight-delays", job="drift"}}')
    }


def test_a_pushgateway_takes_them_and_prometheus_fills_the_board(
    pushgateway: str,
    prometheus: Prometheus,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PUSHGATEWAY_URL", f"http://{pushgateway}")
    export.push(check())
    history.record(check())
    prometheus.wait_for('drift_decision{decision="retrain"} == 1')
    for panel in PANELS:
        for target in panel["targets"]:
            found = prometheus.query(target["expr"].replace("$__rate_interval", "15s"))
            assert found, panel["title"]
            shown = {name for it in found for name in it["metric"]}
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= shown
    prometheus.wait_for('ALERTS{alertname="DriftRetrain", model="flight-delays"}')
    assert values(prometheus, "drift_violated")["concept"] == "1"

    export.push(nothing_new(version=1))
    later = CHECKED + 7 * 24 * 3600
    prometheus.wait_for(f"drift_check_timestamp_seconds == {later}")
    assert values(prometheus, "drift_violated")["concept"] == "1"
    assert prometheus.query('drift_decision{decision="retrain"} == 1')

    export.push(nothing_new(version=2))  # the retrained model is champion now
    prometheus.wait_for('drift_decision{decision="none"} == 1')
    assert values(prometheus, "drift_violated") == {}
    prometheus.wait_for('absent(ALERTS{alertname="DriftRetrain"})')
    assert capsys.readouterr().err == ""
