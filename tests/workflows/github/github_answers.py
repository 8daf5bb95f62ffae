"""What GitHub's API answers: the shapes of its JSON, made from the state and the repositories."""

from typing import Any

from github_git import git
from github_rest import API
from github_state import GitHubState

SITE = "https://github.com"
USER_LINKS = (
    "followers following gists starred subscriptions organizations repos events received_events"
)
REPOSITORY_LINKS = (
    "archive assignees blobs branches collaborators comments commits compare contents contributors "
    "deployments downloads events forks git_commits git_refs git_tags hooks issue_comment "
    "issue_events issues keys labels languages merges milestones notifications pulls releases "
    "stargazers statuses subscribers subscription tags teams trees"
)


def user(github: GitHubState, login: str) -> dict[str, Any]:
    known = github.state["users"][login]
    url = f"{API}/users/{login}"
    return {
        "login": login,
        "id": known["id"],
        "node_id": f"U_{known['id']}",
        "avatar_url": f"https://avatars.githubusercontent.com/u/{known['id']}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{SITE}/{login}",
        **_links(url, USER_LINKS),
        "type": known["type"],
        "site_admin": False,
    }


def profile(github: GitHubState, login: str) -> dict[str, Any]:
    created = github.state["users"][login]["created_at"]
    unsaid = ("name", "company", "blog", "location", "email", "hireable", "bio")
    counts = ("public_repos", "public_gists", "followers", "following")
    return (
        user(github, login)
        | dict.fromkeys(unsaid)
        | dict.fromkeys(counts, 0)
        | {"created_at": created, "updated_at": created}
    )


def repository(github: GitHubState, name: str) -> dict[str, Any]:
    known = github.state["repositories"][name]
    owner, _, short = name.partition("/")
    url, page = f"{API}/repos/{name}", f"{SITE}/{name}"
    unsaid = ("mirror_url", "homepage", "language", "license")
    counts = "forks_count stargazers_count watchers_count size open_issues_count forks open_issues"
    no = "has_projects has_wiki has_pages has_discussions archived disabled"
    return {
        "id": known["id"],
        "node_id": f"R_{known['id']}",
        "name": short,
        "full_name": name,
        "owner": user(github, owner),
        "private": known["private"],
        "html_url": page,
        "description": known["description"],
        "fork": known["fork_of"] is not None,
        "url": url,
        **_links(url, REPOSITORY_LINKS),
        "git_url": f"git://github.com/{name}.git",
        "ssh_url": f"git@github.com:{name}.git",
        "clone_url": f"{page}.git",
        "svn_url": page,
        **dict.fromkeys(unsaid),
        **dict.fromkeys([*counts.split(), "watchers"], 0),
        **dict.fromkeys(no.split(), False),
        "has_issues": True,
        "default_branch": known["default_branch"],
        **dict.fromkeys(("pushed_at", "created_at", "updated_at"), known["created_at"]),
    }


def label(github: GitHubState, name: str, text: str) -> dict[str, Any]:
    """Return a label, which comes into being with its first use, as on GitHub."""
    labels = github.state["repositories"][name]["labels"]
    if text not in labels:
        labels[text] = {"id": github.new_id(), "color": "ededed", "description": None}
    return {
        "node_id": f"LA_{labels[text]['id']}",
        "url": f"{API}/repos/{name}/labels/{text}",
        "name": text,
        "default": False,
        "archived_by": None,
        **labels[text],
    }


def issue(github: GitHubState, name: str, number: int) -> dict[str, Any]:
    """Return an issue; every pull request is one, too."""
    known = github.state["repositories"][name]
    pull = known["pulls"].get(str(number))
    found = pull or known["issues"][str(number)]
    url = f"{API}/repos/{name}/issues/{number}"
    page = f"{SITE}/{name}/{'pull' if pull else 'issues'}/{number}"
    answer = {
        "id": found["id"],
        "node_id": f"I_{found['id']}",
        "url": url,
        "repository_url": f"{API}/repos/{name}",
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "html_url": page,
        **{key: found[key] for key in ("number", "state", "title", "body")},
        "user": user(github, found["user"]),
        "labels": [label(github, name, text) for text in found["labels"]],
        "milestone": None,
        "locked": False,
        "assignees": [],
        "author_association": "OWNER" if name.startswith(found["user"] + "/") else "CONTRIBUTOR",
        "comments": sum(it["issue"] == number for it in known["comments"].values()),
        **{key: found[key] for key in ("created_at", "updated_at", "closed_at")},
    }
    if pull:
        answer["pull_request"] = {
            "url": f"{API}/repos/{name}/pulls/{number}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "merged_at": pull["merged_at"],
        }
    return answer


def pull(github: GitHubState, name: str, number: int) -> dict[str, Any]:
    """Return a pull request as in a list of them."""
    known = github.state["repositories"][name]["pulls"][str(number)]
    url, repository_url = f"{API}/repos/{name}/pulls/{number}", f"{API}/repos/{name}"
    of_issue = issue(github, name, number)
    page = of_issue["html_url"]
    links = {
        "self": url,
        "html": page,
        "issue": of_issue["url"],
        "comments": of_issue["comments_url"],
        "review_comments": f"{url}/comments",
        "review_comment": f"{repository_url}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{repository_url}/statuses/{known['head']['sha']}",
    }
    shared = (
        "number state title body user labels milestone locked assignees author_association "
        "created_at updated_at closed_at"
    )
    return {
        "url": url,
        "id": known["id"],
        "node_id": f"PR_{known['id']}",
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        **{f"{key}_url": to for key, to in links.items() if key not in ("self", "html")},
        **{key: of_issue[key] for key in shared.split()},
        "requested_reviewers": [],
        "requested_teams": [],
        "head": _side(github, known["head"]),
        "base": _side(github, known["base"]),
        "_links": {key: {"href": to} for key, to in links.items()},
        "auto_merge": None,
        "draft": known["draft"],
        "merged_at": known["merged_at"],
    }


def full_pull(github: GitHubState, name: str, number: int) -> dict[str, Any]:
    """Return a pull request as when it is asked for by number."""
    known = github.state["repositories"][name]["pulls"][str(number)]
    path = github.path(name)
    between = f"{known['base']['sha']}...{known['head']['sha']}"
    changes = [line.split("\t") for line in git(path, "diff", "--numstat", between).splitlines()]
    merged_by = known["merged_by"]
    return pull(github, name, number) | {
        "merged": merged_by is not None,
        "mergeable": known["mergeable"],
        "mergeable_state": "clean" if known["mergeable"] else "dirty",
        "rebaseable": known["mergeable"],
        "merged_by": merged_by and user(github, merged_by),
        "comments": issue(github, name, number)["comments"],
        "review_comments": 0,
        "maintainer_can_modify": known["head"]["repository"] != name,
        "commits": int(git(path, "rev-list", "--count", between.replace("...", ".."))),
        "additions": sum(int(added) for added, _, _ in changes if added != "-"),
        "deletions": sum(int(deleted) for _, deleted, _ in changes if deleted != "-"),
        "changed_files": len(changes),
    }


def _side(github: GitHubState, side: dict[str, str]) -> dict[str, Any]:
    owner = side["repository"].split("/")[0]
    return {
        "label": f"{owner}:{side['ref']}",
        "ref": side["ref"],
        "sha": side["sha"],
        "user": user(github, owner),
        "repo": repository(github, side["repository"]),
    }


def comment(github: GitHubState, name: str, known: dict[str, Any]) -> dict[str, Any]:
    of_issue = issue(github, name, known["issue"])
    return {
        "id": known["id"],
        "node_id": f"IC_{known['id']}",
        "url": f"{API}/repos/{name}/issues/comments/{known['id']}",
        "html_url": f"{of_issue['html_url']}#issuecomment-{known['id']}",
        "issue_url": of_issue["url"],
        "user": user(github, known["user"]),
        "body": known["body"],
        "author_association": "OWNER" if name.startswith(known["user"] + "/") else "CONTRIBUTOR",
        "created_at": known["created_at"],
        "updated_at": known["updated_at"],
    }


def _links(url: str, names: str) -> dict[str, str]:
    paths = {
        name: name.replace("git_", "git/").replace("issue_", "issues/") for name in names.split()
    }
    return {f"{name}_url": f"{url}/{path}" for name, path in paths.items()}
