# Every command of the project. `make run` is all that a user needs; `make help` lists the rest.
DEMO ?= 1
ARGS ?=
BIN := .venv/bin
# Loopback is ours: no proxy may stand between the workbench and itself.
export NO_PROXY := localhost,127.0.0.1,::1,$(NO_PROXY)
export no_proxy := $(NO_PROXY)

.DEFAULT_GOAL := help
.PHONY: help run install test lint format bench soak lock clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

run: install ## install what is missing, start the workbench, print its address (DEMO=0: without the simulated platform)
	@exec $(BIN)/workbench up $(if $(filter 0,$(DEMO)),--no-demo) $(ARGS)

install: ## install into .venv and build the pages, without starting
	@sh .ci/python.sh workbench/install.py

test: ## install what the tests need and run them all, two files at a time
	@sh .ci/python.sh workbench/install.py
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: install ## check style, format and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: install ## put the code into the project's format
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: install ## measure, beside named peers, and write docs/benchmarks.md
	@$(BIN)/python -m benchmarks $(ARGS)

soak: install ## kill writer, compactor and retention 100 times; load the workbench while its hub is killed again and again
	@BAD_DAYS_ROUNDS=100 $(BIN)/python -m pytest -q tests/store/test_bad_days.py
	@$(BIN)/python -m benchmarks.soak $(ARGS)

lock: install ## resolve requirements.lock anew, once for all Pythons and platforms
	@$(BIN)/uv pip compile --universal --fork-strategy fewest --generate-hashes --no-emit-index-url --no-header \
	  --all-extras --group test --group build --quiet pyproject.toml -o requirements.lock

clean: ## remove what was installed and built; never the data of a workbench
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis workbench/show/static workbench/show/web/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
