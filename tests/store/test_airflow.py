"""orchestration/airflow/dag.py in a real Airflow, in an environment of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from apart import environment, small_project
from projects import Project, copy_from_root

VERSION = "apache-airflow==3.3.2"
EDGES = """
import json, sys
sys.path.insert(0, "orchestration/airflow")
import dag
print(json.dumps({it.task_id: sorted(it.upstream_task_ids) for it in dag.dag.tasks}))
"""
OF_DVC = """
import json
from mlops.store import kubeflow
print(json.dumps(kubeflow.before()))
"""
TOY = """
stages:
  rows:
    cmd: seq 1000 > data/rows.txt
    outs: [data/rows.txt]
  size:
    cmd: wc data/rows.txt > data/size.txt
    deps: [data/rows.txt]
    outs: [data/size.txt]
"""


class Airflow(Project):
    """A clone of a project, and an Airflow whose DAGs are the clone's."""

    programs: Path

    @property
    def environment(self) -> dict[str, str]:
        home = self.folder.parent / "airflow-home"
        return super().environment | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self / "orchestration/airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }

    def test(self, *, fails: bool = False) -> str:
        """Run the DAG as Airflow's own command does; returns what it printed."""
        command = [str(self.programs / "airflow"), "dags", "test", "parcels"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        said = done.stdout + done.stderr
        assert ("state=failed" in said) == fails, said
        assert ("state=success, run_type" in said) != fails, said
        return said


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    folder = tmp_path_factory.mktemp("airflow")
    origin = small_project(folder)
    copy_from_root("orchestration/airflow", origin.folder)
    dag = origin / "orchestration/airflow/dag.py"
    dag.write_text(dag.read_text().replace('"retries": 2', '"retries": 0'))  # which wait
    (origin / ".venv").mkdir()
    (origin / ".venv/bin").symlink_to(Path(sys.executable).parent)
    made = Airflow(origin.folder)
    made.programs = environment(folder / "environment", VERSION)
    made.run(str(made.programs / "airflow"), "db", "migrate")
    return made


def test_the_dag_has_the_edges_of_the_pipeline(airflow: Airflow) -> None:
    shown = airflow.run(str(airflow.programs / "python"), "-c", EDGES).stdout.splitlines()[-1]
    assert json.loads(shown) == json.loads(airflow.run("python", "-c", OF_DVC).stdout)
    assert json.loads(shown)["evaluate"] == ["features", "train"]


def test_it_is_green_then_red_where_a_stage_fails_or_nothing_is_shared(airflow: Airflow) -> None:
    # It follows dvc.yaml; the real stages run apart in test_stage.py, and these take no time.
    (airflow / "dvc.yaml").write_text(TOY)
    said = airflow.test()
    assert said.count("Running stage") == 2
    assert (airflow / "data/size.txt").is_file()

    airflow.replace("dvc.yaml", "seq 1000 >", "seq one >")
    said = airflow.test(fails=True)
    assert said.count("Running stage") == 1
    assert "failed to run: seq one > data/rows.txt" in said

    airflow.run("dvc", "remote", "modify", "store", "url", ".store/dvc")
    assert "this project has only the one built into each clone" in airflow.test(fails=True)
