# Every target does its own set-up; the second time that costs less than a second.
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo app services stop sample sample-results picture test check lint types format bench bench-gpu bench-long lock

PYTHON := .venv/bin/python

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup:  ## system packages, .venv and pinned requirements
	@scripts/setup.sh run

setup-dev:  ## the same and what tests and checks need
	@scripts/setup.sh dev

demo: setup  ## send the bundled sample through the real queue; leaves outputs/demo.mp4
	@$(PYTHON) -m scripts.demo

app: setup  ## Redis, worker and page on http://localhost:8501; Ctrl-C stops all
	@$(PYTHON) -m scripts.app app

services: setup  ## Redis and worker in the background, for a page or a command line of your own
	@$(PYTHON) -m scripts.app services

stop:  ## stop what demo, app or services left running
	@$(PYTHON) -m scripts.app stop

sample: setup-dev  ## make samples/ anew
	$(PYTHON) -m scripts.make_sample

sample-results: setup-dev  ## make docs/samples anew: short results, and a sheet of their frames
	$(PYTHON) -m scripts.make_sample_results

picture: setup  ## make docs/result.jpg anew from outputs/demo.mp4
	$(PYTHON) -m scripts.make_result_picture

test: setup-dev  ## all tests (under 15 minutes on 2 cores)
	$(PYTHON) -m pytest

check: setup-dev lint types  ## lint, types and the fast tests
	$(PYTHON) -m pytest -m "not e2e and not full and not gpu and not weights"

lint: setup-dev
	$(PYTHON) -m ruff check .

types: setup-dev
	$(PYTHON) -m mypy

format: setup-dev  ## let ruff order imports and mend what it can
	$(PYTHON) -m ruff check --fix .

bench: setup-dev  ## measure speed and memory on the processor (under 9 minutes); tables in benchmarks/README.md
	$(PYTHON) -m benchmarks.bench

bench-gpu: setup-dev  ## the same on the GPU (under 9 minutes)
	$(PYTHON) -m benchmarks.bench --device cuda

bench-long: setup-dev  ## memory over the length, window joins, cancel times, data loading, long videos (hours on a processor)
	$(PYTHON) -m benchmarks.streaming_memory samples/sample.mp4 samples/sample.wav
	$(PYTHON) -m benchmarks.window_joins samples/sample.mp4 samples/sample.wav
	$(PYTHON) -m benchmarks.cancel_times
	$(PYTHON) -m benchmarks.data_loading
	$(PYTHON) -m benchmarks.bench --minutes 0 --lengths 5 60 600 --out benchmarks/results/cpu-long.json

lock: setup-dev  ## write constraints.txt from what .venv holds
	scripts/lock.sh
