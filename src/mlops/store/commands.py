"""``mlops store``: the built-in registry saved, restored, and changed on its branch."""

from pathlib import Path
from typing import Annotated

import typer

from mlops.project import files

store = typer.Typer(no_args_is_help=True, help="Copy the built-in registry out and back.")


@store.command()
def save(directory: Annotated[Path, typer.Argument(help="Where the copy goes.")]) -> None:
    """Copy .store to DIRECTORY, whole or not at all, also while something writes to it."""
    from mlops.project.progress import working
    from mlops.store import folder

    with working("Copying the store"):
        folder.save(directory)
    print(f"{files.STORE} is saved in {directory}")


@store.command()
def restore(
    directory: Annotated[Path, typer.Argument(help="A copy that `mlops store save` made.")],
    force: Annotated[
        bool, typer.Option(help="Also when .store has versions that the copy lacks.")
    ] = False,
) -> None:
    """Replace .store by the copy in DIRECTORY, after checking it; the old one is kept beside."""
    from mlops.project.progress import working
    from mlops.store import folder

    with working("Checking and copying the store"):
        folder.restore(directory, force=force)
    print(f"{files.STORE} is restored from {directory}")


@store.command()
def pull(
    force: Annotated[
        bool, typer.Option(help="Also when .store has versions that the branch lacks.")
    ] = False,
) -> None:
    """Replace .store by what the branch mlops-store of origin holds, after checking it."""
    from mlops.project.progress import console
    from mlops.store import branch

    # Nothing that moves: git may ask for a password meanwhile.
    console.print(f"Fetching {branch.THERE} ...")
    print(branch.pull(force))


@store.command()
def push(
    force: Annotated[
        bool, typer.Option(help="Replace the branch whatever it holds; what .store lacks is lost.")
    ] = False,
    deployed: Annotated[
        bool, typer.Option(help="Note that everything up to HEAD is deployed, as deploy.yml does.")
    ] = False,
) -> None:
    """Save .store on the branch mlops-store of origin, unless someone else has since the pull.

    Exits with 1 and changes nothing then: pull, register again, push again.
    """
    from mlops.project.progress import console
    from mlops.store import branch

    console.print(f"Saving {files.STORE} in {branch.THERE} ...")
    print(branch.push(force, deployed))


@store.command()
def mend() -> None:
    """Drop damaged objects that dvc.lock names from the DVC cache and remote; `dvc repro` then.

    DVC takes a damaged object for whole again and again.
    """
    from mlops.store import cache

    for line in cache.mend():
        print(line)


@store.command()
def take(
    directory: Annotated[
        Path, typer.Argument(help="Where another job's .dvc/cache and dvc.lock are.")
    ],
) -> None:
    """Take over what another job has trained: dvc.lock, and the objects it names, by their MD5."""
    from mlops.store import cache

    print(cache.take(directory))


HANDED = "Where the files go that the branch lacks, for the job that saves them."


@store.command()
def hand_over(
    directory: Annotated[Path, typer.Argument(help=HANDED)],
    deployed: Annotated[
        bool, typer.Option(help="Note that everything up to HEAD is deployed, as deploy.yml does.")
    ] = False,
) -> None:
    """Write what .store has and the branch lacks to DIRECTORY; push nothing."""
    from mlops.store import branch

    print(branch.hand_over(directory, deployed))


@store.command("promote")
def promote_and_hand_over(
    version: Annotated[int, typer.Argument(help="Version to promote.")],
    image: Annotated[str, typer.Argument(help="What serves it: HOST[:PORT]/PATH@sha256:DIGEST")],
    directory: Annotated[Path, typer.Argument(help=HANDED)],
) -> None:
    """Pull, note the image, promote, hand over. Notes that everything up to HEAD is deployed."""
    from mlops.project import params
    from mlops.store import change

    print(change.promote(params.settings(), version, image, directory))


@store.command("rollback")
def rollback_and_hand_over(
    version: Annotated[int, typer.Argument(help="Version to go back to.")],
    directory: Annotated[Path, typer.Argument(help=HANDED)],
) -> None:
    """Pull, roll back, hand over."""
    from mlops.project import params
    from mlops.store import change

    print(change.rollback(params.settings(), version, directory))


@store.command("record")
def record_and_hand_over(
    directory: Annotated[Path, typer.Argument(help=HANDED)],
) -> None:
    """Pull, note the last drift check in the history, hand over."""
    from mlops.store import change

    print(change.record(directory))
