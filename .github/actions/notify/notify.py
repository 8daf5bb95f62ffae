"""Tell a webhook what happened, in one sentence with a link.

A run does not fail because nobody listens: then its summary says so. What is said never holds the
address, which may be all that somebody needs to write there.
"""

import html
import json
import os
import signal
import socket
from http.client import HTTPException, InvalidURL
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from github import SITE, append, one_line

EVENTS = {
    "retraining": "a proposed retraining",
    "bad-data": "refused data",
    "deployment": "a failed deployment",
    "rollback": "a failed rollback",
    "batch": "a failed batch of predictions",
}
TIMEOUT = 10  # seconds, for all of it
LONGEST = 500  # characters of the sentence
# Webhooks of Teams are flows of Power Automate, which take cards.
TEAMS = (".webhook.office.com", ".logic.azure.com", ".powerplatform.com", ".powerautomate.com")
# Google Chat refuses keys that it does not know; Slack promises nothing about them.
TEXT_ONLY = {"chat.googleapis.com", "hooks.slack.com", "hooks.slack-gov.com"}
ADVICE = (
    "See whether that address still holds (Settings > Secrets and variables > Actions); "
    "delete the setting where nobody listens any more."
)


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nobody: what is said, and the address it is said to, are for one receiver."""


def main() -> None:
    address, event = os.environ["ADDRESS"].strip(), EVENTS[os.environ["EVENT"]]
    if not address:
        print("Nobody is told: NOTIFY_URL is not set.")
        return
    for line in address.splitlines():
        print(f"::add-mask::{line.replace('%', '%25')}", flush=True)
    try:
        send(address, message(urlsplit(address).hostname or ""))
        print(f"The webhook in NOTIFY_URL was told of {event}.")
    except (OSError, HTTPException, ValueError) as error:
        line = f"The webhook in NOTIFY_URL was not told of {event}: {reason(error)}. {ADVICE}"
        print(line)
        append("GITHUB_STEP_SUMMARY", f"\n{line}")  # else a table above would take it in


def message(host: str) -> dict[str, Any]:
    """Return what the receiver at a host reads; in texts of others, nothing is a link or a name."""
    event, where = os.environ["EVENT"], os.environ["GITHUB_REPOSITORY"]
    url = os.environ["URL"] or f"{SITE}/{where}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
    # Mattermost and others read Markdown, and take a word after an @ for a name, or for everybody.
    about = one_line(os.environ["ABOUT"], LONGEST).rstrip(".")
    about = about.replace("](", "] (").replace("@", "@\u200b")
    text = f"{EVENTS[event].capitalize()} in {where}: {about}. {url}"
    if host.endswith(TEAMS):
        # No TextBlock, which reads Markdown:
        # https://learn.microsoft.com/microsoftteams/platform/concepts/cards/cards-format
        said = {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text}]}
        link = {"type": "Action.OpenUrl", "title": "Open", "url": url}
        card = {"type": "AdaptiveCard", "version": "1.4", "body": [said], "actions": [link]}
        kind = "application/vnd.microsoft.card.adaptive"
        return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}
    # https://api.slack.com/reference/surfaces/formatting#escaping
    told = {"text": html.escape(text, quote=False)}
    return told if host in TEXT_ONLY else told | {"event": event, "repository": where, "url": url}


def send(address: str, body: dict[str, Any]) -> None:
    """Post it; any answer but one of success raises."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError
    _ = parts.port  # raises when it is none
    headers = {"Content-Type": "application/json", "User-Agent": "notify"}
    request = Request(address, json.dumps(body).encode(), headers)  # noqa: S310 - see above
    # A timeout of the connection alone would begin again with each byte of an answer.
    signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(TIMEOUT)
    try:
        build_opener(_Stay).open(request).close()
    finally:
        signal.alarm(0)


def _too_late(*_: Any) -> None:
    raise TimeoutError


def reason(error: Exception) -> str:
    """Say in own words why it failed; those of the error may quote the address."""
    cause = error.reason if type(error) is URLError else error
    if isinstance(cause, HTTPError):
        return f"HTTP {cause.code}"
    if isinstance(cause, TimeoutError):
        return f"no answer in {TIMEOUT} seconds"
    if isinstance(cause, socket.gaierror):
        return "there is no such host"
    if isinstance(cause, OSError | HTTPException) and not isinstance(cause, InvalidURL):
        return type(cause).__name__  # such as ConnectionRefusedError
    return "it is not like https://host/path"


if __name__ == "__main__":
    main()
