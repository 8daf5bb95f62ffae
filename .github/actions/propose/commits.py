"""The commit of what is proposed. The same changes of the same commit make the same commit."""

from github import git

NAME = "github-actions[bot]"
# The number is its user: GitHub then shows the bot beside the commit.
EMAIL = "41898282+github-actions[bot]@users.noreply.github.com"


def of_patch(patch: str, title: str) -> str:
    """Apply a patch and commit what it changes; returns the commit."""
    git("apply", "--index", "--whitespace=nowarn", patch)
    return _commit(title)


def of_files(paths: list[str], title: str) -> str:
    """Commit the files; returns the commit."""
    git("add", "--", *paths)
    return _commit(title)


def dates() -> dict[str, str]:
    """Return when git is to say that it commits: at the time of the commit before."""
    date = git("log", "-1", "--format=%cI")
    return {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}


def _commit(title: str) -> str:
    """Make a commit of what is staged, which HEAD stays behind; without changes, it is HEAD."""
    tree = git("write-tree")
    if tree == git("rev-parse", "HEAD^{tree}"):
        return git("rev-parse", "HEAD")
    who: dict[str, str] = {}
    for role in ("AUTHOR", "COMMITTER"):
        who |= {f"GIT_{role}_NAME": NAME, f"GIT_{role}_EMAIL": EMAIL}
    return git("commit-tree", tree, "-p", "HEAD", given=f"{title}\n", **who, **dates())
