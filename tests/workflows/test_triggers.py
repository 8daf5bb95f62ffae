"""Which workflows start: GitHub's filters, case by case from its documentation."""

from typing import Any

import pytest
from triggers import matches, starts


@pytest.mark.parametrize(
    ("patterns", "yes", "no"),
    [
        ("main", ["main"], ["mains", "my/main"]),
        ("*", ["main"], ["feature/x"]),
        ("**", ["main", "feature/x/y"], []),
        ("releases/**", ["releases/10", "releases/beta/2"], ["releases", "old/releases/1"]),
        ("v[12].[0-9]+.[0-9]+", ["v1.10.1", "v2.0.0"], ["v3.0.0", "v1x10.1"]),
        ("*.jsx?", ["page.js", "page.jsx"], ["page.jsxx", "src/page.js"]),
        ("docs/*", ["docs/a.md"], ["docs/b/c.md"]),
        ("**/docs/**", ["docs/hello.md", "dir/docs/a/b.txt"], ["docs", "adocs/x"]),
        ("**/migrate-*.sql", ["migrate-1.sql", "db/migrate-1.sql"], ["db/amigrate-1.sql"]),
        (["*.md", "!README.md"], ["hello.md"], ["README.md", "docs/hello.md"]),
        (["*.md", "!README.md", "README*"], ["README.md", "README.doc"], ["x.doc"]),
    ],
)
def test_patterns(patterns: str | list[str], yes: list[str], no: list[str]) -> None:
    assert [name for name in yes + no if matches(patterns, name)] == yes


MAIN, CHANGE, TAG = "refs/heads/main", "refs/heads/change", "refs/tags/v1"


@pytest.mark.parametrize(
    ("filters", "happened", "started"),
    [
        (None, {"ref": MAIN}, True),
        (None, {"ref": TAG}, True),
        ({"branches": ["main"]}, {"ref": MAIN}, True),
        ({"branches": ["main"]}, {"ref": CHANGE}, False),
        ({"branches": ["main"]}, {"ref": TAG}, False),
        ({"tags": ["v*"]}, {"ref": MAIN}, False),
        ({"tags": ["v*"]}, {"ref": TAG}, True),
        ({"branches-ignore": ["change"]}, {"ref": CHANGE}, False),
        ({"branches-ignore": ["change"]}, {"ref": MAIN}, True),
        ({"paths": ["src/**"]}, {"ref": MAIN, "changed": ("src/a/b.py", "x")}, True),
        ({"paths": ["src/**"]}, {"ref": MAIN, "changed": ("x",)}, False),
        ({"paths-ignore": ["**.md"]}, {"ref": MAIN, "changed": ("a.md", "docs/b.md")}, False),
        ({"paths-ignore": ["**.md"]}, {"ref": MAIN, "changed": ("a.md", "a.py")}, True),
        ({"branches": ["main"], "paths": ["x"]}, {"ref": CHANGE, "changed": ("x",)}, False),
        (None, {"ref": MAIN, "message": "Update dvc.lock [skip ci]"}, False),
    ],
)
def test_filters_of_a_push(
    filters: dict[str, Any] | None, happened: dict[str, Any], started: bool
) -> None:
    assert starts({"push": filters}, "push", **happened) is started


@pytest.mark.parametrize(
    ("filters", "action", "ref", "started"),
    [
        (None, "opened", MAIN, True),
        (None, "synchronize", MAIN, True),
        (None, "closed", MAIN, False),
        (None, "ready_for_review", MAIN, False),
        ({"types": ["closed"]}, "closed", MAIN, True),
        ({"types": ["closed"]}, "opened", MAIN, False),
        ({"branches": ["main"]}, "opened", CHANGE, False),
    ],
)
def test_filters_of_a_pull_request(
    filters: dict[str, Any] | None, action: str, ref: str, started: bool
) -> None:
    assert starts({"pull_request": filters}, "pull_request", action=action, ref=ref) is started


def test_other_events_start_nothing() -> None:
    assert not starts({"push": None}, "pull_request", action="opened", ref=MAIN)
