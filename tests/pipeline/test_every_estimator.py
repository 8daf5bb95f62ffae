"""Every estimator of scikit-learn and boosters serve as trained, or ``train`` says why not."""

from collections import Counter
from pathlib import Path

import pytest
from every_estimator import sweep

# In these, nothing that people use every day may be refused: estimator, missing values, runtimes.
EVERY_DAY = {
    ("LogisticRegression", False),
    ("RandomForestClassifier", False),
    ("ExtraTreesClassifier", False),
    ("GradientBoostingClassifier", False),
    ("HistGradientBoostingClassifier", False),
    ("HistGradientBoostingClassifier", True),
    ("KNeighborsClassifier", False),
    ("MLPClassifier", False),
    ("CalibratedClassifierCV", False),
    ("LGBMClassifier", True),
    ("XGBClassifier", True),
    ("LGBMRegressor", True),
    ("XGBRegressor", True),
    ("Ridge", False),
    ("RandomForestRegressor", False),
    ("HistGradientBoostingRegressor", True),
    ("StandardScaler + LogisticRegression", False),
    ("SimpleImputer + LogisticRegression", True),
    ("PolynomialFeatures + Ridge", False),
    ("SelectKBest + LogisticRegression", False),
}


@pytest.mark.filterwarnings("ignore:Class Passive:FutureWarning")
def test_it_serves_as_trained_or_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refusals, served = [], Counter()
    for it in sweep():
        if it.refusal is None:
            served[it.estimator, it.missing, it.runtime] += 1
        else:
            refusals.append(it.refusal)
    assert [one for one in refusals if "\n" in one or not 50 < len(one) < 600] == []
    for runtime in ("onnx", "skops"):
        assert {one for one in EVERY_DAY if not served[*one, runtime]} == set()
    assert ("RandomForestClassifier", True, "skops") in served
    assert ("RandomForestClassifier", True, "onnx") not in served
    assert served.total() > 350
