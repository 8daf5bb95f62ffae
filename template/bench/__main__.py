"""Every measurement, one line each, as ratios taken in this one run. Best of several rounds."""

import bootstrap
import pipeline
import workflows

for measure in (pipeline, workflows, bootstrap):
    for line in measure.run():
        print(line, flush=True)
