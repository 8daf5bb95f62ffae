"""Stage ``evaluate``: the trained model on the holdout, in numbers and plots."""

from mlops.artifact import sandbox
from mlops.artifact.table import read, to_columns, to_target
from mlops.judgement import metric
from mlops.judgement.scorecard import base_rate, predictions, scores, tables, write_tables
from mlops.project import files
from mlops.project.params import Params


def run(params: Params) -> None:
    """Write ``reports/metrics.json`` and ``reports/plots/``."""
    model = sandbox.load(files.MODEL)
    task, classes = model.facts.task, model.facts.classes
    holdout = read(files.HOLDOUT)
    y = to_target(holdout[params.data.target], params.task)
    times = None if params.data.time is None else holdout[params.data.time]
    prediction = predictions(model, to_columns(holdout))
    metrics = metric.choose(task, params.gate, y, prediction, classes)

    scored = scores(metrics.shown, y, prediction, classes)
    write_tables(tables(metrics.gate, y, prediction, classes, times), files.PLOTS)
    known = scores(metrics.shown, y, base_rate(model, prediction), classes)
    files.write_json(files.METRICS, {**scored, "rows": len(y), "baseline": known})

    for name, value in scored.items():
        print(f"{name}: {value:,.4f} (base rate: {known[name]:,.4f})")
