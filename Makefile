# `make demo`: the whole job on a simulated dataset. `make test`: the whole suite; `make quick`: without the slow
# tests. Each sets .venv up first.
PYTHON ?= python3
BIN := .venv/bin
# Quieter TensorFlow, and no look-ups for an update or a report home.
export TF_CPP_MIN_LOG_LEVEL ?= 2
export MLFLOW_DISABLE_TELEMETRY ?= true

.PHONY: demo test quick lint clean

demo: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/mlflow run . --env-manager local --experiment-name eeg2fmri

test: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -ra --durations=15

quick: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m "not slow"

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
