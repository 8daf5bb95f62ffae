"""What `mlops export` writes, made from a trained project without the registry's half a minute."""

import json
import shutil
from pathlib import Path

from projects import Project

from mlops.artifact import model_folder, sample
from mlops.artifact.table import read

DEPARTURE = '    departure = _minute_of_day(columns["sched_dep_time"])\n'
# Feature code that is not the model's, by what it does to the service.
ALTERED = {
    "slow": "    __import__('time').sleep(0.03)\n" + DEPARTURE,
    "failing": DEPARTURE + "    assert columns['sched_arr_time'][0] % 10 != 5\n",
    "shifted": DEPARTURE
    + "    storm = {'precip': 0.3, 'visib': 1.0, 'humid': 95.0}\n"
    + "    columns = {name: columns[name] for name in columns} | {\n"
    + "        name: np.full(len(departure), value) for name, value in storm.items()\n    }\n",
}


def make_export(trained: Project, folder: Path) -> Path:
    """Export the trained model as version 1."""
    model = folder / "model"
    model.mkdir(parents=True)
    for name in (model_folder.ONNX, model_folder.FEATURES, model_folder.FACTS):
        shutil.copyfile(trained / f"models/{name}", model / name)
    (model / "version.json").write_text('{"name": "flight-delays", "version": 1}')
    content = sample.build(model_folder.load(model), read(trained / "data/holdout.parquet"), seed=1)
    (folder / "sample.json").write_text(json.dumps(content))
    return folder


def alter(export: Path, kind: str, folder: Path) -> Path:
    """Copy an export with other feature code around the same model."""
    shutil.copytree(export, folder)
    code = folder / "model" / model_folder.FEATURES
    text = code.read_text()
    assert text.count(DEPARTURE) == 1
    code.write_text(text.replace(DEPARTURE, ALTERED[kind]))
    return folder
