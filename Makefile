# What every project has, and what only the template needs.
include project.mk
LOCKS := requirements.txt template/requirements.txt
define LOCK_MORE
$(LOCK) $(UPGRADE) template/requirements.in --group pyproject.toml:lightgbm --group pyproject.toml:xgboost \
    --group pyproject.toml:s3 --group pyproject.toml:wandb -o template/requirements.txt
python template/remotes.py $(LOCK)
endef
TYPED := src
# Three share two cores: one often waits for a service to start, or for the disk.
TESTS := -n 3 --dist loadscope --no-loadscope-reorder
.venv/setup: template/requirements.txt
.PHONY: imports coverage size demo pictures replay bench test-another-day

lint: imports
imports: .venv/setup ## Check that a wing of src/mlops imports only the wings before it
	lint-imports template/importlinter.ini

coverage: .venv/setup ## Run the tests, and fail when they reach too little of src/mlops (a third slower)
	pytest $(TESTS) --cov --cov-config template/coverage.ini

size: .venv/setup ## Count what a project consists of, beside one from before (template/size.py)
	python template/size.py

demo: .venv/setup ## Generate a project in build/demo and take it through the loop on a local GitHub
	PYTHONPATH=tests/workflows/github python template/demo.py

pictures: .venv/setup ## Take README's pictures of what the demo left, with Chromium (after make demo)
	python template/pictures.py

replay: .venv/setup ## Let a project live through 2013 unattended, and draw what retraining gained (half an hour)
	PYTHONPATH=tests/workflows/github python template/replay.py

test-another-day: .venv/setup ## Run tests in 400 days, in a folder where another model was trained
	python template/another_day.py

bench: .venv/setup ## Measure against the bare work, other servers and the naive way (WHAT=serving: only that)
	PYTHONPATH=tests/workflows/github:tests/workflows:tests:tests/delivery:tests/start python template/bench $(WHAT)
