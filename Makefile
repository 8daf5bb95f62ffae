# What every project has, and what only the template needs.
include project.mk
.PHONY: demo bench

# The machinery is tested where it is used: a test generates a project and runs `make test` in it.
TESTS := tests/template

demo: .venv/setup ## Generate a project in build/demo and take it through the whole loop
	python template/demo.py

bench: .venv/setup ## Measure the pipeline against the bare work, and the bootstrap against the naive one
	python template/bench
