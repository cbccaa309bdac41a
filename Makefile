# make setup | tutorial | lab | test: what a reader needs
# make editions | site: for who teaches (solutions, slides, web pages)
# make test-slow | test-browser | checkout | binder | wheel | limits | notebooks | claims | times | lint |
#     budget: for developers
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
TORCH := torch==2.13.0
TORCH_INDEX := https://download.pytorch.org/whl/cpu
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-deps
# two threads on shared cores were 6 to 8 times slower than one
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
	OPENMM_CPU_THREADS=1

.PHONY: setup tutorial lab test test-slow test-browser checkout binder limits wheel notebooks claims times lint budget clean editions site
.DEFAULT_GOAL := setup

# environment.yml has set up all there is in its activated conda environment
ifeq ($(CONDA_DEFAULT_ENV),tpainn-lite)
BIN := $(CONDA_PREFIX)/bin
setup:
else
setup: $(STAMP)
endif

# torch first and alone: an index that cannot be reached then costs seconds, not minutes,
# and no CUDA package is ever pulled. It stays where it is when the version fits.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Needs Python 3.11, 3.12 or 3.13: make setup PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --retries 2 $(TORCH) --extra-index-url $(TORCH_INDEX)
	$(PIP) -r requirements.lock
	$(PIP) --no-build-isolation -e .
	touch $@

tutorial: setup
	$(BIN)/python -m tpainn_lite.course.build tutorial

lab: setup
	$(ONE_THREAD) $(BIN)/jupyter lab notebooks \
		--LabApp.default_url=/doc/tree/00_start_here.ipynb

test: setup
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: setup
	$(ONE_THREAD) $(BIN)/python -m pytest -m slow

# those of `make test` that need a Chromium
test-browser: setup
	$(ONE_THREAD) $(BIN)/python -m pytest -m "browser and not slow" -rs

# some tests in a clone with CRLF, a C locale, umlauts in its path, a read-only home
checkout: setup
	$(ONE_THREAD) $(BIN)/python tests/checkout.py

# the image of mybinder.org, without Docker: build it, use it, time it
binder: setup
	$(BIN)/python tests/binder.py

# every lesson on one core and 2 GB, as on mybinder.org
limits: setup
	$(BIN)/python tests/limits.py

# the wheel in a bare venv: doctor, the lessons copied, one of them run
wheel: setup
	$(BIN)/python tests/wheel.py --retries 2 $(TORCH) --extra-index-url $(TORCH_INDEX)

notebooks: setup
	$(BIN)/python -m tpainn_lite.course.build notebooks

# sentences with a number that no claim in tests/claims covers
claims: setup
	$(BIN)/python -m tpainn_lite.course.build claims

# what the first cells state against what the last `make tutorial` measured
times: setup
	$(BIN)/python -m tpainn_lite.course.build times

editions: setup
	$(BIN)/python -m tpainn_lite.course.editions

site: setup
	$(BIN)/python -m tpainn_lite.course.site

# style, the import contract, types of the core, lines a room, budgets of the lessons
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python tests/lengths.py
	$(BIN)/python tests/budget.py

# words, code, figures, long sentences, costs and claims of each lesson
budget: setup
	$(BIN)/python tests/budget.py

clean:
	rm -rf build .venv
