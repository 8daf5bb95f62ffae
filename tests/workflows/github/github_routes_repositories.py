"""GitHub's routes to people, repositories, and what git has in them."""

import base64
from pathlib import Path
from typing import Any

import github_answers as answers
import github_pulls
from commit_files import files_at
from github_git import git, merge_base, resolve
from github_rest import API, Call, GitHubError, Reply, Routes

routes = Routes()


@routes.serve("GET", "/user")
def own_profile(call: Call) -> Reply:
    if not call.token.login:
        raise GitHubError(401)
    if call.token.is_actions:  # it is nobody's
        raise GitHubError(403)
    return Reply(200, answers.profile(call.github, call.token.login))


@routes.serve("GET", "/users/{username}")
def profile(call: Call) -> Reply:
    if call.parameters["username"] not in call.github.state["users"]:
        raise GitHubError(404)
    return Reply(200, answers.profile(call.github, call.parameters["username"]))


@routes.serve("GET", "/repos/{owner}/{repo}")
def repository(call: Call) -> Reply:
    counts = {"subscribers_count": 0, "network_count": 0}  # which parts of other answers lack
    return Reply(200, answers.repository(call.github, call.name) | counts)


@routes.serve("PATCH", "/repos/{owner}/{repo}")
def change_repository(call: Call) -> Reply:
    changes = {"default_branch", "description", "private"} & set(call.body)
    call.known.update({name: call.body[name] for name in changes})
    git(call.git, "symbolic-ref", "HEAD", f"refs/heads/{call.known['default_branch']}")
    return repository(call)


@routes.serve("GET", "/repos/{owner}/{repo}/git/ref/{ref}")
def ref(call: Call) -> Reply:
    name = f"refs/{call.parameters['ref']}"
    sha = resolve(call.git, name)
    if sha is None:
        raise GitHubError(404)
    return Reply(200, _ref(call, name, sha))


@routes.serve("GET", "/repos/{owner}/{repo}/git/matching-refs/{ref}")
def matching_refs(call: Call) -> Reply:
    start = f"refs/{call.parameters['ref']}"
    lines = git(call.git, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return call.page([_ref(call, *line.split()) for line in lines if line.startswith(start)])


@routes.serve("DELETE", "/repos/{owner}/{repo}/git/refs/{ref}")
def delete_ref(call: Call) -> Reply:
    name = f"refs/{call.parameters['ref']}"
    if resolve(call.git, name) is None:
        raise GitHubError(422, "Reference does not exist")
    git(call.git, "update-ref", "-d", name)
    github_pulls.update(call.github, call.name)
    return Reply(204)


@routes.serve("GET", "/repos/{owner}/{repo}/branches/{branch}")
def branch(call: Call) -> Reply:
    name = call.parameters["branch"]
    sha = resolve(call.git, f"refs/heads/{name}")
    if sha is None:
        raise GitHubError(404, "Branch not found")
    url = f"{API}/repos/{call.name}/branches/{name}"
    content = {
        "name": name,
        "commit": _commit(call.git, call.name, sha),
        "_links": {"self": url, "html": f"{answers.SITE}/{call.name}/tree/{name}"},
        "protected": False,
        "protection": {"enabled": False},
        "protection_url": f"{url}/protection",
    }
    return Reply(200, content)


@routes.serve("GET", "/repos/{owner}/{repo}/contents/{path}")
def content(call: Call) -> Reply:
    path, ref = call.parameters["path"], call.query("ref", call.known["default_branch"])
    commit = resolve(call.git, ref)
    found = files_at(call.git, commit, path) if commit else {}
    if path not in found:
        raise GitHubError(404, "Not Found" if commit else f"No commit found for the ref {ref}")
    url = f"{API}/repos/{call.name}/contents/{path}?ref={ref}"
    sha = git(call.git, "rev-parse", f"{commit}:{path}")
    page = f"{answers.SITE}/{call.name}/blob/{ref}/{path}"
    git_url = f"{API}/repos/{call.name}/git/blobs/{sha}"
    answer = {
        "type": "file",
        "encoding": "base64",
        "size": len(found[path]),
        "name": Path(path).name,
        "path": path,
        "content": base64.encodebytes(found[path]).decode(),
        "sha": sha,
        "url": url,
        "git_url": git_url,
        "html_url": page,
        "download_url": f"https://raw.githubusercontent.com/{call.name}/{ref}/{path}",
        "_links": {"self": url, "git": git_url, "html": page},
    }
    return Reply(200, answer)


@routes.serve("GET", "/repos/{owner}/{repo}/commits")
def commits(call: Call) -> Reply:
    start = call.commit(call.query("sha", call.known["default_branch"]))
    found = git(call.git, "rev-list", start, "--", call.query("path", ".")).split()
    return call.page([_commit(call.git, call.name, sha) for sha in found])


@routes.serve("GET", "/repos/{owner}/{repo}/commits/{commit_sha}/pulls")
def pulls_of_commit(call: Call) -> Reply:
    sha = call.commit(call.parameters["commit_sha"])
    found = []
    for pull in call.known["pulls"].values():
        between = f"{pull['base']['sha']}..{pull['head']['sha']}"
        if pull["merge_commit_sha"] == sha or sha in git(call.git, "rev-list", between).split():
            found.append(answers.pull(call.github, call.name, pull["number"]))
    return call.page(found)


@routes.serve("GET", "/repos/{owner}/{repo}/commits/{ref}")
def commit(call: Call) -> Reply:
    return Reply(200, _commit(call.git, call.name, call.commit(call.parameters["ref"])))


@routes.serve("GET", "/repos/{owner}/{repo}/compare/{basehead}")
def compare(call: Call) -> Reply:
    base, head = map(call.commit, call.parameters["basehead"].split("..."))
    common = merge_base(call.git, base, head)
    if common is None:
        raise GitHubError(404, f"No common ancestor between {base} and {head}.")
    ahead = git(call.git, "rev-list", "--reverse", f"{base}..{head}").split()
    behind = git(call.git, "rev-list", f"{head}..{base}").split()
    status = {
        (False, False): "identical",
        (True, False): "ahead",
        (False, True): "behind",
        (True, True): "diverged",
    }
    page = f"{answers.SITE}/{call.name}/compare/{base}...{head}"
    content = {
        "url": f"{API}{call.path}",
        "html_url": page,
        "permalink_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "base_commit": _commit(call.git, call.name, base),
        "merge_base_commit": _commit(call.git, call.name, common),
        "status": status[bool(ahead), bool(behind)],
        "ahead_by": len(ahead),
        "behind_by": len(behind),
        "total_commits": len(ahead),
        "commits": [_commit(call.git, call.name, sha) for sha in ahead],
    }
    return Reply(200, content)


def _ref(call: Call, name: str, sha: str) -> dict[str, Any]:
    url = f"{API}/repos/{call.name}/git"
    return {
        "ref": name,
        "node_id": f"REF_{name}",
        "url": f"{url}/{name}",
        "object": {"sha": sha, "type": "commit", "url": f"{url}/commits/{sha}"},
    }


def _commit(path: Path, name: str, sha: str) -> dict[str, Any]:
    """Return a commit of a repository; its people are those of git, not users."""
    form = "%T%n%P%n%an%n%ae%n%aI%n%cn%n%ce%n%cI%n%B"
    shown = git(path, "show", "--no-patch", f"--format={form}", sha).split("\n", 8)
    tree, parents, author, author_mail, written, committer, mail, committed, message = shown
    url, page = f"{API}/repos/{name}/commits", f"{answers.SITE}/{name}/commit"
    return {
        "url": f"{url}/{sha}",
        "sha": sha,
        "node_id": f"C_{sha}",
        "html_url": f"{page}/{sha}",
        "comments_url": f"{url}/{sha}/comments",
        "commit": {
            "url": f"{API}/repos/{name}/git/commits/{sha}",
            "author": {"name": author, "email": author_mail, "date": written},
            "committer": {"name": committer, "email": mail, "date": committed},
            "message": message.rstrip("\n"),
            "comment_count": 0,
            "tree": {"sha": tree, "url": f"{API}/repos/{name}/git/trees/{tree}"},
        },
        "author": None,
        "committer": None,
        "parents": [
            {"sha": it, "url": f"{url}/{it}", "html_url": f"{page}/{it}"} for it in parents.split()
        ],
    }
