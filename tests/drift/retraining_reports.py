"""Small reports of a check and of the retraining that followed, as the commands write them."""

from typing import Any

from mlops.project.params import Drift

Json = dict[str, Any]


def column(name: str, **changed: Any) -> Json:
    """A numeric column that has drifted to three times its threshold."""
    return {
        "name": name,
        "kind": "numeric",
        "method": "wasserstein",
        "score": 0.314,
        "threshold": 0.1,
        "drifted": True,
        "why": ["score"],
        "judged": "sample",
        "sampling_error": 0.012,
        "missing": {"reference": 0.01, "current": 0.011},
        "new_categories": [],
        "new_share": 0.0,
        "reference": {"min": 0.0, "max": 90.0, "mean": 61.2, "std": 10.0},
        "current": {"min": 0.0, "max": 95.0, "mean": 74.8, "std": 14.0},
    } | changed


def category(name: str, **changed: Any) -> Json:
    """A category that has not drifted."""
    return (
        column(
            name,
            kind="categorical",
            method="jensenshannon",
            score=0.04,
            drifted=False,
            why=[],
            judged="all rows",
            sampling_error=None,
            reference={"distinct": 16, "top": [["EV", 0.17], ["UA", 0.16], ["B6", 0.15]]},
            current={"distinct": 16, "top": [["EV", 0.20], ["B6", 0.151], ["DL", 0.15]]},
        )
        | changed
    )


def drift(**changed: Any) -> Json:
    """``reports/drift.json`` of a check in June that asks to retrain."""
    score = column("score", kind="score", score=0.05, drifted=False, why=[])
    return {
        "as_of": "2013-06-30",
        "checked": "2026-11-22T07:00:00Z",
        "model": "flight-delays",
        "champion": {"version": 7, "window": "2013-01 to 2013-03", "holdout": "2013-04"},
        "source": "data",
        "reference": {"start": "2013-01-01", "end": "2013-03-31", "rows": 77809},
        "current": {
            "window": "2013-06",
            "start": "2013-06-01",
            "end": "2013-06-30",
            "rows": 27075,
            "labelled": 27075,
            "fingerprint": "0f" * 16,
        },
        "new_data": True,
        "decision": "retrain",
        "sentence": "Retrain champion v7 in 2013-06: the challenger is better",
        "reasons": ["the challenger is better", "1 of 2 inputs has drifted", "2 of 3 windows have"],
        "moved": ["1 of 2 inputs has drifted"],
        "lasting": "2 of 3 windows have",
        "drifted": True,
        "challenger": {
            **question("better", 0.037, 0.005),
            **{"start": "2013-06-01", "end": "2013-06-30", "metric": "roc_auc"},
            **{"champion": 0.691, "candidate": 0.728, "low": 0.03, "high": 0.04},
            **{"window": "2013-03 to 2013-05", "seconds": 1.57},
        },
        "questions": {
            "data": {
                **question("violated", 1, 1),
                "share": 0.5,
                "columns": [category("carrier"), column("humid")],
                "not_judged": ["time_hour"],
            },
            "predictions": {**question("ok", 0.05, 0.1), "columns": [score]},
            "concept": {
                **question("ok", -0.012, 0.02),
                "metric": "roc_auc",
                "greater_is_better": True,
                "holdout": 0.728,
                "newest": 0.716,
                "low": -0.02,
                "high": -0.004,
                "rows": 27075,
            },
            "staleness": question("ok", 91, 180),
        },
        "windows": [
            {"start": "2013-05-01", "end": "2013-05-31", "violated": ["data"], "decision": "watch"},
            {
                "start": "2013-06-01",
                "end": "2013-06-30",
                "violated": ["data"],
                "decision": "retrain",
            },
        ],
        "settings": Drift().model_dump(),
    } | changed


def question(state: str, value: float | None, threshold: float | None) -> Json:
    return {"state": state, "value": value, "threshold": threshold, "sentence": f"it is {state}"}


def unanswered() -> dict[str, Json]:
    """The four questions when there were too few rows."""
    nothing = {"columns": [], "share": None, "not_judged": [], "metric": "roc_auc"}
    return {
        name: question("skipped", None, 1) | (nothing if name != "staleness" else {})
        for name in drift()["questions"]
    }


def comparison(**changed: Any) -> Json:
    """``reports/comparison.json`` of a retraining on March to May that is better."""
    row = {"candidate": 0.728, "champion": 0.691, "difference": 0.037, "low": 0.03, "high": 0.04}
    measured = row | {"metric": "roc_auc", "greater_is_better": True, "verdict": "better"}
    part = row | {"column": "carrier", "value": "EV", "rows": 4641, "verdict": "better"}
    trained = {
        "calibration": 0.06,
        "predicted": 0.245,
        "window": "2013-03 to 2013-05",
        "rows": 83660,
        "data_md5": "da7a",
        "model_md5": "c495",
        "requirements_md5": "93da",
        "plots": {
            "calibration": {"predicted": [0.1, 0.4], "seen": [0.1, 0.5], "rows": [90, 90]},
            "over_time": {"week": ["2013-06-03"], "roc_auc": [0.7], "rows": [180]},
        },
        "cost": {"latency_ms": 0.1, "size_mb": 0.11},
        "commit": "ce143a19" * 5,
        "dirty": True,
        "run_id": "439c",
        "started": "2026-11-22T06:50:51+00:00",
        "seconds": 1.57,
        "peak_memory_mb": 418.2,
        "python": "3.11.7",
    }
    check = {"name": "against the champion", "value": "better", "limit": "gain ≥ −0.005"}
    return {
        "finding": "better",
        "passed": True,
        "reasons": [],
        "mode": "retrain",
        "name": "flight-delays",
        "task": "binary",
        "target": "late",
        "metric": "roc_auc",
        "gate": {
            "margin": 0.005,
            "confidence": 0.95,
            "resamples": 2000,
            "slices": {"columns": ["carrier"], "min_rows": 500, "margin": 0.03},
        },
        "margins": {"overall": 0.005, "slices": 0.03},
        "holdout": {
            "start": "2013-06",
            "end": "2013-06",
            "rows": 27075,
            "blocks": "30 days",
            "md5": "36d3",
            "seen": 0.3,
            "seen_by_champion": 0.0,
        },
        "candidate": trained,
        "champion": trained | {"version": 7, "window": "2013-01 to 2013-03"},
        "differences": [measured],
        "slice_metric": "roc_auc",
        "slices": [part | {"failed": False}],
        "checks": [check | {"passed": True, "reason": "ROC AUC is not worse than the champion's"}],
        "changes": None,
    } | changed


def worse() -> Json:
    """The same when the retrained model is worse, most of all for one carrier."""
    given = comparison(finding="worse", passed=False)
    lost = {"candidate": 0.65, "difference": -0.041, "low": -0.05, "high": -0.035}
    given["differences"] = [it | lost | {"verdict": "worse"} for it in given["differences"]]
    given["slices"] = [it | lost | {"verdict": "worse", "failed": True} for it in given["slices"]]
    given["checks"] = [it | {"passed": False, "reason": "it is worse"} for it in given["checks"]]
    return given
