"""How often a holdout was judged on. Whoever tries often enough finds what looks better by chance.

References
----------
Renggli et al. (2019), Continuous integration of machine learning models with ease.ml/ci,
arXiv 1903.00278: a holdout has a shelf life, after which it wants new rows.
"""

import uuid

from mlops.project import files
from mlops.project.params import Gate

JUDGEMENTS = "judgements.jsonl"


def judged(holdout: str, model: str) -> int:
    """Note in ``.store`` that a model was judged on a holdout, and count these; both by MD5.

    Without a store there is nothing to note it in. On GitHub, the comment counts the workflow's.
    """
    if not files.STORE.is_dir():
        return 1
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{holdout}/{model}"))
    files.append_line(files.STORE / JUDGEMENTS, {"id": name, "holdout": holdout, "model": model})
    entries = files.read_lines(files.STORE / JUDGEMENTS)
    return sum(entry["holdout"] == holdout for entry in entries)


def sentence(times: int, gate: Gate) -> str:
    """Say what so many judgements mean, and from ``gate.judgements`` on, what to do."""
    chance = (1 - gate.confidence) / 2
    if times < gate.judgements:
        return (
            f"judged {times} times on this holdout; an idea that changes nothing looks better in "
            f"1 of {1 / chance:.0f}"
        )
    return (
        f"this holdout is worn out (gate.judgements: {gate.judgements}): of {times} ideas that "
        f"change nothing, one at least looks better with {1 - (1 - chance) ** times:.0%}; "
        "judge on newer rows (data.holdout)"
    )
