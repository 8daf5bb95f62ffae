"""Keeps one comment on a pull request: the report about its newest commit, updated in place.

CML writes it. Where CML cannot be had, fails, or would not update our comment, ``gh`` writes the
same text with the same watermark, so that the CML of the next run finds it.

The report comes from a job that ran the code of the pull request, so nothing in it is trusted: it
never reaches the log, and it is cut to what GitHub takes. Mentions in it are left as they are:
whose report gets here may push to this repository, and can mention anybody in a comment as well.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cml
from github import GitHubError, InputError, annotate, api, append, one_line

LIMIT = 60_000  # characters of a report; GitHub takes 65,536 in a comment, and answers 422 to more
# By this mark CML finds the comment that it is to update.
TITLE = "model report"
WATERMARK = rf'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {TITLE}"\)'
COMMENTS_SEEN = 30  # the oldest: CML asks for one page of comments and never for the next
# On the last line and alone there; who quotes it has a sign before it or an answer after it.
OUR_MARK = re.compile(rf"^{WATERMARK}\s*\Z", re.MULTILINE)
# A report's holdout, how often an idea that changes nothing looks better, and the most judgements.
HOLDOUT = re.compile(r"^<!-- holdout ([0-9a-f]{32}) (0\.\d{1,6}) ([1-9]\d{0,5}) -->$", re.MULTILINE)
CODE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


class OutdatedError(Exception):
    """The pull request has a newer commit than the report."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request, and the commit of it that the report is about."""

    repository: str
    number: str
    sha: str

    def must_be_newest(self) -> None:
        """Refuse to go on when there is a newer commit: a slow or repeated run must not win.

        Asked right before every write. In the second that is left, a newer run would have to start,
        train and comment. What cannot be seen from here is another run about the same commit: the
        concurrency group of the workflow lets only one of them go on at a time.
        """
        head = api("GET", f"repos/{self.repository}/pulls/{self.number}")["head"]["sha"]
        if head != self.sha:
            raise OutdatedError(f"the report is about {self.sha}, the newest commit is {head}")

    def with_judgements(self, report: str) -> str:
        """Say in place of the report's mark how often its holdout was judged on.

        Each run that judges keeps an artifact with the name of the holdout. Who tries often enough
        finds what looks better by chance.
        """
        if not (mark := HOLDOUT.search(report)):
            return report
        path = f"repos/{self.repository}/actions/artifacts?name=holdout-{mark[1]}&per_page=1"
        try:
            times = int(api("GET", path)["total_count"])
        except GitHubError as error:
            print(f"How often the holdout was judged on is not known: {error}")
            return report
        chance, most = float(mark[2]), int(mark[3])
        if times < 2 or not chance:
            return report
        said = (
            f"Judged {times:,} times on this holdout; an idea that changes nothing looks better in "
            f"1 of {1 / chance:.0f}."
        )
        if times >= most:
            said = (
                f"⚠️ **This holdout is worn out**: judged {times:,} times. Of so many ideas that "
                f"change nothing, one at least looks better with {1 - (1 - chance) ** times:.0%}. "
                f"Judge on newer rows: move `data.holdout` (`gate.judgements` is {most:,})."
            )
        return f"{report[: mark.start()]}{said}{report[mark.end() :]}"

    def comments(self) -> list[dict[str, Any]]:
        """Return all comments, oldest first."""
        path = f"repos/{self.repository}/issues/{self.number}/comments?per_page=100"
        return [comment for page in api("GET", path, "--paginate", "--slurp") for comment in page]

    def write(self, comment: dict[str, Any] | None, body: str) -> str:
        """Replace the text of a comment, or write a new one; returns its address."""
        path = f"repos/{self.repository}/issues"
        if comment:
            return str(api("PATCH", f"{path}/comments/{comment['id']}", body=body)["html_url"])
        return str(api("POST", f"{path}/{self.number}/comments", body=body)["html_url"])


def main() -> int:
    """Write or update the comment; returns the exit code of the step."""
    try:
        pull_request = from_environment()
        report = pull_request.with_judgements(read_report())
        url = write(pull_request, comment_text(report))
    except InputError as error:
        annotate("error", "Comment", str(error))
        return 1
    except OutdatedError as newer:
        annotate("notice", "Comment", f"No comment: {newer}, whose own run will comment.")
        return 0
    except GitHubError as error:
        if error.status in (403, 404):
            annotate(
                "warning",
                "Comment",
                f"No comment: this run may not write one ({error}). "
                "The report is in the summary of the run.",
            )
            return 0
        annotate("error", "Comment", f"No comment: {error}")
        return 1
    if url is None:
        print("No comment: there is none to bring up to date.")
        return 0
    print(url)
    append("GITHUB_STEP_SUMMARY", f"Comment: {url}")
    append("GITHUB_OUTPUT", f"url={url}")
    return 0


def from_environment() -> PullRequest:
    """Return the pull request to comment on; it becomes part of addresses, so it is checked."""
    number, sha = os.environ["NUMBER"], os.environ["SHA"]
    if not re.fullmatch(r"[1-9][0-9]*", number):
        raise InputError(f"Not the number of a pull request: {one_line(number)!r}")
    if not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise InputError(f"Not a commit, which has 40 hexadecimal digits: {one_line(sha)!r}")
    return PullRequest(os.environ["GITHUB_REPOSITORY"], number, sha)


def read_report() -> str:
    """Read the report, or as much of it as could ever be used."""
    path = Path(os.environ["REPORT"])
    if path.is_symlink():  # to this job's environment, say, which holds the token
        raise InputError(f"{one_line(str(path))} is a link; the report has to be a file.")
    text = ""
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(LIMIT + 1)
    if not text.strip():
        raise InputError(
            f"No report to comment: {one_line(str(path))} is missing or empty. "
            "The job that writes it says why."
        )
    return text


def comment_text(report: str) -> str:
    """Return as much of the report as a comment takes."""
    text, whole = fit(report, LIMIT)
    if whole:
        return text
    cut = f"*Cut here, as a comment holds {LIMIT:,} characters of a report. "
    cut += "The whole report is in the artifact `report` of the run.*"
    return f"{text}\n\n{cut}".lstrip()


def fit(text: str, limit: int) -> tuple[str, bool]:
    """Return the longest start of whole lines that fits, closed, and whether it is all of them.

    Closed means that a code block and folds (``<details>``) do not go on after the text; the limit
    is in characters and holds with what closes them.
    """
    kept, closing = 0, ""
    size, code, folds = 0, "", 0
    for line in text.splitlines(keepends=True):
        size += len(line)
        if size > limit:
            break
        mark = CODE.match(line)
        if code:
            if mark and mark[1].startswith(code) and not mark[2].strip():
                code = ""
        elif mark:
            code = mark[1]
        else:
            folds = max(0, folds + line.count("<details") - line.count("</details"))
        ending = (f"\n{code}" if code else "") + "\n\n</details>" * folds
        if size + len(ending) <= limit:
            kept, closing = size, ending
    return text[:kept].rstrip() + closing, kept == len(text)


def write(pull_request: PullRequest, text: str) -> str | None:
    """Update our comment, or add the first one unless only an update is wanted.

    Returns its address, or None where nothing was written.
    """
    comments = pull_request.comments()
    ours, found_by_cml = our_comment(comments), comment_to_update(comments)
    if not ours and os.environ.get("ONLY_UPDATE") == "true":
        return None
    if ours == found_by_cml:
        try:
            if program := cml.installed():
                return write_with_cml(program, pull_request, text)
            print("Without CML, of which no file is on record yet.")
        except cml.CmlError as error:
            annotate("warning", "Comment", f"The comment is written without CML: {error}")
        ours = our_comment(pull_request.comments())  # it may have failed after it wrote
    elif found_by_cml:
        print("Without CML, which would overwrite another comment that holds its watermark.")
    else:
        print(f"Without CML, which finds only the first {COMMENTS_SEEN} comments.")
    pull_request.must_be_newest()
    return pull_request.write(ours, f"{text}\n\n{watermark(pull_request.sha)}")


def write_with_cml(program: str, pull_request: PullRequest, text: str) -> str:
    file = Path(os.environ["RUNNER_TEMP"], "comment.md")
    file.write_text(text, encoding="utf-8")
    pull_request.must_be_newest()
    return cml.write(
        "the comment",
        program,
        "comment",
        "update",
        f"--target=pr/{pull_request.number}",
        f"--watermark-title={TITLE}",
        "--publish=false",  # else it rewrites the Markdown and uploads what it links
        str(file),
        sha=pull_request.sha,
    )


def our_comment(comments: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the newest comment that carries our mark and that no other person wrote.

    The token of a workflow writes as a bot. Where the token of a person is configured instead, the
    comments of that person are ours too.
    """
    ours, me = None, None
    for comment in comments:
        author = comment["user"] or {}  # of a deleted account nothing is known
        if not OUR_MARK.search(comment["body"]):
            continue
        if author.get("type") != "Bot":
            me = me or owner_of_token()
            if author.get("login") != me:
                continue
        ours = comment
    return ours


def owner_of_token() -> str:
    """Return the login of the person whose token this is, or nothing for that of a workflow."""
    try:
        return str(api("GET", "user")["login"])
    except GitHubError:
        return ""


def watermark(sha: str) -> str:
    """Return what CML puts under a comment."""
    return f'![](https://cml.dev/watermark.png#{sha} "CML watermark {TITLE}")'


def comment_to_update(comments: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the comment that CML would update, whoever wrote it; with none, it adds one."""
    marked = [it for it in comments[:COMMENTS_SEEN] if re.search(WATERMARK, it["body"])]
    return marked[-1] if marked else None


if __name__ == "__main__":
    sys.exit(main())
