"""``mlops compare``: candidate and champion on the same holdout rows, judged and written down."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from mlops.artifact import model_folder
from mlops.artifact.model_folder import ModelArtifact
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Mode, Params
from mlops.project.words import interval, label, number, signed
from mlops.registry import model_version, tracking, versions


@dataclass(frozen=True)
class Champion:
    """The model in production, and its version in the registry."""

    version: int
    model: ModelArtifact


def run(params: Params, mode: Mode | None) -> None:
    """Write ``reports/comparison.json`` and print it as a short table.

    Parameters
    ----------
    params : Params
    mode : {"change", "retrain"}, optional
        Which policy applies; by default it follows from what changed.

    Raises
    ------
    MlopsError
        When the two cannot be compared fairly. No older comparison is left behind then.
    """
    from mlops.judgement import comparison

    for path in (files.COMPARISON, files.REPORT, files.FAILURE):
        path.unlink(missing_ok=True)
    candidate = load_candidate(params)
    champion = load_champion(params, candidate)
    written = comparison.build(params, candidate, champion, mode)
    files.write_json(files.COMPARISON, written)
    print_table(written)


def load_candidate(params: Params) -> ModelArtifact:
    """Load the model that was trained from what lies in the working folder now."""
    candidate = model_folder.load(files.MODEL)
    data = files.read_json(files.DATA_REPORT, "dvc repro")
    if not data["passed"]:
        raise MlopsError(f"the data was refused ({files.DATA_REPORT}); correct it, run `dvc repro`")
    if damaged(candidate):
        raise MlopsError(f"{files.MODEL} is not what one training wrote; run `dvc repro` again")
    if files.read_json(files.TRAINING, "dvc repro")["model_md5"] != candidate.facts.model_md5:
        raise MlopsError(
            f"{files.TRAINING} is about another model than {files.MODEL}; run `dvc repro` again"
        )
    settings = params.model_dump(include=set(candidate.facts.params))
    trained = (candidate.facts.data_md5, candidate.facts.params, candidate.facts.runtime)
    if (data["md5"], settings, params.serving.runtime) != trained:
        raise MlopsError(
            f"{files.MODEL} was trained from other data or {files.PARAMS}; run `dvc repro`"
        )
    return candidate


def damaged(model: ModelArtifact) -> bool:
    """Return whether the model or the feature code is not the one that was trained."""
    return (
        files.md5(model.model_path) != model.facts.model_md5
        or files.md5(model.folder / model_folder.FEATURES) not in model.facts.code.values()
    )


def load_champion(params: Params, candidate: ModelArtifact) -> Champion | None:
    """Load the champion, or None when there is none yet.

    Raises
    ------
    MlopsError
        When it cannot be judged fairly: it trained on the holdout, or predicts something else.
    """
    client = tracking.connect(reading=True)
    with tracking.answers(client.tracking_uri):
        fetched = versions.fetch(client, params.name, "champion")
        champion = model_version.load(client, fetched[0]) if fetched else None
    if fetched is None or champion is None:
        return None
    version = int(fetched[0].version)
    facts, holdout = champion.facts, params.data.holdout
    if facts.window.overlaps(holdout):
        raise MlopsError(
            f"champion v{version} trained on {facts.window}, which covers the holdout "
            f"{holdout}: it would be judged on rows it has seen; move data.holdout in params.yaml "
            f"to after {facts.window.end}"
        )
    for name in ("task", "target", "classes"):
        theirs, ours = getattr(facts, name), getattr(candidate.facts, name)
        if theirs != ours:
            raise MlopsError(
                f"champion v{version} has {name} {theirs!r} and the candidate {ours!r}: they "
                "cannot be compared; a new question wants a new name (params.yaml: name)"
            )
    return Champion(version, champion)


def print_table(comparison: dict[str, Any]) -> None:
    """Print finding, metrics and failed checks, short enough for a terminal."""
    console = Console(width=100, highlight=False)
    champion = comparison["champion"]
    against = f"champion v{champion['version']}" if champion else "no champion"
    table = Table("", "candidate", against, "difference", "interval", title_justify="left")
    for row in comparison["differences"]:
        width = "" if row["low"] is None else interval(row, 4)
        name = f"{label(row['metric'])} {'↑' if row['greater_is_better'] else '↓'}"
        table.add_row(
            f"[bold]{name}[/]" if row["metric"] == comparison["metric"] else name,
            number(row["candidate"], 4),
            number(row["champion"], 4) if champion else "",
            signed(row["difference"], 4) if champion else "",
            width,
        )
    console.print(table)
    gate = "gate passed" if comparison["passed"] else "gate failed"
    console.print(f"finding: {comparison['finding']}, {gate} ({comparison['mode']})")
    for reason in comparison["reasons"]:
        console.print(f"- {reason}", markup=False)
