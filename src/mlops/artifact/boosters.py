"""LightGBM and XGBoost in an estimator: a project has one where `make add` chose it."""

from typing import Any

from mlops.project.errors import ADDED, MlopsError


def used(estimator: Any) -> list[str]:
    """Name the libraries of boosters that an estimator, fitted or not, is made of."""
    parts = [estimator, *getattr(estimator, "get_params", dict)().values()]
    libraries = {type(part).__module__.partition(".")[0] for part in parts}
    return [name for name in ADDED if name in libraries]


def register_converters(libraries: list[str]) -> None:
    """Let skl2onnx convert classifiers and regressors of these libraries, through onnxmltools.

    Raises
    ------
    MlopsError
        When onnxmltools is not installed.
    """
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    for library in libraries:
        try:
            classifier, regressor, convert = _LIBRARIES[library]()
        except ModuleNotFoundError as error:
            raise MlopsError(
                f"{error.name} is not installed, which converts {library} to ONNX; "
                f"run `make add GROUP={library}`"
            ) from None
        update_registered_converter(
            classifier,
            f"{library}{classifier.__name__}",
            calculate_linear_classifier_output_shapes,
            convert,
            options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
        )
        update_registered_converter(
            regressor,
            f"{library}{regressor.__name__}",
            calculate_linear_regressor_output_shapes,
            convert,
            options={"split": None},
        )


def _lightgbm() -> tuple[type, type, Any]:
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    return LGBMClassifier, LGBMRegressor, convert_lightgbm


def _xgboost() -> tuple[type, type, Any]:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from xgboost import XGBClassifier, XGBRegressor

    return XGBClassifier, XGBRegressor, convert_xgboost


_LIBRARIES = {"lightgbm": _lightgbm, "xgboost": _xgboost}
