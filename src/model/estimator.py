"""The unfitted model. Its arguments are ``params.yaml: estimator``."""

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder

CATEGORIES = [0, 1, 2]  # carrier, origin, dest: the first three features


def build_estimator(
    *,
    seed: int,
    learning_rate: float = 0.1,
    max_iter: int = 100,
    max_leaf_nodes: int = 31,
    min_samples_leaf: int = 20,
) -> Pipeline:
    """Return gradient-boosted trees over target-encoded carrier, origin and destination.

    Parameters
    ----------
    seed : int
        Makes two trainings on the same rows give the same model.
    learning_rate, max_iter, max_leaf_nodes, min_samples_leaf
        As in :class:`sklearn.ensemble.HistGradientBoostingClassifier`.
    """
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return Pipeline(
        [
            (
                "encode",
                ColumnTransformer(
                    [("rate", TargetEncoder(cv=folds), CATEGORIES)],
                    remainder="passthrough",
                ),
            ),
            (
                "trees",
                HistGradientBoostingClassifier(
                    learning_rate=learning_rate,
                    max_iter=max_iter,
                    max_leaf_nodes=max_leaf_nodes,
                    min_samples_leaf=min_samples_leaf,
                    early_stopping=False,
                    random_state=seed,
                ),
            ),
        ]
    )
