# What a person does with the project; `make` alone lists it. Runs with GNU make 3.81 (macOS).

# Not /bin/sh: for that one, make 3.81 looks commands up itself and overlooks the PATH set here.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup start lint lock add format test repro report pull-repro push-data protect answer serve notebook ui image changed merge-lock clean

# What the environment is made of, what to lock besides, what has types to check, and how pytest is
# called.
LOCKS := requirements.txt
LOCK_MORE :=
TYPED :=
TESTS :=

# Which version of the model `make image` puts in an image, and with what: behind a proxy, or with
# Podman, BUILD='docker build --network host' or BUILD='podman build --format docker'.
VERSION := challenger

# With --no-run-cache, only results that dvc.lock names are taken from the DVC remote.
RUN_CACHE ?=
BUILD := docker build

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

ifneq ($(shell [ ! -L .venv ] || echo link),)
$(error .venv is a link, and making the environment would delete what it leads to; remove the link)
endif
# An environment holds absolute paths: one that was moved here has to be made anew.
$(shell [ "$$(cat .venv/folder 2>/dev/null)" = "$$(pwd)" ] || rm -f .venv/setup .venv/bin/uv)

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/setup ## Make the environment in .venv, exactly as requirements.txt locks it

# The library that the example's data comes with leaves pyproject.toml, and so the locks.
start: .venv/setup ## Put your own table in place of the example: FILE=x.csv TARGET=y [TIME=...] [POSITIVE=...]
	@mlops start $${FILE:+"$$FILE"} --target="$$TARGET" $${TIME:+--time="$$TIME"} \
	    $${POSITIVE:+--positive="$$POSITIVE"} $${QUERY:+--query="$$QUERY"} $${FORCE:+--force}
	@$(MAKE) --no-print-directory lock

lint: .venv/setup ## Check format, lint, types and workflows; change nothing
	ruff format --check
	ruff check
	mypy $(TYPED)
	actionlint
	zizmor --quiet --offline --persona auditor --strict-collection .github
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml
	check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml $(wildcard deploy/host/compose.yaml)
	hadolint --failure-threshold warning deploy/Dockerfile $(wildcard deploy/*/*/Dockerfile)

LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes
lock: .venv/bin/uv ## Write the locks anew after a change of pyproject.toml (UPGRADE=--upgrade: newest versions)
	$(LOCK) $(UPGRADE) pyproject.toml --group dev -o requirements.txt
	$(LOCK) --group deliver -c requirements.txt -o requirements-deliver.txt
	$(LOCK) --group serve -c requirements.txt -o requirements-serve.txt
	$(LOCK) --group serve-skops -c requirements.txt -o requirements-serve-skops.txt
	$(LOCK_MORE)

# The group becomes one more line of a list, which updates of the template merge well.
add: .venv/bin/uv ## Lock in what only some projects need: GROUP=routes, lightgbm, xgboost, s3, gs, azure, ssh, notebook, wandb or kubeflow
	@case "$$GROUP" in \
	    routes) list=serve ;; \
	    lightgbm | xgboost) list=serve-skops ;; \
	    s3 | gs | azure | ssh | notebook | wandb | kubeflow) list=dev ;; \
	    *) echo "make add: GROUP is '$$GROUP'; expected routes, lightgbm, xgboost, s3, gs, azure, ssh, notebook, wandb or kubeflow" >&2; \
	        exit 1 ;; \
	esac; \
	line="    { include-group = \"$$GROUP\" },"; \
	if ! grep -qxF "$$line" pyproject.toml; then \
	    awk -v list="$$list = [" -v line="$$line" '{ print } $$0 == list { print line; found = 1 } \
	        END { exit !found }' pyproject.toml > .venv/pyproject.toml || { \
	        echo "make add: pyproject.toml has no line '$$list = ['; write $${line#    } there" >&2; \
        exit 1; }; \
	    cp .venv/pyproject.toml pyproject.toml; \
	fi
	@$(MAKE) --no-print-directory lock

format: .venv/setup ## Format the code and fix what can be fixed without thought
	ruff check --fix-only
	ruff format

test: .venv/setup lint ## Check the code, test data and model, and take a sample of the data around the loop
	pytest $(TESTS)

repro: .venv/setup ## Run the stages of the pipeline that have something new to do
	@mlops check
	dvc repro

report: repro ## Judge the model against the champion and write reports/report.md
	mlops compare
	mlops report

# A dvc.lock from a laptop may name results that were never pushed: DVC then skips their stages, and
# there is nothing to pull; the second repro computes them.
pull-repro: .venv/setup ## The same, but take results from the DVC remote where it has them
	@mlops check
	mlops pull-data
	mlops store mend
	dvc repro --pull --allow-missing $(RUN_CACHE)
	dvc pull --quiet validate features train evaluate || dvc repro --pull $(RUN_CACHE)

push-data: .venv/setup ## Give the workflows the files in data/source that DVC keeps, and nothing else
	mlops push-data

protect: .venv/setup ## Install the rules of .github/rulesets on GitHub: RULES=team, or alone where nobody else approves
	@python .github/lib/protect.py $(RULES)

answer: .venv/setup ## Change an answer to the template's questions: make answer deploy_target=kubernetes
	@python .github/lib/answer.py

serve: .venv/setup ## Run the service on the model that `make repro` has trained
	mlops serve

notebook: .venv/setup ## Look at the champion in notebooks/champion.ipynb (make add GROUP=notebook, once)
	@if [ ! -x .venv/bin/jupyter-lab ]; then echo "make notebook: Jupyter is not in the lock;" \
	    "make add GROUP=notebook first" >&2; exit 1; fi
	jupyter lab --notebook-dir=. notebooks/champion.ipynb

ui: .venv/setup ## Open MLflow's pages on the registry, http://127.0.0.1:5000 (PORT=5001: elsewhere)
	@mlops ui $${PORT:+--port="$$PORT"}

image: .venv/setup ## Build the image of a version of the model: make image VERSION=3 (the challenger)
	mlops export build/image $(VERSION)
	tag=$$(python -c 'import json, sys; print("{name}:{version}".format_map(json.load(sys.stdin)))' \
	    < build/image/model/version.json) && \
	$(BUILD) --file deploy/Dockerfile --build-arg VERSION="$${tag#*:}" \
	    --build-arg REVISION="$$(git rev-parse HEAD)" --tag "$$tag" .

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

.venv/setup: $(LOCKS) pyproject.toml .venv/bin/uv
	@echo "Installing what $(firstword $(LOCKS)) locks (a minute the first time, seconds later)"
	@uv pip sync --quiet --require-hashes $(LOCKS)
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
