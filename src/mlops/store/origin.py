"""The branch of origin that the store is kept on: read, and replaced only by who knows its content.

The ref :data:`PULLED` remembers in this clone which commit was last read or saved here. Whoever
finds another one on the branch was overtaken, and replaces nothing.
"""

from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.store.git_objects import GitError, git, ref

REMOTE = "origin"
NAME = "mlops-store"
BRANCH = f"refs/heads/{NAME}"

PULLED = "refs/mlops/store"  # what .store came from, or was saved as
PUSHING = "refs/mlops/pushing"  # of this clone, until origin has answered
FETCHED = "refs/mlops/fetched"


def check() -> None:
    """Refuse a project without an origin."""
    try:
        git("remote", "get-url", REMOTE)
    except GitError:
        raise MlopsError(
            f"there is no remote {REMOTE} to keep the store on; "
            f"add it with `git remote add {REMOTE} URL`"
        ) from None


def fetch() -> str | None:
    """Fetch the branch and return its commit; None when origin answers that there is none."""
    if _tip() is None:
        return None
    # No --depth: it would mark the whole clone as shallow, and one commit has no history anyway.
    options = ("--quiet", "--refmap=", "--no-tags", "--no-filter", "--no-recurse-submodules")
    _read("fetch", *options, REMOTE, f"+{BRANCH}:{FETCHED}")
    return git("rev-parse", FETCHED)


def base(force: bool) -> str | None:
    """Return the commit that is to be replaced, None without a branch.

    Raises
    ------
    MlopsError
        When it is not the one that was pulled here, without ``force``.
    """
    tip, pulled = _tip(), ref(PULLED)
    if force:
        return tip
    if tip and tip == ref(PUSHING):  # origin took it, and we were killed before we heard
        remember(tip)
        return tip
    if tip != pulled:
        raise _overtaken(tip, pulled)
    return pulled


def replace(base: str | None, commit: str) -> None:
    """Put ``commit`` where ``base`` is, unless the branch has moved.

    Raises
    ------
    MlopsError
        When it has moved, or origin refuses.
    """
    git("update-ref", PUSHING, commit)
    lease = f"--force-with-lease={BRANCH}:{base or ''}"
    # The project's hooks and settings are about its own branches.
    options = ("--no-verify", "--no-follow-tags", "--no-signed", "--recurse-submodules=no")
    try:
        git("push", "--quiet", *options, lease, REMOTE, f"{commit}:{BRANCH}")
    except GitError as error:
        tip = _tip()
        if tip not in (base, commit):
            raise _overtaken(tip, base) from None
        if tip == base:  # else only the answer was lost
            raise MlopsError(
                f"{REMOTE} did not take {NAME} ({error}); nothing is changed. Saving needs the "
                "right to push it: in Actions `contents: write`, and no rule against forced pushes"
            ) from None
    remember(commit)


def remember(commit: str | None) -> None:
    """Note what ``.store`` came from: a commit of the branch, or None when there is no branch."""
    pulled = f"update {PULLED} {commit}" if commit else f"delete {PULLED}"
    git("update-ref", "--stdin", given=f"{pulled}\ndelete {PUSHING}\ndelete {FETCHED}\n")


def _tip() -> str | None:
    for line in _read("ls-remote", REMOTE, BRANCH).splitlines():
        sha, _, name = line.partition("\t")
        if name == BRANCH:  # git lists others that end alike
            return sha
    return None


def _read(*command: str) -> str:
    try:
        return git(*command)
    except GitError as error:
        raise MlopsError(
            f"{REMOTE} cannot be read ({error}); check the network and your right to read it "
            f"(`git ls-remote {REMOTE}` must work), then try again"
        ) from None


def _overtaken(tip: str | None, pulled: str | None) -> MlopsError:
    if tip is None:
        return MlopsError(
            f"{REMOTE} no longer has the branch {NAME} that was pulled here; nothing is changed. "
            "Run `mlops store pull` to accept that, then `mlops store push` to make it anew"
        )
    what = "was saved by someone else since it was pulled here" if pulled else "is not pulled yet"
    return MlopsError(
        f"{NAME} of {REMOTE} {what}; nothing is changed, there or in {files.STORE}. "
        f"Run `mlops store pull` (it refuses to drop versions that only {files.STORE} has, unless "
        "told --force), then register again; in Actions, re-run all jobs"
    )
