"""Stage ``evaluate``: the trained model on the holdout, in numbers and plots."""

from mlops.artifact import model_folder
from mlops.artifact.table import read, to_columns, to_target
from mlops.judgement import metric
from mlops.judgement.scorecard import scores, tables, write_tables
from mlops.project import files
from mlops.project.params import Params


def run(params: Params) -> None:
    """Write ``reports/metrics.json`` and ``reports/plots/``."""
    model = model_folder.load(files.MODEL)
    metrics, classes = metric.choose(model.facts.task, params.gate), model.facts.classes
    holdout = read(files.HOLDOUT)
    y = to_target(holdout[params.data.target], params.task)
    times = None if params.data.time is None else holdout[params.data.time]
    prediction = model.predict(to_columns(holdout))

    scored = scores(metrics.shown, y, prediction, classes)
    write_tables(tables(metrics.gate, y, prediction, classes, times), files.PLOTS)
    base_rate = scores(metrics.shown, y, model.predict_base_rate(len(y)), classes)
    files.write_json(files.METRICS, {**scored, "rows": len(y), "baseline": base_rate})

    for name, value in scored.items():
        print(f"{name}: {value:.4f} (base rate: {base_rate[name]:.4f})")
