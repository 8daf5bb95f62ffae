"""The ``mlops`` command: one subcommand for each thing that a person or a workflow does."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mlops import files, params
from mlops.errors import MlopsError

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

    validate.run(params.load())


@app.command(rich_help_panel=PIPELINE)
def features() -> None:
    """Build the features of the training window, and set the holdout aside."""
    from mlops import features

    features.run(params.load())


@app.command(rich_help_panel=PIPELINE)
def train() -> None:
    """Fit the model, write it to models/ as ONNX and skops, and log the run to MLflow."""
    from mlops import train

    train.run(params.load())


@app.command(rich_help_panel=PIPELINE)
def evaluate() -> None:
    """Score the model on the holdout: reports/metrics.json and reports/plots."""
    from mlops import evaluate

    evaluate.run(params.load())


def main() -> None:
    """Run the command line; the user's errors are one line each, ours have a traceback."""
    try:
        app()
    except MlopsError as error:
        for line in str(error).splitlines():
            print(f"mlops: {line}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
