"""``mlops canary``: may the candidate that runs at one address replace the champion at another?"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
from mlops.trial import asked_rows, canary_gate
from mlops.trial.canary_gate import Side, Window
from mlops.trial.service_client import NoAnswerError, Service, scores

# A machine that has other work slows one of two processes for a second or so, which no interval of
# that second shows. A service whose p99 is bad is bad whenever it is looked at.
LOOKS = 3
PAUSE = 1.0  # seconds
WARMING = 10  # requests that do not count: the first ones open connections and load libraries
GIVEN_UP = 20  # failures of one service, at least; asking on would tell no more


@dataclass(frozen=True)
class Party:
    """One of the two services, and how to speak its language.

    ``columns`` are its inputs; where a row lacks one, it gets the example of it.
    """

    service: Service
    columns: list[dict[str, Any]]
    classes: list[str] | None

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {it["name"]: _sent(row.get(it["name"], it["example"]), it) for it in self.columns}


def _sent(value: Any, column: Mapping[str, Any]) -> Any:
    """Return a value as its column takes it; a champion may be older than a way to say it."""
    if isinstance(value, bool | float) and column["type"] in ("number", "boolean"):
        return float(value) if column["type"] == "number" else bool(value)
    if column["type"] == "datetime" and isinstance(value, str):
        return value.removesuffix("Z") + ("Z" if column.get("zoned", True) else "")
    return value


def run(params: Params, champion_url: str, candidate_url: str, directory: Path) -> dict[str, Any]:
    """Compare two running services, print how, and write ``reports/canary.json``.

    ``directory`` is an export of the version that the candidate serves; its sample is what both
    are asked where there is no prediction log. Returns what was written: ``finding``,
    ``findings``, ``passed``, ``reasons``, ``asked``, ``notes``, ``checks``, ``measured`` and who
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
        asked = asked_rows.choose(expected, parties[0].columns, limits)
        unknown = asked.lacks(parties[0].columns)
        for look in range(1, LOOKS + 1):
            with counting(f"Asking both {limits.requests} times", limits.requests) as progress:
                window = watch(parties, asked.rows, limits, params.seed + look, progress)
            measures = canary_gate.measure(window, params.seed, comparable=not unknown)
            checks = canary_gate.checks(window, measures, limits)
            if look == LOOKS or not _may_be_a_stall(checks):
                break
            time.sleep(PAUSE)
    found = canary_gate.findings(measures, limits)
    reasons = gate.reasons(checks)
    if measures.p50 is None and not reasons:
        raise _too_few(champion_url, window)
    report = {
        "finding": found[0],
        "findings": found,
        "passed": not reasons,
        "reasons": reasons,
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
    enough = max(GIVEN_UP, 2 * limits.error_rate * limits.requests)
    for at in _rows(rng, len(rows), WARMING):
        for party in parties:
            _ask(party, rows[at], Side())
    started = time.monotonic()
    for done, at in enumerate(_rows(rng, len(rows), limits.requests)):
        due = started + done * limits.seconds / limits.requests
        time.sleep(max(0.0, due - time.monotonic()))
        for turn in rng.permutation(2):
            _ask(parties[turn], rows[at], sides[turn])
        progress(done + 1)
        if any(side.failed >= enough for side in sides):
            break
    return window


def _rows(rng: np.random.Generator, available: int, wanted: int) -> list[int]:
    """Return row numbers in random order; each comes up again only after all others."""
    rounds = -(-wanted // available)
    order = np.concatenate([rng.permutation(available) for _ in range(rounds)])
    return [int(at) for at in order[:wanted]]


def _ask(party: Party, row: Mapping[str, Any], side: Side) -> None:
    clock = time.perf_counter()
    try:
        answer = party.service.predict(party.row(row))
        side.scores.append(scores(answer, 1, party.classes)[0])
        side.answered.append(True)
        side.seconds.append(answer.seconds)
    except MlopsError as error:
        reason = "no answer" if isinstance(error, NoAnswerError) else str(error)
        side.failures[reason] += 1
        side.scores.append([])
        side.answered.append(False)
        side.seconds.append(time.perf_counter() - clock)


def _may_be_a_stall(checks: list[Check]) -> bool:
    """Return whether only the slowest answers are too slow, of a service that does answer."""
    failed = {check.name for check in checks if not check.passed}
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
    passed = "passed" if report["passed"] else "stopped"
    print(f"finding: {report['finding']}, canary {passed} after {report['requests']} requests each")
    print(f"- {report['asked']['said']}")
    for check in report["checks"]:
        print(f"{'-' if check['passed'] else '!'} {check['reason']}")
    for note in report["notes"]:
        print(f"- {note}")
