PYTHON ?= python3
BIN := .venv/bin

.PHONY: search test test-all lint

search: .venv/installed  ## the main job on the built-in demo, then its winner
	$(BIN)/python -m search.run --data demo --trials 16 --epochs 4 --epoch-examples 1500
	$(BIN)/python -m analysis.best --refit --finalists 3 --seeds 2 --no-comparison

test: lint  ## everything but the slow tests
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-all: lint  ## every test
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/installed-dev  ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@
