"""The ``mlops`` command: one subcommand for each thing that a person or a workflow does."""

import contextlib
import errno
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from mlops import __version__
from mlops.project import files
from mlops.project.errors import DamagedError, MlopsError
from mlops.store.commands import store

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlops.project.params import Params

# As in params, whose import takes as long as all else of `mlops --help`.
Mode = Literal["change", "retrain", "upkeep"]
Environment = Literal["staging", "production"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, judge, register, promote and roll back the model of this project.",
)

REFUSED_BY_DISK = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES)

PROJECT = "Project"
PIPELINE = "Pipeline stages (`dvc repro` runs them in order, and only those with something new)"


def show_version(asked: bool) -> None:
    """Print which version of the machinery this is, and do nothing else."""
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def project(
    folder: Annotated[
        Path, typer.Option("--project", help="Folder of the project; found from here upward.")
    ] = Path(),
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=show_version,
            is_eager=True,
            help="Print which version this is (docs/CHANGELOG.md), and exit.",
        ),
    ] = False,
) -> None:
    root = files.find_root(folder.resolve())
    os.chdir(root)
    # The code beside params.yaml, also when another checkout is what pip installed.
    sys.path.insert(0, str(root / "src"))


@app.command(rich_help_panel=PIPELINE)
def start(
    file: Annotated[Path | None, typer.Argument(help="The table: CSV or Parquet.")] = None,
    target: Annotated[str, typer.Option(metavar="COLUMN", help="What to predict.")] = "",
    time: Annotated[
        str, typer.Option(metavar="COLUMN", help="Which says when a row happened.")
    ] = "",
    positive: Annotated[
        str, typer.Option(metavar="LABEL", help="Of two classes, the one to look for.")
    ] = "",
    task: Annotated[str, typer.Option(help="binary, multiclass or regression.")] = "",
    query: Annotated[
        str, typer.Option(metavar="SQL", help="Ask the database in DATABASE_URL, not a file.")
    ] = "",
    encoding: Annotated[str, typer.Option(help="Of the file, such as cp1252.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace files that were edited.")] = False,
) -> None:
    """Put your own problem in place of the example: a project that trains on a table.

    Writes src/model, params.yaml, data/README.md, tests/data and tests/model, and says what it
    decided and why. Writes nothing when anything is wrong.
    """
    from mlops.start import writing

    if not target:
        raise MlopsError("--target is missing: which column is to be predicted?")
    for line in writing.run(
        file,
        target=target,
        time=time,
        positive=positive,
        task=task,
        query=query,
        encoding=encoding,
        force=force,
    ):
        print(line)


@app.command(rich_help_panel=PIPELINE)
def check() -> None:
    """Check params.yaml, before DVC reads it in its own way."""
    settings()
    files.SOURCE.mkdir(parents=True, exist_ok=True)  # projects from before it was there


@app.command("settings", rich_help_panel=PIPELINE)
def serving_settings() -> None:
    """Write what the model depends on among the settings of serving: reports/settings.json."""
    serving = settings().serving
    files.write_json(files.SETTINGS, {"runtime": serving.runtime, "threshold": serving.threshold})


@app.command(rich_help_panel=PIPELINE)
def ingest(
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", help="Whatever DVC knows: as data in a database changes without its notice."
        ),
    ] = False,
) -> None:
    """Load the raw data into data/raw.parquet."""
    if fresh:
        from mlops.store import source

        source.read_anew()
        return
    from mlops.pipeline import ingest

    ingest.run()


@app.command(rich_help_panel=PIPELINE)
def pull_data() -> None:
    """Fetch the files in data/source that DVC keeps, from its remote."""
    from mlops.store import source

    print(source.pull())


@app.command(rich_help_panel=PIPELINE)
def push_data() -> None:
    """Bring the files in data/source that DVC keeps to its remote, where the workflows find them.

    With the built-in remote that is the branch mlops-store of origin. Nothing else goes there: no
    model and no promotion of this machine.
    """
    from mlops.store import source

    print(source.push())


@app.command(rich_help_panel=PIPELINE)
def stage(name: Annotated[str, typer.Argument(help="As in dvc.yaml: train.")]) -> None:
    """Run one stage by itself, as in a pod: its inputs and results go through the DVC remote.

    Does nothing new where the stage has run for the same inputs, here or in another clone.
    """
    from mlops.store import stage

    settings()
    stage.run_alone(name)


@app.command(rich_help_panel=PIPELINE)
def export_pipeline(
    kind: Annotated[Literal["kfp"], typer.Argument(help="kfp: for Kubeflow Pipelines.")],
    file: Annotated[Path, typer.Argument(help="YAML to write.")],
    image: Annotated[str, typer.Option(help="What its tasks run in: git and the environment.")],
) -> None:
    """Write the stages of dvc.yaml as a pipeline of another system, each as `mlops stage`."""
    from mlops.store import kubeflow

    print(kubeflow.export(settings(), file, image))


@app.command(rich_help_panel=PIPELINE)
def validate() -> None:
    """Check the raw data against src/model/schema.py and the windows in params.yaml.

    Writes what the schema returns to data/checked.parquet, and reports/data.json. Exits with 1,
    after a table of what is wrong, on bad data.
    """
    from mlops.pipeline import validate

    validate.run(settings())


@app.command(rich_help_panel=PIPELINE)
def features() -> None:
    """Build the features of the training window, and set the holdout aside."""
    from mlops.pipeline import features

    features.run(settings())


@app.command(rich_help_panel=PIPELINE)
def train() -> None:
    """Fit the model, write it to models/ as ONNX and skops, and log the run to MLflow."""
    from mlops.pipeline import train

    train.run(settings())


@app.command(rich_help_panel=PIPELINE)
def evaluate() -> None:
    """Score the model on the holdout: reports/metrics.json and reports/plots."""
    from mlops.pipeline import evaluate

    evaluate.run(settings())


JUDGE = "Judgement"
REGISTRY = "Registry"
SERVE = "Service and deployment"
WATCH = "Watching"
VERSION_HELP = "A number, or an alias: champion, challenger, previous."


@app.command(rich_help_panel=JUDGE)
def compare(
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="A change must be as good as gate.change says; a retraining, and an upkeep of"
            " libraries, not worse than the margin. By default it follows from what changed."
        ),
    ] = None,
) -> None:
    """Judge the trained model against the champion on the same holdout rows.

    Writes reports/comparison.json and exits with 0 whatever it finds: its field `passed` is the
    gate. Exits with 1 when the two cannot be compared fairly.
    """
    from mlops.judgement import compare

    compare.run(settings(), mode)


@app.command(rich_help_panel=JUDGE)
def judge(
    checkout: Annotated[Path, typer.Argument(help="A checkout of the pull request.")],
    made: Annotated[Path, typer.Argument(help="What its workflow has made, as an artifact.")],
) -> None:
    """Judge a pull request's model by the code and the gate of the branch that is checked out here.

    Writes as `mlops compare` does, and changes this checkout: params.yaml and data become the pull
    request's. Sets the output `own` where only the pull request's own code could judge it.
    """
    from mlops.pipeline import judge

    judge.run(checkout, made)


@app.command(rich_help_panel=JUDGE)
def report(
    anyway: Annotated[
        bool, typer.Option(help="Also when there is nothing to judge: the report says why.")
    ] = False,
    commit: Annotated[
        str, typer.Option(metavar="SHA", help="Which it is about; by default that checked out.")
    ] = "",
) -> None:
    """Write the pull-request comment, reports/report.md, from the JSON files in reports/."""
    from mlops.report import comment

    comment.run(anyway, commit)


@app.command(rich_help_panel=JUDGE)
def verdict() -> None:
    """Print finding, gate and reason as lines of name=value, as a workflow's outputs want them."""
    from mlops.report import verdict

    verdict.run()


@app.command(rich_help_panel=REGISTRY)
def register() -> None:
    """Make the trained model a new version in the registry, with the alias `challenger`."""
    import skops.io  # noqa: F401  before MLflow: it searches all modules that are there by then

    from mlops.artifact import sample
    from mlops.project.progress import working
    from mlops.registry import versions

    read, client = connected()
    with working("Registering the model"):
        version = versions.register(read, client)
    print(f"version {version} is registered as challenger")
    if not (files.MODEL / sample.NAME).is_file():
        print("it has no sample of scored rows for `mlops smoke`: train it again (`dvc repro`)")


@app.command(rich_help_panel=REGISTRY)
def promote(
    version: Annotated[
        int | None, typer.Argument(help="Version to promote; by default the challenger.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(metavar="REASON", help="Promote against the gate; goes on record.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether it could be.")] = False,
) -> None:
    """Make a version that passed the gate the champion. The old champion becomes `previous`."""
    from mlops.registry import promotion

    read, client = connected(reading=check)
    do = promotion.check_promotion if check else promotion.promote
    print(do(client, read, version, override))


@app.command(rich_help_panel=REGISTRY)
def rollback(
    version: Annotated[
        int | None, typer.Argument(help="Version to go back to; by default `previous`.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only print which version that would be.")
    ] = False,
) -> None:
    """Make the previous version the champion again."""
    from mlops.registry import promotion

    read, client = connected(reading=check)
    do = promotion.check_rollback if check else promotion.rollback
    print(do(client, read, version))


@app.command(rich_help_panel=REGISTRY)
def reviewed(
    reports: Annotated[Path, typer.Argument(help="Folder with the reports about the model.")],
) -> None:
    """Say whether a model is the one that was reviewed in the pull request of this commit.

    In a workflow. Exits with 1 when it is made from the same, and says something else.
    """
    from mlops.judgement import reviewed

    print(reviewed.check(reports))


@app.command(rich_help_panel=REGISTRY)
def lineage(
    version: Annotated[str, typer.Argument(metavar="VERSION", help=VERSION_HELP)] = "champion",
    field: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Print only this field, raw; empty when it is unknown."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Instead, check the record of all promotions.")
    ] = False,
    known: Annotated[
        str | None,
        typer.Option(
            metavar="SHA256", help="Check, too, that the record has the line with this hash."
        ),
    ] = None,
) -> None:
    """Print as JSON where a version came from, how it was judged and who promoted it."""
    from mlops.registry import audit, versions

    if verify or known:
        print(audit.verify(known))
        return
    read, client = connected(reading=True)
    told = versions.lineage(client, read, version)
    print(json.dumps(told, indent=2) if field is None else versions.field(told, read, field))


@app.command(rich_help_panel=REGISTRY)
def image(
    version: Annotated[str, typer.Argument(metavar="VERSION", help=VERSION_HELP)],
    reference: Annotated[str, typer.Argument(help="HOST[:PORT]/PATH@sha256:DIGEST")],
) -> None:
    """Note on a version which container image serves it; `mlops lineage` shows it."""
    from mlops.registry import versions

    read, client = connected()
    number = versions.record_image(client, read, version, reference)
    print(f"version {number} is served by {reference}")


@app.command(rich_help_panel=REGISTRY)
def card(
    version: Annotated[str, typer.Argument(metavar="VERSION", help=VERSION_HELP)] = "champion",
) -> None:
    """Print the model card of a version, and write it to reports/model_card.md.

    It says what the model is for, how good it is and for whom, how it was judged and approved.
    """
    from mlops.registry import card

    read, client = connected(reading=True)
    card.run(client, read, version)


@app.command(rich_help_panel=REGISTRY)
def export(
    directory: Annotated[Path, typer.Argument(help="An earlier export there is replaced.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help=VERSION_HELP)] = "challenger",
) -> None:
    """Copy out of the registry what a service needs: model, lineage, sample and model card."""
    from mlops.registry import export

    read, client = connected(reading=True)
    for line in export.run(client, read, directory, version):
        print(line)


@app.command(rich_help_panel=REGISTRY)
def ui(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Of this machine; no other reaches it.")
    ] = 5000,
) -> None:
    """Open MLflow's pages on the registry: its runs, versions and files; stop with Ctrl-C.

    Where the registry is a server, only prints the server's address.
    """
    from mlops.registry import ui

    settings()
    ui.run(port)


app.add_typer(store, name="store", rich_help_panel=REGISTRY)

EXPORT_HELP = "What `mlops export` wrote of the version that should be served."


@app.command(rich_help_panel=SERVE)
def smoke(
    url: Annotated[str, typer.Argument(metavar="URL", help="Of the service: http://HOST:PORT")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help=EXPORT_HELP)],
    wait: Annotated[float, typer.Option(help="Seconds until the service must be ready.")] = 60.0,
) -> None:
    """Try a running service: version, scores, latency, and 40 requests that it must refuse.

    Writes reports/smoke.json. Exits with 1, after a sentence that says why, when it is not the
    version in DIR or does not behave. A key that the service wants is taken from API_KEY.
    """
    from mlops.trial import smoke

    smoke.run(settings(), url, directory, wait)


@app.command(rich_help_panel=SERVE)
def canary(
    champion_url: Annotated[str, typer.Argument(metavar="CHAMPION_URL")],
    candidate_url: Annotated[str, typer.Argument(metavar="CANDIDATE_URL")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help=EXPORT_HELP)],
) -> None:
    """Compare two running services on the same rows: errors, latency, predictions.

    Writes reports/canary.json with finding and gate, which is `serving.canary` in params.yaml.
    Exits with 1 when the candidate should not replace the champion. Keys as for smoke.
    """
    from mlops.trial import canary

    judged = canary.run(settings(), champion_url, candidate_url, directory)
    if not judged["passed"]:
        doubts = judged["outcome"] == "inconclusive"
        so = "is inconclusive" if doubts else "stops the candidate"
        raise MlopsError(f"the canary {so}: {'; '.join(judged['reasons'])}")


@app.command(rich_help_panel=SERVE)
def serve(
    export: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Serve what `mlops export DIR` wrote.")
    ] = None,
) -> None:
    """Serve the trained model in models/ over HTTP; stop with Ctrl-C.

    Settings are environment variables, such as PORT: `python -m mlops.serving --help` lists them.
    """
    from mlops.registry.export import MODEL
    from mlops.serving import server
    from mlops.serving import settings as service_settings

    os.environ["MODEL_DIR"] = str(files.MODEL if export is None else export / MODEL)
    os.environ.setdefault("MODEL_NAME", settings().name)
    sys.exit(server.run(service_settings.read()))


@app.command(rich_help_panel=SERVE)
def predict(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="[IN] OUT",
            help="Each a .parquet or .csv file, a folder, or one in a bucket (s3://...).",
            show_default=False,
        ),
    ],
    version: Annotated[str, typer.Option(metavar="VERSION", help=VERSION_HELP)] = "champion",
    export: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Ask what `mlops export DIR` wrote instead.")
    ] = None,
    query: Annotated[
        str, typer.Option(metavar="SQL", help="Ask the database in DATABASE_URL, and no IN.")
    ] = "",
    keep: Annotated[
        str | None,
        typer.Option(metavar="COLUMNS", help="Of IN, which OUT has, with commas; by default all."),
    ] = None,
) -> None:
    """Predict a table: write it to OUT with scores, and to the log in PREDICTION_LOG_URI, if set.

    Bad rows go to OUT.rejects.csv with their reasons. Exits with 1, and has written nothing, when
    there are more than `serving.batch.rejects` in params.yaml allows.
    """
    from mlops.predictions import batch
    from mlops.predictions.tables import Source, Target
    from mlops.registry.export import MODEL
    from mlops.serving import served_model
    from mlops.serving import settings as service_settings

    if len(places) != (1 if query else 2):
        raise MlopsError(
            "name IN and OUT, or OUT and a --query, as in `mlops predict in.csv out.csv`"
        )
    source, target = Source(places[0], query), Target(places[-1])
    if export is None:
        params, client = connected(reading=True)
        model = batch.choose(client, params, version)
    else:
        params, model = settings(), served_model.load(export / MODEL, settings().name)
    kept = None if keep is None else [name for part in keep.split(",") if (name := part.strip())]
    limits, told = params.serving.batch, service_settings.read()
    for line in batch.run(model, limits, told, source, target, kept):
        print(line)


@app.command(rich_help_panel=SERVE)
def deploy(
    environment: Annotated[Environment, typer.Argument(help="staging or production")],
    image: Annotated[str, typer.Argument(help="HOST[:PORT]/PATH@sha256:DIGEST")],
    directory: Annotated[Path, typer.Argument(help="Export of the version in the image.")],
    champion: Annotated[
        str, typer.Option(metavar="IMAGE", help="Image of the champion, as `mlops image` noted it.")
    ] = "",
    canary: Annotated[
        bool, typer.Option(help="In production, compare with what serves before the switch.")
    ] = True,
    look: Annotated[bool, typer.Option(help="Only ask what serves there now.")] = False,
    accept_inconclusive: Annotated[
        bool, typer.Option("--accept-inconclusive", help="Go on where the canary cannot decide.")
    ] = False,
) -> None:
    """Start an image beside what serves, smoke-test it, compare the two, and switch.

    Where to is `serving.target` in params.yaml; what it needs is in deploy/README.md. Writes
    reports/deployment.json. Exits with 1, and what served before serves again, when a step fails.
    """
    from mlops.delivery import deploy

    if look:
        print(deploy.ask(settings(), environment, image))
    else:
        named = champion or None
        deploy.run(settings(), environment, image, directory, named, canary, accept_inconclusive)


@app.command(rich_help_panel=SERVE)
def label(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or JSON Lines: id, label[, time].")],
    log: Annotated[
        str,
        typer.Option(
            envvar="PREDICTION_LOG_URI", metavar="URI", help="Folder, s3:// or other address."
        ),
    ] = "",
) -> None:
    """Add what became true later to the prediction log, by the ids that the service answered.

    The latest label of an id counts. Exits with 1 and adds nothing when a row is wrong.
    """
    from mlops.predictions import label

    label.run(file, log, settings().task)


@app.command(rich_help_panel=WATCH)
def drift(
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="As if this day were over and nothing had come after it; by default yesterday,"
            " or, with drift.replay in params.yaml, the end of the next window.",
        ),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Check nothing: note the last check in the history.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Check nothing: print the history and draw it.")
    ] = False,
) -> None:
    """Ask whether data, predictions or the champion's score have moved, and what follows.

    Judges the newest window of the data, or of the prediction log that PREDICTION_LOG_URI names, by
    `drift` in params.yaml. Writes reports/drift.json, .html, .md and .prom. Exits with 0 whatever
    it finds: the field `decision` is none or watch, and `challenger` says whether a model trained
    on newer rows is to be asked.
    """
    if record or history:
        from mlops.drift import history as checks

        if record:
            print(checks.record(files.read_json(files.DRIFT, "mlops drift")))
        if history:
            checks.show()
        return
    from mlops.drift import check, newest

    check.run(settings(), None if as_of is None else newest.read_day(as_of))


@app.command(rich_help_panel=WATCH)
def move_window() -> None:
    """Set data.window and data.holdout to the newest window that `mlops drift` has judged.

    Only their values in params.yaml change. `dvc repro` then retrains.
    """
    from mlops.pipeline import move_window

    print(move_window.run(settings()))


@app.command(rich_help_panel=WATCH)
def decide() -> None:
    """Decide whether to retrain: by what `mlops drift` found, and how the retrained model compares.

    Before: `mlops move-window`, `dvc repro`, `mlops compare --mode retrain`.
    Completes reports/drift.*: the field `decision` is none, watch or retrain.
    """
    from mlops.drift import challenger

    challenger.run(settings())


@app.command(rich_help_panel=WATCH)
def evidence() -> None:
    """Write what a retraining pull request says and holds: reports/retraining.md and its folder.

    Prints title, draft and end as lines of name=value, as a workflow's outputs want them.
    """
    from mlops.drift import evidence

    evidence.run()


@app.command(rich_help_panel=PROJECT)
def doctor(
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 unless all of them are on.")
    ] = False,
) -> None:
    """Say which safeguards are on, what the others would add, and what turns them on.

    Reads the project's files and, through gh where somebody is signed in, its repository on GitHub.
    """
    from mlops import doctor
    from mlops.project.progress import console

    with console.status("Looking at files and GitHub ..."):
        found = doctor.examine()
    print(doctor.summary(found), "", *found, sep="\n")
    if strict and any(it.state != "on" for it in found):
        sys.exit(1)


def settings() -> "Params":
    """Read params.yaml."""
    from mlops.project import params

    return params.settings()


def connected(*, reading: bool = False) -> "tuple[Params, MlflowClient]":
    """Read params.yaml, which may name a server, and connect to the registry."""
    from mlops.project.progress import console
    from mlops.registry import tracking

    read = settings()
    with console.status("Opening the registry ..."):
        return read, tracking.connect(reading=reading)


def main() -> None:
    """Run the command line; the user's errors are one line each, ours have a traceback."""
    try:
        app()
    except MlopsError as error:
        stop(error)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in REFUSED_BY_DISK:
            stop(
                MlopsError(
                    f"{error.strerror}: {error.filename or 'a file of the project'}; mlops writes "
                    "into the project's folder: give it one that may be written to and has room"
                )
            )
        leave_note(f"{type(error).__name__}: {error}")
        raise


def stop(error: MlopsError) -> NoReturn:
    """Say what is wrong, and exit with 1."""
    for line in [*str(error).splitlines(), *mended(error)]:
        print(f"mlops: {line}", file=sys.stderr)
    leave_note(str(error))
    sys.exit(1)


def mended(error: MlopsError) -> list[str]:
    """Drop what DVC holds damaged, so that the next `dvc repro` does not bring it again."""
    if not isinstance(error, DamagedError):
        return []
    from mlops.store import cache

    if not cache.LOCK.is_file():
        return []
    with contextlib.suppress(MlopsError):
        return cache.mend()
    return []


def leave_note(error: str) -> None:
    """Tell the report why this command stopped."""
    from mlops.report import verdict

    with contextlib.suppress(OSError):  # the disk may be what it is about
        verdict.record_failure(" ".join(sys.argv[1:]), error)


if __name__ == "__main__":
    main()
