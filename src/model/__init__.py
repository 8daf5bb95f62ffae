"""YOURS: what is predicted. The machinery in ``mlops`` knows it only by these four names.

``load_data``
    The raw table, one row for each case, target included; or, of many rows, its parts one after
    the other, by ``yield`` (``data.py``).
``SCHEMA``
    What that table must look like, or nothing trains (``schema.py``).
``build_features``
    The numbers and texts the model sees, from columns of raw values (``features.py``).
``build_estimator``
    The unfitted scikit-learn model (``estimator.py``). It gets one float32 matrix; or, where a
    feature is text, a pandas DataFrame, whose columns it may take by name.

A file ``metrics.py`` may be added. Each public function in it is a metric, shown in every report,
for ``gate.metric`` and ``gate.floors`` to name::

    GREATER_IS_BETTER = {"cost": False}


    def cost(truth: Array, label: Array, columns: Mapping[str, Array]) -> Array:
        return np.where(label == 1, 20.0, truth * columns["amount"])  # a look costs 20

It takes what it wants of these, by name, and returns a number, or one for each row: then their mean
is the metric, and slices are judged by it, too.

``truth``
    Shape (n,): 0 and 1, which is ``data.positive``; of several classes their places in sorted
    order; numbers.
``prediction``
    Shape (n,): the probability of 1, or numbers; of several classes (n, k), in their order.
``label``
    Shape (n,): the class that the model says, as ``truth``; a regression has none.
``columns``
    Raw values by column name, as ``build_features`` gets them, and the target.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.data import load_data
    from model.estimator import build_estimator
    from model.features import build_features
    from model.schema import SCHEMA

__all__ = ["SCHEMA", "build_estimator", "build_features", "load_data"]

_MODULES = {
    "SCHEMA": "model.schema",
    "build_estimator": "model.estimator",
    "build_features": "model.features",
    "load_data": "model.data",
}


def __getattr__(name: str) -> Any:
    # Imported when asked for: a stage that only builds features does not wait for scikit-learn.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
