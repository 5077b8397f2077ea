# Needs python3 (3.11 or later) and nothing else; every target sets up what it uses.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
WORKERS ?= 2
# Bytecode is kept in .venv wherever the environment wants it: compiling all again takes each process a second or two.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/pycache
export PYTHONDONTWRITEBYTECODE :=
LOCK := $(BIN)/uv pip compile --universal --generate-hashes --no-header --no-annotate --quiet
# Becomes the program that follows, and gets SIGTERM when make ends, however it ends.
TIED := exec $(BIN)/python -I -S deploy/launcher/tether.py 15 $$PPID -

.DEFAULT_GOAL := help
.PHONY: help setup demo run infra test bench chaos soak client-soak lint format check schemas lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the locked dependencies (once)

# Whatever it says, an environment is not ready whose interpreter is gone, or has become another, with the machine's.
ifneq ($(shell $(BIN)/python -c 'import pip; print("runs")' 2>/dev/null),runs)
.PHONY: $(READY)
endif
$(READY): requirements-dev.lock deploy/setup.sh
	@PYTHON="$(PYTHON)" deploy/setup.sh
	@touch $@

demo: $(READY) ## Start everything, play a story, show what happened, stop everything
	@$(TIED) $(BIN)/python -m deploy.launcher demo

run: $(READY) ## Start everything and stay up until Ctrl-C
	@$(TIED) $(BIN)/python -m deploy.launcher run

infra: $(READY) ## Start PostgreSQL and RabbitMQ alone and stay up until Ctrl-C
	@$(TIED) $(BIN)/python -m deploy.launcher infra

test: $(READY) ## Run the tests; each of WORKERS=2 has a PostgreSQL and a RabbitMQ of its own
	@$(TIED) $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

bench: $(READY) ## Measure speed against limits and peers; one part alone with BENCH=append
	@$(BIN)/python -m tests.bench $(BENCH)

chaos: $(READY) ## Kill, freeze, wipe and cut under load, and check what clients were told: SEED=1 SEEDS=20 ROUNDS=10
	@$(BIN)/python -m tests.chaos --seed $(or $(SEED),1) --seeds $(or $(SEEDS),20) --rounds $(or $(ROUNDS),10) $(CHAOS)

client-soak: $(READY) ## A consumer of 200,000 events: broker killed three times, messages doubled and dropped; EVENTS=
	KITHLOG_CONSUMER_EVENTS=$(or $(EVENTS),200000) KITHLOG_BROKER_KILLS=3 $(BIN)/python -m pytest tests/client/test_soak.py -s --timeout 0

soak: $(READY) ## Steady load without faults, in which nothing may grow but the log: MINUTES=10
	@$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),10) $(SOAK)

lint: $(READY) ## Check style, types, imports, the image, the compose file and the locks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m deploy.contract check
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	KITHLOG_POSTGRES_PASSWORD=x KITHLOG_RABBITMQ_PASSWORD=x $(BIN)/docker-compose config --quiet
	$(BIN)/python -m pytest tests/lint

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

check: lint test ## All that must pass before a change is merged

schemas: $(READY) ## Write the contract's documents; with BREAK=1 even if that breaks those who use them
	$(BIN)/python -m deploy.contract write $(if $(BREAK),--break)
	$(BIN)/python -m tests.contract.golden
	$(BIN)/python -m tests.models.shapes

lock: $(READY) ## Write the locks after a change in pyproject.toml; with UPGRADE=1 to the newest versions
	$(LOCK) pyproject.toml $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	$(LOCK) pyproject.toml $(if $(UPGRADE),--upgrade) --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	$(LOCK) tests/contract/node/requirements.in $(if $(UPGRADE),--upgrade) --output-file tests/contract/node/requirements.lock

clean: ## Remove what the other targets made here
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
