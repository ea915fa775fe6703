# The one list of commands; CI and pre-commit call these too. `make help` prints it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first Python of a version that we support; bootstrap.py says so when there is none.
PYTHON ?= $(or $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$name && break; done),python3)

BIN := .venv/bin
PEOPLE ?=
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	$(if $(UPGRADE),--upgrade)
EMULATORS := bqemulator local-bigquery

DBT_FLAGS := --project-dir dbt_project --profiles-dir dbt_project --target-path $(CURDIR)/.local/check \
	--log-path $(CURDIR)/.local/check

.PHONY: help setup setup-bigquery emulators infrastructure run test test-all chaos dev check fix docs bench lock clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv hold the locked packages and this project (nothing to do: no time)
	@$(PYTHON) scripts/bootstrap.py

setup-bigquery: setup ## Make the environment of dbt for BigQuery too, for a WAREHOUSE_URL of bigquery://…
	@$(PYTHON) scripts/bootstrap.py dbt-bigquery

emulators: setup-bigquery ## Make what stands in for BigQuery in the tests, each in an environment of its own
	@$(PYTHON) scripts/bootstrap.py $(EMULATORS)

infrastructure: setup ## Make what reads Terraform's files and the Dockerfile, in an environment of its own
	@$(PYTHON) scripts/bootstrap.py infrastructure

run: setup ## Seed a demo company, run dbt and the sync twice, print both; PEOPLE=20000
	@$(BIN)/cio demo $(if $(PEOPLE),--people $(PEOPLE))

test: emulators infrastructure ## Run the fast tests (a few minutes)
	@$(BIN)/python -m pytest -n 2 --dist worksteal --durations=25 --durations-min=4 -m "not slow"

test-all: emulators infrastructure ## Run all tests, the slow ones too
	@$(BIN)/python -m pytest -n 2 --dist worksteal

chaos: setup ## Break the sync in every way at every moment, and write docs/reliability.md
	@rm -rf .local/chaos && mkdir -p .local/chaos
	@CHAOS_RESULTS=$(CURDIR)/.local/chaos $(BIN)/python -m pytest -n 2 --dist worksteal tests/chaos \
		--deselect tests/chaos/test_matrix.py
	@$(BIN)/python -m tests.chaos.page .local/chaos
	@$(BIN)/python -m pytest -q tests/chaos/test_matrix.py

dev: setup ## Open the Dagster UI beside the sandbox
	@$(BIN)/cio dev

check: setup infrastructure ## Lint, format, types, security, dead code, infrastructure, vulnerabilities, docs: what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/dbt --quiet --warn-error parse $(DBT_FLAGS)
	$(BIN)/python scripts/check_files.py
	$(BIN)/python scripts/dead_code.py
	$(BIN)/python scripts/infrastructure.py
	@$(PYTHON) scripts/bootstrap.py audit
	$(BIN)/python scripts/audit.py
	@$(MAKE) --no-print-directory docs

fix: setup ## Repair what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## Build the docs into .local/docs, with the reference from the code; every link inside must lead somewhere
	@$(PYTHON) scripts/bootstrap.py docs
	@$(BIN)/python scripts/reference.py
	@.venvs/docs/bin/sphinx-build --quiet --fail-on-warning --keep-going docs .local/docs
	@echo "Built: .local/docs/index.html"

bench: setup ## Measure first sync, small change and no change; PEOPLE=1000000
	@$(BIN)/cio bench people --people $(or $(PEOPLE),1000000)

lock: setup ## Write requirements/*.txt anew from pyproject.toml and requirements/*.in; UPGRADE=1: newer releases
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --group dev -c requirements/runtime.txt -o requirements/dev.txt
	$(COMPILE) --python-version 3.11 requirements/dbt-bigquery.in -o requirements/dbt-bigquery.txt
	$(COMPILE) pyproject.toml requirements/image.in -c requirements/runtime.txt -o requirements/image.txt
	$(COMPILE) --python-version 3.11 requirements/infrastructure.in -o requirements/infrastructure.txt
	$(COMPILE) --python-version 3.11 requirements/audit.in -o requirements/audit.txt
	$(COMPILE) --python-version 3.11 requirements/docs.in -o requirements/docs.txt
	$(COMPILE) --python-version 3.11 requirements/bqemulator.in -o requirements/bqemulator.txt
	$(COMPILE) --python-version 3.13 requirements/local-bigquery.in --override requirements/local-bigquery.overrides \
		-o requirements/local-bigquery.txt
	$(MAKE) setup

clean: ## Remove the environment, caches and dbt's leftovers; .local, which holds data, stays
	rm -rf .venv .venvs .pytest_cache .ruff_cache .hypothesis dist dbt_project/target dbt_project/logs logs
	find . -name __pycache__ -not -path './.venv*/*' -prune -exec rm -rf {} +
