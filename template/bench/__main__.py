"""Every measurement, one line each, as ratios taken in this one run.

``python template/bench serving`` takes only that one; ``estimators``, hundreds of lines, has to be
named.
"""

import sys

import batch
import bootstrap
import canary
import drift
import estimators
import gate
import pipeline
import retraining
import rows
import serving
import shift
import start
import workflows

modules = (pipeline, start, workflows, serving, batch, shift, canary, bootstrap)
modules += (gate, retraining, rows, drift)
measures = {it.__name__: it for it in (*modules, estimators)}
for name in sys.argv[1:] or [it.__name__ for it in modules]:
    for line in measures[name].run():
        print(line, flush=True)
