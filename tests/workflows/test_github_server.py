"""The local GitHub is used by real clients, and held against GitHub's own schema."""

import base64
import gzip
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import recorded
from github_git import resolve
from github_rest import GitHubError
from github_server import ROUTES, FakeGitHub, Recorded
from githubkit import GitHub, Response
from githubkit_schemas.latest import models

NAME = "octo/flights"
WORKFLOW = """
on:
  workflow_dispatch:
    inputs:
      reason: {type: string}
"""


@dataclass
class Desk:
    """A folder with a repository in it, and clients that reach nothing but the local GitHub."""

    github: FakeGitHub
    folder: Path

    def run(self, *command: str, token: str = "ada-token") -> subprocess.CompletedProcess[str]:
        identity = {"NAME": "Ada", "EMAIL": "ada@example.com"}
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "GIT_TERMINAL_PROMPT": "0",
            "GH_TOKEN": token,
            **{f"GIT_{who}_{key}": it for key, it in identity.items() for who in
               ("AUTHOR", "COMMITTER")},
            **self.github.environment,
        }  # fmt: skip
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def git(self, *arguments: str, token: str = "ada-token") -> str:
        """Run git, which must succeed; returns what it prints."""
        done = self.try_git(*arguments, token=token)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def try_git(
        self, *arguments: str, token: str = "ada-token"
    ) -> subprocess.CompletedProcess[str]:
        helper = f"!echo username=x-access-token; echo 'password={token}' #"
        login = ["-c", f"credential.helper={helper}"] if token else []
        return self.run("git", *login, *arguments)

    def commit(self, path: str, text: str) -> str:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)
        self.git("add", path)
        self.git("commit", "--quiet", "-m", f"Change {path}")
        return self.git("rev-parse", "HEAD")

    def push(self, refspec: str, token: str = "ada-token", to: str = NAME) -> str:
        """Push; returns what git said about it."""
        url = f"https://github.com/{to}"
        return self.try_git("push", "--quiet", url, refspec, token=token).stderr

    def remote(self, ref: str) -> str:
        """Return the commit of a branch or ref on GitHub; "" when there is none."""
        return resolve(self.github.path(NAME), ref) or ""

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return self.github.ask(method, f"/repos/{NAME}{path}", body, login="ada")

    def branch(self, name: str, path: str, text: str) -> str:
        """Push a branch with one commit on main."""
        self.git("checkout", "--quiet", "-b", name, "main")
        sha = self.commit(path, text)
        assert not self.push(name)
        return sha


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit, on GitHub and on the desk."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "desk").mkdir()
    with FakeGitHub(folder / "github") as github:
        github.add_repository(NAME)
        github.add_token("ada-token", "ada", write=True)
        desk = Desk(github, folder / "desk")
        desk.git("init", "--quiet", "--initial-branch=main")
        desk.commit("README.md", "one\n")
        assert not desk.push("main")
    return folder


@pytest.fixture
def github(prepared: Path, tmp_path: Path) -> Iterator[FakeGitHub]:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    with FakeGitHub(tmp_path / "github") as github:
        github.add_token("ada-token", "ada", write=True)
        bot = "github-actions[bot]"
        github.add_token("workflow-token", bot, write=True, repository=NAME, is_actions=True)
        github.add_token("reader-token", bot, write=False, repository=NAME, is_actions=True)
        yield github


@pytest.fixture
def desk(github: FakeGitHub, tmp_path: Path) -> Desk:
    return Desk(github, tmp_path / "desk")


def test_git_goes_as_far_as_the_token(desk: Desk, github: FakeGitHub) -> None:
    head = desk.commit("data.csv", "x\n" * 1_000_000)  # large enough for several chunks
    assert "could not read Username" in desk.push("main", token="")
    assert "Authentication failed" in desk.push("main", token="no-token")
    assert f"Permission to {NAME}.git denied to github-actions[bot]" in desk.push(
        "main", token="reader-token"
    )
    assert not desk.push("main", token="workflow-token")
    assert desk.git(
        "ls-remote", f"https://github.com/{NAME}.git", "main", token="reader-token"
    ) == (f"{head}\trefs/heads/main")
    github.add_repository("octo/secret")
    url = "https://github.com/octo/secret"
    assert "Repository not found" in desk.try_git("fetch", url, token="workflow-token").stderr
    assert ("/octo/flights.git", "receive-pack", 403, "github-actions[bot]") in [
        (it.path, it.query, it.status, it.token) for it in github.requests if it.method == "GIT"
    ]


def test_a_workflow_may_not_push_workflows(desk: Desk) -> None:
    before = desk.remote("main")
    desk.commit(".github/workflows/train.yml", WORKFLOW)
    told = (
        "! [remote rejected] main -> main (refusing to allow a GitHub App to create or update "
        "workflow `.github/workflows/train.yml` without `workflows` permission)"
    )
    assert told in desk.push("main", token="workflow-token")
    assert desk.remote("main") == before
    assert not desk.push("main", token="ada-token")
    desk.commit("params.yaml", "seed: 1\n")
    assert not desk.push("main", token="workflow-token")  # the workflow is there already


def test_a_pull_request_follows_its_branches(desk: Desk) -> None:
    head = desk.branch("more", "README.md", "two\n")
    pull = desk.ask("POST", "/pulls", {"head": "more", "base": "main", "title": "More"})
    assert (pull["head"]["sha"], pull["mergeable"], pull["commits"]) == (head, True, 1)
    assert (pull["additions"], pull["deletions"], pull["changed_files"]) == (1, 1, 1)
    desk.git("fetch", "--quiet", f"https://github.com/{NAME}", "refs/pull/1/merge")
    parents = desk.git("log", "-1", "--format=%P", "FETCH_HEAD")
    assert parents == f"{desk.remote('main')} {head}"

    head = desk.commit("README.md", "three\n")
    desk.push("more")
    assert desk.ask("GET", "/pulls/1")["head"]["sha"] == desk.remote("refs/pull/1/head") == head
    desk.git("checkout", "--quiet", "main")
    base = desk.commit("README.md", "four\n")
    desk.push("main")
    pull = desk.ask("GET", "/pulls/1")
    assert (pull["base"]["sha"], pull["mergeable"]) == (base, False)
    assert desk.remote("refs/pull/1/merge") == ""
    with pytest.raises(GitHubError, match="405"):
        desk.github.merge(NAME, 1)
    desk.push(":more")
    assert desk.ask("GET", "/pulls/1")["state"] == "closed"


def test_a_pull_request_is_squashed(desk: Desk) -> None:
    base = desk.remote("main")
    head = desk.branch("more", "a.txt", "a\n")
    desk.ask("POST", "/pulls", {"head": "more", "base": "main", "title": "More"})
    merged = desk.github.merge(NAME, 1)
    desk.git("fetch", "--quiet", f"https://github.com/{NAME}", "main")
    log = desk.git("log", "-1", "--format=%H %P %s", "FETCH_HEAD")
    assert log == f"{merged} {base} More (#1)"
    assert desk.git("show", "FETCH_HEAD:a.txt") == "a"
    pull = desk.ask("GET", "/pulls/1")
    assert (pull["state"], pull["merged"]) == ("closed", True)
    for sha in (head, merged):
        assert [it["number"] for it in desk.ask("GET", f"/commits/{sha}/pulls")] == [1]


def test_a_pull_request_from_a_fork(desk: Desk, github: FakeGitHub) -> None:
    fork = "mallory/flights"
    github.add_repository(fork, fork_of=NAME)
    github.add_token("mallory-token", "mallory", write=True, repository=fork)
    desk.git("checkout", "--quiet", "-b", "gift")
    head = desk.commit("gift.txt", "horse\n")
    assert "denied to mallory" in desk.push("gift", token="mallory-token")
    assert not desk.push("gift", token="mallory-token", to=fork)
    fields = ["-f", "head=mallory:gift", "-f", "base=main", "-f", "title=A gift"]
    opened = desk.run("gh", "api", f"repos/{NAME}/pulls", *fields, token="mallory-token")
    answer = json.loads(opened.stdout)
    assert (answer["head"]["repo"]["full_name"], answer["head"]["repo"]["fork"]) == (fork, True)
    assert (answer["user"]["login"], desk.remote("refs/pull/1/head")) == ("mallory", head)
    head = desk.commit("gift.txt", "no horse\n")
    desk.push("gift", token="mallory-token", to=fork)
    assert desk.remote("refs/pull/1/head") == head


def test_pull_requests_that_github_refuses(desk: Desk) -> None:
    desk.git("branch", "empty")
    desk.push("empty")
    desk.branch("more", "a.txt", "a\n")
    wanted = {"head": "more", "base": "main", "title": "More"}
    desk.ask("POST", "/pulls", wanted)
    for change, error in (
        ({}, "A pull request already exists for octo:more."),
        ({"head": "empty"}, "No commits between main and empty"),
        ({"head": "absent"}, "'field': 'head', 'code': 'invalid'"),
    ):
        with pytest.raises(GitHubError, match=error) as refused:
            desk.ask("POST", "/pulls", wanted | change)
        assert refused.value.status == 422
    assert [it["number"] for it in desk.ask("GET", "/pulls?head=octo:more")] == [1]
    assert desk.ask("GET", "/pulls?head=octo:empty") == []


def test_gh_pages_through_comments(desk: Desk, github: FakeGitHub) -> None:
    desk.ask("POST", "/issues", {"title": "Drift"})
    for number in range(35):
        desk.ask("POST", "/issues/1/comments", {"body": f"comment {number}"})
    path = f"repos/{NAME}/issues/1/comments"
    bodies = ["--jq", ".[].body"]
    assert desk.run("gh", "api", path, *bodies).stdout.split("\n")[29:] == ["comment 29", ""]
    paged = desk.run("gh", "api", f"{path}?per_page=12", "--paginate", *bodies)
    assert paged.stdout.splitlines() == [f"comment {number}" for number in range(35)]
    assert [it.query for it in github.requests if it.path.endswith("/comments")] == [
        "", "per_page=12", "per_page=12&page=2", "per_page=12&page=3"
    ]  # fmt: skip


def test_comments_are_changed_and_deleted_but_never_too_long(desk: Desk) -> None:
    desk.ask("POST", "/issues", {"title": "Drift"})
    number = desk.ask("POST", "/issues/1/comments", {"body": "x" * 65_536})["id"]
    assert desk.ask("PATCH", f"/issues/comments/{number}", {"body": "y"})["body"] == "y"
    with pytest.raises(GitHubError, match=r"422 .*maximum is 65536 characters"):
        desk.ask("PATCH", f"/issues/comments/{number}", {"body": "x" * 65_537})
    assert [it["body"] for it in desk.ask("GET", "/issues/1/comments")] == ["y"]
    desk.ask("DELETE", f"/issues/comments/{number}")
    assert desk.ask("GET", "/issues/1/comments") == []


def test_a_workflow_has_no_more_rights_than_on_github(desk: Desk, github: FakeGitHub) -> None:
    desk.branch("more", "a.txt", "a\n")
    fields = ["-f", "head=more", "-f", "base=main", "-f", "title=More"]
    command = ["gh", "api", f"repos/{NAME}/pulls", *fields]
    said = desk.run(*command, token="reader-token").stderr
    assert said == "gh: Resource not accessible by integration (HTTP 403)\n"
    said = desk.run(*command, token="workflow-token").stderr
    assert "GitHub Actions is not permitted to create or approve pull requests. (HTTP 403)" in said
    assert github.state["repositories"][NAME]["pulls"] == {}
    github.state["repositories"][NAME]["actions_may_open_pull_requests"] = True
    assert json.loads(desk.run(*command, token="workflow-token").stdout)["number"] == 1
    assert "(HTTP 403)" in desk.run("gh", "api", "user", token="workflow-token").stderr
    assert "Bad credentials (HTTP 401)" in desk.run("gh", "api", "user", token="no-token").stderr


def test_a_workflow_is_started_by_hand(desk: Desk, github: FakeGitHub) -> None:
    desk.commit(".github/workflows/train.yml", WORKFLOW)
    desk.commit(".github/workflows/ci.yml", "on: push\n")
    desk.push("main")
    path = "/actions/workflows/{}/dispatches"
    desk.ask("POST", path.format("train.yml"), {"ref": "main", "inputs": {"reason": "drift"}})
    (dispatched,) = github.state["repositories"][NAME]["dispatches"]
    assert (dispatched["workflow"], dispatched["ref"], dispatched["user"]) == (
        "train.yml",
        "main",
        "ada",
    )
    assert dispatched["inputs"] == {"reason": "drift"}
    runs = desk.ask("GET", f"/actions/workflows/train.yml/runs?head_sha={dispatched['sha']}")
    assert runs["total_count"] == 1
    for other in ("train.yml/runs?head_sha=0", "train.yml/runs?event=push", "ci.yml/runs"):
        assert desk.ask("GET", f"/actions/workflows/{other}")["total_count"] == 0
    for file, body, error in (
        ("train.yml", {"ref": "main", "inputs": {"raeson": ""}}, r"Unexpected inputs .*raeson"),
        ("train.yml", {"ref": "absent"}, "No ref found for: absent"),
        ("ci.yml", {"ref": "main"}, "does not have 'workflow_dispatch' trigger"),
        ("absent.yml", {"ref": "main"}, "404"),
    ):
        with pytest.raises(GitHubError, match=error):
            desk.ask("POST", path.format(file), body)


def test_gh_makes_a_draft_of_a_pull_request(desk: Desk, github: FakeGitHub) -> None:
    desk.branch("more", "more.txt", "more")
    desk.ask("POST", "/pulls", {"title": "More", "head": "more", "base": "main"})
    pull = github.state["repositories"][NAME]["pulls"]["1"]
    ready = ("gh", "pr", "ready", "1", "--repo", NAME)
    desk.run(*ready, "--undo")
    assert pull["draft"] is True
    desk.run(*ready)
    assert pull["draft"] is False
    github.add_token("reader", "mallory", write=False)
    for token, number, words in (
        ("reader", "1", "Resource not accessible by integration"),
        ("ada-token", "2", "Could not resolve to a PullRequest with the number of 2."),
    ):
        done = desk.run("gh", "pr", "ready", number, "--undo", "--repo", NAME, token=token)
        assert words in done.stderr
    assert pull["draft"] is False
    wrong = github.ask("POST", "/graphql", {"query": "{ viewer { login } }"}, login="ada")
    assert wrong["errors"][0]["message"] == "Cannot query field 'viewer' on type 'Query'."


def test_gh_downloads_a_release(desk: Desk, github: FakeGitHub, tmp_path: Path) -> None:
    (tmp_path / "cml").write_bytes(b"\x7fELF")
    github.add_repository("iterative/cml", private=False)
    releases = github.state["repositories"]["iterative/cml"]["releases"]
    releases["v0.20.6"] = {"cml-linux-x64": str(tmp_path / "cml"), "cml-macos-x64": "other"}
    (tmp_path / "github" / "other").touch()
    command = "gh release download v0.20.6 --repo iterative/cml --pattern cml-linux-x64"
    done = desk.run(*command.split(), token="workflow-token")
    assert done.returncode == 0, done.stderr
    assert (desk.folder / "cml-linux-x64").read_bytes() == b"\x7fELF"
    assert not (desk.folder / "cml-macos-x64").exists()


def test_failures_are_answered_as_ordered(desk: Desk, github: FakeGitHub) -> None:
    github.fail("GET", "/issues$", 503, user_agent="GitHub CLI", times=1)
    github.fail("GIT", r"flights\.git\?receive-pack", 500)
    command = ["gh", "api", f"repos/{NAME}/issues"]
    assert "Server Error (HTTP 503)" in desk.run(*command).stderr
    assert desk.run(*command).stdout == "[]"
    assert "The requested URL returned error: 500" in desk.push("main")
    assert desk.remote("main") == desk.git("rev-parse", "main")


def test_nothing_else_is_reached(github: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in github.environment.items():
        monkeypatch.setenv(name, value)
    opener = urllib.request.build_opener()
    with pytest.raises(OSError, match="502"):
        opener.open("https://example.com/telemetry")
    with pytest.raises(urllib.error.HTTPError, match="502"):
        opener.open("http://example.com:8080/")
    assert github.refused == ["example.com:443", "example.com:8080"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        opener.open("https://github.com/octo")
    with opener.open("https://api.github.com/users/ada") as answer:
        assert json.load(answer)["login"] == "ada"


def test_bodies_may_be_compressed_and_in_chunks(desk: Desk, github: FakeGitHub) -> None:
    desk.ask("POST", "/issues", {"title": "Drift"})
    body = gzip.compress(json.dumps({"body": "packed"}).encode())
    answer = _connect(github, f"/repos/{NAME}/issues/1/comments", iter([body[:9], body[9:]]))
    assert answer.getresponse().status == 201
    assert github.requests[-1].body == {"body": "packed"}


def test_closing_leaves_no_thread_though_clients_stay(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with FakeGitHub(tmp_path) as github:
        github.add_token("ada-token", "ada", write=True)
        client = _connect(github, "/user")
        assert client.getresponse().read()
        threads = set(threading.enumerate()) - before
        assert len(threads) == 2  # the server, and the connection that is kept
    assert not any(thread.is_alive() for thread in threads)


def test_a_folder_may_be_copied_and_opened_again(desk: Desk, github: FakeGitHub) -> None:
    desk.branch("more", "a.txt", "a\n")
    desk.ask("POST", "/pulls", {"head": "more", "base": "main", "title": "More"})
    github.save()
    copied = desk.folder.parent / "copy"
    shutil.copytree(github.folder, copied)
    with FakeGitHub(copied) as copy:
        copy.add_token("ada-token", "ada", write=True)
        other = Desk(copy, desk.folder)
        head = other.commit("a.txt", "b\n")
        other.push("more")
        assert other.ask("GET", "/pulls/1")["head"]["sha"] == head
        assert "ada-token" not in (copied / "state.json").read_text()
    assert desk.ask("GET", "/pulls/1")["head"]["sha"] != head


def test_the_answers_are_those_of_github(
    desk: Desk, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is parsed by githubkit with the model that GitHub's schema has for the route."""
    for name, value in github.environment.items():
        monkeypatch.setenv(name, value)
    desk.commit(".github/workflows/train.yml", WORKFLOW)
    desk.push("main")
    head = desk.branch("more", "a.txt", "a\n")
    releases = github.state["repositories"][NAME]["releases"]
    releases["v1"] = {"state": str(github.folder / "state.json")}
    github.save()
    of, main = ("octo", "flights"), desk.remote("main")
    client = GitHub("ada-token", http_cache=False, auto_retry=False)
    rest = client.rest

    def read(response: Response[Any, Any]) -> Any:
        parsed = response.parsed_data
        assert list(recorded.unknown_fields(parsed, response.json())) == [], response.url
        return parsed

    assert read(rest.users.get_authenticated()).login == "ada"
    assert read(rest.users.get_by_username("octo")).login == "octo"
    assert read(rest.repos.get(*of)).private
    assert read(rest.repos.update(*of, description="New")).description == "New"
    assert read(rest.git.get_ref(*of, "heads/more")).object_.sha == head
    matching = read(rest.git.list_matching_refs(*of, "heads/m"))
    assert [it.ref for it in matching] == ["refs/heads/main", "refs/heads/more"]
    assert read(rest.repos.get_branch(*of, "main")).commit.sha == main
    told = read(rest.repos.get_content(*of, "a.txt", ref="more"))
    assert isinstance(told, models.ContentFile)
    assert base64.b64decode(told.content) == b"a\n"
    assert read(rest.repos.get_commit(*of, "more")).parents[0].sha == main
    assert [it.sha for it in read(rest.repos.list_commits(*of, path="a.txt", sha="more"))] == [head]
    compared = read(rest.repos.compare_commits(*of, "main...more"))
    assert (compared.status, compared.ahead_by, compared.behind_by) == ("ahead", 1, 0)

    pull = read(rest.pulls.create(*of, head="more", base="main", title="More", draft=True))
    assert (pull.draft, pull.head.sha, pull.base.sha, pull.mergeable) == (True, head, main, True)
    assert read(rest.pulls.list(*of, head="octo:more"))[0].head.label == "octo:more"
    assert read(rest.pulls.update(*of, 1, title="Much more")).title == "Much more"
    assert read(rest.pulls.get(*of, 1)).title == "Much more"
    found = read(rest.repos.list_pull_requests_associated_with_commit(*of, head))
    assert [it.number for it in found] == [1]

    issue = read(rest.issues.create(*of, title="Drift", labels=["drift"]))
    assert (issue.number, issue.labels[0].name) == (2, "drift")
    assert [it.number for it in read(rest.issues.list_for_repo(*of))] == [2, 1]
    assert read(rest.issues.get(*of, 1)).pull_request is not None
    assert read(rest.issues.update(*of, 2, state="closed")).closed_at is not None
    names = [it.name for it in read(rest.issues.add_labels(*of, 2, labels=["retrain"]))]
    assert names == ["drift", "retrain"]
    assert len(read(rest.issues.list_labels_on_issue(*of, 2))) == 2
    comment = read(rest.issues.create_comment(*of, 1, body="one"))
    assert read(rest.issues.update_comment(*of, comment.id, body="two")).body == "two"
    assert read(rest.issues.get_comment(*of, comment.id)).user.login == "ada"
    assert [it.body for it in read(rest.issues.list_comments(*of, 1))] == ["two"]
    assert rest.issues.delete_comment(*of, comment.id).status_code == 204

    output = {"title": "Passed", "summary": "better"}
    check: Any = {"name": "model gate", "head_sha": head, "conclusion": "success", "output": output}
    assert read(rest.checks.create(*of, data=check)).conclusion == "success"
    for kept in ("1/artifacts/holdout-1", "1/artifacts/model", "2/artifacts/holdout-1"):
        (github.folder / "runs" / kept).mkdir(parents=True)
    found = read(rest.actions.list_artifacts_for_repo(*of, name="holdout-1", per_page=1))
    assert (found.total_count, [it.name for it in found.artifacts]) == (2, ["holdout-1"])
    (github.folder / "runs/1/artifacts/model/a.txt").write_text("a")
    assert rest.actions.download_artifact(*of, 3, "zip").status_code == 200
    github.state["repositories"][NAME]["approvals"] = {"production": "ada"}
    (review,) = read(rest.actions.get_reviews_for_run(*of, 1))
    assert (review.environments[0].name, review.state, review.user.login) == (
        *("production", "approved", "ada"),
    )
    workflow = rest.actions.create_workflow_dispatch(*of, "train.yml", ref="main")
    assert workflow.status_code == 204
    (run,) = read(rest.actions.list_workflow_runs(*of, "train.yml", head_sha=main)).workflow_runs
    assert (run.head_sha, run.event) == (main, "workflow_dispatch")
    assert read(rest.actions.get_workflow(*of, "train.yml")).state == "active"
    deployed = rest.repos.create_deployment(*of, ref="main", environment="staging")
    deployment = read(deployed).id
    statuses = rest.repos.create_deployment_status(*of, deployment, state="success")
    assert read(statuses).state == "success"
    assert read(rest.repos.list_deployments(*of))[0].sha == main
    assert len(read(rest.repos.list_deployment_statuses(*of, deployment))) == 1
    noted = github.folder / "recorded" / "attest.jsonl"
    noted.parent.mkdir()
    claims = {"repository": NAME, "workflow": ".github/workflows/deploy.yml", "ref": "r"}
    line = {"name": NAME, "digest": f"sha256:{head}", "kind": "k", "claims": claims}
    noted.write_text(json.dumps(line) + "\n")
    # With the bundle in it, as in the version of the API that gh asks for.
    (attested,) = rest.repos.list_attestations(*of, f"sha256:{head}").json()["attestations"]
    assert attested.keys() == {"bundle", "initiator", "repository_id"}
    asset = read(rest.repos.get_release_by_tag(*of, "v1")).assets[0]
    assert read(rest.repos.get_release_asset(*of, asset.id)).name == "state"
    rule: Any = {"name": "main", "enforcement": "active", "target": "branch", "rules": []}
    made = read(rest.repos.create_repo_ruleset(*of, data=rule))
    assert read(rest.repos.update_repo_ruleset(*of, made.id, data=rule)).name == "main"
    listed = read(rest.repos.get_repo_rulesets(*of))
    assert [it.source_type for it in listed] == ["Organization", "Repository"]
    policy: Any = {"protected_branches": False, "custom_branch_policies": True}
    only: Any = {"deployment_branch_policy": policy}
    changed = rest.repos.create_or_update_environment(*of, "staging", data=only)
    assert read(changed).name == "staging"
    added = rest.repos.create_deployment_branch_policy(*of, "staging", name="main")
    assert read(added).name == "main"
    assert read(rest.repos.get_all_environments(*of)).total_count == 1
    assert read(rest.repos.get_repo_ruleset(*of, made.id)).enforcement == "active"
    github.state["repositories"][NAME] |= {
        "codeowners_errors": [],
        "secrets": {"KEY": ""},
        "variables": {"ATTEST": "true"},
    }
    assert read(rest.repos.codeowners_errors(*of)).errors == []
    rights = read(rest.actions.get_github_actions_default_workflow_permissions_repository(*of))
    assert rights.default_workflow_permissions == "read"
    assert read(rest.actions.list_repo_secrets(*of)).secrets[0].name == "KEY"
    assert read(rest.actions.list_repo_organization_secrets(*of)).total_count == 0
    assert read(rest.actions.list_repo_variables(*of)).variables[0].value == "true"
    assert read(rest.actions.list_repo_organization_variables(*of)).total_count == 0
    assert read(rest.actions.get_repo_variable(*of, "ATTEST")).value == "true"
    assert rest.git.delete_ref(*of, "heads/more").status_code == 204

    recorded.check(github.requests)
    untried = {(it.method, it.template) for it in ROUTES} - {
        (it.method, it.route) for it in github.requests
    }
    assert untried == {("POST", "/graphql")}


@pytest.mark.parametrize(
    ("route", "body", "problem"),
    [
        ("pulls", {"title": "t", "head": "h", "base": "b"}, ""),
        ("pulls", {"title": "t", "head": "h", "base": "b", "drafts": True}, "drafts: GitHub has"),
        ("pulls", {"title": "t", "head": "h", "base": "b", "draft": "true"}, "valid boolean"),
        ("pulls", {"title": "t", "head": "h"}, "base: Field required"),
        ("check-runs", {"name": "n", "head_sha": "s", "conclusion": "success",
         "output": {"title": "t", "summary": "s"}}, ""),
        ("check-runs", {"name": "n", "head_sha": "s", "output": {"title": "t", "summary": "s",
         "body": "b"}}, "output.body: GitHub has"),
        ("actions/workflows/{workflow_id}/dispatches", {"ref": "m", "inputs": {"any": "x"}}, ""),
        ("issues/{issue_number}/shouts", {"body": "b"}, "githubkit has no model of its body"),
        (None, {"body": "b"}, "there is no such path"),
    ],
)  # fmt: skip
def test_requests_are_held_against_the_schema(
    route: str | None, body: dict[str, Any], problem: str
) -> None:
    template = f"/repos/{{owner}}/{{repo}}/{route}" if route else ""
    request = Recorded("POST", "api.github.com", "/path", "", body, 201, "ada", "", template)
    if problem:
        with pytest.raises(AssertionError, match=f"^POST /path: .*{problem}"):
            recorded.check([request])
    else:
        recorded.check([request])


def _connect(
    github: FakeGitHub, path: str, chunks: Iterator[bytes] | None = None
) -> http.client.HTTPSConnection:
    """Ask as ada, and keep the connection."""
    address = github.environment["HTTPS_PROXY"].rpartition(":")
    context = ssl.create_default_context(cafile=github.environment["SSL_CERT_FILE"])
    client = http.client.HTTPSConnection("127.0.0.1", int(address[2]), context=context)
    client.set_tunnel("api.github.com", 443)
    headers = {"Authorization": "Bearer ada-token"}
    if chunks:
        client.request("POST", path, chunks, headers | {"Content-Encoding": "gzip"})
    else:
        client.request("GET", path, headers=headers)
    return client
