"""The stages of ``dvc.yaml`` as tasks of Airflow, each of which runs ``mlops stage NAME``.

The edges are those of ``dvc.yaml``: a stage follows those whose outputs it depends on.
"""

import os
from datetime import timedelta
from pathlib import Path

import yaml
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

# A clone of the project that the worker may write to, with its environment in .venv.
PROJECT = Path(os.environ.get("MLOPS_PROJECT", Path(__file__).resolve().parents[2]))
STAGES = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def outputs(stage):
    listed = [it for kind in ("outs", "metrics", "plots") for it in stage.get(kind, [])]
    return {next(iter(it)) if isinstance(it, dict) else it for it in listed}


with DAG(
    dag_id=yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))["name"],
    schedule=None,
    max_active_runs=1,
    max_active_tasks=1,  # DVC locks the folder that it works in
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
) as dag:
    tasks = {
        name: BashOperator(
            task_id=name,
            bash_command='PATH="$PWD/.venv/bin:$PATH" exec mlops stage "$STAGE"',
            env={"STAGE": name, "PYTHONPATH": str(PROJECT / "src")},
            append_env=True,
            cwd=str(PROJECT),
        )
        for name in STAGES
    }
    for name, stage in STAGES.items():
        for before, made in STAGES.items():
            if outputs(made) & set(stage.get("deps", [])):
                tasks[before] >> tasks[name]
