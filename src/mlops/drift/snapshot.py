"""Without dates, rows are new that the champion's snapshot of the data did not have.

The snapshot is ``data/checked.parquet`` as it was when the champion was trained. DVC keeps it, by
the hash that the model names.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mlops.artifact.split import hashes, sides
from mlops.artifact.table import read
from mlops.drift.rows import Rows
from mlops.judgement.compare import Champion
from mlops.project import files
from mlops.project.errors import MlopsError, first_line
from mlops.project.params import Data

NAME = "snapshot.parquet"


@dataclass(frozen=True)
class Snapshot:
    """What a champion knows: the rows that trained it, those that judged it, and all of them."""

    training: Rows
    holdout: Rows
    table: pd.DataFrame


def fetch(champion: Champion, folder: Path) -> Snapshot:
    """Read a champion's snapshot; its two sides become files in ``folder``.

    Raises
    ------
    MlopsError
        When DVC does not have it any more.
    """
    facts, path = champion.model.facts, folder / NAME
    _fetch(facts.data_md5, path, f"champion v{champion.version}")
    table = read(path)
    made = []
    for name, mask in zip(
        ("training", "holdout"),
        sides(table, Data.model_validate(facts.params["data"])),
        strict=True,
    ):
        made.append(Rows(folder / f"{name}.parquet"))
        table[mask].to_parquet(made[-1].path, index=False)
    return Snapshot(made[0], made[1], table)


def write_new(snapshot: Snapshot, path: Path) -> None:
    """Write the rows of ``data/checked.parquet`` that a snapshot does not have."""
    table = read(files.CHECKED)
    known = [name for name in table.columns if name in snapshot.table]
    was, now = (hashes(it, known, times=True) for it in (snapshot.table, table))
    table[~np.isin(now, was)].to_parquet(path, index=False)


def _fetch(md5: str, path: Path, whose: str) -> None:
    if files.CHECKED.is_file() and files.md5(files.CHECKED) == md5:
        path.write_bytes(files.CHECKED.read_bytes())
        return
    from dvc.repo import Repo

    lacking = (
        f"the rows that {whose} knows (data/checked.parquet, md5 {md5}) are in no DVC remote; its "
        "owner runs `dvc push`, or a newly trained model has to become champion"
    )
    try:
        with Repo() as repo:
            remote = repo.config["core"].get("remote")
            for place in [repo.cache.local, *([repo.cloud.get_remote_odb()] if remote else [])]:
                kept = place.oid_to_path(md5)
                if place.fs.exists(kept):
                    place.fs.get_file(kept, str(path))
                    return
    except Exception as error:  # of whatever reaches that remote
        raise MlopsError(f"{lacking} ({first_line(error)})") from None
    raise MlopsError(lacking)
