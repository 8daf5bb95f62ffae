"""How often ``drift.yml`` would retrain where nothing has changed.

The example's days in another order are a world that stays as it is: each month is a draw of the
same days. A champion has learnt from three such months and was judged on the next; three checks
follow, each with its four questions and its challenger. Days that no model has seen say by how much
a challenger is truly better.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops.artifact.feature_code import Inputs
from mlops.artifact.model_folder import to_matrix
from mlops.artifact.table import to_columns
from mlops.drift import columns, decision, questions
from mlops.drift.columns import Wanted
from mlops.drift.rows import Rows
from mlops.judgement import blocks
from mlops.judgement.bootstrap import paired_difference
from mlops.judgement.metric import resolve
from mlops.project import params
from mlops.project.params import Growth, Params, When
from model import build_estimator, build_features, load_data

Array = npt.NDArray[Any]

WORLDS, CHECKS, MONTH, MONTHS = 24, 3, 30, 3
RULES: tuple[When, ...] = ("helps", "drifts", "either")
CATEGORIES = ("carrier", "origin", "dest")


@dataclass(frozen=True)
class World:
    """Flights, the features of each, and the number of its day."""

    table: pd.DataFrame
    x: Array
    y: Array
    days: Array


CHAMPION = 0.7  # ROC AUC, about; of which gate.margin is a share


@dataclass(frozen=True)
class Check:
    """``truth``: by how much the challenger is better on days that no model has seen."""

    state: str
    drifted: bool
    decisions: dict[When, str]
    truth: float


def run() -> Iterator[str]:
    settings = params.load()
    gate = settings.gate.in_units(CHAMPION, CHAMPION)
    settings = settings.model_copy(update={"gate": gate})
    table = load_data()
    x = to_matrix(build_features(Inputs(to_columns(table), settings.data.target)))
    y = table[settings.data.target].to_numpy()
    world = World(table, x, y, blocks.of_rows(table, settings).codes)
    found: dict[Growth, list[Check]] = {"growing": [], "sliding": []}
    for seed in range(WORLDS):
        for window, check in live(settings, world, seed):
            found[window].append(check)
    margin = float(gate.margin)
    for window, checks in found.items():
        yield (
            f"nothing changed, {len(checks)} checks of {MONTH} days, a {window} window: challenger "
            f"truly better by a margin in {share(checks, margin)}, by a margin worse "
            f"in {share(checks, -margin)}; data has drifted in "
            f"{sum(check.drifted for check in checks) / len(checks):.0%}"
        )
        for when in RULES:
            made = [check for check in checks if check.decisions[when] == "retrain"]
            yield (
                f"  {when}: retrain in {len(made) / len(checks):.1%}; not truly better in "
                f"{sum(check.truth <= 0 for check in made) / len(checks):.1%}, worse by a margin "
                f"in {sum(check.truth <= -margin for check in made) / len(checks):.1%}"
            )


def share(checks: list[Check], margin: float) -> str:
    """Say in how many checks the challenger is truly better, or worse, by a margin."""
    sign = 1 if margin > 0 else -1
    return f"{sum(sign * check.truth >= abs(margin) for check in checks) / len(checks):.0%}"


def live(settings: Params, world: World, seed: int) -> Iterator[tuple[Growth, Check]]:
    """Yield what each check finds of a champion that stays."""
    rng = np.random.default_rng(seed)
    drawn = np.split(rng.permutation(world.days.max() + 1)[: 9 * MONTH], 9)
    rows = [np.flatnonzero(np.isin(world.days, month)) for month in drawn]
    unseen = np.concatenate(rows[MONTHS + 1 + CHECKS :])
    champion = fit(settings, world, rows[:MONTHS], seed)
    recorded: list[dict[str, Any]] = []
    for check in range(CHECKS):
        newest = MONTHS + 1 + check
        current = {"start": f"{check}", "end": f"{check}", "window": f"{check}"}
        asked = moved(settings, world, rows, rows[newest], champion)
        changed = decision.find(asked, current, 1, recorded, settings.drift.retrain)
        recorded.append(changed.windows[-1] | {"champion": 1, "drifted_share": 0.0, "decision": ""})
        first: dict[Growth, int] = {"growing": 0, "sliding": newest - MONTHS}
        for window, start in first.items():
            challenger = fit(settings, world, rows[start:newest], seed)
            state = compared(settings, world, rows[newest], challenger, champion)
            heard = {"state": state, "sentence": state}
            decisions = {
                when: decision.decide(changed, "a champion", heard, when).decision for when in RULES
            }
            truth = auc(settings, world, unseen, challenger) - auc(
                settings, world, unseen, champion
            )
            yield window, Check(state, changed.drifted, decisions, truth)


def compared(settings: Params, world: World, rows: Array, challenger: Any, champion: Any) -> str:
    gate = settings.gate
    found = paired_difference(
        resolve(gate.metric, settings.task),
        world.y[rows],
        *(score(model, world.x[rows]) for model in (challenger, champion)),
        [0, 1],
        world.days[rows],
        resamples=gate.resamples,
        confidence=gate.confidence,
        seed=settings.seed,
    )
    if found.low > 0 and found.difference >= float(gate.margin):
        return "better"
    return "not worse" if found.low >= -float(gate.margin) else "not better"


def auc(settings: Params, world: World, rows: Array, model: Any) -> float:
    metric = resolve(settings.gate.metric, settings.task)
    return metric(world.y[rows], score(model, world.x[rows]), [0, 1])


def fit(settings: Params, world: World, months: list[Array], seed: int) -> Any:
    rows = np.concatenate(months)
    return build_estimator(seed=seed, **settings.estimator).fit(world.x[rows], world.y[rows])


def score(model: Any, x: Array) -> Array:
    return np.asarray(model.predict_proba(x)[:, 1])


def moved(
    settings: Params, world: World, rows: list[Array], newest: Array, champion: Any
) -> dict[str, Any]:
    """Ask about data and predictions; the champion is as old as it was, and its score not asked."""
    limits, inputs = settings.drift.columns, world.table.columns.drop(settings.data.target)
    wanted = [
        Wanted(
            name,
            "categorical" if name in CATEGORIES else "numeric",
            limits.own.get(name, limits.categorical if name in CATEGORIES else limits.numeric),
        )
        for name in inputs
        if name in CATEGORIES or pd.api.types.is_numeric_dtype(world.table[name])
    ]
    scores = [Wanted("score", "score", settings.drift.predictions)]
    judged = []
    with tempfile.TemporaryDirectory() as folder:
        for part, asked, before in (
            ("inputs", wanted, np.concatenate(rows[:MONTHS])),
            ("scores", scores, rows[MONTHS]),
        ):
            files = []
            for side, taken in (("before", before), ("now", newest)):
                table = world.table.iloc[taken]
                if part == "scores":
                    table = pd.DataFrame({"score": score(champion, world.x[taken])})
                files.append(Path(folder, f"{part}-{side}.parquet"))
                table.to_parquet(files[-1])
            drift = settings.drift
            found = columns.judge(
                *(Rows(file) for file in files),
                asked,
                missing=drift.missing,
                new_categories=drift.new_categories,
                sample_rows=drift.sample_rows,
                seed=settings.seed,
                page=None,
            )
            judged.append(found.columns)
    fine = {"state": "ok", "sentence": ""}
    return {
        "data": questions.data(judged[0], [], settings.drift),
        "predictions": questions.predictions(judged[1], settings.task, settings.drift),
        "concept": fine,
        "staleness": fine,
    }


if __name__ == "__main__":
    for line in run():
        print(line, flush=True)
