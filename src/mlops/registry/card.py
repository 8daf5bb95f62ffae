"""``mlops card``: a registered version on two pages, for whoever uses or audits it.

References
----------
Mitchell et al. (2019). Model cards for model reporting. https://arxiv.org/abs/1810.03993
"""

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.artifact import model_folder, sample
from mlops.project import actions, files, images
from mlops.project.params import Params
from mlops.registry import model_version, tracking, versions
from mlops.registry.model_version import CHAMPION
from mlops.report import comment

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATASHEET = "data/README.md"
COMMIT = re.compile(r"[0-9a-f]{40,64}")
REPOSITORY = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")


def run(client: "MlflowClient", params: Params, version: int | str) -> None:
    """Write ``reports/model_card.md``, and print it.

    ``version`` is a number, or an alias such as ``champion``.
    """
    text = render(collect(client, params, version) | {"beside": "../"})
    files.write_text(files.MODEL_CARD, text)
    print(text, end="")


def render(content: dict[str, Any]) -> str:
    """Render the card from what :func:`collect` found."""
    return comment.render("registry/card.md.j2", {"beside": None, **content}) + "\n"


def collect(client: "MlflowClient", params: Params, version: int | str) -> dict[str, Any]:
    """Return what is on record of a version: its lineage, reports, judgement and approval.

    A version that was not compared, or was registered before there were samples, has None there.
    """
    with tracking.answers(client.tracking_uri):
        record = model_version.resolve(client, params.name, version)
        folder = model_version.folder_of(client, record)
    told = versions.lineage(client, params, record.version)
    facts = model_folder.load_facts(folder)
    approvals = [line for line in told["audit"] if line["to"] == told["version"]]
    comparison = model_version.judgement(folder, facts)
    commit = told["commit"] or ""
    image = told["image"] or ""
    return {
        "told": told,
        "facts": facts.model_dump() | {"trained_on": facts.trained_on},
        "model_file": facts.model_file,
        "description": _description(),
        "datasheet": _address(commit) if COMMIT.fullmatch(commit) else None,
        # In a block of commands nothing can be escaped: only what has the right form goes there.
        "commit": commit if COMMIT.fullmatch(commit) else None,
        "image": image if images.IMAGE.fullmatch(image) else None,
        "repository": _repository(),
        "is_champion": CHAMPION in told["aliases"],
        "approval": approvals[-1] if approvals else None,
        "comparison": comparison,
        "scores": _scores(folder, comparison or {}),
        "sampled": (folder / sample.NAME).is_file(),
    }


def _scores(folder: Path, comparison: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each metric: the model's value, the base rate's, and the champion's.

    Only a comparison says where better is.
    """
    measured = files.read_json(folder / files.METRICS.name, "dvc repro")
    base_rate = measured.get("baseline", {})
    champion = comparison.get("champion") or {}
    theirs = {**champion.get("metrics", {}), "calibration": champion.get("calibration")}
    better = {
        row["metric"]: "↑" if row["greater_is_better"] else "↓"
        for row in comparison.get("differences", [])
    }
    return [
        {
            "name": "calibration error" if name == "calibration" else name,
            "better": "↓" if name == "calibration" else better.get(name, ""),
            "value": value,
            "base_rate": base_rate.get(name),
            "champion": theirs.get(name),
        }
        for name, value in measured.items()
        if isinstance(value, float)
    ]


def _description() -> str | None:
    """Return what ``pyproject.toml`` says the project is."""
    path = Path("pyproject.toml")
    project = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    said = project.get("project", {}).get("description")
    return said if isinstance(said, str) and said.strip() else None


def _address(commit: str) -> str | None:
    """Return where GitHub shows the datasheet as of a commit."""
    address = actions.repository() if _repository() else None
    return f"{address}/blob/{commit}/{DATASHEET}" if address else None


def _repository() -> str | None:
    """Return ``owner/name`` on GitHub, where a workflow says so."""
    name = os.environ.get("GITHUB_REPOSITORY", "")
    return name if REPOSITORY.fullmatch(name) else None
