"""The pipeline on the real flights, from a clone to a model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from projects import Project

# Each stage, and what it need not wait for: these take seconds to import. The run of a training is
# logged from a process of its own.
STAGES = {
    "ingest": {"mlflow", "sklearn", "pandera", "onnxruntime"},
    "validate": {"mlflow", "sklearn", "onnxruntime"},
    "features": {"mlflow", "sklearn", "pandera", "onnxruntime"},
    "settings": {"mlflow", "sklearn", "pandera", "onnxruntime", "pandas"},
    "train": {"pandera"},
    "evaluate": {"mlflow", "skops", "skl2onnx", "pandera", "matplotlib"},
}

WINGS = ("project", "artifact", "registry", "judgement", "pipeline", "store")

# Modules that carry inputs and outputs about and cannot change what is computed from them.
PLUMBING = {
    f"src/mlops/{name}.py"
    for name in (
        *("__init__", "cli", "project/errors", "project/files", "project/git", "project/params"),
        *(
            "project/actions",
            "project/progress",
            "project/user_code",
            "registry/database",
            "registry/tracking",
            "registry/training_run",
            "registry/weights_and_biases",
        ),
        *("store/artifacts", "store/commands", *(f"{wing}/__init__" for wing in WINGS)),
    )
} | {"src/model/__init__.py"}


@pytest.fixture(scope="module")
def again(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same commit, cloned elsewhere and trained anew."""
    folder = tmp_path_factory.mktemp("elsewhere") / "a folder with blanks"
    trained.run("git", "clone", "--quiet", ".", str(folder))
    clone = Project(folder)
    clone.run("dvc", "repro")
    return clone


@pytest.fixture(scope="module")
def rerun(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy in which single stages may run again."""
    return trained.copy(tmp_path_factory.mktemp("rerun") / "copy")


def test_a_clone_trains_with_no_remote_and_no_secret(again: Project) -> None:
    assert json.loads((again / "reports/metrics.json").read_text())["roc_auc"] > 0.6
    assert not (again / ".store/dvc").exists()  # nothing was pulled from, or pushed to, a remote


@pytest.mark.parametrize(
    "path",
    [
        "models/model.onnx",
        "models/model.skops",
        "models/model.json",
        "models/rows.npy",
        "reports/metrics.json",
        "reports/plots/calibration.csv",
        "reports/plots/curve.csv",
        "reports/plots/over_time.csv",
    ],
)
def test_same_commit_same_bytes(trained: Project, again: Project, path: str) -> None:
    assert (again / path).read_bytes() == (trained / path).read_bytes()


def test_second_repro_runs_nothing(trained: Project, tmp_path: Path) -> None:
    done = trained.copy(tmp_path / "copy").run("dvc", "repro")
    assert "Running stage" not in done.stdout
    assert done.stdout.count("didn't change, skipping") == len(STAGES)


def test_how_the_model_is_served_trains_it_anew_only_where_it_decides_the_model(
    trained: Project, tmp_path: Path
) -> None:
    project = trained.copy(tmp_path / "copy")
    project.set(serving={"runtime": "onnx", "target": "compose", "latency_ms": 20.0})
    project.run("dvc", "repro", "settings")
    assert "up to date" in project.run("dvc", "status").stdout
    project.set(serving__runtime="skops")
    project.run("dvc", "repro", "settings")
    assert "reports/settings.json" in project.run("dvc", "status", "train").stdout


def test_working_folder_stays_clean_but_for_the_lock(trained: Project) -> None:
    changed = trained.run("git", "status", "--porcelain", "--", ".", ":!repro.log").stdout
    assert changed.split() == ["??", "dvc.lock"]


def test_metrics_params_and_plots_are_dvcs(trained: Project) -> None:
    shown = json.loads(trained.run("dvc", "metrics", "show", "--json").stdout)
    metrics = json.loads((trained / "reports/metrics.json").read_text())
    assert shown[""]["data"]["reports/metrics.json"]["data"] == metrics
    targets = json.loads(trained.run("dvc", "plots", "show", "--json").stdout)["data"]
    names = {name.partition("::")[2] for name in targets}
    assert {f"reports/plots/{plot}.csv" for plot in ("calibration", "curve", "over_time")} <= names


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_what_it_uses_and_depends_on_it(rerun: Project, stage: str) -> None:
    program = (
        "import sys, pathlib, mlops.cli as cli\n"
        f"sys.argv = ['mlops', '{stage}']\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "src = pathlib.Path('src').resolve()\n"
        "files = [pathlib.Path(m.__file__) for m in list(sys.modules.values())\n"
        "         if getattr(m, '__file__', None)]\n"
        f"print('WAITED FOR', *{STAGES[stage]} & set(sys.modules))\n"
        "print('USED', *[f.relative_to(src.parent) for f in files if f.is_relative_to(src)])\n"
    )
    printed = rerun.run(sys.executable, "-c", program).stdout
    used = set(printed.partition("USED ")[2].split())
    declared = yaml.safe_load((rerun / "dvc.yaml").read_text())["stages"][stage]["deps"]
    assert used - PLUMBING - set(declared) == set()
    assert "src/mlops/cli.py" in used
    assert "WAITED FOR\n" in printed


def test_run_is_logged_to_mlflow(trained: Project) -> None:
    program = (
        "import json, mlflow\n"
        "mlflow.set_tracking_uri('sqlite:///.store/mlflow.db')\n"
        "client = mlflow.MlflowClient()\n"
        "training = json.load(open('reports/training.json'))\n"
        "run = client.get_run(training['run_id'])\n"
        "files = [f.path for d in ('plots', 'reproduce')\n"
        "         for f in client.list_artifacts(training['run_id'], d)]\n"
        "print(json.dumps([run.info.status, run.data.params, run.data.metrics, run.data.tags,\n"
        "                  files]))\n"
    )
    done = trained.run(sys.executable, "-c", program)
    status, params, metrics, tags, files = json.loads(done.stdout)
    written = json.loads((trained / "reports/metrics.json").read_text())
    data = json.loads((trained / "reports/data.json").read_text())
    assert status == "FINISHED"
    assert params["estimator.learning_rate"] == "0.05"
    assert params["data.window.start"] == "2013-01"
    assert metrics["roc_auc"] == written["roc_auc"]
    assert metrics["seconds"] > 0
    assert tags["data_md5"] == data["md5"]
    assert (
        tags["mlflow.source.git.commit"] == trained.run("git", "rev-parse", "HEAD").stdout.strip()
    )
    assert tags["git_dirty"] == "false"
    assert tags["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"plots/plots.png", "plots/curve.csv", "reproduce/requirements.txt"} <= set(files)


def test_what_takes_long_says_so(rerun: Project) -> None:
    done = rerun.run("mlops", "ingest")
    assert "Loading the raw data: " in done.stderr
    assert "327,346 rows" in done.stdout


@pytest.mark.parametrize("stage", ["features", "train", "evaluate"])
def test_killed_stage_is_repaired_by_the_next_run(
    trained: Project, tmp_path: Path, stage: str
) -> None:
    project = trained.copy(tmp_path / "copy")
    before = {
        path: (project / path).read_bytes()
        for path in ("models/model.onnx", "reports/metrics.json")
    }
    marker = tmp_path / "started"
    # Not a comment only: the stage stops where its file is half done, and is killed there.
    module = {"features": "features", "train": "train", "evaluate": "evaluate"}[stage]
    source = project / f"src/mlops/pipeline/{module}.py"
    whole = source.read_text()
    source.write_text(
        f"{whole}\n\nimport time as _time\n_write = files.write_atomic\n\n\n"
        "def _stuck(path, write):\n"
        "    def half(temporary):\n"
        "        write(temporary)\n"
        "        temporary.write_bytes(temporary.read_bytes()[:100])\n"
        f"        open({str(marker)!r}, 'w').close()\n"
        "        _time.sleep(600)\n"
        "    _write(path, half)\n\n\n"
        "files.write_atomic = _stuck\n"
    )
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not marker.exists():
        assert process.poll() is None, "dvc ended before the stage wrote anything"
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    source.write_text(whole)

    project.run("dvc", "repro")
    assert {path: (project / path).read_bytes() for path in before} == before
