"""What cannot be started with is refused in a sentence, and nothing is written."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tables
from workbench import Workbench

from mlops.start.writing import EXAMPLE, of

ROOT = Path(__file__).parents[2]


def state(project: Workbench) -> dict[str, bytes]:
    ignored = ("__pycache__", "/.git/", "failure.json")
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    return {
        str(it): it.read_bytes() for it in files if not any(part in str(it) for part in ignored)
    }


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return pd.read_csv(tables.subscribers(tmp_path_factory.mktemp("tables"), 400))


@pytest.fixture
def untouched(project: Workbench) -> Iterator[Workbench]:
    before = state(project)
    yield project
    assert state(project) == before


def lone_class(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(plan=["weekly", *["monthly"] * 399])


REFUSED: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "target": (
        None,
        ("--target", "churn"),
        "has no column 'churn'; is it 'Churned' or 'currency'?",
    ),
    "time": (None, ("--target", "Churned", "--time", "day"), "--time: the table has no column"),
    "not a time": (
        lambda it: it.assign(on=["2023-01-05", "2023-01-06", "soon", *["2023-02-01"] * 397]),
        ("--target", "Churned", "--time", "on"),
        "--time: column 'on' holds 'soon' in row 3; expected times such as 2013-03-15",
    ),
    "constant": (None, ("--target", "currency"), "'currency' is 'EUR' in every row"),
    "empty": (None, ("--target", "fax"), "no row has a value in 'fax'"),
    "few rows": (lambda it: it.head(60), ("--target", "Churned"), "rows with a value in 'Churned'"),
    "one row of a class": (
        lone_class,
        ("--target", "plan"),
        "class 'weekly' of 'plan' has a single",
    ),
    "names as target": (
        None,
        ("--target", "customerID"),
        "400 different values, more classes than",
    ),
    "positive": (
        None,
        ("--target", "Churned", "--positive", "ja"),
        "--positive: got 'ja'; 'Churned' is no or yes",
    ),
    "task": (None, ("--target", "Churned", "--task", "regression"), "holds texts such as 'no'"),
    "two names": (
        lambda it: it.set_axis([*it.columns[:-2], "plan", "Churned"], axis=1),
        ("--target", "Churned"),
        "has two columns named 'plan'; rename one",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_does_not_do(
    name: str, untouched: Workbench, example: pd.DataFrame, tmp_path: Path
) -> None:
    change, options, sentence = REFUSED[name]
    table = example if change is None else change(example)
    table.to_csv(tmp_path / "table.csv", index=False)
    assert sentence in untouched.refused("start", str(tmp_path / "table.csv"), *options)


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (None, (), "there is no file"),
        (b"a,b\n", (), "has no rows"),
        (b"1,2\n3,4\n", (), "begins with numbers (1,2); write a name for each column"),
        (b"a\n1\n2\n", (), "has one column, 'a'"),
        (b"a,b\n1,2\n1,2,3\n1,2\n1,2\n1,2\n1,2\n", (), "cannot be read (ParserError: "),
        (
            "a,b\nü,1\n".encode("cp1252"),
            ("--encoding", "utf-8"),
            "is not utf-8 (invalid start byte",
        ),
        (b"a,b\n1,2\n", ("--encoding", "latin-99"), "expected one such as cp1252"),
    ],
)
def test_a_file_that_is_no_table(
    content: bytes | None,
    options: tuple[str, ...],
    sentence: str,
    untouched: Workbench,
    tmp_path: Path,
) -> None:
    file = tmp_path / "table.csv"
    if content is not None:
        file.write_bytes(content)
    assert sentence in untouched.refused("start", str(file), "--target", "b", *options)


def test_what_was_edited_is_not_lost(project: Workbench, tmp_path: Path) -> None:
    project.replace("src/model/features.py", '"""The numbers', '"""My numbers')
    (project / "tests/data/test_mine.py").write_text("", encoding="utf-8")
    before = state(project)
    asked = ("start", str(tables.irises(tmp_path)), "--target", "target")
    said = project.refused(*asked)
    assert said.startswith("src/model/features.py, tests/data/test_mine.py would be lost")
    assert "--force" in said
    assert state(project) == before
    assert project.mlops(*asked, "--force").code == 0


def test_another_file_of_that_name_is_not_lost(project: Workbench, tmp_path: Path) -> None:
    (project / "data/source/iris.csv").write_text("mine", encoding="utf-8")
    said = project.refused("start", str(tables.irises(tmp_path)), "--target", "target")
    assert "data/source/iris.csv is there, and another file" in said


def test_the_example_is_known_by_its_files() -> None:
    paths = [line.split()[1] for line in EXAMPLE.read_text(encoding="utf-8").splitlines()]
    now = "".join(f"{of(str(ROOT / path))}  {path}\n" for path in paths)
    (tests,) = ROOT.glob("tests/data/test_*.py")
    assert str(tests.relative_to(ROOT)) in paths
    assert EXAMPLE.read_text(encoding="utf-8") == now, f"the example changed; {EXAMPLE} is:\n{now}"


def test_rare_classes_are_left_out(project: Workbench, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    table = pd.DataFrame({"size": rng.normal(size=300), "kind": ["cat", "dog", "cow"] * 100})
    table.loc[[3, 5, 8], "kind"] = ["yak", "yak", "gnu"]
    table.to_csv(tmp_path / "animals.csv", index=False)
    said = project.mlops("start", str(tmp_path / "animals.csv"), "--target", "kind").out
    assert "table     297 rows" in said
    assert "left out, as they are too few of a class: yak (2), gnu (1)" in said
    table.assign(kind=table["kind"].map({"cat": 1, "dog": 2, "cow": 3, "yak": 4, "gnu": 5})).to_csv(
        tmp_path / "numbers.csv", index=False
    )
    said = project.mlops("start", str(tmp_path / "numbers.csv"), "--target", "kind", "--force").out
    assert "regression: whole numbers, of which 5 is rare (1 of the rows)" in said


def test_numbers_as_people_write_them(project: Workbench, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    n = 300
    money = rng.gamma(2, 900, n).round(2)
    german = [f"{value:,.2f}".translate(str.maketrans(",.", ".,")) for value in money]
    days = pd.date_range("2023-01-01", periods=n).strftime("%d.%m.%Y")
    table = pd.DataFrame(
        {"on": days, "worth": german, "share": [f"{value:.1%}" for value in money]}
    )
    table["y"] = rng.choice(["a", "b"], n)
    start = ("start", str(tmp_path / "table.csv"), "--force", "--target")
    table.to_csv(tmp_path / "table.csv", sep=";", index=False)
    said = project.mlops(*start, "y").out
    assert "sep ';', decimal ',', thousands '.'" in said
    assert "features  numbers: worth; times: on" in said
    assert "share (texts such as '" in said
    assert "holds texts such as '" in project.refused(*start, "share")

    table["worth"] = [f"{value:,.2f}" for value in money]
    table.set_axis(range(0, 2 * n, 2)).to_csv(tmp_path / "table.csv")  # as after leaving some out
    said = project.mlops(*start, "y").out
    assert "numbers: worth; times: on" in said
    assert "Unnamed: 0 (different in every row)" in said

    table["worth"] = [Decimal(value) for value in table["worth"].str.replace(",", "")]
    table.to_parquet(tmp_path / "table.parquet")
    said = project.mlops("start", str(tmp_path / "table.parquet"), "--force", "--target", "y").out
    assert "numbers: worth" in said


def test_numbers_that_are_names_or_gaps(project: Workbench, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    n = 300
    table = pd.DataFrame(
        {
            "zip": [f"0{number}" for number in rng.integers(1000, 1009, n)],
            "income": np.where(rng.random(n) < 0.1, "-", rng.integers(10, 99, n).astype(str)),
            "job": rng.choice(["?", "cook", "clerk"], n),
            "class": rng.choice(["+", "-"], n),
        }
    )
    table.to_csv(tmp_path / "people.csv", index=False)
    said = project.mlops("start", str(tmp_path / "people.csv"), "--target", "class").out
    assert "numbers: income; categories: zip, job" in said
    text = (project / "src/model/data.py").read_text(encoding="utf-8")
    assert 'na_values={"income": ["-"], "job": ["?"]}' in text
    assert 'dtype={"zip": "str"}' in text
    assert '"class": Column(str, Check.isin(["+", "-"]))' in (
        project / "src/model/schema.py"
    ).read_text(encoding="utf-8")
