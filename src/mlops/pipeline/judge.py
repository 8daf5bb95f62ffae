"""``mlops judge``: a pull request's model, judged by what is not the pull request's.

Run in a checkout of the base branch, whose code, gate and libraries judge. Of the pull request it
takes data and settings, and the model as its workflow has trained it; none of its code runs but the
features, which run in the model's sandbox.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from mlops.artifact import model_folder, sandbox, training
from mlops.artifact.model_folder import Facts
from mlops.artifact.split import sides
from mlops.artifact.table import read
from mlops.judgement import compare
from mlops.pipeline import features
from mlops.project import actions, files, git, params
from mlops.project.errors import MlopsError, first_line
from mlops.project.params import Gate, Params
from mlops.project.progress import working
from mlops.report.comment import sentence

# Settings that say what is learned, from the pull request; others, such as the gate, from the base.
PROPOSED = ("task", "seed", "data", "estimator", "serving")
# What makes the rows that judge is all code of the user's but these.
OF_THE_MODEL = {"estimator.py", "features.py", "metrics.py"}
OF_TRAINING = {"window", "positive", "dropped"}  # settings of data that choose no row that judges
CODE = Path("src/model")
DATA = Path("data")
LIBRARIES = Path("requirements-serve-skops.txt")
ENVIRONMENT = Path("build/candidate")
MADE = (files.CHECKED, files.DATA_REPORT)


class OwnRulesError(Exception):
    """Why the base cannot judge a pull request: its own machinery has to."""


@dataclass(frozen=True)
class Proposal:
    """A pull request: a checkout of it, and what its workflow has made of it."""

    checkout: Path
    made: Path

    @property
    def settings(self) -> dict[str, Any]:
        return params.read_yaml(self.checkout / files.PARAMS)

    def differs(self, path: Path) -> bool:
        """Whether a file, or any of a folder, is another one than the base's."""
        return _content(self.checkout / path) != _content(path)

    @property
    def makes_rows(self) -> list[str]:
        """Name the code that makes the rows that judge and is another than the base's."""
        names = {it.name for folder in (CODE, self.checkout / CODE) for it in folder.glob("*.py")}
        return [str(CODE / it) for it in sorted(names - OF_THE_MODEL) if self.differs(CODE / it)]


def run(checkout: Path, made: Path) -> None:
    """Judge what lies in ``made``, an artifact's folder, and write ``reports/comparison.json``.

    Sets the output ``own``: why only the pull request's own machinery can judge it, else empty.
    """
    proposal = Proposal(checkout.resolve(), made.resolve())
    if not (proposal.made / files.MODEL / model_folder.FACTS).is_file():
        for path in (files.DATA_REPORT, files.FAILURE):  # why there is no model
            _take(proposal.made / path, path)
        actions.outputs(own="")
        print("there is no model to judge; `mlops report` says why")
        return
    try:
        base, proposed, facts = together(proposal)
    except OwnRulesError as error:
        actions.outputs(own=sentence(error))  # for the comment, and it quotes the pull request
        print(f"judged by its own rules: {error}")
        return
    actions.outputs(own="")
    _take(proposal.made / files.MODEL, files.MODEL)
    odd = rows(proposal, base, proposed, facts)
    for path in (files.TRAINING, files.PLOTS):
        _take(proposal.made / path, path)
    trained = training.of_model(facts, git.head(proposal.checkout))
    files.write_json(files.TRAINING, trained)
    candidate = sandbox.load(files.MODEL, libraries(proposal))
    compare.run(proposed, None, compare.Proposed(candidate, gate_of(proposal), odd))


def together(proposal: Proposal) -> tuple[Params, Params, Facts]:
    """Return the base's settings, the pull request's, and the facts about its model.

    Raises
    ------
    OwnRulesError
        When the base cannot read them, or they are about another question.
    MlopsError
        When the model is not one of this pull request's code and settings.
    """
    base = params.load()
    try:
        settings = proposal.settings
        theirs = {it: settings[it] for it in PROPOSED if it in settings}
        proposed = Params.model_validate(params.read_yaml(files.PARAMS) | theirs)
        facts = model_folder.load_facts(proposal.made / files.MODEL)
    except (MlopsError, ValueError) as error:
        raise OwnRulesError(f"production's code cannot read it ({first_line(error)})") from None
    asked = {
        "name": (base.name, settings.get("name")),
        "task": (base.task, proposed.task),
        "data.target": (base.data.target, proposed.data.target),
        "gate.metric": (base.gate.metric, gate_of(proposal).get("metric")),
    }
    for key, (was, now) in asked.items():
        if was != now:
            raise OwnRulesError(f"{files.PARAMS}: {key} changes from {was} to {now}")
    if facts.params != proposed.of_the_model():
        raise OwnRulesError("production's code reads its settings in another way")
    code = {it.name: files.md5(it) for it in (proposal.checkout / CODE).glob("*.py")}
    if facts.code != code:
        odd = sorted(it for it in code | facts.code if code.get(it) != facts.code.get(it))
        raise MlopsError(
            f"the model says that it was trained with another {CODE / odd[0]} than the pull "
            "request has; run its workflow again"
        )
    return base, proposed, facts


def gate_of(proposal: Proposal) -> dict[str, Any]:
    """Return the gate that the pull request would set; a key that the base does not know, too."""
    written = proposal.settings.get("gate")
    known = written if isinstance(written, dict) else {}
    try:
        return Gate.model_validate(known).model_dump()
    except ValueError:
        return Gate.model_construct(**known).model_dump(warnings=False)


def rows(proposal: Proposal, base: Params, proposed: Params, facts: Facts) -> dict[str, Any] | None:
    """Make the rows that judge; returns None, or what is odd about them.

    ``why``: in words, what makes them others than the base's. ``common``: the share of them that
    the base's holdout has, too; None where that cannot be known.
    """
    code, data = proposal.makes_rows, proposal.differs(DATA)
    why = [f"this pull request changes {name}" for name in code]
    why += ["this pull request changes data"] if data else []
    judging = (it.data.model_dump(exclude=OF_TRAINING) for it in (base, proposed))
    changed = next(judging) != next(judging)
    why += [f"this pull request changes {files.PARAMS}: data"] if changed else []
    before: pd.DataFrame | None = None
    problem = None
    if code or data:
        problem = _load()
        before = None if problem else _judging(base)
    if data:
        check_data(proposal.checkout / DATA)
        _take(proposal.checkout / DATA, DATA)
    written = proposed.model_dump(mode="json")
    files.write_text(files.PARAMS, yaml.safe_dump(written, allow_unicode=True))
    if not code and (problem := _load()):
        why.append(f"production's code does not read its data ({problem})")
    if code or problem:
        if missing := [it for it in MADE if not (proposal.made / it).is_file()]:
            raise MlopsError(f"the pull request's workflow left no {missing[0]}")
        for path in MADE:
            _take(proposal.made / path, path)
    elif (
        files.read_json(files.DATA_REPORT, files.REPRO)["md5"] != facts.data_md5
        and not proposal.differs(files.LOCK)  # other libraries may write the same rows otherwise
    ):
        why.append("the model was trained on other rows than these sources give now")
    if changed and not (code or data):
        before = _judging(base)
    features.run(proposed, files.MODEL / model_folder.FEATURES)
    return {"why": why, "common": _common(read(files.HOLDOUT), before)} if why else None


def check_data(folder: Path) -> None:
    """Refuse what DVC would not take for data: commands to run, files to write elsewhere.

    Raises
    ------
    MlopsError
        Naming the file.
    """
    for path in sorted(folder.rglob("*")):
        where = DATA / path.relative_to(folder)
        if path.name in ("dvc.yaml", "dvc.lock", ".dvc"):
            raise MlopsError(f"{where} says what DVC runs, and not here: only dvc.yaml may")
        if path.suffix != ".dvc" or not path.is_file():
            continue
        try:
            said = yaml.safe_load(path.read_text(encoding="utf-8"))
            names = [out["path"] for out in said["outs"]]
        except (ValueError, KeyError, TypeError, yaml.YAMLError):
            raise MlopsError(f"{where} is not what `dvc add` writes; write it anew") from None
        if odd := {"cmd", "wdir"} & said.keys():
            raise MlopsError(f"{where} says {odd.pop()}; only what `dvc add` writes is data")
        if names != [path.stem]:
            raise MlopsError(f"{where} is about {names!r}; it may be about {path.stem!r} only")


def libraries(proposal: Proposal) -> Path | None:
    """Return an environment with the pull request's libraries, None where they are the base's."""
    if not proposal.differs(LIBRARIES):
        return None
    target, lock = ENVIRONMENT / "bin" / "python", proposal.checkout / LIBRARIES
    install = ["uv", "pip", "sync", "--python", str(target), "--require-hashes", "--no-build"]
    with working("Installing the pull request's libraries"):
        _command("uv", "venv", "--clear", str(ENVIRONMENT))
        _command(*install, str(lock))
    return ENVIRONMENT


def _load() -> str | None:
    """Have the base's code load and check the data; returns what stopped it."""
    files.FAILURE.unlink(missing_ok=True)
    try:
        _command("mlops", "pull-data")
        # The run-cache is of the store, where whoever can push can say what a stage had made.
        _command("dvc", "repro", "--pull", "--allow-missing", "--no-run-cache", "validate")
    except MlopsError as error:
        if not files.FAILURE.is_file():
            return str(error)
        left = files.read_json(files.FAILURE, "mlops")
        files.FAILURE.unlink()
        return f"`mlops {left['command']}`: {left['error']}"
    return None


def _judging(settings: Params) -> pd.DataFrame:
    """Return the rows of the data that lies there now that judge by these settings."""
    table = read(files.CHECKED)
    return table[sides(table, settings.data)[1]]


def _common(now: pd.DataFrame, before: pd.DataFrame | None) -> float | None:
    """Return the share of rows that were there before, by the columns that both have."""
    if before is None:
        return None
    both = [name for name in now if name in before]
    hashes = [pd.util.hash_pandas_object(it[both], index=False) for it in (now, before)]
    return float(hashes[0].isin(hashes[1]).mean())


def _command(*command: str) -> None:
    """Run a command of the project's environment; what it prints is in the log."""
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MlopsError(f"`{' '.join(command)}` stopped ({first_line(error)})") from None


def _content(path: Path) -> dict[str, bytes | None]:
    """Return what a file holds, or the files of a folder: not what stages wrote, nor prose."""
    if not path.is_dir():
        return {"": path.read_bytes() if path.is_file() else None}
    made = {it.name for it in (files.RAW, files.CHECKED, files.TRAIN, files.HOLDOUT)}
    return {
        str(it.relative_to(path)): it.read_bytes()
        for it in sorted(path.rglob("*"))
        if it.is_file() and not it.is_symlink() and it.name not in made and it.suffix != ".md"
    }


def _take(source: Path, target: Path) -> None:
    """Copy a file or a folder in place of another; a link leads out of the artifact, so none."""
    if target.is_dir():
        shutil.rmtree(target)
    if source.is_symlink() or not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
        for path in target.rglob("*"):
            if path.is_symlink():
                path.unlink()
    else:
        shutil.copyfile(source, target)
