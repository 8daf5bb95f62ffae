"""What to do with each column of a table, which rows judge, and by what: decided by looking."""

import math
import re
from dataclasses import dataclass, field
from typing import Any, cast, get_args

import numpy as np
import pandas as pd

from mlops.artifact.split import sides
from mlops.artifact.table import to_target
from mlops.judgement.blocks import LEAST
from mlops.project.errors import MlopsError
from mlops.project.params import Data, Task
from mlops.project.user_code import shortened

FEWEST_ROWS = 100
SMALL = 2000  # rows; with fewer, a line says more about new rows than trees do
CLASSES = 10  # so many different whole numbers are classes, more of them are a number
MOST_CLASSES = 50
RARE = 10  # rows; with fewer, a class can hardly be learned and judged
MOST_RARE = 0.05  # of the rows, which may be of such classes
FEW_VALUES = 20  # are listed in the schema, and another one is refused
MANY_VALUES = 0.1  # of the rows; with more, a category's rows say little about it
WORDS = 3  # on average: then a text says something, and is no name
GROUPS = 50  # of which a fifth, 10, judges
SHARES = (20, 25, 30, 35, 40, 15, 10)  # percent that judge; the first with every class
SHARES_OF_FEW = (30, 35, 40, 25, 20)
MONTHS, DAYS, YEARS = 6, 40, 6  # from so many on, the newest judge
YES = {"true", "yes", "y", "ja", "j", "oui", "si", "positive", "positiv", "spam", "fraud"}
KEY = re.compile(r"(?i:(.*[_ .-])?(id|key|nr|no|number|uuid|guid))|.*[a-z](Id|ID|Key|Nr|Number)")
INDEX = re.compile(r"Unnamed: \d+|index")  # as pandas names and reads one
MARKED = re.compile(r"\W{0,2}[-+]?\d[\d.,' ]*\W{0,2}")  # 1,200 $ or 12%
BORN = re.compile(r"birth|born|dob|geb", re.I)


@dataclass
class Plan:
    """What is decided; the names of columns are in the table's order.

    Attributes
    ----------
    why : str
        By what the task was told.
    positive : str or int or None
        Of two classes, the one to look for.
    numbers, categories, texts, times : list of str
        Columns that become features.
    left : dict
        Columns that do not, and why.
    keys : list of str
        Columns that are different in every row.
    data : dict
        ``params.yaml: data``.
    split : str
        How rows are split, and why so.
    trains, judges : int
        Rows.
    floor : tuple of str and float
        A metric, and what is reached by knowing nothing but the target.
    """

    target: str
    task: Task
    why: str
    positive: str | int | None
    classes: list[Any]
    numbers: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    split: str = ""
    trains: int = 0
    judges: int = 0
    blocks: str = "row"
    period: str = "month"
    min_rows: int = 200
    floor: tuple[str, float] = ("roc_auc", 0.5)

    @property
    def time(self) -> str | None:
        found: str | None = self.data.get("time")
        return found

    @property
    def linear(self) -> bool:
        return self.trains + self.judges < SMALL

    @property
    def slices(self) -> list[str]:
        """Columns of few values, of which each may have rows enough among those that judge."""
        return self.categories[:2] if self.judges >= 500 else []


def decide(
    table: pd.DataFrame, target: str, time: str, positive: str, task: str, left: dict[str, str]
) -> Plan:
    """Decide what a project does with a table, whose rows all have a target.

    ``left`` are columns that were left out already, and why.

    Raises
    ------
    MlopsError
        When no model could be trained on it, or an answer does not fit it.
    """
    if len(table) < FEWEST_ROWS:
        raise MlopsError(
            f"the table has {len(table):,} rows with a value in {target!r}; with fewer than "
            f"{FEWEST_ROWS}, no judgement of a model would be sure"
        )
    chosen, why = _task(table[target], task)
    classes = [] if chosen == "regression" else np.unique(to_target(table[target], chosen)).tolist()
    plan = Plan(target, chosen, why, _positive(table[target], chosen, classes, positive), classes)
    _sort_columns(table, plan, left)
    if time := time or _only_time(plan.times):
        plan.data["time"] = time
    if not (plan.numbers or plan.categories or plan.texts or plan.times):
        raise MlopsError(f"no column but {target!r} is left to learn from: {_reasons(plan.left)}")
    return _split(table, plan)


def _task(values: "pd.Series[Any]", asked: str) -> tuple[Task, str]:
    """Return the task, and by what it was told."""
    if asked and asked not in get_args(Task):
        raise MlopsError(f"--task: got {asked!r}; expected {', '.join(get_args(Task))}")
    counts = values.value_counts()
    number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    whole = not number or bool((values % 1 == 0).all())
    labels = counts.index.tolist()
    if len(counts) < 2:
        raise MlopsError(
            f"{values.name!r} is {labels[0]!r} in every row; a model has nothing to tell"
        )
    if asked:
        found, why = cast(Task, asked), "as asked for"
    elif len(counts) == 2 and whole:
        found, why = "binary", "two different values"
    elif number and (len(counts) > CLASSES or not whole):
        kind = f"more than {CLASSES} different numbers" if whole else "numbers with decimals"
        found, why = "regression", kind
    elif number and counts.iloc[-1] < RARE:
        kind = f"whole numbers, of which {labels[-1]} is rare ({counts.iloc[-1]} of the rows)"
        found, why = "regression", kind
    else:
        kind = f"at most {CLASSES} different whole numbers" if number else "texts"
        found, why = "multiclass", f"{kind}, {len(counts)} of them"
    if found == "regression":
        if not number:
            raise MlopsError(
                f"{values.name!r} holds texts such as {shortened(str(labels[0]), 40)!r}; "
                "expected numbers of a regression"
            )
        return found, why
    if not whole or (found == "binary") != (len(counts) == 2):
        raise MlopsError(
            f"--task: {values.name!r} has {len(counts):,} different values, which do not fit "
            f"{found}; give another task"
        )
    if marked := _marked(values):
        raise MlopsError(f"{values.name!r} holds {marked}; write plain numbers into the file")
    if len(counts) > MOST_CLASSES:
        raise MlopsError(
            f"{values.name!r} has {len(counts):,} different values, more classes than "
            f"{MOST_CLASSES}; join them into fewer, or choose another column"
        )
    if counts.iloc[-1] < 2:
        way_out = ", or pass --task regression" if number else ""
        raise MlopsError(
            f"class {labels[-1]!r} of {values.name!r} has a single row; leave it out, or "
            f"join it with another{way_out}"
        )
    return found, why


def rare_classes(values: "pd.Series[Any]", asked: str) -> dict[Any, int]:
    """Return classes of more than two with too few rows, and how many, if a few rows are theirs."""
    counts = values.value_counts()
    few = counts[counts < RARE]
    numbers = pd.api.types.is_numeric_dtype(values) and asked != "multiclass"
    left = len(counts) - len(few)
    if numbers or left < 2 or left > MOST_CLASSES or few.sum() > MOST_RARE * len(values):
        return {}
    return dict(zip(few.index.tolist(), few.tolist(), strict=True))


def _positive(
    values: "pd.Series[Any]", task: Task, classes: list[Any], asked: str
) -> str | int | None:
    """Return the class to look for: the one asked for, one that says yes, or the rarer one."""
    if task != "binary":
        if asked:
            raise MlopsError(f"--positive is of two classes, and the task is {task}; remove it")
        return None
    by_name = {str(label).lower(): label for label in classes} | {str(it): it for it in classes}
    if values.dtype == bool or str(values.dtype) == "boolean":
        by_name |= {"true": 1, "false": 0, "True": 1, "False": 0}
    if asked:
        if asked not in by_name:
            both = " or ".join(map(str, classes))
            raise MlopsError(f"--positive: got {asked!r}; {values.name!r} is {both}")
        return cast(str | int, by_name[asked])
    if 1 in classes and (0 in classes or -1 in classes):
        return 1
    if said := [label for label in classes if str(label).lower() in YES]:
        return cast(str, said[0])
    target = to_target(values, task)
    return cast(str | int, min(classes, key=lambda label: int((target == label).sum())))


def _sort_columns(table: pd.DataFrame, plan: Plan, left: dict[str, str]) -> None:
    """Put each column but the target where it belongs."""
    plan.left.update(left)
    for name, values in table.drop(columns=plan.target).items():
        name, known = str(name), values.dropna()
        distinct = known.nunique()
        unique = distinct == len(table)
        text = not (pd.api.types.is_numeric_dtype(values) or values.dtype.kind == "M")
        words = known.map(lambda it: len(str(it).split())).mean() if text else 0
        whole = values.dtype.kind in "iu" or str(values.dtype).startswith(("Int", "UInt"))
        if distinct < 2:
            plan.left[name] = "the same in every row"
        elif values.dtype.kind == "M":
            plan.times.append(name)
        elif text and (marked := _marked(known)):
            plan.left[name] = marked
        elif unique and (
            words < WORDS
            if text
            else whole and (KEY.fullmatch(name) or INDEX.fullmatch(name) or _counted(values))
        ):
            plan.keys.append(name)
            plan.left[name] = "different in every row"
        elif whole and KEY.fullmatch(name) and distinct >= GROUPS:
            plan.left[name] = "a number that only names something"
        elif not text:
            plan.numbers.append(name)
        elif distinct <= max(FEW_VALUES, MANY_VALUES * len(known)):
            plan.categories.append(name)
        elif words >= WORDS:
            plan.texts.append(name)
        else:
            plan.left[name] = f"{distinct:,} different values in {len(known):,} rows"


def _marked(values: "pd.Series[Any]") -> str:
    """Say that all texts are numbers to people only, if they are and are many."""
    texts = values.dropna().astype(str)
    if texts.nunique() <= FEW_VALUES or texts.str.isdigit().all():
        return ""
    if not texts.map(lambda it: bool(MARKED.fullmatch(it))).all():
        return ""
    return f"texts such as {texts.iloc[0]!r}, which are no numbers to a program"


def _counted(values: "pd.Series[Any]") -> bool:
    """Whether they are 0, 1, 2 and so on, as rows are counted."""
    return values.dtype.kind in "iu" and bool((values.diff().iloc[1:] == 1).all())


def _only_time(times: list[str]) -> str:
    found = [name for name in times if not BORN.search(name)]
    return found[0] if len(found) == 1 else ""


def _reasons(left: dict[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in left.items())


def _split(table: pd.DataFrame, plan: Plan) -> Plan:
    """Complete a plan: which rows judge, what is resampled, and what knowing nothing reaches."""
    if found := _windows(table, plan) if plan.time else {}:
        plan.split = "by time: {start} to {end} trains, ".format(**found["window"])
        plan.split += "{start} to {end} judges".format(**found["holdout"])
        plan.blocks = "day"
        plan.period = {4: "year", 7: "month", 10: "week"}[len(found["window"]["end"])]
    else:
        found = _hashed(table, plan)
        plan.split = f"by a hash: {found['share']} judge"
        why = "no column says when a row happened"
        if plan.time:
            why = "too few months, or some without rows, for windows of time"
        elif len(plan.times) > 1:
            why = "--time says which column of times tells when a row happened"
        plan.split += f", {found['by']} by {found['by']} ({why})" if "by" in found else f" ({why})"
        groups = "by" in found and found["by"] not in plan.keys
        plan.blocks = found["by"] if groups else "row"
    positive = {} if plan.positive is None else {"positive": plan.positive}
    plan.data = {"target": plan.target, **positive, **plan.data, **found}
    trains, judges = sides(table, Data.model_validate(plan.data))
    plan.trains, plan.judges = int(trains.sum()), int(judges.sum())
    least = plan.judges / 2 if plan.time else len(table) / 10
    plan.min_rows = int(min(2000, max(200, rounded(least, math.floor, 1))))
    plan.floor = _floor(to_target(table[plan.target], plan.task), plan.task)
    return plan


def _windows(table: pd.DataFrame, plan: Plan) -> dict[str, Any]:
    """Return window and holdout, about a fifth of the rows, in months, days or years."""
    times = table[plan.time].dt.tz_localize(None)
    for letter, least in (("M", MONTHS), ("D", DAYS), ("Y", YEARS)):
        spans = times.dt.to_period(letter)
        present = np.sort(spans.unique())
        if len(present) < least:
            continue
        # Each month needs rows, or each year; of days, some may have none.
        outer = np.sort(times.dt.to_period("M").unique()) if letter == "D" else present
        if (outer[-1] - outer[0]).n + 1 != len(outer):
            continue
        later = spans.value_counts().sort_index(ascending=False).cumsum() / len(spans)
        first = max(1, int((later < 0.15).sum()) + 1)
        for count in range(first, len(present) // 2 + 1):
            start = present[-count]
            window = {"start": str(present[0]), "end": str(start - 1)}
            found = {"window": window, "holdout": {"start": str(start), "end": str(present[-1])}}
            data = Data.model_validate({"target": plan.target, "time": plan.time, **found})
            trains, judges = sides(table, data)
            days = times[judges].dt.to_period("D").nunique()
            if days >= LEAST and _taught(table, plan, trains, judges):
                return found
    return {}


def _hashed(table: pd.DataFrame, plan: Plan) -> dict[str, Any]:
    """Return the share that judges, and by what it is hashed."""
    by = _key(table, plan)
    for share in SHARES if len(table) >= SMALL else SHARES_OF_FEW:
        found = {"split": "hash", **({"by": by} if by else {}), "share": f"{share}%"}
        trains, judges = sides(table, Data.model_validate({"target": plan.target, **found}))
        blocks = table.loc[judges, by].nunique() if by else judges.sum()
        if blocks >= LEAST and _taught(table, plan, trains, judges):
            return found
    rare = table[plan.target].value_counts().index.tolist()[-1]
    raise MlopsError(
        f"class {rare!r} of {plan.target!r} has too few rows to learn it and to judge it; leave it "
        "out, or join it with another"
    )


def _key(table: pd.DataFrame, plan: Plan) -> str:
    """Return the column that tells who a row belongs to: of several rows first."""
    groups = [
        str(name)
        for name, values in table.items()
        if name not in plan.keys
        and KEY.fullmatch(str(name))
        and not values.isna().any()
        and values.dtype.kind != "f"
        and GROUPS <= values.nunique() < 0.9 * len(table)
    ]
    return next(iter(groups or filter(KEY.fullmatch, plan.keys)), "")


def _taught(table: pd.DataFrame, plan: Plan, trains: Any, judges: Any) -> bool:
    """Whether both sides have every class; numbers must differ."""
    target = to_target(table[plan.target], plan.task)
    if plan.task == "regression":
        return len(np.unique(target[trains])) > 1 and len(np.unique(target[judges])) > 1
    return all(set(np.unique(target[it]).tolist()) == set(plan.classes) for it in (trains, judges))


def _floor(target: Any, task: Task) -> tuple[str, float]:
    if task == "binary":
        return "roc_auc", 0.5
    if task == "multiclass":
        shares = np.unique(target, return_counts=True)[1] / len(target)
        return "log_loss", rounded(float(-(shares * np.log(shares)).sum()), math.ceil)
    return "mean_absolute_error", rounded(float(np.abs(target - target.mean()).mean()), math.ceil)


def rounded(value: float, to: Any, digits: int = 2) -> float:
    """Round outwards or inwards to so many digits, of which all others are 0."""
    if not value:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    return float(f"{to(round(value / unit, 6)) * unit:.12g}")


def bounds(values: "pd.Series[Any]") -> tuple[float, float]:
    """Return between what numbers may lie: as far again as they do, but not below or above 0."""
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1 and values.dtype.kind == "f":
        return 0, 1
    span = max(high - low, abs(high), 1e-9) if low == high else high - low
    least, most = rounded(low - span, math.floor, 1), rounded(high + span, math.ceil, 1)
    return (max(0.0, least) if low >= 0 else least), (min(0.0, most) if high <= 0 else most)
