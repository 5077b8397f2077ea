# Needs python3 (3.11 or later) and nothing else; every target sets up what it uses.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo run infra test bench lint format check lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the locked dependencies (once)

$(READY): requirements-dev.lock deploy/setup.sh
	@PYTHON="$(PYTHON)" deploy/setup.sh
	@touch $@

demo: $(READY) ## Start everything, play a story, show what happened, stop everything
	@$(BIN)/python -m deploy.launcher demo

run: $(READY) ## Start everything and stay up until Ctrl-C
	@$(BIN)/python -m deploy.launcher run

infra: $(READY) ## Start PostgreSQL and RabbitMQ alone and stay up until Ctrl-C
	@$(BIN)/python -m deploy.launcher infra

test: $(READY) ## Run the tests, against a private PostgreSQL and RabbitMQ
	$(BIN)/python -m pytest

bench: $(READY) ## Measure speed against limits and peers; one part alone with BENCH=append
	@$(BIN)/python -m tests.bench $(BENCH)

lint: $(READY) ## Check style, types, imports, the image, the compose file and the locks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	KITHLOG_POSTGRES_PASSWORD=x KITHLOG_RABBITMQ_PASSWORD=x $(BIN)/docker-compose config --quiet
	$(BIN)/python -m pytest tests/lint

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

check: lint test ## All that must pass before a change is merged

lock: $(READY) ## Write both locks after a change in pyproject.toml; with UPGRADE=1 to the newest versions
	$(LOCK) $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	$(LOCK) $(if $(UPGRADE),--upgrade) --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## Remove what the other targets made here
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache var *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
