"""What managed endpoints ask for instead of /predict: where the rows are, how the answer looks.

Each prediction takes the way of /predict, with its key, limits, log and metrics; an envelope only
unwraps the rows and wraps what the model says of them. Azure ML, Cloud Run and Lambda let a service
declare its port and paths, so they need nothing here. The contracts, as their owners write them:

- https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
- https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
- https://github.com/kserve/open-inference-protocol (KServe's v2)
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

import mlops
from mlops.artifact.model_folder import Facts
from mlops.project.errors import MlopsError
from mlops.serving.predictor import Predicted, Predictor
from mlops.serving.request import INFERENCE, Refusal, encode
from mlops.serving.served_model import ServedModel
from mlops.serving.settings import Settings

OWN = frozenset(["/predict", "/live", "/ready", "/metrics", "/model", "/openapi.json", "/docs"])
INTEGERS = ("INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8")
# Of a column, what its tensor may be; the first is what the metadata say.
DATATYPES: dict[str, tuple[str, ...]] = {
    "integer": INTEGERS,
    "number": ("FP64", "FP32", "FP16", *INTEGERS),
    "string": ("BYTES",),
    "boolean": ("BOOL",),
    "datetime": ("BYTES",),
}

# From predictions, and whether they are logged, to the body of an answer.
Answer = Callable[[Predicted, bool], bytes]
# From the body of a request to its rows and its answer; raises Refusal where there are none.
Envelope = Callable[[bytes], tuple[list[Any], Answer]]


class Instances(msgspec.Struct):
    instances: msgspec.Raw


class Tensor(msgspec.Struct):
    """A column, or what is predicted of all rows; matrices are in row-major order."""

    name: str
    shape: list[Annotated[int, Meta(ge=0)]]
    datatype: str
    data: list[Any]


class Output(msgspec.Struct):
    name: str


class InferenceRequest(msgspec.Struct):
    """An input for each column; without ``outputs``, all of them are answered."""

    inputs: Annotated[list[Tensor], Meta(min_length=1)]
    id: str | None = None
    outputs: list[Output] = []


class InferenceAnswer(msgspec.Struct, omit_defaults=True):
    """``parameters`` say whether the predictions are on record; ``id`` is the request's."""

    model_name: str
    model_version: str
    parameters: dict[str, bool]
    outputs: list[Tensor]
    id: str | None = None


class Platforms:
    """Paths of managed endpoints: those that predict, that say ready, and that never change.

    Raises
    ------
    MlopsError
        When Vertex AI is to ask at a path that is another page's.
    """

    def __init__(self, model: ServedModel, predictor: Predictor, settings: Settings) -> None:
        facts = model.facts
        self._model, self._predictor = model, predictor
        self._instances = msgspec.json.Decoder(Instances)
        self._request = msgspec.json.Decoder(InferenceRequest)
        self._datatypes = {column.name: DATATYPES[column.type] for column in facts.columns}
        self._outputs = outputs_of(facts)
        model_path = f"/v2/models/{model.name}"
        model_paths = (model_path, f"{model_path}/versions/{model.version}")
        self.envelopes: dict[str, Envelope] = {"/invocations": self.rows}
        self.envelopes |= {f"{path}/infer": self.tensors for path in model_paths}
        self.ready: dict[str, dict[str, str]] = {"/ping": {}, "/v2/health/ready": {}}
        self.ready |= {f"{path}/ready": {"name": model.name} for path in model_paths}
        server = {"name": "mlops.serving", "version": mlops.__version__, "extensions": []}
        self.pages = {"/v2": encode(server), "/v2/health/live": b'{"live":true}'}
        self.pages |= dict.fromkeys(model_paths, encode(self._metadata()))
        self._add_vertex(settings.aip_health_route, settings.aip_predict_route)

    def envelope(self, method: str, path: str) -> Envelope | None:
        """Return what opens a request; Vertex AI may ask for readiness at the same path."""
        found = self.envelopes.get(path)
        return None if found and method == "GET" and path in self.ready else found

    def rows(self, body: bytes) -> tuple[list[Any], Answer]:
        """Open what /predict takes."""
        return self._predictor.row_type.decode(body), self._predictor.answer

    def instances(self, body: bytes) -> tuple[list[Any], Answer]:
        """Open ``{"instances": [row, ...]}``; parameters are for models that have some."""
        found = bytes(_decode(self._instances, body, "instances").instances)
        if not found.startswith(b"["):
            raise Refusal("invalid", "instances must be an array of rows")
        return self._predictor.row_type.decode(found), _wrapped

    def tensors(self, body: bytes) -> tuple[list[Any], Answer]:
        """Open a request of the Open Inference Protocol, with a tensor for each column."""
        request: InferenceRequest = _decode(self._request, body, "inputs")
        inputs = request.inputs
        asked = {output.name for output in request.outputs} or set(self._outputs)
        columns = {one.name: self._values(number, one) for number, one in enumerate(inputs)}
        if len(columns) < len(inputs):
            raise Refusal("invalid", "two inputs have the same name")
        if len(set(map(len, columns.values()))) > 1:
            raise Refusal("invalid", "the inputs must have the same number of rows")
        if asked - self._outputs.keys():
            raise Refusal("invalid", f"outputs: there are {', '.join(self._outputs)}")
        values = zip(*columns.values(), strict=True)
        rows = encode([dict(zip(columns, row, strict=True)) for row in values])

        def answer(predicted: Predicted, logged: bool) -> bytes:
            said = [self._output(name, predicted) for name in self._outputs if name in asked]
            model, on_record = self._model, {"logged": logged}
            return encode(InferenceAnswer(model.name, model.version, on_record, said, request.id))

        return self._predictor.row_type.decode(rows), answer

    def _values(self, number: int, tensor: Tensor) -> list[Any]:
        """Return the value of each row; rows are checked as those of /predict are."""
        known = tensor.name in self._datatypes
        where = f"input {tensor.name}" if known else f"inputs[{number}]"
        if known and tensor.datatype not in (allowed := self._datatypes[tensor.name]):
            raise Refusal("invalid", f"{where}: the datatype must be {' or '.join(allowed)}")
        length, values = len(tensor.data), tensor.data
        if not length or tensor.shape not in ([length], [length, 1]):
            said = f"the shape must be [n] or [n, 1] of n values, from 1 on; there are {length}"
            raise Refusal("invalid", f"{where}: {said}")
        if len(tensor.shape) == 2:
            values = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in values]
        return values

    def _output(self, name: str, predicted: Predicted) -> Tensor:
        datatype, shape = self._outputs[name]
        shape = [len(predicted.rows) if size < 0 else size for size in shape]
        if name == "classes":
            values: list[Any] = list(self._model.facts.classes or [])
        elif name == "scores":
            values = [score for one in predicted.predictions for score in one.scores.values()]
        else:
            values = [getattr(one, name) for one in predicted.predictions]
        if datatype == "BYTES":
            values = [str(value) for value in values]  # labels may be numbers and texts
        return Tensor(name, shape, datatype, values)

    def _metadata(self) -> dict[str, Any]:
        runs = {"onnx": "onnx_onnxv1", "skops": "sklearn_skops"}
        inputs = {name: (allowed[0], [-1]) for name, allowed in self._datatypes.items()}
        return {
            "name": self._model.name,
            "versions": [self._model.version],
            "platform": runs[self._model.facts.runtime],
            "inputs": _described(inputs),
            "outputs": _described(self._outputs),
        }

    def _add_vertex(self, health: str, predict: str) -> None:
        taken = OWN.union(self.envelopes, self.ready, self.pages)
        for setting, route, free in (
            ("AIP_HEALTH_ROUTE", health, {"/ready", "/ping"}),  # which say what it asks
            ("AIP_PREDICT_ROUTE", predict, set()),
        ):
            if route in taken - free or f"{route}/".startswith(INFERENCE):
                raise MlopsError(f"{setting}: {route} is another page's; choose a path of its own")
        if health and health not in taken:
            self.ready[health] = {}
        if predict:
            self.envelopes[predict] = self.instances


def outputs_of(facts: Facts) -> dict[str, tuple[str, list[int]]]:
    """Return datatype and shape of each output; -1 is the number of rows.

    They are the fields of a prediction. That a matrix has the classes in its columns, ``classes``
    says, as the protocol has no names for columns.
    """
    outputs: dict[str, tuple[str, list[int]]] = {"id": ("BYTES", [-1])}
    classes = facts.classes or []
    if facts.task == "multiclass":
        many = len(classes)
        return outputs | {"scores": ("FP64", [-1, many]), "classes": ("BYTES", [many])}
    outputs["score"] = ("FP64", [-1])
    if facts.threshold is not None:
        whole = all(isinstance(label, int) for label in classes)
        outputs["label"] = ("INT64" if whole else "BYTES", [-1])
    return outputs


def _described(tensors: dict[str, tuple[str, list[int]]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "datatype": datatype, "shape": shape}
        for name, (datatype, shape) in tensors.items()
    ]


def _wrapped(predicted: Predicted, _: bool) -> bytes:
    return encode({"predictions": predicted.predictions})


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes, name: str) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal("invalid", f'{error}; send {{"{name}": [...]}}') from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal("malformed", f"the body is not JSON: {error}") from None
