# Everything happens in .venv, which the first target that needs it makes.
#   PYTHON=python3.12    the interpreter for .venv
#   PYTEST="-k reader"   more arguments for pytest
PYTHON ?= python3
PYTEST ?=
BIN = .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz lint clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

setup: ## Make .venv as pinned, with missing system libraries; at once when it is there
	@PYTHON='$(PYTHON)' tools/setup.sh pyqt6,test

demo: setup ## Open the sample image in napari and segment it
	@$(BIN)/napari-unet demo

test: setup ## Run all tests; those that failed beside others run once more, alone
	@$(BIN)/python -m pytest --numprocesses=logical --dist=worksteal $(PYTEST) || \
		{ test $$? -eq 1 && $(BIN)/python -m pytest --last-failed --last-failed-no-failures=none $(PYTEST); }

fuzz: setup ## Give 100,000 damaged inputs to every reader; long
	@cd tests && ../$(BIN)/python -m fuzz

lint: ## Check style, types, import directions, spelling and the manifest
	@PYTHON='$(PYTHON)' tools/setup.sh pyqt6,dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/typos
	$(BIN)/npe2 validate src/napari_unet/napari.yaml

clean: ## Remove what builds, tests and the demo leave; .venv stays
	rm -rf build dist demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
