"""`mlops canary` on real services: an equal pair passes, each kind of bad candidate is stopped."""

import json
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from altering_proxy import AlteringProxy, Asked, Reply
from scipy.stats import ks_2samp

from mlops import cli
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Canary, Params, load
from mlops.trial import canary, canary_gate
from mlops.trial.canary_gate import Side, Window
from mlops.trial.party import Party
from mlops.trial.service_client import Service

EXAMPLE = Path(__file__).parents[1] / "example" / "params.yaml"
PARAMS = load(EXAMPLE)
Serve = Callable[..., str]
Altered = Callable[[str], str]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_KEY", raising=False)
    monkeypatch.delenv("PREDICTION_LOG_URI", raising=False)
    shutil.copyfile(EXAMPLE, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(canary_gate, "RESAMPLES", 500)


def limits(seed: int = 1, **changes: Any) -> Params:
    """Return settings with few requests, and other changes of the limits."""
    chosen = PARAMS.serving.canary.model_copy(update={"requests": 150, **changes})
    serving = PARAMS.serving.model_copy(update={"canary": chosen})
    return PARAMS.model_copy(update={"seed": seed, "serving": serving})


def judge(champion: str, candidate: str, export: Path, params: Params) -> dict[str, Any]:
    """Return what the canary writes, having seen that it agrees with itself."""
    report = canary.run(params, champion, candidate, export)
    assert json.loads(files.CANARY.read_text()) == report
    failed = [check for check in report["checks"] if not check["passed"]]
    assert report["reasons"] == [check["reason"] for check in failed]
    surely = any(check["judged"] for check in failed)
    assert report["outcome"] == ("stopped" if surely else "inconclusive" if failed else "passed")
    assert report["passed"] == (report["outcome"] == "passed")
    assert report["finding"] == report["findings"][0]
    return report


def stopped(report: dict[str, Any]) -> list[str]:
    return [it["name"] for it in report["checks"] if it["judged"] and not it["passed"]]


def without_stalls(names: list[str]) -> list[str]:
    """Leave out what a machine that is busy with other tests may do to either service."""
    return [name for name in names if name not in ("slower", "latency p99")]


def refused(champion: str, candidate: str, export: Path, params: Params) -> str:
    """Return why there is no comparison; none is left behind, not even an older one."""
    files.write_json(files.CANARY, {"passed": True})
    with pytest.raises(MlopsError) as error:
        canary.run(params, champion, candidate, export)
    assert not files.CANARY.is_file()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="package")
def other(serve: Serve, exported: Path) -> str:
    """A second service of the same version."""
    return serve(exported)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_equal_pair_passes(served: str, other: str, exported: Path, seed: int) -> None:
    report = judge(served, other, exported, limits(seed))
    assert report["passed"]
    assert "failing" not in report["findings"]
    assert "shifted" not in report["findings"]
    assert report["measured"]["errors"]["value"] == report["measured"]["shift"]["value"] == 0
    assert (report["requests"] % 150, report["notes"]) == (0, [])


def test_a_slower_one(served: str, altered: Altered, exported: Path) -> None:
    report = judge(served, altered("slow"), exported, limits(requests=100))
    assert (report["finding"], report["findings"]) == ("slower", ["slower"])
    assert set(stopped(report)) - {"latency p99"} == {"latency p50"}  # a busy machine has its own
    median = report["reasons"][0]
    assert median.startswith("half of its answers take up to ")
    assert "times the champion's " in median
    assert median.endswith("; 1.5 is allowed)")
    assert "99% interval " in median


def test_a_failing_one(served: str, altered: Altered, exported: Path) -> None:
    report = judge(served, altered("failing"), exported, limits())
    assert (report["finding"], without_stalls(stopped(report))) == ("failing", ["errors"])
    reason = report["reasons"][0]
    assert " requests (the service answered 500 internal: " in reason
    assert reason.endswith(", the champion 0; 1% may fail")


def test_one_with_shifted_predictions(
    served: str, altered: Altered, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shifted = altered("shifted")
    report = judge(served, shifted, exported, limits())
    assert without_stalls(report["findings"]) == ["shifted"]
    assert without_stalls(stopped(report)) == ["predictions"]
    reason = report["reasons"][-1]
    assert reason.startswith("its scores are at a Kolmogorov-Smirnov distance of 0.")
    assert reason.endswith("; 0.25 is allowed)")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "finding: shifted, canary stopped after 150 requests each"
    assert f"! {reason}" in said

    # The finding is one thing, what follows from it another.
    report = judge(served, shifted, exported, limits(shift=1.0))
    assert (report["finding"], report["passed"]) == ("shifted", True)


def test_all_reasons_are_named_and_the_gravest_is_the_finding(
    served: str, altered: Altered, exported: Path
) -> None:
    def slow_and_failing(asked: Asked, reply: Reply) -> Reply:
        time.sleep(0.03 if asked.path == "/predict" else 0)
        return reply.but(status=500, body=b"") if asked.number % 3 == 0 else reply

    with AlteringProxy(altered("shifted"), slow_and_failing) as proxy:
        report = judge(served, proxy.url, exported, limits(requests=200, error_rate=0.2))
    assert report["findings"] == ["failing", "shifted", "slower"]  # none of them by chance
    assert {"errors", "latency p50", "predictions"} <= set(stopped(report))


@pytest.mark.parametrize(
    ("stalled", "looks", "stops"),
    [([True, False], 2, []), ([True, True, True], 3, ["latency p99"])],
)
def test_a_bad_p99_is_looked_at_again(
    served: str,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
    stalled: list[bool],
    looks: int,
    stops: list[str],
) -> None:
    windows = iter([window(1.0, stall=0.1 if stall else 0) for stall in stalled])
    monkeypatch.setattr(canary, "watch", lambda *_: next(windows))
    monkeypatch.setattr(canary, "PAUSE", 0)
    report = judge(served, served, exported, limits())
    assert (report["looks"], stopped(report)) == (looks, stops)
    assert report["finding"] == ("slower" if stops else "equal")
    assert next(windows, None) is None


def test_doubt_is_asked_on_and_lets_nobody_pass(
    served: str, altered: Altered, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the limit is within the interval, no number of looks decides."""
    params = limits(latency_ratio=1000.0)
    shift = judge(served, altered("shifted"), exported, params)["measured"]["shift"]["value"]
    report = judge(
        served, altered("shifted"), exported, limits(latency_ratio=1000.0, shift=round(shift, 2))
    )
    assert (report["outcome"], report["looks"], report["requests"]) == ("inconclusive", 3, 450)
    (reason,) = report["reasons"]
    assert reason.endswith(f"; {round(shift, 2):g} is allowed)")
    said = capsys.readouterr().out.splitlines()
    assert "finding: shifted, canary inconclusive after 450 requests each" in said
    assert f"? {reason}" in said


def test_a_rare_failure_is_a_doubt_too(served: str, exported: Path) -> None:
    def failing(asked: Asked, reply: Reply) -> Reply:
        return reply.but(status=500, body=b"") if asked.number % 100 == 0 else reply

    with AlteringProxy(served, failing) as proxy:
        report = judge(served, proxy.url, exported, limits(latency_ratio=1000.0))
    assert (report["outcome"], report["requests"]) == ("inconclusive", 450)
    (reason,) = report["reasons"]
    assert re.fullmatch(
        r"it fails [345] of 450 requests \(.+\), the champion 0, which may be [12]\.\d% more of "
        r"all; 1% may fail",
        reason,
    )


@pytest.mark.parametrize(("promised", "outcome"), [(0.2, "passed"), (0.01, "inconclusive")])
def test_an_uncertain_p99_is_good_enough_below_the_promise(promised: float, outcome: str) -> None:
    """A busy machine delays one answer of a hundred on either side by 20 ms or so."""
    simulated = window(1.0, noise=0.01, seed=3)
    measures = canary_gate.measure(simulated, 3)
    assert measures.p99
    assert measures.p99.low < 1.5 < measures.p99.high
    checks = canary_gate.checks(simulated, measures, Canary(), promised)
    assert canary_gate.outcome(checks) == outcome


def test_the_command_ends_with_the_reasons(
    served: str,
    altered: Altered,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    addresses = [served, altered("failing")]
    monkeypatch.setattr("sys.argv", ["mlops", "canary", *addresses, str(exported)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("mlops: the canary stops the candidate: it fails ")


def test_one_that_dies_is_not_asked_to_the_end(served: str, exported: Path) -> None:
    def dying(asked: Asked, reply: Reply) -> Reply:
        return reply.but(status=0) if asked.path == "/predict" and asked.number > 90 else reply

    with AlteringProxy(served, dying) as proxy:
        report = judge(served, proxy.url, exported, limits(requests=1000))
    assert report["finding"] == "failing"
    assert report["requests"] == 100
    assert report["reasons"][0].startswith(
        "it fails 20 of 100 requests (no answer), the champion 0"
    )


# The champion's own faults


def test_a_champion_that_fails_is_not_the_candidates_fault(
    served: str, altered: Altered, exported: Path
) -> None:
    report = judge(altered("failing"), served, exported, limits())
    assert report["passed"]
    assert "failing" not in report["findings"]
    (note,) = report["notes"]
    assert note.startswith("the champion itself fails ")
    assert note.endswith(", which is not the candidate's fault")


def test_both_failing_alike_is_not_the_candidates_fault(altered: Altered, exported: Path) -> None:
    url = altered("failing")
    report = judge(url, url, exported, limits())
    assert report["passed"]
    assert report["checks"][0]["value"] != "0.00%"


def test_a_champion_that_always_fails(served: str, exported: Path) -> None:
    def broken(asked: Asked, reply: Reply) -> Reply:
        return reply.but(status=500) if asked.path == "/predict" else reply

    with AlteringProxy(served, broken) as proxy:
        said = refused(proxy.url, served, exported, limits())
    assert said.startswith(f"the champion at {proxy.url} failed 20 of 20 requests (")
    assert "the candidate 0: too few were answered by both" in said
    assert said.endswith("or deploy with --no-canary")


def test_a_champion_that_is_not_there(served: str, exported: Path) -> None:
    said = refused("http://127.0.0.1:9", served, exported, limits())
    assert said.startswith("the champion cannot be asked: http://127.0.0.1:9 did not answer GET /m")
    assert "not the candidate's fault" in said


def test_a_candidate_that_is_not_there(served: str, exported: Path) -> None:
    said = refused(served, "http://127.0.0.1:9", exported, limits())
    assert said.startswith("the candidate cannot be asked: http://127.0.0.1:9 did not answer GET /")


def other_facts(**changes: Any) -> Callable[[Asked, Reply], Reply]:
    """Answer ``GET /model`` with other facts."""

    def alter(asked: Asked, reply: Reply) -> Reply:
        if asked.path != "/model":
            return reply
        content = json.loads(reply.body)
        for key, value in changes.items():
            content[key] = value(content[key]) if callable(value) else value
        return reply.but(body=json.dumps(content).encode())

    return alter


def test_swapped_addresses(served: str, exported: Path) -> None:
    with AlteringProxy(served, other_facts(model_md5="0", version="0")) as proxy:
        said = refused(served, proxy.url, exported, limits())
    assert "serves version 0, which is not the one in" in said
    assert said.endswith("(version 1); are the addresses swapped?")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "regression"}, "has task 'regression' and the candidate 'binary'"),
        ({"classes": ["no", "yes"]}, "has classes ['no', 'yes'] and the candidate ['0', '1']"),
    ],
)
def test_a_champion_that_predicts_something_else(
    served: str, exported: Path, changes: dict[str, Any], said: str
) -> None:
    with AlteringProxy(served, other_facts(**changes)) as proxy:
        assert said in refused(proxy.url, served, exported, limits())


@pytest.mark.parametrize(
    ("column", "value", "sent"),
    [
        ({"type": "number"}, True, 1.0),
        ({"type": "boolean"}, 0.0, False),
        ({"type": "integer"}, 3, 3),
        ({"type": "number"}, None, None),
        ({"type": "datetime"}, "2013-04-01T12:00:00", "2013-04-01T12:00:00Z"),
        ({"type": "datetime", "zoned": False}, "2013-04-01T12:00:00Z", "2013-04-01T12:00:00"),
    ],
)
def test_a_champion_is_asked_in_the_words_of_its_own_age(
    column: dict[str, Any], value: Any, sent: Any
) -> None:
    with Service("http://127.0.0.1:9") as service:
        party = Party(service, [{"name": "it", "example": None, **column}], None)
        row = party.row({"it": value, "not its own": 1})
    assert row == {"it": sent}
    assert type(row["it"]) is type(sent)


def test_a_champion_with_a_column_that_the_candidate_has_given_up(
    serve: Serve, served: str, exported: Path
) -> None:
    lenient = serve(exported, unknown_fields="ignore")
    gone = {"name": "gone", "type": "number", "nullable": False, "example": 1.5}
    with AlteringProxy(lenient, other_facts(columns=lambda columns: [*columns, gone])) as proxy:
        report = judge(proxy.url, served, exported, limits(requests=100, latency_ratio=99.0))
    assert report["passed"]
    assert report["measured"]["shift"] is None
    (note,) = report["notes"]
    assert note.startswith("the champion needs gone, which the candidate's sample does not have")
    assert note.endswith("the predictions are not compared")


def test_without_a_sample_there_is_nothing_to_ask(
    served: str, exported: Path, tmp_path: Path
) -> None:
    export = Path(shutil.copytree(exported, tmp_path / "export"))
    (export / "sample.json").unlink()
    said = refused(served, served, export, limits())
    assert said.startswith(f"{export}/sample.json is not there, so there is nothing to ask")


def test_the_window_takes_its_time(served: str, other: str, exported: Path) -> None:
    report = judge(served, other, exported, limits(requests=100, seconds=2.0))
    assert report["seconds"] >= 1.9


# The measures


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    champion, candidate = np.random.default_rng(0).integers(0, 40, (2, 700, 3)).astype(float)
    candidate[:, 1] += 9
    expected = [ks_2samp(champion[:, k], candidate[:, k]).statistic for k in range(3)]
    assert canary_gate.distance(champion, candidate) == pytest.approx(max(expected))
    assert canary_gate.distance(champion, champion) == 0


def test_rounding_is_no_shift() -> None:
    leaves = np.repeat([0.2, 0.7], 50)[:, None]  # two leaves of a tree, rounded in other ways
    noise = np.random.default_rng(0).uniform(-1e-7, 1e-7, leaves.shape)
    assert canary_gate.distance(leaves, leaves + noise) == 0
    assert canary_gate.distance(1e6 * leaves, 1e6 * (leaves + noise)) == 0
    assert canary_gate.distance(leaves, leaves + 0.001) == 0.5


def test_many_requests_are_resampled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = window(1.0)
    whole = canary_gate.measure(simulated, 7)
    monkeypatch.setattr(canary_gate, "AT_ONCE", 1000)
    parts = canary_gate.measure(simulated, 7)
    assert (parts.p50, parts.p99) == (whole.p50, whole.p99)


def window(slower: float, *, stall: float = 0, noise: float = 0, seed: int = 0) -> Window:
    """Simulate 300 requests: the candidate takes ``stall`` seconds more for one of twelve.

    ``noise`` is the share of either side's answers that the machine delays.
    """
    rng, requests = random.Random(seed), 300

    def side(factor: float, stall: float) -> Side:
        seconds = [factor * rng.lognormvariate(-7, 0.3) for _ in range(requests)]
        seconds = [each + rng.expovariate(20) * (rng.random() < noise) for each in seconds]
        seconds = [each + stall * (number % 12 == 0) for number, each in enumerate(seconds)]
        return Side([True] * requests, seconds, [[0.5]] * requests)

    return Window(side(1, 0), side(slower, stall))


@pytest.mark.parametrize(("factor", "least", "most"), [(1.0, 0, 1), (2.0, 40, 40)])
def test_noise_does_not_stop_a_candidate_and_slowness_does(
    factor: float, least: int, most: int
) -> None:
    stops = 0
    for seed in range(40):
        simulated = window(factor, noise=0.02, seed=seed)
        measures = canary_gate.measure(simulated, seed)
        checks = canary_gate.checks(simulated, measures, Canary(), 0.05)
        stops += canary_gate.outcome(checks) == "stopped"
    assert least <= stops <= most
