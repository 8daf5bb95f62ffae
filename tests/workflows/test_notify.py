"""The action ``notify`` tells a webhook in one sentence, and a run goes on where nobody listens."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback_proxy import Answer, LoopbackProxy, Request
from projects import ROOT
from tiny_repository import CHECKOUT, TinyRepository
from webhook import SECRET, Webhook

ACTION = ROOT / ".github" / "actions" / "notify"
NAME = "octo/flights"
ISSUE = f"https://github.com/{NAME}/issues/3"
RUN = f"https://github.com/{NAME}/actions/runs/77"
GIVEN = {"event": "bad-data", "about": "Nothing was trained on it.", "url": ISSUE}
SENTENCE = f"Refused data in {NAME}: Nothing was trained on it. {ISSUE}"
ADVICE = (
    "See whether that address still holds (Settings > Secrets and variables > Actions); "
    "delete the setting where nobody listens any more."
)


@dataclass(frozen=True)
class Done:
    said: list[str]
    summary: str


@pytest.fixture
def notify(tmp_path: Path) -> Callable[..., Done]:
    """Run the step of action.yml, as GitHub fills it in; it never fails, nor quotes the address."""

    def run(address: str, *, seconds: int = 10, **given: Any) -> Done:
        environment = given.pop("environment", {})
        inputs = {**GIVEN, "address": address, **given}
        (step,) = yaml.safe_load((ACTION / "action.yml").read_text())["runs"]["steps"]
        summary = tmp_path / "summary"
        summary.write_text("| step | |\n|---|---|\n")
        script = step["run"]
        if seconds != 10:
            short = f"import notify; notify.TIMEOUT = {seconds}; notify.main()"
            script = f'PYTHONPATH="{ACTION}:{ACTION}/../../lib" python3 -B -c "{short}"'
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "GITHUB_ACTION_PATH": str(ACTION),
                "GITHUB_REPOSITORY": NAME,
                "GITHUB_RUN_ID": "77",
                "GITHUB_STEP_SUMMARY": str(summary),
                **environment,
                **{
                    name: re.sub(r"\$\{\{ inputs\.(\S+) \}\}", lambda it: inputs[it[1]], value)
                    for name, value in step["env"].items()
                },
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        said = done.stdout.splitlines()
        for line in address.strip().splitlines():
            assert said.pop(0) == "::add-mask::" + line.replace("%", "%25")
        told = "\n".join([*said, summary.read_text()])
        assert "s3cret" not in told
        assert "::" not in told  # nothing red, and no other command either
        return Done(said, summary.read_text().removeprefix("| step | |\n|---|---|\n"))

    return run


def refusal(done: Done) -> str:
    """Return why nobody was told; the summary says it in one line, after whatever is above."""
    (line,) = done.said
    assert done.summary == f"\n{line}\n"
    head, tail = "The webhook in NOTIFY_URL was not told of refused data: ", f". {ADVICE}"
    assert line.startswith(head)
    assert line.endswith(tail)
    return line.removeprefix(head).removesuffix(tail)


# What it says


def test_a_program_of_ones_own_gets_a_sentence_and_what_it_is_about(
    notify: Callable[..., Done],
) -> None:
    with Webhook(202) as webhook:
        done = notify(f" {webhook.address}\n")
    assert webhook.asked == [("POST", f"/hooks/{SECRET}", "application/json")]
    assert webhook.told == [
        {"text": SENTENCE, "event": "bad-data", "repository": NAME, "url": ISSUE}
    ]
    assert done == Done(["The webhook in NOTIFY_URL was told of refused data."], "")


@pytest.mark.parametrize(
    ("event", "head"),
    [
        ("retraining", "A proposed retraining"),
        ("deployment", "A failed deployment"),
        ("rollback", "A failed rollback"),
    ],
)
def test_without_a_page_of_its_own_the_link_is_that_of_the_run(
    notify: Callable[..., Done], event: str, head: str
) -> None:
    with Webhook() as webhook:
        notify(webhook.address, event=event, url="")
    assert webhook.texts == [f"{head} in {NAME}: Nothing was trained on it. {RUN}"]
    assert webhook.told[0]["url"] == RUN


def test_texts_of_others_stay_texts(notify: Callable[..., Done]) -> None:
    about = "<!channel> & <https://evil.example|x> ![x](y) @here\n::error::no ##[error]no "
    about += "long " * 200
    with Webhook() as webhook:
        notify(webhook.address, about=about)
    (text,) = webhook.texts
    assert text.startswith(
        f"Refused data in {NAME}: &lt;!channel&gt; &amp; &lt;https://evil.example|x&gt; ![x] (y) "
        "@\u200bhere : :error: :no ## [error]no long long "
    )
    assert text.endswith(f"…. {ISSUE}")
    assert len(text) < 700


@pytest.mark.parametrize(
    "host",
    [
        "hooks.slack.com",
        "chat.googleapis.com",
        "octo.webhook.office.com",
        "prod-12.westeurope.logic.azure.com",
        "default0123.environment.api.powerplatform.com",
        "mattermost.example",
        "logic.azure.com.example",
    ],
)
def test_each_receiver_gets_what_it_takes(
    notify: Callable[..., Done], tmp_path: Path, host: str
) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Answer:
        asked.append(request)
        return Answer(200, b"ok")

    proxy = LoopbackProxy(tmp_path / "tls", [host], answer)
    proxy.start()
    try:
        done = notify(
            f"https://{host}/s3cret?sig=s3cret", about="<b> [x](y)", environment=proxy.environment
        )
    finally:
        proxy.close()
    assert done.summary == ""
    ((request,), plain) = asked, f"Refused data in {NAME}: <b> [x] (y). {ISSUE}"
    assert (request.host, request.path, request.query) == (host, "/s3cret", "sig=s3cret")
    body = json.loads(request.body)
    if host.endswith((".office.com", ".azure.com", ".powerplatform.com")):
        (card,) = body.pop("attachments")
        assert body == {"type": "message"}
        assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
        assert card["content"]["body"] == [
            {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": plain}]}
        ]
        assert [it["url"] for it in card["content"]["actions"]] == [ISSUE]
        return
    escaped = plain.replace("<", "&lt;").replace(">", "&gt;")
    assert body.pop("text") == escaped
    assert set(body) == ({"event", "repository", "url"} if host.endswith(".example") else set())


def test_without_the_setting_it_says_so_and_does_nothing(notify: Callable[..., Done]) -> None:
    assert notify("") == Done(["Nobody is told: NOTIFY_URL is not set."], "")


# Where nobody listens


@pytest.mark.parametrize("status", [400, 403, 404, 410, 429, 500, 503])
def test_one_that_refuses_is_named_by_its_answer(notify: Callable[..., Done], status: int) -> None:
    with Webhook(status) as webhook:
        assert refusal(notify(webhook.address)) == f"HTTP {status}"
    assert len(webhook.told) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_followed_elsewhere(notify: Callable[..., Done], status: int) -> None:
    with Webhook() as other, Webhook(status, other.address) as webhook:
        assert refusal(notify(webhook.address)) == f"HTTP {status}"
    assert (len(webhook.told), other.asked) == (1, [])


@pytest.mark.parametrize(
    "address",
    [
        "s3cret",
        "hooks.slack.com/s3cret",
        "ftp://127.0.0.1/s3cret",
        "file:///s3cret",
        "https://",
        "https:///s3cret",
        "https://ada:s3cret@127.0.0.1/",
        "https://ada@127.0.0.1/s3cret",
        "http://[s3cret",
        "http://127.0.0.1:s3cret/",
        "http://127.0.0.1:99999/s3cret",
        "http://127.0.0.1/s3cret of ours",
        "http://127.0.0.1/s3cret\nof ours",
        "http://127.0.0.1/s3crét",
        "http://s3cret℀/",
        f"http://{'s3cret' * 20}/",
    ],
)
def test_what_is_no_address(notify: Callable[..., Done], address: str) -> None:
    assert refusal(notify(address)) == "it is not like https://host/path"


def test_where_nobody_is(notify: Callable[..., Done]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    assert refusal(notify(f"http://127.0.0.1:{free}/s3cret")) == "ConnectionRefusedError"
    assert refusal(notify("http://s3cret.invalid/s3cret")) == "there is no such host"


def test_something_that_is_no_webhook(notify: Callable[..., Done], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/s3cret"
        for greeting, name in ((b"SSH-2.0-OpenSSH\r\n", "BadStatusLine"), (b"", "RemoteDisconn")):

            def answer(greeting: bytes = greeting) -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(greeting)

            thread = threading.Thread(target=answer)
            thread.start()
            assert refusal(notify(address)).startswith(name)
            thread.join()
    stranger = LoopbackProxy(tmp_path / "tls", ["hooks.example"], lambda _: Answer(200))
    stranger.start()
    try:
        way = {"HTTPS_PROXY": stranger.environment["HTTPS_PROXY"]}
        said = refusal(notify("https://hooks.example/s3cret", environment=way))
    finally:
        stranger.close()
    assert said == "SSLCertVerificationError"


@pytest.mark.parametrize("drips", [False, True])
def test_one_that_never_comes_to_an_end_is_left(notify: Callable[..., Done], drips: bool) -> None:
    """Not even where each byte of an answer comes in time."""
    left = threading.Event()

    def answer() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):  # the other side has left
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while drips and not left.wait(0.05):
                connection.sendall(b"X")
            left.wait()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            done = notify(f"http://127.0.0.1:{server.getsockname()[1]}/s3cret", seconds=1)
        finally:
            left.set()
            thread.join()
    assert refusal(done) == "no answer in 1 seconds"


# In a workflow


def test_a_secret_or_a_variable_is_the_address(tiny: TinyRepository) -> None:
    for folder in ("actions/notify", "lib"):
        shutil.copytree(
            ROOT / ".github" / folder,
            tiny.folder / ".github" / folder,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    steps = f"""
        - uses: {CHECKOUT}
        - uses: ./.github/actions/notify
          with:
            address: ${{{{ secrets.NOTIFY_URL || vars.NOTIFY_URL }}}}
            event: rollback
            about: Version ${{{{ inputs.version }}}} was to serve again
        """
    nobody = tiny.run(steps)
    assert nobody.conclusion == "success", nobody.log
    assert "Nobody is told: NOTIFY_URL is not set." in nobody.log
    with Webhook() as webhook, Webhook(500) as broken:
        tiny.github.variables["NOTIFY_URL"] = webhook.address
        tiny.steps("workflow_dispatch", steps)
        tiny.push()
        run = tiny.github.dispatch("tiny.yml")
        tiny.github.secrets["NOTIFY_URL"] = broken.address
        unheard = tiny.github.dispatch("tiny.yml")
    (text,) = webhook.texts
    assert text.endswith(f"https://github.com/{tiny.github.repository}/actions/runs/{run.id}")
    assert (run.conclusion, run.summary) == ("success", "")
    assert len(broken.told) == 1
    assert (unheard.conclusion, unheard.annotations) == ("success", [])
    assert unheard.summary.strip() == (
        f"The webhook in NOTIFY_URL was not told of a failed rollback: HTTP 500. {ADVICE}"
    )
    assert "s3cret" not in run.log + unheard.log
