"""The record of promotions: who, and nothing lost to a torn line."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from github_server import FakeGitHub
from toy_project import NAME, ToyProject, refused

from mlops.project import files
from mlops.registry import audit, card, promotion, tracking, versions


def test_an_audit_line_that_was_cut_short_swallows_nothing(project: ToyProject) -> None:
    path = files.STORE / "audit.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "torn", "tim')
    audit.append({"id": "next", "model": NAME})
    audit.append({"id": "next", "model": NAME})
    assert [line["id"] for line in audit.read()][1:] == ["next"]
    assert path.read_bytes().startswith(whole)


def test_who_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "octocat")
    assert audit.who() == "octocat"
    monkeypatch.delenv("GITHUB_ACTOR")
    (tmp_path / "config").write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    assert audit.who() == "Ada <ada@example.org>"
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("LOGNAME", "ada")
    assert audit.who() == "ada"


def test_who_approved_the_environment_is_on_record_and_not_who_merged(
    project: ToyProject, github: FakeGitHub
) -> None:
    client, known = tracking.connect(), github.state["repositories"]["octo/flights"]
    for login in ("ada", "mallory"):
        github.add_user(login)
    known["approvals"] = {"staging": "mallory", "production": "ada"}
    promotion.promote(client, project.params, 2)
    line = project.audit()[-1]
    assert (line["who"], line["approved_by"]) == ("octocat", "ada")
    assert versions.lineage(client, project.params, 2)["approved_by"] == "ada"
    assert "; ada approved it on 20" in card.render(card.collect(client, project.params, 2))
    (request,) = [it for it in github.requests if it.path.endswith("/approvals")]
    assert request.path == "/repos/octo/flights/actions/runs/7/approvals"


def test_where_nobody_had_to_approve_it_nobody_did(project: ToyProject, github: FakeGitHub) -> None:
    client = tracking.connect()
    promotion.promote(client, project.params, 2)
    line = project.audit()[-1]
    assert (line["who"], line["approved_by"]) == ("octocat", None)
    assert versions.lineage(client, project.params, 2)["approved_by"] is None
    told = card.render(card.collect(client, project.params, 2))
    assert "; octocat merged it, nobody had to approve it, on 20" in told
    promotion.rollback(client, project.params)


def test_nothing_is_promoted_where_github_does_not_say_who_approved(
    project: ToyProject, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GH_TOKEN", "wrong")
    sentence = refused(lambda: promotion.promote(tracking.connect(), project.params, 2))
    assert sentence.startswith("GitHub does not say who approved this run (gh: ")
    assert "the job needs `actions: read`" in sentence
    assert project.aliases() == {"champion": 1, "challenger": 2}


RECORD = Path(".store/audit.jsonl")


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four promotions on record; returns the summary of the workflow that wrote them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    for number in range(4):
        audit.append({"id": str(number), "model": NAME, "to": number})
    return tmp_path / "summary.md"


def alter(change: Callable[[list[bytes]], list[bytes]]) -> None:
    RECORD.write_bytes(b"".join(change(RECORD.read_bytes().splitlines(keepends=True))))


def newest() -> str:
    return hashlib.sha256(RECORD.read_bytes().splitlines()[-1]).hexdigest()


def test_each_line_of_the_record_holds_the_hash_of_the_one_before(summary: Path) -> None:
    first, *_, third, fourth = RECORD.read_bytes().splitlines()
    assert json.loads(first)["sha256_before"] is None
    assert json.loads(fourth)["sha256_before"] == hashlib.sha256(third).hexdigest()
    said = (
        f".store/audit.jsonl: 4 lines, each follows from the one before; the newest has {newest()}"
    )
    assert audit.verify().replace("the SHA-256 ", "") == said
    told = "Line 4 of the audit record is its newest. To check the record up to it: "
    last = summary.read_text().splitlines()[-2]
    assert last == f"{told}`mlops lineage --verify --known {newest()}`"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda it: [it[0], it[1].replace(b'"to": 1', b'"to": 7'), *it[2:]], 3),
        (lambda it: [it[0], *it[2:]], 2),
        (lambda it: [it[0], it[2], it[1], it[3]], 2),
        (lambda it: it[1:], 1),
        (lambda it: [*it, b'{"id": "slipped in"}\n'], 5),
    ],
    ids=["changed", "removed", "swapped", "cut at the start", "slipped in"],
)
def test_a_record_that_was_changed_is_found(
    summary: Path, change: Callable[[list[bytes]], list[bytes]], line: int
) -> None:
    alter(change)
    sentence = refused(audit.verify)
    assert f"audit.jsonl: line {line} does not follow from the one before it" in sentence


@pytest.mark.parametrize("anew", [False, True], ids=["cut at the end", "written anew"])
def test_a_record_that_lacks_a_line_known_elsewhere_is_found(summary: Path, anew: bool) -> None:
    """What the lines say of each other cannot tell: only a hash from outside can."""
    known = newest()
    assert audit.verify(known)
    if anew:
        RECORD.unlink()
        for number in range(4):
            audit.append({"id": str(number), "model": NAME, "to": 9})
    else:
        alter(lambda it: it[:-1])
    audit.verify()
    assert f"lines has the SHA-256 {known}: lines were cut off" in refused(
        lambda: audit.verify(known)
    )
    audit.append({"id": "later", "model": NAME})
    assert "were cut off or written anew" in refused(lambda: audit.verify(known))


def test_the_hashes_of_an_older_record_begin_with_its_next_line(summary: Path) -> None:
    RECORD.write_bytes(b'{"id": "a"}\n{"id": "b"}\n')
    assert "from line 3 on; lines 1 to 2 are older than the hashes" in audit.verify()
    audit.append({"id": "c"})
    audit.append({"id": "d"})
    assert "from line 3 on; lines 1 to 2 are older than the hashes" in audit.verify()
    alter(lambda it: [it[0], it[1].replace(b"b", b"B"), *it[2:]])
    assert "line 3 does not follow" in refused(audit.verify)


def test_a_line_that_was_cut_short_is_no_change(summary: Path) -> None:
    with RECORD.open("ab") as file:
        file.write(b'{"id": "torn", "tim')
    audit.append({"id": "next"})
    assert "5 lines, each follows" in audit.verify()
