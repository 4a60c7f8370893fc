# intent: the commands of a working day. `make` alone lists them.
PYTHON ?= python3.11
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-learning test-faults test-nightly lint wheel bundle freeze clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 18

setup:  ## make .venv with everything in it (a finished one is left alone)
	@command -v $(PYTHON) >/dev/null || { \
	  echo "setup: $(PYTHON) is missing. Run: sudo apt-get install -y python3.11 python3.11-venv" >&2; exit 1; }
	@$(PYTHON) tools/setup_env.py

demo: setup  ## simulate a shop, train on two processes, evaluate, export, score
	@$(BIN)/intent demo

test: setup  ## the tests, without the slow ones
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: setup  ## the slow tests alone
	@$(BIN)/python -m pytest -m slow

test-learning: setup  ## DIPN must beat boosting over aggregates on a simulated shop of 24,576 users
	@$(BIN)/python -m pytest -m learning tests/jobs/test_learning.py

test-faults: setup  ## kill the sample job and training, damage shards under them, and look what is left (15 minutes)
	@$(BIN)/python -m pytest -m "slow or not slow" tests/faults

test-nightly: setup  ## 20 random kills of training workers; the table goes to benchmarks/results (15 minutes)
	@$(BIN)/python -m pytest -m nightly tests/faults/test_random_kills.py

lint: setup  ## ruff over everything
	@$(BIN)/ruff check .

wheel: setup  ## dist/intent-*.whl, for Spark executors and other machines
	@$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/intent-*.whl

bundle: setup  ## dist/intent-spark: what spark-submit sends to a cluster
	@$(BIN)/python tools/bundle.py

freeze: setup  ## write the versions in .venv to constraints.txt, after a change of requirements
	@$(BIN)/python tools/freeze.py

clean:  ## remove what was built and the demo's output, but not .venv
	rm -rf build dist demo *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
