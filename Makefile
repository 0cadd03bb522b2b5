# Every command of this project; `make` lists them. Each prepares what it needs by itself.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.SUFFIXES:

SHANMEN := .venv/bin/shanmen
# Each worker has servers of its own; a file's tests stay together, as they share what is started.
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadfile
PYTHON_FOLDERS := libs services simulators platform deploy tests

.PHONY: help
help: ## list these commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Both look for themselves whether anything has changed: a fraction of a second when not.
.PHONY: .runtime .dev
.runtime:
	@scripts/setup runtime
.dev:
	@scripts/setup dev

.PHONY: setup
setup: .dev ## install everything into .venv

.PHONY: run
run: .runtime ## start the whole platform in one process, with sample data; Ctrl-C stops it
	@exec $(SHANMEN) run

.PHONY: demo
demo: .runtime ## buy, use and settle a ticket before your eyes (JSON=file also writes the result)
	@exec $(SHANMEN) demo $(if $(JSON),--json "$(JSON)")

.PHONY: up
up: .runtime ## start every service as processes of its own, on PostgreSQL and RabbitMQ
	@exec $(SHANMEN) up

.PHONY: down
down: .runtime ## stop what `make up` started
	@exec $(SHANMEN) down

.PHONY: status
status: .runtime ## show which processes run, and how they are
	@exec $(SHANMEN) status

.PHONY: check
check: .runtime ## look whether every invariant holds in what runs (JSON=file also writes the report)
	@exec $(SHANMEN) check $(if $(JSON),--json "$(JSON)")

.PHONY: test
test: lint types ## prove everything: lint, types, walls, and all tests
	.venv/bin/pytest $(SIDE_BY_SIDE)

.PHONY: lint
lint: .dev ## look at style and format, and at the walls between packages
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports

.PHONY: types
types: .dev ## check types
	.venv/bin/mypy $(PYTHON_FOLDERS)

.PHONY: bench
bench: .dev ## measure the `make up` stack against pgbench (JSON=file also writes all figures)
	@exec $(SHANMEN) bench $(if $(JSON),--json "$(JSON)")

.PHONY: soak
soak: .dev ## a thousand orders under random faults on both transports (ORDERS=, SEED=), then the check
	SOAK_ORDERS=$(or $(ORDERS),1000) SOAK_SEED=$(or $(SEED),1) \
	  .venv/bin/pytest tests/faults/test_random_faults.py

.PHONY: docs
docs: .dev ## write docs/api, docs/events and docs/states anew
	@$(SHANMEN) docs

.PHONY: lock
lock: .dev ## pin requirements/*.in anew (UPGRADE=1: to the newest versions)
	for name in runtime dev; do \
	  .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal \
	    --python-version 3.11 --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) \
	    requirements/$$name.in -o requirements/$$name.txt || exit; \
	done

.PHONY: clean
clean: ## remove caches and .venv; data and secrets stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(PYTHON_FOLDERS) -name __pycache__ -type d -prune -exec rm -rf {} +
