"""A shadow: the candidate is asked what users ask, as they ask it, and nobody gets its answers.

The champion is not asked anything: what it answered is in its prediction log, where the rows are
read as they come. So its users wait no longer, and no mirror stands before it. A candidate that
takes longer than the rows to come is asked each row later; none is left out.
"""

import time
from dataclasses import replace

from mlops.judgement.gate import Check
from mlops.project.errors import MlopsError
from mlops.project.params import Canary, Params
from mlops.project.progress import counting
from mlops.trial import asked_log, canary_gate
from mlops.trial.asked_log import Columns, OutOfReachError, Record, Tail
from mlops.trial.canary_gate import FEWEST, Side, Window
from mlops.trial.party import Party

LOOK = 0.5  # seconds between two looks into the log


def checks(candidate: Party, champion: Columns, version: str, params: Params) -> list[Check]:
    """Ask the candidate for ``serving.canary.seconds`` what the champion is asked; judge it.

    Parameters
    ----------
    champion : sequence of mappings
        The columns of the champion, as ``GET /model`` says them.
    version : str
        The champion's; what other versions answered does not count.

    Raises
    ------
    MlopsError
        When there is no log that can be read, or it does not hold what was asked.
    """
    limits = params.serving.canary
    try:
        window = _follow(candidate, [*champion, *candidate.columns], version, limits)
    except OutOfReachError as why:
        raise MlopsError(
            f"nobody can shadow what users ask: {why}; let this machine read the log, or take "
            "serving.canary.shadow out of params.yaml"
        ) from None
    hopeless = canary_gate.hopeless(window.candidate, window.requests, limits)
    if window.both.sum() < FEWEST and not hopeless:
        said = (
            f"in the shadow, users asked {window.requests} rows in {limits.seconds:g} s, and "
            f"{FEWEST} are needed; listen longer with serving.canary.seconds"
        )
        return [Check("shadow", str(window.requests), f"≥ {FEWEST}", False, said, judged=False)]
    measures = canary_gate.measure(window, params.seed, timed=False)
    found = canary_gate.checks(window, measures, limits, params.serving.latency_ms / 1000)
    return [
        replace(check, name=f"shadow {check.name}", reason=f"in the shadow, {check.reason}")
        for check in found
    ]


def _follow(candidate: Party, columns: Columns, version: str, limits: Canary) -> Window:
    """Return what the champion answered, and the candidate, from now on."""
    window, tail = Window(Side(), Side()), Tail(asked_log.uri())
    started = time.monotonic()
    with counting(f"Shadowing for {limits.seconds:g} s", limits.seconds) as progress:
        while (spent := time.monotonic() - started) < limits.seconds:
            progress(spent)
            time.sleep(min(LOOK, limits.seconds - spent))
            for record in tail.new():
                if record.get("model_version") == version:
                    _ask(window, candidate, record, columns)
                if canary_gate.hopeless(window.candidate, window.requests, limits):
                    return window
    return window


def _ask(window: Window, candidate: Party, record: Record, columns: Columns) -> None:
    if hidden := asked_log.withheld(record, columns):
        raise OutOfReachError(asked_log.not_held(hidden))
    scores = record.get("scores") or {"score": record.get("score")}
    row = asked_log.row(record, columns)
    if row is None:
        return
    window.champion.answered.append(True)
    window.champion.seconds.append(0.0)  # the log does not say
    window.champion.scores.append([scores[name] for name in candidate.classes or ["score"]])
    candidate.ask(row, window.candidate)
