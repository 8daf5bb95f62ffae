"""``params.yaml``: every setting a user may change, checked before anything runs."""

import inspect
import os
import re
from datetime import date, timedelta
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)

from mlops.project.errors import MlopsError
from mlops.project.files import PARAMS

PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")
CONFLICT = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
YEAR_MONTH_OR_DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")

Task = Literal["binary", "multiclass", "regression"]
Mode = Literal["change", "retrain", "upkeep"]
Policy = Literal["better", "not_worse"]
Runtime = Literal["onnx", "skops"]
Target = Literal["image", "compose", "kubernetes"]
Environment = Literal["staging", "production"]
Period = Literal["year", "month", "week", "day"]
Split = Literal["time", "hash"]
Growth = Literal["growing", "sliding"]
When = Literal["helps", "drifts", "either"]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _from_percent(value: Any) -> Any:
    """Read ``1%`` as 0.01; whatever else is given is left to be judged."""
    match = PERCENT.fullmatch(value) if isinstance(value, str) else None
    return float(match[1]) / 100 if match else value


Percentage = Annotated[Share, BeforeValidator(_from_percent)]


def _label(value: Any) -> Any:
    if isinstance(value, str | int) or (isinstance(value, float) and value.is_integer()):
        return int(value) if isinstance(value, float) else value
    raise ValueError("expected a class: a text or a whole number")


Label = Annotated[str | int | bool, BeforeValidator(_label)]


def _margin(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < inf
    if number or (isinstance(value, str) and PERCENT.fullmatch(value)):
        return value
    raise ValueError(
        "expected a share of the champion's score, such as 1%, or a number in the metric's units"
    )


# A text such as "1%", or a number.
Margin = Annotated[float | str, BeforeValidator(_margin)]


def amount(margin: float | str, score: float) -> float:
    """Return a margin in the units of a metric; ``1%`` is that share of ``score``."""
    return _from_percent(margin) * abs(score) if isinstance(margin, str) else margin


def _threshold(value: Any) -> Any:
    costs = isinstance(value, dict) and set(value) == {"false_positive", "false_negative"}
    numbers = list(value.values()) if costs else [value]
    most = inf if costs else 1
    if value is None or all(type(it) in (int, float) and 0 < it < most for it in numbers):
        return value
    raise ValueError(
        "expected a probability between 0 and 1, or what a wrong label costs, such as "
        "{ false_positive: 1, false_negative: 5 }"
    )


# From which probability on a row is the positive class, or what to choose it by.
Threshold = Annotated[float | dict[str, float] | None, BeforeValidator(_threshold)]


def _rejects(value: Any) -> Any:
    count = type(value) is int and value >= 0
    if count or (isinstance(value, str) and PERCENT.fullmatch(value)):
        return value
    raise ValueError("expected a share of the rows, such as 1%, or a number of rows")


# A text such as "1%", or a number of rows.
Rejects = Annotated[int | str, BeforeValidator(_rejects)]

# Keys by their old name, as in `gate.margins: gate.margin`: who has one is told the new name.
RENAMED: dict[str, str] = {}


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Window(Section):
    """A span of time, both ends included: years, months (``2013-03``) or days (``2013-03-15``)."""

    start: str
    end: str

    @field_validator("start", "end", mode="before")
    @classmethod
    def _parse(cls, value: object) -> str:
        text = str(value)
        _first_day(text)
        return text

    @model_validator(mode="after")
    def _in_order(self) -> "Window":
        if self.first_day >= self.first_day_after:
            raise ValueError(f"start {self.start} is after end {self.end}")
        return self

    @property
    def first_day(self) -> date:
        return _first_day(self.start)

    @property
    def first_day_after(self) -> date:
        if len(self.end) == len("2013-03-15"):
            return _first_day(self.end) + timedelta(days=1)
        if len(self.end) == len("2013"):
            return date(int(self.end) + 1, 1, 1)
        return (_first_day(self.end) + timedelta(days=31)).replace(day=1)

    @property
    def last_day(self) -> date:
        return self.first_day_after - timedelta(days=1)

    @property
    def in_years(self) -> bool:
        return len(self.start) == len(self.end) == len("2013")

    def overlaps(self, other: "Window") -> bool:
        return self.first_day < other.first_day_after and other.first_day < self.first_day_after

    def __str__(self) -> str:
        return self.start if self.start == self.end else f"{self.start} to {self.end}"


def _first_day(text: str) -> date:
    if match := YEAR_MONTH_OR_DAY.fullmatch(text):
        year, month, day = match.groups(default="1")
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            pass
    raise ValueError("expected a year, a month such as 2013-03 or a day such as 2013-03-15")


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Data(Section):
    """Which rows train and which judge.

    ``split: time``: those of ``window`` and of ``holdout``, by the column ``time``. ``hash``: those
    whose hash lies below ``share`` judge, the others train: so a row keeps its side for ever, also
    when others are added. The hash is that of the columns ``by``, such as a customer, whose rows
    then stay together, or of all columns but the target.
    """

    target: str
    positive: Label | None = None  # of two classes, the one to look for; 1 of 0 and 1
    split: Split = "time"
    by: Annotated[list[str], BeforeValidator(_several)] = []
    share: Annotated[Percentage, Field(gt=0, lt=1)] = 0.2
    time: str | None = None
    timezone: str | None = None  # of the days in gate.blocks; by default that of the time column
    window: Window | None = None
    holdout: Window | None = None
    dropped: Percentage = 0.01  # largest share of rows that the schema may drop

    @property
    def windows(self) -> tuple[Window, Window]:
        """What trains and what judges, with ``split: time``."""
        assert self.window and self.holdout
        return self.window, self.holdout

    @property
    def training(self) -> str:
        """Which rows train, in words that fit after "rows of"."""
        return (
            f"the {1 - self.share:.0%} that are not set aside" if self.hashed else f"{self.window}"
        )

    @property
    def judging(self) -> str:
        """Which rows judge, as :attr:`training`."""
        by = f" by {' and '.join(self.by)}" if self.by else ""
        return f"the {self.share:.0%} set aside{by}" if self.hashed else f"{self.holdout}"

    @property
    def hashed(self) -> bool:
        return self.split == "hash"

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        try:
            ZoneInfo(value or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("expected a time zone such as Europe/Berlin or UTC") from None
        return value

    @model_validator(mode="after")
    def _holdout_unseen(self) -> "Data":
        wrong = self._problem()
        if wrong:
            raise ValueError(wrong)
        return self

    def _problem(self) -> str:
        of_time = {"time": self.time, "window": self.window, "holdout": self.holdout}
        if self.hashed:
            odd = [name for name in ("window", "holdout") if of_time[name]]
            return f"{odd[0]} is only for split: time; remove it" if odd else ""
        if lacking := [name for name, value in of_time.items() if value is None]:
            return (
                f"{' and '.join(lacking)} missing, which split: time needs; where rows have no "
                "time, set split: hash"
            )
        usual = type(self).model_fields
        if other := [
            name for name in ("by", "share") if getattr(self, name) != usual[name].default
        ]:
            return f"{other[0]} is only for split: hash; remove it, or set split: hash"
        window, holdout = self.windows
        if window.overlaps(holdout):
            return (
                f"window {window} overlaps holdout {holdout}; "
                "the holdout must be rows that the model has not trained on"
            )
        return ""


class Slices(Section):
    columns: list[str] = []
    min_rows: Annotated[int, Field(ge=1)] = 500
    margin: Margin = "5%"


class TooGood(Section):
    """From where on a result is not believed, see :mod:`mlops.judgement.too_good`.

    ``alone``: share of the model's gain over the base rate that one feature reaches by itself.
    ``times``: so many times the champion's gain.
    """

    alone: Percentage = 0.95
    times: Annotated[float, Field(gt=1)] = 3.0


class Gate(Section):
    metric: str
    margin: Margin
    change: Policy = "better"
    blocks: str = "day"
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=100)] = 2000
    judgements: Annotated[int, Field(ge=1)] = 20
    floors: dict[str, float] = {}
    slices: Slices = Slices()
    beats_base_rate: bool = True
    too_good: TooGood = TooGood()
    trusted: list[str] = []
    calibration: Positive
    latency_ms: Positive
    size_mb: Positive

    def in_units(self, score: float, slice_score: float) -> "Gate":
        """Return the gate with its margins as numbers, by the champion's scores."""
        slices = {"margin": amount(self.slices.margin, slice_score)}
        margins = {
            "margin": amount(self.margin, score),
            "slices": self.slices.model_copy(update=slices),
        }
        return self.model_copy(update=margins)


class Canary(Section):
    """When a candidate that is served beside the champion may take its place.

    ``rows``: which are asked, those of the prediction log (where this machine can read one) or
    those of the holdout. ``requests``: one row each, to either, spread over at least ``seconds``.
    ``shadow``: whether the candidate is also asked, for as many seconds, what users ask meanwhile.
    ``error_rate``: largest share of requests that only the candidate fails. ``latency_ratio``:
    largest latency relative to the champion's. ``shift``: largest distance of its predictions from
    the champion's, see :mod:`mlops.trial.canary`.
    """

    requests: Annotated[int, Field(ge=100)] = 500
    seconds: NotNegative = 0.0
    error_rate: Annotated[float, Field(ge=0, lt=1)] = 0.01
    latency_ratio: Annotated[float, Field(gt=1)] = 1.5
    shift: Positive = 0.25
    rows: Literal["log", "holdout"] = "log"
    shadow: bool = False

    @model_validator(mode="after")
    def _listens(self) -> "Canary":
        if self.shadow and not self.seconds:
            raise ValueError("shadow needs seconds: how long to listen to what users ask")
        return self


class Batch(Section):
    """How tables are predicted (``mlops predict``); docs/batch.md says more.

    ``rejects``: so many rows, or such a share of them, may be put aside as bad.
    """

    rejects: Rejects = "1%"

    def most(self, rows: int) -> int:
        """Return how many of ``rows`` rows may be rejected."""
        if isinstance(self.rejects, int):
            return self.rejects
        return int(rows * float(_from_percent(self.rejects)))


class Serving(Section):
    runtime: Runtime = "onnx"
    threshold: Threshold = None
    target: Target = "image"
    latency_ms: Positive = 50.0
    canary: Canary = Canary()
    batch: Batch = Batch()
    former_images: list[str] = []  # such as ghcr.io/owner/name, before the repository was renamed


class Thresholds(Section):
    """Thresholds of one column: of its distance, and as in :class:`Drift`."""

    distance: Positive | None = None
    missing: Share | None = None
    new_categories: Share | None = None


def _distance(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"distance": value} if number else value


def _as_written(value: Thresholds) -> Any:
    said = value.model_dump(exclude_none=True)
    return said["distance"] if set(said) == {"distance"} else said


OfColumn = Annotated[Thresholds, BeforeValidator(_distance), PlainSerializer(_as_written)]


class DriftColumns(Section):
    """From which distance an input of the model has drifted, see :mod:`mlops.drift.columns`.

    The distances are Evidently's and do not depend on the number of rows. ``numeric``: Wasserstein,
    in standard deviations of the reference. ``categorical``: Jensen-Shannon in nats, so from 0 to
    0.83. ``own``: thresholds of single columns, a distance or several. ``at_least``: so many
    drifted columns are data drift.
    """

    numeric: Positive = 0.1
    categorical: Positive = 0.1
    own: dict[str, OfColumn] = {}
    at_least: Annotated[int, Field(ge=1)] = 1


class Retrain(Section):
    """When a model trained on newer rows replaces the champion.

    ``when``: where it is better (``helps``), where data has drifted and it is not worse
    (``drifts``), or where either is so. Data has drifted when ``violations`` of the last ``of``
    windows have, the newest included. ``window`` says whether ``data.window`` keeps its start then,
    or its length.
    """

    when: When = "either"
    violations: Annotated[int, Field(ge=1)] = 2
    of: Annotated[int, Field(ge=1)] = 3
    window: Growth = "growing"

    @model_validator(mode="after")
    def _possible(self) -> "Retrain":
        if self.violations > self.of:
            raise ValueError(
                f"violations {self.violations} of {self.of} windows can never be; "
                "violations must be at most of"
            )
        return self


class Drift(Section):
    """What ``mlops drift`` judges, and from where on it says so; see :mod:`mlops.drift.check`.

    ``predictions`` is a distance as those of ``columns.numeric``; ``concept`` is a margin as
    ``gate.margin`` is; ``new_categories`` and ``missing`` are shares of rows.
    """

    replay: bool = False
    period: Period = "month"
    # With fewer, the distance of a hundred categories is above 0.1 by chance alone.
    min_rows: Annotated[int, Field(ge=1)] = 2000
    columns: DriftColumns = DriftColumns()
    new_categories: Share = 0.01
    missing: Share = 0.1
    predictions: Positive = 0.1
    concept: Margin = "3%"
    stale_days: Annotated[int, Field(ge=1)] = 180
    retrain: Retrain = Retrain()
    sample_rows: Annotated[int, Field(ge=1000)] = 20_000


class Params(Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    task: Task
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    tracking_uri: str = ""
    data: Data
    estimator: dict[str, Any] = {}
    gate: Gate
    serving: Serving = Serving()
    drift: Drift = Drift()

    @model_validator(mode="before")
    @classmethod
    def _blocks_of_the_split(cls, value: Any) -> Any:
        """Without dates there are no days: blocks are what was split by, else single rows."""
        data, gate = (
            (value.get(name) for name in ("data", "gate")) if isinstance(value, dict) else (0, 0)
        )
        if not isinstance(data, dict) or not isinstance(gate, dict) or "blocks" in gate:
            return value
        if data.get("split") != "hash" or data.get("time"):
            return value
        by = _several(data.get("by") or [])
        return {**value, "gate": {**gate, "blocks": by[0] if len(by) == 1 else "row"}}

    @model_validator(mode="after")
    def _days_need_dates(self) -> "Params":
        if self.data.time is None and self.gate.blocks in ("day", "week"):
            raise ValueError(
                f"gate.blocks: got {self.gate.blocks!r}, and data.time names no column; set row, "
                "or a column such as the customer"
            )
        return self

    @model_validator(mode="after")
    def _two_classes(self) -> "Params":
        if self.serving.threshold is not None and self.task != "binary":
            raise ValueError(
                f"serving.threshold is of a model of two classes, and task is {self.task}; "
                "remove it"
            )
        return self

    def of_the_model(self) -> dict[str, Any]:
        """Return the settings that a trained model depends on.

        Not ``data.positive``, which may be set or taken for granted: the model's classes say it;
        nor ``serving.runtime``, which the model says itself.
        """
        kept: Any = {"task": True, "seed": True, "data": True, "estimator": True}
        kept["serving"] = {"threshold"}
        # Nor what only the other split has: older models do not say how they were split.
        other = {"window", "holdout"} if self.data.hashed else {"split", "by", "share"}
        left = {"dropped", "positive", *other}
        return self.model_dump(include=kept, exclude={"data": left})


def settings() -> Params:
    """Read ``params.yaml``; an environment variable wins over the registry that it names."""
    read = load()
    if read.tracking_uri:
        os.environ.setdefault("MLFLOW_TRACKING_URI", read.tracking_uri)
    return read


def load(path: Path = PARAMS) -> Params:
    """Read and check ``params.yaml``.

    Raises
    ------
    MlopsError
        One line for each wrong key: the key, the value and what is allowed.
    """
    try:
        return Params.model_validate(read_yaml(path))
    except ValidationError as error:
        problems = {_key(problem): problem for problem in error.errors()}
        for old in RENAMED.keys() & problems.keys():
            problems.pop(RENAMED[old], None)  # missing: it is there, by its old name
        raise MlopsError(
            "\n".join(f"{path}: {_sentence(problem)}" for problem in problems.values())
        ) from None


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which PyYAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # PyYAML refuses it
            line = key.start_mark.line + 1
            if key.value in seen:
                raise MlopsError(
                    f"{PARAMS}: line {line}: {key.value} is there already, in line "
                    f"{seen[key.value]}; keep one of them"
                )
            seen[key.value] = line
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file of settings by section.

    Raises
    ------
    MlopsError
        When it is not there, not UTF-8, not YAML, has a key twice, or a value that DVC refuses.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        content = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        raise MlopsError(f"{path} is not there") from None
    except UnicodeDecodeError as error:
        raise MlopsError(
            f"{path} is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None
    except yaml.YAMLError as error:
        if CONFLICT.search(text):
            raise MlopsError(
                f"{path} holds the marks of a merge conflict (<<<<<<<); choose a side"
            ) from None
        raise MlopsError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        got = "is empty" if content is None else f"holds {type(content).__name__}"
        raise MlopsError(f"{path} {got}; expected sections such as data and gate")
    try:
        flat = flatten(content)
    except RecursionError:
        raise MlopsError(f"{path}: a section refers to itself (&, *)") from None
    for key, value in flat.items():
        if isinstance(value, date):
            raise MlopsError(
                f"{path}: {key}: got {value} without quotes, which YAML reads as a date and DVC "
                f'refuses; write "{value}"'
            )
    return content


def _key(problem: Any) -> str:
    return ".".join(map(str, problem["loc"])) or "the whole file"


def _sentence(problem: Any) -> str:
    """Say in one line which key is wrong, what it holds and what is allowed."""
    location = [str(part) for part in problem["loc"]]
    key = _key(problem)
    value = problem["input"]
    if problem["type"] == "extra_forbidden":
        if key in RENAMED:
            return f"{key}: this key is now {RENAMED[key]}; move its value ({value!r}) there"
        allowed = ", ".join(_section(location[:-1]).model_fields)
        return f"{key}: unknown key (value {value!r}); allowed here: {allowed}"
    if problem["type"] == "missing":
        return f"{key}: missing; this key is required"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if isinstance(value, dict) else f"{key}: got {value!r}; {message}"


def _section(location: list[str]) -> type[BaseModel]:
    section: type[BaseModel] = Params
    for part in location:
        if part not in section.model_fields:  # the name of a column
            continue
        annotation = section.model_fields[part].annotation
        if annotation == dict[str, OfColumn]:
            annotation = Thresholds
        assert inspect.isclass(annotation) and issubclass(annotation, BaseModel)
        section = annotation
    return section


def check_estimator_arguments(given: dict[str, Any], signature: inspect.Signature) -> None:
    """Refuse keys of ``params.yaml: estimator`` that ``src/model/estimator.py`` does not take.

    Raises
    ------
    MlopsError
        Naming the key, the value and the arguments that exist.
    """
    allowed = [name for name in signature.parameters if name not in ("task", "seed")]
    for key, value in given.items():
        if key not in allowed:
            raise MlopsError(
                f"{PARAMS}: estimator.{key}: unknown key (value {value!r}); "
                f"allowed here: {', '.join(allowed) or 'none'} (src/model/estimator.py)"
            )


def flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level: ``{"gate": {"margin": 1}}`` is ``gate.margin``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
