"""``mlops canary``: may the candidate that runs at one address replace the champion at another?"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mlops.artifact.sample import NAME as SAMPLE
from mlops.judgement import gate
from mlops.judgement.gate import Check
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Canary, Params
from mlops.project.progress import counting
from mlops.registry import export
from mlops.registry.export import Exported
from mlops.trial import asked_rows, canary_gate, shadow
from mlops.trial.canary_gate import Side, Window
from mlops.trial.party import Party
from mlops.trial.service_client import Service

# A machine that has other work slows one of two processes for a second or so, which no interval of
# that second shows. A service whose p99 is bad is bad whenever it is looked at.
LOOKS = 3
PAUSE = 1.0  # seconds
WARMING = 10  # requests that do not count: the first ones open connections and load libraries


def run(params: Params, champion_url: str, candidate_url: str, directory: Path) -> dict[str, Any]:
    """Compare two running services, print how, and write ``reports/canary.json``.

    ``directory`` is an export of the version that the candidate serves; its sample is what both
    are asked where there is no prediction log. Where the answers are too few to tell, it asks on.
    Returns what was written: ``finding``, ``findings``, ``outcome`` (passed, stopped or
    inconclusive), ``passed``, ``reasons``, ``asked``, ``notes``, ``checks``, ``measured`` and who
    was compared.

    Raises
    ------
    MlopsError
        When the two cannot be compared, which says nothing about the candidate.
    """
    files.CANARY.unlink(missing_ok=True)
    expected = export.read(directory)
    if expected.sample is None:
        raise MlopsError(
            f"{directory / SAMPLE} is not there, so there is nothing to ask the services; "
            "register the model anew, or deploy it with --no-canary"
        )
    limits, started = params.serving.canary, time.monotonic()
    with Service(champion_url) as one, Service(candidate_url) as other:
        known = {"champion": _champion(one, expected), "candidate": _candidate(other, expected)}
        parties = (
            Party(one, known["champion"]["columns"], expected.classes),
            Party(other, known["candidate"]["columns"], expected.classes),
        )
        asked = asked_rows.choose(expected, parties[0].columns, parties[1].columns, limits)
        unknown = asked.lacks(parties[0].columns)
        window, stalled = Window(Side(), Side()), False
        for look in range(1, LOOKS + 1):
            with counting(f"Asking both {limits.requests} times", limits.requests) as progress:
                newest = watch(parties, asked.rows, limits, params.seed + look, progress)
            window = newest if stalled else window + newest
            measures = canary_gate.measure(window, params.seed, comparable=not unknown)
            checks = canary_gate.checks(window, measures, limits, params.serving.latency_ms / 1000)
            stalled = _may_be_a_stall(checks)
            if look == LOOKS or not (stalled or canary_gate.outcome(checks) == "inconclusive"):
                break
            time.sleep(PAUSE)
        if measures.p50 is None and not gate.reasons(checks):
            raise _too_few(champion_url, window)
        if limits.shadow and canary_gate.outcome(checks) != "stopped":
            version = str(known["champion"].get("version"))
            checks += shadow.checks(parties[1], parties[0].columns, version, params)
    found = canary_gate.findings(measures, limits)
    report = {
        "finding": found[0],
        "findings": found,
        "outcome": canary_gate.outcome(checks),
        "passed": canary_gate.outcome(checks) == "passed",
        "reasons": gate.reasons(checks),
        "asked": {"source": asked.source, "said": asked.said},
        "notes": _notes(window, unknown),
        "checks": [asdict(check) for check in checks],
        "measured": asdict(measures),
        "limits": limits.model_dump(),
        "requests": window.requests,
        "looks": look,
        "seconds": round(time.monotonic() - started, 1),
        "champion": {"url": champion_url, "version": known["champion"].get("version")},
        "candidate": {"url": candidate_url, "version": known["candidate"].get("version")},
    }
    files.write_json(files.CANARY, report)
    _say(report)
    return report


def watch(
    parties: tuple[Party, Party],
    rows: Sequence[Mapping[str, Any]],
    limits: Canary,
    seed: int,
    progress: Callable[[float], None],
) -> Window:
    """Send ``limits.requests`` of the rows to both services, ``parties``: champion and candidate.

    Each row goes to both, one right after the other and in random order, so that whatever else
    the machines and the network do meets both alike. The window ends early when one has failed
    more than twice as often as it may (and 20 times): a dead one would take its timeout each time.
    """
    rng = np.random.default_rng(seed)
    window = Window(Side(), Side())
    sides = (window.champion, window.candidate)
    for at in _rows(rng, len(rows), WARMING):
        for party in parties:
            party.ask(rows[at], Side())
    started = time.monotonic()
    for done, at in enumerate(_rows(rng, len(rows), limits.requests)):
        due = started + done * limits.seconds / limits.requests
        time.sleep(max(0.0, due - time.monotonic()))
        for turn in rng.permutation(2):
            parties[turn].ask(rows[at], sides[turn])
        progress(done + 1)
        if any(canary_gate.hopeless(side, limits.requests, limits) for side in sides):
            break
    return window


def _rows(rng: np.random.Generator, available: int, wanted: int) -> list[int]:
    """Return row numbers in random order; each comes up again only after all others."""
    rounds = -(-wanted // available)
    order = np.concatenate([rng.permutation(available) for _ in range(rounds)])
    return [int(at) for at in order[:wanted]]


def _may_be_a_stall(checks: list[Check]) -> bool:
    """Return whether only the slowest answers are too slow, of a service that does answer."""
    failed = {check.name for check in checks if check.judged and not check.passed}
    return canary_gate.P99 in failed and not failed & {canary_gate.P50, canary_gate.ERRORS}


def _champion(service: Service, expected: Exported) -> dict[str, Any]:
    try:
        facts = service.about()
    except MlopsError as error:
        raise MlopsError(
            f"the champion cannot be asked: {error}; that is not the candidate's fault: repair the "
            "champion, or deploy with --no-canary"
        ) from None
    ours = expected.facts
    classes = None if ours.classes is None else [str(name) for name in ours.classes]
    for name, own in (("task", ours.task), ("classes", classes)):
        if facts.get(name) != own:
            raise MlopsError(
                f"the champion at {service.url} has {name} {facts.get(name)!r} and the candidate "
                f"{own!r}: they cannot be compared; deploy with --no-canary"
            )
    return facts


def _candidate(service: Service, expected: Exported) -> dict[str, Any]:
    try:
        facts = service.about()
    except MlopsError as error:
        raise MlopsError(f"the candidate cannot be asked: {error}; see its log") from None
    if facts.get("model_md5") != expected.facts.model_md5:
        raise MlopsError(
            f"the candidate at {service.url} serves version {facts.get('version')}, which is not "
            f"the one in {expected.folder} (version {expected.version}); are the addresses swapped?"
        )
    return facts


def _too_few(champion_url: str, window: Window) -> MlopsError:
    return MlopsError(
        f"the champion at {champion_url} failed {window.champion.failed} of {window.requests} "
        f"requests ({window.champion.most_often}) and the candidate {window.candidate.failed}: too "
        "few were answered by both to compare them; that is not the candidate's fault: repair the "
        "champion, or deploy with --no-canary"
    )


def _notes(window: Window, unknown: list[str]) -> list[str]:
    notes = []
    if failed := window.champion.failed:
        notes.append(
            f"the champion itself fails {failed} of {window.requests} requests "
            f"({window.champion.most_often}), which is not the candidate's fault"
        )
    if unknown:
        notes.append(
            f"the champion needs {', '.join(unknown)}, which the candidate's sample does not have: "
            "it was asked with a typical value, and the predictions are not compared"
        )
    return notes


def _say(report: dict[str, Any]) -> None:
    outcome, requests = report["outcome"], report["requests"]
    print(f"finding: {report['finding']}, canary {outcome} after {requests} requests each")
    print(f"- {report['asked']['said']}")
    for check in report["checks"]:
        mark = "-" if check["passed"] else "!" if check["judged"] else "?"
        print(f"{mark} {check['reason']}")
    for note in report["notes"]:
        print(f"- {note}")
