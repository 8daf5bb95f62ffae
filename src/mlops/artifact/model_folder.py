"""The model as a folder: graph, feature code and facts, enough to predict from raw values.

``model.onnx``
    What predicts, here and in the service; not there with ``serving.runtime: skops``.
``model.skops``
    The same model as a scikit-learn object, for people and MLflow; it predicts where no ONNX does.
``features.py``
    The code the model learned its features from. A champion is judged with its own.
``rows.npy``
    A sketch of the rows that trained (:mod:`mlops.artifact.row_sketch`); older models have none.
``model.json``
    The facts: task, inputs, features, window, parameters, and hashes of what it came from.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlops.artifact.feature_code import BuildFeatures, load_features
from mlops.artifact.features import Array, Asked, to_features, to_matrix
from mlops.project.errors import MlopsError
from mlops.project.params import Data, Runtime, Task, Window

__all__ = ["Array", "to_matrix"]  # for those who know them from here

ONNX = "model.onnx"
SKOPS = "model.skops"
FEATURES = "features.py"
FACTS = "model.json"
# Of model.json. Who changes what it holds counts up, and goes on reading all that came before.
FORMAT = 3

Columns = Mapping[str, Array]


class Column(BaseModel):
    """What a request may say about one input; from the schema, but for ``dtype`` and ``example``.

    ``dtype`` is NumPy's, as training had it. Bounds include their ends; those of times are in
    ISO 8601. ``categories`` are the known ones; others are predicted as in training. Times that had
    no zone in training are not ``zoned``; format 1 does not say it, and took all with a zone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    type: Literal["integer", "number", "string", "boolean", "datetime"]
    dtype: str
    nullable: bool
    zoned: bool = True
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    categories: list[str | int | float | bool] | None = None
    example: str | int | float | bool | None = None


class Facts(BaseModel):
    """What ``model.json`` holds; the same inputs give the same bytes.

    ``format`` is the :data:`FORMAT` it was written in; the oldest files do not say theirs, 1.
    ``threshold``: from this probability on, a row is said to be the second of two classes; None,
    as in formats before 3: the service says no class.
    ``base_rate`` is what the training target alone would predict: the share of each class, or the
    mean; ``target_quantiles`` are every 5 % of a regression's. ``texts`` names those of
    ``features`` that are texts; formats before 3 have none. ``columns`` describes ``inputs``, in
    their order; older models have none. ``code`` maps the files of ``src/model`` to their MD5,
    ``params`` holds what the model depends on (not the gate). ``model_md5`` is that of the file
    that predicts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Annotated[int, Field(ge=1, le=FORMAT)] = 1
    task: Task
    runtime: Runtime = "onnx"
    target: str
    classes: list[str | int] | None
    threshold: float | None = None
    features: list[str]
    texts: list[str] = []
    inputs: list[str]
    columns: list[Column] = []
    base_rate: list[float]
    target_quantiles: list[float] = []
    window: Window | None
    rows: int
    params: dict[str, Any]
    schema_columns: dict[str, str]
    code: dict[str, str]
    data_md5: str
    model_md5: str
    requirements_md5: str

    @property
    def trained_on(self) -> str:
        """Which rows, in words that fit after "rows of"."""
        return (
            str(self.window) if self.window else Data.model_validate(self.params["data"]).training
        )

    @property
    def identity(self) -> str:
        """What was judged: the file that predicts, and the threshold, if there is one."""
        return self.model_md5 if self.threshold is None else f"{self.model_md5} {self.threshold}"

    @property
    def model_file(self) -> str:
        """Name of the file that predicts."""
        return ONNX if self.runtime == "onnx" else SKOPS


@dataclass(frozen=True)
class ModelArtifact:
    """A trained model, loaded from its folder."""

    folder: Path
    facts: Facts

    @cached_property
    def build_features(self) -> BuildFeatures:
        return load_features(self.folder / FEATURES)

    @property
    def model_path(self) -> Path:
        """The file that predicts."""
        return self.folder / self.facts.model_file

    @cached_property
    def _session(self) -> Any:
        # Since 1.29 it reports models and runs to Microsoft, unless told before its import
        # (Privacy.md in the package).
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what fails is raised, and need not be on stderr as well
        options.intra_op_num_threads = 1  # one row is too small to share, and sums keep their order
        return onnxruntime.InferenceSession(
            self.model_path, options, providers=["CPUExecutionProvider"]
        )

    @cached_property
    def _input_names(self) -> list[str]:
        """In the order of the features, whose own names the converter turns into identifiers."""
        return [it.name for it in self._session.get_inputs()]

    @cached_property
    def _estimator(self) -> Callable[[Asked], Array]:
        from mlops.artifact.skops_model import predictor

        return predictor(self.model_path, self.facts.task)

    def predict(self, columns: Columns) -> Array:
        """Predict ``n`` rows from raw columns.

        Parameters
        ----------
        columns : mapping of str to array of shape (n,)
            At least ``facts.inputs``.

        Returns
        -------
        numpy.ndarray of float64
            ``binary``: probability of the second class, shape (n,). ``multiclass``: probabilities
            in the order of ``facts.classes``, shape (n, k). ``regression``: shape (n,).

        Raises
        ------
        MlopsError
            When an input column is missing.
        """
        self.check(columns)
        return self.ask(self.features(columns))

    def check(self, columns: Columns) -> None:
        """Refuse columns of which an input is missing."""
        if missing := [name for name in self.facts.inputs if name not in columns]:
            raise MlopsError(
                f"the model in {self.folder} needs column {', '.join(missing)}, "
                "which the data no longer has; keep the column until a model without it is champion"
            )

    def features(self, columns: Columns) -> Asked:
        """Return the features of ``n`` rows from columns that are all there."""
        inputs = {name: columns[name] for name in self.facts.inputs}
        return to_features(self.build_features(inputs), self.facts.texts)

    def predict_base_rate(self, rows: int) -> Array:
        """Predict ``rows`` rows as if nothing but the training target were known."""
        if self.facts.task == "multiclass":
            return np.tile(self.facts.base_rate, (rows, 1))
        return np.full(rows, self.facts.base_rate[-1])

    def ask(self, asked: Asked) -> Array:
        """Predict from features, as :func:`to_features` builds them."""
        if self.facts.runtime == "skops":
            return self._estimator(asked)
        if isinstance(asked, dict):
            named = zip(self._input_names, asked.values(), strict=True)
            feed = {name: values[:, None] for name, values in named}
        else:
            feed = {"features": asked}
        output = self._session.run(None, feed)[-1].astype(np.float64)
        if self.facts.task == "binary":
            return np.asarray(output[:, 1])
        return np.asarray(output if self.facts.task == "multiclass" else output[:, 0])


def load(folder: Path) -> ModelArtifact:
    """Load a model folder, refusing one that is incomplete or damaged."""
    facts = load_facts(folder)
    if missing := [name for name in (facts.model_file, FEATURES) if not (folder / name).is_file()]:
        raise MlopsError(f"the model in {folder} lacks {', '.join(missing)}")
    return ModelArtifact(folder, facts)


def load_facts(folder: Path) -> Facts:
    """Read the ``model.json`` of a model folder, in any format until :data:`FORMAT`."""
    try:
        return Facts.model_validate_json((folder / FACTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MlopsError(f"{folder / FACTS} is not there; run `dvc repro` to train") from None
    except ValueError as error:
        for problem in error.errors() if isinstance(error, ValidationError) else []:
            if problem["loc"] == ("format",) and problem["type"] == "less_than_equal":
                raise MlopsError(
                    f"{folder / FACTS} has format {problem['input']}, and this version of mlops "
                    f"reads formats up to {FORMAT}; update the project (`cruft update`)"
                ) from None
        raise MlopsError(f"{folder / FACTS} is damaged: {' '.join(str(error).split())}") from None
