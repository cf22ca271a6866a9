# `make run` and `make test` set up all that they need; `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help run worker test lint unit integration simulation acceptance embed lock dist sbom bench soak clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One process for each core; acceptance tests mostly wait, so that three more fit. `make unit CORES=1` runs one.
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
PYTEST := $(BIN)/python -m pytest -q --dist worksteal
QUEUES ?= cronzimus
# With a broker, web and scheduler need the packages of workers too.
BROKER := $(or $(CELERY_BROKER_URL),$(shell grep -s '^CELERY_BROKER_URL=.' .env))
POSTGRESQL := $(or $(TEST_DATABASE_URL),postgresql://postgres@127.0.0.1:5432/postgres)

help: ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 20

run: $(VENV)/.run $(if $(BROKER),$(VENV)/.celery) ## web (port 5000, this machine only) and scheduler together, on SQLite
	@DEBUG=$${DEBUG:-true} exec $(BIN)/python manage.py up

worker: $(VENV)/.celery ## a Celery worker for the queues in QUEUES, such as QUEUES=reports,mail
	@DEBUG=$${DEBUG:-true} exec $(BIN)/celery -A cronzimus_site worker -Q $(QUEUES) -c 8

test: lint unit integration simulation acceptance ## everything but `make embed`

lint: $(VENV)/.dev ## ruff, mypy, Django's checks, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	HTTPS=true TRUSTED_PROXIES=127.0.0.1 $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run

unit: $(VENV)/.test ## no database, no clock
	$(PYTEST) -n $(CORES) tests/unit

integration: $(VENV)/.test ## the database: SQLite, then PostgreSQL
	DATABASE_URL= $(PYTEST) -n $(CORES) tests/integration
	DATABASE_URL=$(POSTGRESQL) $(PYTEST) -n $(CORES) tests/integration

simulation: $(VENV)/.test ## whole histories on a fake clock, with a fault at any statement or message
	DATABASE_URL= $(PYTEST) -n $(CORES) tests/simulation

acceptance: $(VENV)/.test ## real processes, signals, a real browser
	$(PYTEST) -n $$(($(CORES) + 3)) tests/acceptance

embed: $(VENV)/.dev $(VENV)/.dist ## the built wheel in a project of somebody else's, with each Django that it is for
	$(PYTEST) tests/embed

lock: $(VENV)/.dev ## requirements*.txt from requirements*.in
	for part in "" -celery -test -dev -bench -dist; do \
		$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
			--custom-compile-command "make lock" requirements$$part.in -o requirements$$part.txt || exit 1; \
	done

dist: $(VENV)/.dist ## the library as sdist and wheel, in dist/
	rm -f dist/*.whl dist/*.tar.gz
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*.whl dist/*.tar.gz

sbom: $(VENV)/.dist ## what a server and its workers install, as CycloneDX JSON, in dist/
	mkdir -p dist
	awk '!seen[$$1]++' requirements.txt requirements-celery.txt | $(BIN)/cyclonedx-py requirements \
		--pyproject pyproject.toml --output-reproducible -o dist/cronzimus.cdx.json -

bench: $(VENV)/.bench ## Cronzimus beside its peers, some half an hour (QUICK=--quick: one round)
	$(BIN)/python -m benchmarks $(QUICK)

soak: $(VENV)/.bench ## half an hour of modest load: does anything grow?
	$(BIN)/python benchmarks/soak.py

clean: ## forget the virtual environment, the caches and what `make dist` built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Cronzimus needs Python 3.11 or later: make PYTHON=…")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.celery: requirements-celery.txt $(VENV)/.run
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-celery.txt
	@touch $@

$(VENV)/.test: requirements-test.txt $(VENV)/.run
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-test.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.test
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(VENV)/.bench: requirements-bench.txt $(VENV)/.run
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-bench.txt
	@touch $@

$(VENV)/.dist: requirements-dist.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dist.txt
	@touch $@
