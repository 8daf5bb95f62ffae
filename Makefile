# What every project has, and what only the template needs.
include project.mk
.PHONY: demo replay bench test-another-day

# The machinery is tested where it is used: a test generates a project and runs `make test` in it.
# Such a project has the files of one target to deploy to; those of the others are tested here.
TESTS := tests/template $(wildcard tests/delivery/test_host_*.py tests/delivery/test_kubernetes_*.py)

demo: .venv/setup ## Generate a project in build/demo and take it through the loop on a local GitHub
	PYTHONPATH=tests/workflows/github python template/demo.py

replay: .venv/setup ## Let a project live through 2013 unattended, and draw what retraining gained (half an hour)
	PYTHONPATH=tests/workflows/github python template/replay.py

test-another-day: .venv/setup ## Run tests in 400 days, in a folder where another model was trained
	python template/another_day.py

bench: .venv/setup ## Measure against the bare work, other servers and the naive way (WHAT=serving: only that)
	PYTHONPATH=tests/workflows/github:tests/workflows:tests:tests/delivery python template/bench $(WHAT)
