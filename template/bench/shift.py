"""How far models are from each other that a canary should, or should not, let pass."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mlops.artifact.model_folder import Array, to_matrix
from mlops.artifact.table import to_columns
from mlops.project import params
from mlops.trial.canary_gate import distance
from model import build_estimator, build_features, load_data

WINTER, SPRING = (1, 2, 3), (4, 5, 6)


def run() -> Iterator[str]:
    """Train on two quarters of the flights and compare what they predict for later months."""
    settings = params.load().estimator
    table = load_data()
    month = table["time_hour"].dt.month

    def matrix(rows: "pd.Series[bool]") -> Array:
        return to_matrix(build_features(to_columns(table[rows])))

    def fit(months: tuple[int, ...], seed: int) -> "Array":
        rows = month.isin(months)
        model = build_estimator(seed=seed, **settings)
        return model.fit(matrix(rows), table.loc[rows, "late"])

    champion, candidate = fit(WINTER, 1), fit(SPRING, 1)
    again = fit(WINTER, 2)
    for asked in (4, 7, 8):
        x = matrix(month == asked)
        scores = champion.predict_proba(x)[:, 1]
        others = {
            "January to March with another seed": again.predict_proba(x)[:, 1],
            "April to June": candidate.predict_proba(x)[:, 1],
            "January to March, each score 0.1 higher": scores + 0.1,
            "the mean of January to March": np.full_like(scores, scores.mean()),
        }
        for name, other in others.items():
            away = distance(scores[:, None], other[:, None])
            yield f"canary, month {asked}: {name} is {away:.3f} away from January to March"


if __name__ == "__main__":
    for line in run():
        print(line, flush=True)
