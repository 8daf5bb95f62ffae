# What a person does with the project; `make` alone lists it. Runs with GNU make 3.81 (macOS).

# Not /bin/sh: for that one, make 3.81 looks commands up itself and overlooks the PATH set here.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup lint format test repro report pull-repro changed merge-lock clean

TESTS := --cov

# What a model is made of, as git's pathspecs; prose does not decide it.
DECIDES := src data '*.dvc' dvc.yaml dvc.lock params.yaml requirements.txt .python-version ':!*.md'

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv
# None of the tools sends usage data anywhere.
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export ITERATIVE_DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Without cached bytecode every import takes three times as long.
unexport PYTHONDONTWRITEBYTECODE
# Another project's modules must not shadow those of the lock.
unexport PYTHONPATH
# uv does not read the settings of pip.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

# An environment holds absolute paths: one that was moved here has to be made anew.
$(shell [ "$$(cat .venv/folder 2>/dev/null)" = "$$(pwd)" ] || rm -f .venv/setup .venv/bin/uv)

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/setup ## Make the environment in .venv, exactly as requirements.txt locks it

lint: .venv/setup ## Check format, lint, types and workflows; change nothing
	ruff format --check
	ruff check
	mypy
	actionlint
	zizmor --quiet --offline --persona auditor --strict-collection .github
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml
	check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

format: .venv/setup ## Format the code and fix what can be fixed without thought
	ruff check --fix-only
	ruff format

test: .venv/setup lint ## Check the code, run all tests, and measure what they cover
	pytest -n 2 --dist loadscope --no-loadscope-reorder $(TESTS)

repro: .venv/setup ## Run the stages of the pipeline that have something new to do
	dvc repro

report: repro ## Judge the model against the champion and write reports/report.md
	mlops compare
	mlops report

# A dvc.lock from a laptop may name results that were never pushed: DVC then skips their stages, and
# there is nothing to pull; the second repro computes them.
pull-repro: .venv/setup ## The same, but take results from the DVC remote where it has them
	dvc repro --pull --allow-missing
	dvc pull --quiet validate features train evaluate || dvc repro --pull

changed: ## Say whether what decides the model has changed since the commit SINCE (no such commit: yes)
	@if git cat-file -e "$$SINCE^{commit}" 2>/dev/null && \
	    git diff --stat --exit-code "$$SINCE" HEAD -- $(DECIDES) >&2; then echo changed=false; \
	else echo changed=true; fi

merge-lock: .venv/setup ## Resolve a merge conflict in dvc.lock (resolve params.yaml first)
	git checkout --ours -- dvc.lock
	dvc repro
	git add dvc.lock

clean: ## Delete the environment and caches; keep data, models and the registry
	rm -rf .venv build .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.*
	find src tests -name __pycache__ -prune -exec rm -rf {} +

.venv/setup: requirements.txt pyproject.toml .venv/bin/uv
	@echo "Installing what requirements.txt locks (a minute the first time, seconds later)"
	@uv pip sync --quiet --require-hashes requirements.txt
	@uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# `make setup PYTHON=...` decides which Python; otherwise it is the one in .python-version, or any
# other that the lock is for. Only uv comes through pip, in the version and with the hashes locked.
.venv/bin/uv:
	@if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; else \
	    set -- "python$$(cat .python-version)" python3 python3.13 python3.12 python3.11; fi; \
	for python; do \
	    "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	        2>/dev/null && break; \
	    python=; \
	done; \
	if [ -z "$$python" ]; then echo "No Python 3.11, 3.12 or 3.13 among: $$*. Install one" \
	    "(apt install python3 python3-venv; brew install python@3.13)" \
	    "or name it: make setup PYTHON=/path/to/python" >&2; exit 1; fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then echo "$$python cannot make" \
	    "environments. Install the rest of it: apt install python3-venv" >&2; exit 1; fi; \
	set -e; \
	echo "Making the environment in .venv with $$python"; \
	"$$python" -m venv --clear .venv; \
	sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > .venv/uv.txt; \
	.venv/bin/python -m pip install --quiet --no-deps --require-hashes -r .venv/uv.txt; \
	pwd > .venv/folder
