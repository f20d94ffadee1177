# `make demo`: the whole job on a simulated dataset. `make test`: the whole suite; `make quick`: without the slow
# tests. Each sets .venv up first.
PYTHON ?= python3
BIN := .venv/bin
# Two processes that take whole files: no fixture of a file is made twice. tests/conftest.py puts long files first.
PYTEST := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# Quieter TensorFlow, and no look-ups for an update or a report home.
export TF_CPP_MIN_LOG_LEVEL ?= 2
export MLFLOW_DISABLE_TELEMETRY ?= true

# The libraries' own threads would only get in the way of the two processes.
test quick: export OMP_NUM_THREADS = 1
test quick: export TF_NUM_INTRAOP_THREADS = 1
test quick: export TF_NUM_INTEROP_THREADS = 1

.PHONY: demo test quick lint clean

demo: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/mlflow run . --env-manager local --experiment-name eeg2fmri

test: .venv/installed
	$(PYTEST) -ra --durations=15

quick: .venv/installed
	$(PYTEST) -m "not slow"

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/installed: pyproject.toml eeg2fmri/__init__.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv work mlruns mlflow.db build *.egg-info
