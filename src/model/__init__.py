"""YOURS: what is predicted. The machinery in ``mlops`` knows it only by these four names.

``load_data``
    The raw table, one row for each case, target included (``data.py``).
``SCHEMA``
    What that table must look like, or nothing trains (``schema.py``).
``build_features``
    The numbers the model sees, from columns of raw values (``features.py``).
``build_estimator``
    The unfitted scikit-learn model (``estimator.py``).
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
