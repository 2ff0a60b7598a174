# Everything sets itself up: on a clean clone, `make test` and `make demo` need only python3 (3.10 or newer).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Processes that share out the tests.
JOBS ?= 2
# One thread a process: trials share the cores, and sums come out the same on every machine.
export OMP_NUM_THREADS := 1

.PHONY: help setup test lint format demo bench clean
.DEFAULT_GOAL := help

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Make the virtual environment, or bring it up to date

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("tune-lr needs Python 3.10 or newer") if sys.version_info < (3, 10) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[all,test]'
	touch $@

test: lint  ## Lint, types and every test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder $(ARGS)

lint: $(STAMP)  ## Ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## Let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: $(STAMP)  ## Tune a small net on real data; the result stays in runs/demo
	rm -rf runs/demo
	$(BIN)/tune-lr run examples/digits_mlp.py --space greedy_lr --engine syne-tune \
	  --searcher random --trial-scheduler asha --trials 40 --max-epochs 27 --workers 2 --seed 0 --out runs/demo
	$(BIN)/tune-lr show runs/demo
	$(BIN)/tune-lr plot runs/demo

bench: $(STAMP)  ## Time what the documents claim
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:  ## Remove what the other targets made, except runs/
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
