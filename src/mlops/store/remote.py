"""The DVC remote, as the project sees it: reached before anything is done, or said why not."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

from mlops.project import actions
from mlops.project.errors import MlopsError, first_line

ANSWER_SECONDS = 60.0
FORK = (
    "this pull request comes from a fork, and forks get no credentials: a maintainer who has read "
    "it may push its commits to a branch of this repository, and open a pull request from there"
)


@contextmanager
def reached(done: str) -> Iterator[Any]:
    """Give DVC's view of the project; ``done`` is what happens to the remote, as in "read".

    Raises
    ------
    MlopsError
        When the remote cannot be reached, or what is done with it fails.
    """
    from dvc.repo import Repo

    repo = Repo()
    try:
        if repo.config["core"].get("remote"):
            objects = repo.cloud.get_remote_odb()
            # Any question will do: DVC's own say only that files failed.
            _within(ANSWER_SECONDS, lambda: objects.fs.exists(objects.oid_to_path("0" * 32)))
        yield repo
    except MlopsError:
        raise
    except Exception as error:  # of whatever reaches that remote
        raise MlopsError(
            f"the DVC remote {address(repo)} cannot be {done} ({first_line(error)}); "
            f"{_advice(error, address(repo))}"
        ) from None
    finally:
        repo.close()


def _within(seconds: float, ask: Callable[[], object]) -> None:
    """Ask, and do not wait for the answer any longer: libraries try again for many minutes.

    Raises
    ------
    TimeoutError
        When there is none by then. Whatever asking raises is raised here, too.
    """
    asked = Future[object]()

    def answer() -> None:
        try:
            asked.set_result(ask())
        except BaseException as error:
            asked.set_exception(error)

    threading.Thread(target=answer, daemon=True).start()  # nobody waits for it at the end either
    if not wait([asked], seconds).done:
        raise TimeoutError(f"no answer in {seconds:g} s")
    asked.result()


def address(repo: Any) -> str:
    name = repo.config["core"].get("remote")
    return str(repo.config["remote"].get(name, {}).get("url", "(none is set)"))


def _advice(error: Exception, url: str) -> str:
    if isinstance(error, ImportError):
        return f"run `make add GROUP={url.partition(':')[0]}`, and commit the locks"
    if actions.from_fork():
        return FORK
    return (
        "check its address (.dvc/config) and your credentials (in the workflows: those that "
        ".github/actions/credentials gives)"
    )
