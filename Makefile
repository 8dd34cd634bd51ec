# `make` shows this help. PYTHON=... chooses the interpreter, ARGS=... is handed on.
# The virtual environment is made anew when the interpreter changes and
# filled anew when pyproject.toml changes; otherwise nothing is installed.

SHELL := /bin/sh
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# Many tests wait for processes, so two for each core keep the cores busy.
JOBS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
# Without compiled files each of the servers that tests start compiles the package anew, which is
# half of its start, and each process of the tests compiles all tests.
unexport PYTHONDONTWRITEBYTECODE
COMPILE = $(BIN)/python -m compileall -q bare_serve || :

# The newest Python on the PATH that can make a virtual environment, asked for only when needed.
ifndef PYTHON
PYTHON = $(eval PYTHON := $(shell tools/pythons --newest))$(PYTHON)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test test-long test-all fuzz lint format coverage mutants bench bench-quick profile clean FORCE

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

serve: $(VENV)/.for-serving ## serve the built-in demo app (ARGS="--port 9000"), or yours (ARGS="shop.web:app")
	@$(BIN)/bare-serve $(if $(filter-out -%,$(firstword $(ARGS))),,--demo) $(ARGS)

test: $(VENV)/.for-development ## run every test that is not marked long
	@$(COMPILE)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

test-long: $(VENV)/.for-development ## run the tests marked long
	@$(COMPILE)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m long $(ARGS)

test-all: ## run the tests on every CPython from 3.11 up found here
	@tools/test_all

SECONDS ?= 60
fuzz: $(VENV)/.for-development ## hunt for bytes that break the HTTP core (SECONDS=60)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

lint: $(VENV)/.for-development ## ruff check, ruff format --check, mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict bare_serve examples/bare_*.py

format: $(VENV)/.for-development ## let ruff fix and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

coverage: $(VENV)/.for-development ## lines of bare_serve that the tests of this process reach
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --cov --cov-report=term-missing:skip-covered $(ARGS)

mutants: $(VENV)/.for-development ## change one thing at a time, see if a test notices (ARGS="http1/deadlines wsgi --sample 60")
	$(BIN)/python -m tools.mutants $(ARGS)

bench: $(VENV)/.for-benchmarks ## measure beside the peers, about 50 minutes (ARGS="--only hello")
	$(BIN)/python -m benchmarks run $(ARGS)

bench-quick: $(VENV)/.for-benchmarks ## one small answer beside the peers, under 90 seconds
	$(BIN)/python -m benchmarks quick $(ARGS)

profile: $(VENV)/.for-benchmarks ## where a loaded worker spends its time (ARGS="--server bare-serve:wsgi")
	$(BIN)/python -m benchmarks profile $(ARGS)

clean: ## remove the virtual environments and every cache
	rm -rf $(VENV) .venv-* benchmarks/.peers* build dist *.egg-info .coverage* htmlcov
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.python: FORCE
	@test -n "$(PYTHON)" || { echo "make: found no Python >= 3.11 with the venv module; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@version=$$($(PYTHON) -c 'import sys; print(*sys.version_info[:3], sys.base_prefix)') && \
	if [ "$$(cat $@ 2>/dev/null)" != "$$version" ]; then \
		echo "making $(VENV) with $(PYTHON)"; \
		$(PYTHON) -m venv --clear $(VENV) && echo "$$version" > $@; \
	fi

$(VENV)/.for-serving: pyproject.toml $(VENV)/.python
	@echo "installing bare-serve into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.for-development: pyproject.toml $(VENV)/.python
	@echo "installing bare-serve and its development tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/.for-serving $@

$(VENV)/.for-benchmarks: pyproject.toml $(VENV)/.python
	@echo "installing bare-serve and what its benchmarks need into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $(VENV)/.for-serving $@
