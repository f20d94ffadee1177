# `make demo`: the whole job on a simulated dataset. `make test`: the whole suite; `make quick`: without the slow
# tests; `make docs`: the pages. Each sets .venv up first: the demo with what it needs, the others with the tools of
# development too.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
PYTHON ?= python3
BIN := .venv/bin
# Two processes that take whole files: no fixture of a file is made twice. tests/conftest.py puts long files first.
PYTEST := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# Quieter TensorFlow, and no look-ups for an update or a report home.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export MLFLOW_DISABLE_TELEMETRY ?= true

# The libraries' own threads would only get in the way of the two processes.
test quick: export OMP_NUM_THREADS = 1
test quick: export TF_NUM_INTRAOP_THREADS = 1
test quick: export TF_NUM_INTEROP_THREADS = 1

.PHONY: demo test quick lint docs clean

demo: .venv/run-installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/mlflow run . --env-manager local --experiment-name eeg2fmri

test: .venv/dev-installed
	$(PYTEST) -ra --durations=15

quick: .venv/dev-installed
	$(PYTEST) -m "not slow"

lint: .venv/dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Warnings are errors. The pages are in docs/_build/html.
docs: .venv/dev-installed
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

# pip's names of packages, each over the one before: it is at work, and the screen stays short.
define install
	@echo "Installing $(1) into .venv (some minutes):"
	@$(BIN)/python -m pip install --disable-pip-version-check --no-compile --constraint constraints.txt --editable '$(1)' | \
	while read -r verb name _; do case $$verb in \
		Collecting) printf '\r%-60s' "  fetching $${name%%[!A-Za-z0-9._-]*}" ;; \
		Installing) printf '\r%-60s' "  unpacking" ;; \
	esac; done
	@printf '\r%-60s\n' "  done"
endef

.venv/run-installed: pyproject.toml constraints.txt eeg2fmri/__init__.py
	@$(PYTHON) -m venv .venv
	$(call install,.)
	@touch $@

.venv/dev-installed: .venv/run-installed
	$(call install,.[dev])
	@touch $@

clean:
	rm -rf .venv work mlruns mlflow.db build docs/_build docs/_generated *.egg-info
