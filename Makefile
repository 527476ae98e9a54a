# The whole project from nothing but Python >= 3.11 and make:
#   make demo     install, then open the terminal application on a new pocket project (headless without a terminal)
#   make test     install with the test extras, then lint, types, import rules and the quick tests
#   make accept   the slow acceptance tests: demos, kills, every recipe end to end, packaging
#   make lowest   the quick tests of methods and workers with the lowest versions that pyproject.toml admits
#   make format   rewrite the sources in the one format that `make test` checks
#   make clean    remove the environment, the demo project and every cache
SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_DIR ?= demo
# Tests use one thread each. Two run at once; the one that is done first takes tests from the other.
TEST_PROCESSES ?= 2
PYTEST_ARGS ?=
PYTEST := -m pytest -n $(TEST_PROCESSES) --dist worksteal

# Static metadata can't choose a torch build, so a constraints file does: with an NVIDIA driver whatever the platform's
# index gives, without one the last build that brings no CUDA libraries.
CONSTRAINTS := $(shell if command -v nvidia-smi >/dev/null 2>&1 || [ -e /proc/driver/nvidia/version ]; \
	then echo constraints/gpu.txt; else echo constraints/cpu.txt; fi)
INSTALL_INPUTS := pyproject.toml constraints/ui.txt $(CONSTRAINTS)
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --prefer-binary -c $(CONSTRAINTS)

# An environment that sees the other one beneath it, and has of its own only what is older there: torch, the largest, is
# the same in both.
LOWEST := build/lowest
LOWEST_TESTS ?= tests/engine/training/methods tests/engine/training/test_training.py \
	tests/engine/models/test_adapter_kinds.py tests/engine/models/test_bottleneck.py \
	tests/engine/data/test_masks.py tests/engine/recipe/test_trl_arguments.py
SITE := import sysconfig; print(sysconfig.get_path('purelib'))

.PHONY: demo test accept lowest lint quick format install install-test clean
.DEFAULT_GOAL := help
.PHONY: help
help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.installed-train
	@if [ -t 0 ] && [ -t 1 ]; then exec $(BIN)/rung demo format $(DEMO_DIR); \
	else exec $(BIN)/rung demo format $(DEMO_DIR) --headless; fi

test: lint quick

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p rung
	$(BIN)/lint-imports

quick: $(VENV)/.installed-test
	$(BIN)/python $(PYTEST) -m "not slow and not accept" $(PYTEST_ARGS)

accept: $(VENV)/.installed-test
	$(BIN)/python $(PYTEST) -m "slow or accept" $(PYTEST_ARGS)

lowest: $(LOWEST)/.installed
	$(LOWEST)/bin/python $(PYTEST) -m "not slow and not accept" $(LOWEST_TESTS) $(PYTEST_ARGS)

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(VENV)/.installed-train
install-test: $(VENV)/.installed-test

# The stamps are newer than what decides an installation, or the installation is done again; a second run does none.
$(VENV)/.installed-train: $(INSTALL_INPUTS) | $(BIN)/python
	$(PIP_INSTALL) -e '.[train]'
	@touch $@

$(VENV)/.installed-test: $(INSTALL_INPUTS) | $(BIN)/python
	$(PIP_INSTALL) -e '.[train,test]'
	@touch $(VENV)/.installed-train $@

$(LOWEST)/.installed: constraints/lowest.txt $(VENV)/.installed-test
	rm -rf $(LOWEST)
	$(BIN)/python -m venv $(LOWEST)
	echo "import site; site.addsitedir('$$($(BIN)/python -c "$(SITE)")')" \
	  > "$$($(LOWEST)/bin/python -c "$(SITE)")/beneath.pth"
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check --prefer-binary -q -r constraints/lowest.txt
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Rung needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo not there)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "No virtual environment could be made; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

clean:
	rm -rf $(VENV) $(DEMO_DIR) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
