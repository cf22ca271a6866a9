# `make run` and `make test` set up all that they need; `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help run test lint unit integration acceptance lock bench soak clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q
POSTGRESQL := $(or $(TEST_DATABASE_URL),postgresql://postgres@127.0.0.1:5432/postgres)

help: ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 20

run: $(VENV)/.run ## web (port 5000, this machine only) and scheduler together, on SQLite
	@DEBUG=$${DEBUG:-true} exec $(BIN)/python manage.py up

test: lint unit integration acceptance ## everything

lint: $(VENV)/.dev ## ruff, mypy, Django's checks, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	HTTPS=true $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run

unit: $(VENV)/.dev ## no database, no clock
	$(PYTEST) tests/unit

integration: $(VENV)/.dev ## the database: SQLite, then PostgreSQL
	DATABASE_URL= $(PYTEST) tests/integration
	DATABASE_URL=$(POSTGRESQL) $(PYTEST) tests/integration

acceptance: $(VENV)/.dev ## real processes, signals, a real browser
	$(PYTEST) tests/acceptance

lock: $(VENV)/.dev ## requirements*.txt from requirements*.in
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" requirements-bench.in -o requirements-bench.txt

bench: $(VENV)/.bench ## Cronzimus beside its peers, some twenty minutes (QUICK=--quick: one round)
	$(BIN)/python -m benchmarks $(QUICK)

soak: $(VENV)/.bench ## half an hour of modest load: does anything grow?
	$(BIN)/python benchmarks/soak.py

clean: ## forget the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Cronzimus needs Python 3.11 or later: make PYTHON=…")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(VENV)/.bench: requirements-bench.txt $(VENV)/.run
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-bench.txt
	@touch $@
