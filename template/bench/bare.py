"""The bare work in one process, with no framework: read, build features, fit, score."""

import numpy as np
from sklearn.metrics import roc_auc_score

from mlops.artifact.table import in_window, to_columns
from mlops.project.params import load
from model import build_estimator, build_features, load_data

params = load()
table = load_data()
columns = to_columns(table)
x = np.column_stack(list(build_features(columns).values())).astype(np.float32)
y = columns[params.data.target]
times = table[params.data.time]
train = in_window(times, params.data.window).to_numpy()
holdout = in_window(times, params.data.holdout).to_numpy()
model = build_estimator(seed=params.seed, **params.estimator).fit(x[train], y[train])
print(roc_auc_score(y[holdout], model.predict_proba(x[holdout])[:, 1]))
