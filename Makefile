# Everything runs in a virtual environment of its own; each target sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
# Any torch from 2.4 on will do; this one makes the demo's numbers the same everywhere.
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: demo test check bench format lint types tests test-slow browser clean

demo: $(READY)
	$(BIN)/mixwise demo --study demo-study

test: check

check: lint types tests

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

# Random examples are the same in every run of this target; plain pytest looks for new ones.
tests: $(READY) browser
	$(BIN)/pytest -m "not slow" --hypothesis-seed=0

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# All benchmarks, or some: make bench ONLY="slopes memory". Models are made once and kept in SCRATCH (25 GB);
# mergekit and lm-eval are installed there in environments of their own.
SCRATCH ?= .bench
bench: $(READY)
	$(BIN)/pip install --quiet cma
	$(BIN)/python -m benchmarks --scratch $(SCRATCH) $(ONLY)

# Ten kills of the whole job, at random moments.
test-slow: $(READY)
	$(BIN)/pytest -m slow

# The report is tested in a real browser: the system's, or one that Debian brings.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null \
	  || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) $(SCRATCH) demo-study .pytest_cache .mypy_cache .ruff_cache
