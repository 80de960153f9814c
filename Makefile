# One verb per action; `make demo` and `make test` set up whatever they need.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
export UV_PYTHON_DOWNLOADS := never
READY := .venv/.ready
PEERS_READY := .venv-peers/.ready
ENGINE_PEERS_READY := .venv-engine-peers/.ready
SUITE ?= main
ONLY ?=
ARGS ?=

.PHONY: help setup demo test test-quick lint format bench bench-peers bench-scoring bench-engine prove chaos clean tools

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

tools:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "missing: Python 3.11 or newer as '$(PYTHON)'. Debian: apt-get install python3 python3-venv; macOS: brew install python@3.11; or make PYTHON=/path/to/python"; exit 2; }
	@command -v java >/dev/null || { \
	  echo "missing: Java 17 or newer (it runs Kafka). Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17"; exit 2; }
	@command -v mvn >/dev/null || { \
	  echo "missing: Maven (it fetches Kafka once). Debian: apt-get install maven; macOS: brew install maven"; exit 2; }

.uv/bin/uv:
	@echo "==> uv $(UV_VERSION) into .uv"
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(READY): pyproject.toml uv.lock | $(filter .uv/bin/uv,$(UV))
	@echo "==> packages of uv.lock into .venv (the first time a few minutes: torch is large)"
	@$(UV) sync --locked --compile-bytecode --python $(PYTHON)
	@touch $@

$(PEERS_READY): pyproject.toml uv.lock | $(filter .uv/bin/uv,$(UV))
	@echo "==> packages of uv.lock with the peers into .venv-peers"
	@UV_PROJECT_ENVIRONMENT=.venv-peers $(UV) sync --locked --no-default-groups --group peers --python $(PYTHON)
	@touch $@

$(ENGINE_PEERS_READY): pyproject.toml uv.lock | $(filter .uv/bin/uv,$(UV))
	@echo "==> packages of uv.lock with the engine's peers into .venv-engine-peers"
	@UV_PROJECT_ENVIRONMENT=.venv-engine-peers $(UV) sync --locked --no-default-groups --group engine-peers --python $(PYTHON)
	@touch $@

setup: tools $(READY) ## Virtual environment with the locked packages

demo: setup ## The whole system on this machine, explained
	@.venv/bin/uic demo $(ARGS)

test: setup ## All tests, with a real Kafka
	@.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-quick: setup ## The tests that need no Kafka
	@.venv/bin/python -m pytest -m "not kafka" $(ARGS)

lint: setup ## Format check, lint, types
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy

format: setup ## Format and mend what can be mended
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

bench: setup ## Benchmarks, minimum / median / maximum
	@for file in tests/benchmarks/*.py; do echo "==> $$file"; .venv/bin/python $$file $(ARGS) || exit 1; done

bench-peers: $(PEERS_READY) ## Training speed beside FuxiCTR and DeepCTR-Torch
	@PYTHONPATH=. .venv-peers/bin/python tests/benchmarks/peers/train_speed.py $(ARGS)

bench-scoring: $(PEERS_READY) ## Scoring beside FuxiCTR and DeepCTR-Torch, on one core
	@PYTHONPATH=. .venv-peers/bin/python tests/benchmarks/peers/score_speed.py $(ARGS)

bench-engine: tools $(ENGINE_PEERS_READY) ## The engine beside Faust and Quix Streams, on the same events
	@.venv-engine-peers/bin/uic bench engine --work toy --events 1000000 --peer faust --peer quix $(ARGS)

prove: setup $(if $(filter engine,$(SUITE)),$(ENGINE_PEERS_READY)) ## Prove the claims: SUITE=main ONLY=3 ARGS=--json
	@.venv/bin/python tests/prove --suite $(SUITE) $(if $(ONLY),--only $(ONLY)) $(ARGS)

chaos: ## 100 random kills under load, every named fault, two broken builds
	@$(MAKE) --no-print-directory prove SUITE=engine ONLY=5

clean: ## Remove what was made here (not the broker jars' cache)
	@if [ -x .venv/bin/uic ] && [ -e .uic/broker/broker.json ]; then .venv/bin/uic broker stop; fi
	@rm -rf .venv .venv-peers .venv-engine-peers .uv .uic build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
