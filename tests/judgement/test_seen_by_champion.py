"""That neither model has seen the holdout is said where it is so; else, how much of it one has."""

import re
from pathlib import Path

import pytest
from parcels import Parcels, parcels

SHUFFLE = 'table.sample(frac=1, random_state={}).assign(seen_at=table["seen_at"].to_numpy())'
UNSEEN = "which neither model has seen"


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Parcels:
    """A champion of rows that a shuffle put into its window."""
    project = parcels(tmp_path_factory.mktemp("shuffled"))
    project.also(f"table = {SHUFFLE.format(1)}")
    _train(project)
    project.do("compare", "report", "register", "promote")
    return project


@pytest.fixture
def project(champion: Parcels, tmp_path: Path) -> Parcels:
    return champion.copy(tmp_path / "project")


def _train(project: Parcels) -> None:
    project.train(data=True)
    project.do("evaluate")


def _seen(project: Parcels) -> tuple[float | None, str, str]:
    """Return what the comparison says, the terminal and the comment."""
    said = project.do("compare")
    return project.json("comparison")["holdout"]["seen_by_champion"], said, project.report()


def test_a_shuffle_with_another_seed_is_found_out(project: Parcels) -> None:
    project.change("data", "random_state=1", "random_state=2")
    _train(project)
    share, said, comment = _seen(project)
    assert share == pytest.approx(0.48, abs=0.06)  # of half of all rows, less what chance may do
    about = f"about {share:.0%} of"
    assert f"production's model trained on {about} these rows, so it looks better" in said
    assert re.search(
        rf"On the same \S+ rows of \S+ days in 2023-04, {about} which production's model "
        r"trained on, so it looks better than it is, \*\*ROC AUC ",
        comment,
    )
    assert UNSEEN not in comment


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("estimator", "c: float = 1.0", "c: float = 0.5"),
        ("data", "    return table", "    return table[table.seen_at < '2023-06']"),
        ("schema", "Column(int, Check.in_range(1, 20))", "Column(float, coerce=True)"),
    ],
)
def test_where_no_row_has_moved_neither_has_seen_them(
    project: Parcels, module: str, old: str, new: str
) -> None:
    project.change(module, old, new)
    _train(project)
    share, said, comment = _seen(project)
    assert share == 0
    assert UNSEEN in comment
    assert "looks better" not in said + comment


def test_without_a_sketch_only_the_same_table_says_it(project: Parcels) -> None:
    for path in (project / ".store").rglob("rows.npy"):
        path.unlink()
    project.set(estimator__c=0.5)
    project.train()
    share, _, comment = _seen(project)
    assert share == 0
    assert UNSEEN in comment

    project.change("data", "random_state=1", "random_state=2")
    _train(project)
    share, _, comment = _seen(project)
    assert share is None
    assert UNSEEN not in comment
    assert re.search(r"On the same \S+ rows of \S+ days in 2023-04, \*\*ROC AUC ", comment)


def test_equal_rows_of_a_longer_window_are_no_alarm(project: Parcels) -> None:
    project.change("data", ".round(2)", ".round(0)")
    _train(project)
    project.do("compare", "report", "register", "promote --override rounded")
    project.set(data__window={"start": "2023-03", "end": "2023-03"})
    project.also("table = table[table.seen_at < '2023-06']")
    _train(project)
    share, _, comment = _seen(project)
    assert share == 0
    assert UNSEEN in comment
