"""The ``mlops`` command: one subcommand for each thing that a person or a workflow does."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops import files, params
from mlops.errors import MlopsError
from mlops.params import Mode

if TYPE_CHECKING:
    from mlflow import MlflowClient

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, judge, register, promote and roll back the model of this project.",
)

PIPELINE = "Pipeline stages (`dvc repro` runs them in order, and only those with something new)"


@app.callback()
def project(
    folder: Annotated[
        Path, typer.Option("--project", help="Folder of the project; found from here upward.")
    ] = Path(),
) -> None:
    root = files.find_root(folder.resolve())
    os.chdir(root)
    # The code beside params.yaml, also when another checkout is what pip installed.
    sys.path.insert(0, str(root / "src"))


@app.command(rich_help_panel=PIPELINE)
def ingest() -> None:
    """Load the raw data into data/raw.parquet."""
    from mlops import ingest

    ingest.run()


@app.command(rich_help_panel=PIPELINE)
def validate() -> None:
    """Check the raw data against src/model/schema.py and the windows in params.yaml.

    Writes reports/data.json. Exits with 1, after a table of what is wrong, on bad data.
    """
    from mlops import validate

    validate.run(settings())


@app.command(rich_help_panel=PIPELINE)
def features() -> None:
    """Build the features of the training window, and set the holdout aside."""
    from mlops import features

    features.run(settings())


@app.command(rich_help_panel=PIPELINE)
def train() -> None:
    """Fit the model, write it to models/ as ONNX and skops, and log the run to MLflow."""
    from mlops import train

    train.run(settings())


@app.command(rich_help_panel=PIPELINE)
def evaluate() -> None:
    """Score the model on the holdout: reports/metrics.json and reports/plots."""
    from mlops import evaluate

    evaluate.run(settings())


JUDGE = "Judgement"
REGISTRY = "Registry"


@app.command(rich_help_panel=JUDGE)
def compare(
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="Policy: a change must be better, a retraining not worse than the margin."
            " By default it follows from what changed."
        ),
    ] = None,
) -> None:
    """Judge the trained model against the champion on the same holdout rows.

    Writes reports/comparison.json and exits with 0 whatever it finds: its field `passed` is the
    gate. Exits with 1 when the two cannot be compared fairly.
    """
    from mlops import compare

    compare.run(settings(), mode)


@app.command(rich_help_panel=JUDGE)
def report(
    anyway: Annotated[
        bool, typer.Option(help="Also when there is nothing to judge: the report says why.")
    ] = False,
) -> None:
    """Write the pull-request comment, reports/report.md, from the JSON files in reports/."""
    from mlops import report

    report.run(anyway)


@app.command(rich_help_panel=JUDGE)
def verdict() -> None:
    """Print finding, gate and reason as lines of name=value, as a workflow's outputs want them."""
    from mlops import verdict

    verdict.run()


@app.command(rich_help_panel=REGISTRY)
def register() -> None:
    """Make the trained model a new version in the registry, with the alias `challenger`."""
    from mlops import registry
    from mlops.progress import working

    read, client = connected()
    with working("Registering the model"):
        version = registry.register(read, client)
    print(f"version {version} is registered as challenger")


@app.command(rich_help_panel=REGISTRY)
def promote(
    version: Annotated[
        int | None, typer.Argument(help="Version to promote; by default the challenger.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(metavar="REASON", help="Promote against the gate; goes on record.")
    ] = None,
) -> None:
    """Make a version that passed the gate the champion. The old champion becomes `previous`."""
    from mlops import promotion

    read, client = connected()
    print(promotion.promote(client, read, version, override))


@app.command(rich_help_panel=REGISTRY)
def rollback(
    version: Annotated[
        int | None, typer.Argument(help="Version to go back to; by default `previous`.")
    ] = None,
) -> None:
    """Make the previous version the champion again."""
    from mlops import promotion

    read, client = connected()
    print(promotion.rollback(client, read, version))


@app.command(rich_help_panel=REGISTRY)
def lineage(
    version: Annotated[int, typer.Argument(help="Version in the registry.")],
) -> None:
    """Print as JSON where a version came from, how it was judged and who promoted it."""
    from mlops import registry

    read, client = connected()
    print(json.dumps(registry.lineage(client, read, version), indent=2))


store = typer.Typer(no_args_is_help=True, help="Copy the built-in registry out and back.")
app.add_typer(store, name="store", rich_help_panel=REGISTRY)


@store.command()
def save(directory: Annotated[Path, typer.Argument(help="Where the copy goes.")]) -> None:
    """Copy .store to DIRECTORY, whole or not at all, also while something writes to it."""
    from mlops import store
    from mlops.progress import working

    with working("Copying the store"):
        store.save(directory)
    print(f"{files.STORE} is saved in {directory}")


@store.command()
def restore(
    directory: Annotated[Path, typer.Argument(help="A copy that `mlops store save` made.")],
    force: Annotated[
        bool, typer.Option(help="Also when .store has versions that the copy lacks.")
    ] = False,
) -> None:
    """Replace .store by the copy in DIRECTORY, after checking it; the old one is kept beside."""
    from mlops import store
    from mlops.progress import working

    with working("Checking and copying the store"):
        store.restore(directory, force=force)
    print(f"{files.STORE} is restored from {directory}")


@store.command()
def pull(
    force: Annotated[
        bool, typer.Option(help="Also when .store has versions that the branch lacks.")
    ] = False,
) -> None:
    """Replace .store by what the branch mlops-store of origin holds, after checking it."""
    from mlops import store_branch
    from mlops.progress import console

    # Nothing that moves: git may ask for a password meanwhile.
    console.print(f"Fetching {store_branch.THERE} ...")
    print(store_branch.pull(force))


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
    from mlops import store_branch
    from mlops.progress import console

    console.print(f"Saving {files.STORE} in {store_branch.THERE} ...")
    print(store_branch.push(force, deployed))


def settings() -> params.Params:
    """Read params.yaml; an environment variable wins over its registry."""
    read = params.load()
    if read.tracking_uri:
        os.environ.setdefault("MLFLOW_TRACKING_URI", read.tracking_uri)
    return read


def connected() -> "tuple[params.Params, MlflowClient]":
    """Read params.yaml, which may name a server, and connect to the registry."""
    from mlops import tracking
    from mlops.progress import console

    read = settings()
    with console.status("Opening the registry ..."):
        return read, tracking.connect()


def main() -> None:
    """Run the command line; the user's errors are one line each, ours have a traceback."""
    try:
        app()
    except MlopsError as error:
        for line in str(error).splitlines():
            print(f"mlops: {line}", file=sys.stderr)
        leave_note(str(error))
        sys.exit(1)
    except Exception as error:
        leave_note(f"{type(error).__name__}: {error}")
        raise


def leave_note(error: str) -> None:
    """Tell the report why this command stopped."""
    from mlops import verdict

    verdict.record_failure(" ".join(sys.argv[1:]), error)


if __name__ == "__main__":
    main()
