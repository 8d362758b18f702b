# Two commands to know: `make demo` and `make test`. Both make .venv first.
#
# Settings go behind the command: make demo DATABASE_URL=postgres://… BROKER_URL=amqp://…   (make exports them)
#   PYTHON=python3.12   the Python of .venv            PORT=8001   where `make run` listens
#   ARGS='-k name'      more words for the command that the target runs

.DEFAULT_GOAL := help
.PHONY: help demo test run check fmt lint bench volume screenshots lock clean venv
MAKEFLAGS += --no-print-directory

PORT ?= 8000
ARGS ?=
# How the suite is spread over processes; the files of a directory's shared services stay together.
SPREAD ?= -n 2 --dist loadfile
PY := .venv/bin/python

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1|/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

venv: ## .venv with the locked packages (every target below makes it first)
	@sh bin/bootstrap

demo: venv ## 300 orders through the REST API; SQLite and no broker unless DATABASE_URL and BROKER_URL say so
	@$(PY) manage.py demo $(ARGS)

run: venv ## storefront, API, admin, workers and celery together, to click around in; Ctrl-C ends it
	@exec $(PY) -m sagaproject.launch --port $(PORT) $(ARGS)

test: check ## the whole suite on real PostgreSQL and RabbitMQ and in Chromium, found, started or installed
	@$(PY) -m pytest $(SPREAD) $(ARGS)

check: lint ## format, lint, types, floors, Django's checks, missing migrations: under a minute
	@$(PY) -m mypy
	@PYTHONPATH=. .venv/bin/lint-imports
	@$(PY) manage.py check --fail-level WARNING
	@$(PY) manage.py makemigrations --check --dry-run
	@echo "check ok"

lint: venv ## format and lint only
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .

fmt: venv ## format, and mend what lint can mend
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

bench: venv ## engine and peers side by side on PostgreSQL and RabbitMQ
	@$(PY) -m benchmarks $(ARGS)

volume: venv ## a million sagas in PostgreSQL, and how long each page of the admin takes there; says first what it needs
	@$(PY) -m benchmarks.volume $(ARGS)

screenshots: venv ## pictures of the console's pages, in var/screenshots; ARGS=--keep renews docs/screenshots
	@$(PY) -m tests.browser.screenshots $(ARGS)

lock: venv ## resolve pyproject.toml and requirements.in anew into requirements.lock
	@sh bin/lock $(ARGS)

clean: ## remove .venv, var and what the tools made
	rm -rf .venv var build dist htmlcov .coverage .coverage.* .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
