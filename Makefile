# Everything runs in a virtual environment of its own; each target sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
# All other packages come from requirements.lock. torch does not: its builds for CPU and for each GPU
# are different files, and this machine's is asked for by its version alone. Any from 2.6 on will do;
# this one makes the demo's numbers the same everywhere.
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
# Each of the many processes that tests start would compile the whole source anew.
unexport PYTHONDONTWRITEBYTECODE
READY := $(VENV)/ready
LOCK := requirements.lock

.PHONY: demo test check bench format lint types docs reference tests trials test-slow test-latest test-lowest dist lock browser clean

demo: $(READY)
	$(BIN)/mixwise demo --study demo-study

test: check

check: $(READY)
	$(MAKE) --no-print-directory --jobs 2 --output-sync lint types docs browser
	$(MAKE) --no-print-directory tests

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

# The site, in docs/site; a warning is an error. Nothing is fetched. The pages that are made from the code
# are committed, and a test compares them: `make reference` makes them anew. All is read at every build, since
# a page that has not changed would keep its warnings to itself.
docs: $(READY)
	$(BIN)/python -m sphinx --builder html --fresh-env --fail-on-warning --keep-going --quiet docs docs/site

reference: $(READY)
	$(BIN)/python -m tools.docs.reference

# Random examples are the same in every run of this target; plain pytest looks for new ones.
# Two tests at once, each on one thread: the machine may have more cores, but each test a model.
SIDE_BY_SIDE := --numprocesses 2 --dist worksteal
tests: $(READY) browser
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" --hypothesis-seed=0 $(SIDE_BY_SIDE)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# All benchmarks, or some: make bench ONLY="slopes memory". Models are made once and kept in SCRATCH (25 GB);
# mergekit and lm-eval are installed there in environments of their own.
SCRATCH ?= .bench
bench: $(READY)
	$(BIN)/pip install --quiet cma pillow
	$(BIN)/python -m benchmarks --scratch $(SCRATCH) $(ONLY)

# Many cases of one kind, a line each: corrupted files, faults, hostile input; architectures and checkpoint layouts.
# All take long.
trials: $(READY)
	$(BIN)/python -m trials.architectures
	$(BIN)/python -m trials.corruption
	$(BIN)/python -m trials.faults
	$(BIN)/python -m trials.fuzz
	$(BIN)/python -m trials.mergekit

# Ten kills of the whole job, at random moments; what takes long in the documentation.
test-slow: $(READY)
	$(BIN)/pytest -m slow

# The report is tested in a real browser: the system's, or one that Debian brings.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null \
	  || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium)

# The tests with the newest release of everything but torch, the lock left aside; says which upstream
# release breaks what.
test-latest: browser
	$(PYTHON) -m venv --clear $(VENV)-latest
	$(VENV)-latest/bin/pip install --quiet "$(TORCH)"
	$(VENV)-latest/bin/pip install --quiet --editable ".[test]"
	OMP_NUM_THREADS=1 $(VENV)-latest/bin/python -m tools.latest -m "not slow" --hypothesis-seed=0 $(SIDE_BY_SIDE)

# The tests with the oldest releases that pyproject.toml allows. PyPI's torch of that age is, on Linux, a
# build for GPUs of 5 GB: LOWEST_TORCH=torch==2.13.0 puts another in its place.
test-lowest: browser
	$(PYTHON) -m venv --clear $(VENV)-lowest
	$(PYTHON) tools/lower_bounds.py $(LOWEST_TORCH) > $(VENV)-lowest/requirements.txt
	$(VENV)-lowest/bin/pip install --quiet --requirement $(VENV)-lowest/requirements.txt
	$(VENV)-lowest/bin/pip install --quiet --editable ".[test]"
	OMP_NUM_THREADS=1 $(VENV)-lowest/bin/pytest -m "not slow" --hypothesis-seed=0 $(SIDE_BY_SIDE)

# The source archive, and the wheel that is built from it.
dist: $(READY)
	$(BIN)/python -m build --no-isolation --outdir dist

# New versions and hashes of everything, as of today.
lock:
	$(PYTHON) -m venv --clear $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet uv
	$(PYTHON) -m tools.lock --uv $(VENV)-lock/bin/uv --torch "$(TORCH)"

# Nothing is installed that the lock does not name, but torch and what its build brings. What is installed is
# compiled when it is first imported: of most packages that is a small part.
$(READY): pyproject.toml $(LOCK)
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --no-compile --no-deps --require-hashes --requirement $(LOCK)
	$(BIN)/pip install --quiet --no-compile "$(TORCH)"
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/pip check
	touch $(READY)

clean:
	rm -rf docs/site dist $(VENV) $(VENV)-latest $(VENV)-lowest $(VENV)-lock $(SCRATCH) demo-study .pytest_cache .mypy_cache .ruff_cache
