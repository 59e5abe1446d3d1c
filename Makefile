# make demo   the whole line on real clips, about three minutes on 2 CPU cores
# make test   the tests that must pass before a commit
# Both set up .venv first. PYTHON=python3.12 chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FRESH ?=

.PHONY: demo readme-picture test test-unit test-integration test-slow test-lowest test-all lint setup setup-dev minkowski clean

demo: setup
	@$(BIN)/python -m ray_jobs.quickstart configs/quickstart.yaml $(if $(FRESH),fresh=true)

# The picture at the top of the README is the one that the demo leaves in its run folder.
HERO := runs/quickstart/hero.png

readme-picture: $(HERO)
	cp $(HERO) docs/images/hero.png

$(HERO):
	@$(MAKE) demo

# Two processes side by side, one thread each; the integration tests of a file run in one process and share its cluster.
# Bytecode is kept even where the environment says otherwise: hundreds of processes load the same modules.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --durations=15

test: test-unit test-integration

test-unit: setup-dev
	$(PYTEST) --dist worksteal -m "not slow and not integration"

test-integration: setup-dev
	$(PYTEST) --dist loadfile -m "integration and not slow"

test-slow: setup-dev
	$(PYTEST) --dist loadfile -m slow

# The unit part and a small quickstart, with the lowest version of every dependency that pyproject.toml allows.
LOWEST := .venv-lowest

test-lowest: $(LOWEST)/.installed
	$(subst $(BIN),$(LOWEST)/bin,$(PYTEST)) --dist worksteal -m "not slow and not integration"
	$(subst $(BIN),$(LOWEST)/bin,$(PYTEST)) --dist loadfile tests/integration/test_quickstart.py

$(LOWEST)/.installed: pyproject.toml scripts/lower-bounds
	@mkdir -p $(LOWEST)
	@$(PYTHON) scripts/lower-bounds > $(LOWEST)/bounds.txt
	@PIP_CONSTRAINT=$(LOWEST)/bounds.txt scripts/setup $(PYTHON) $(LOWEST)
	@PIP_CONSTRAINT=$(LOWEST)/bounds.txt $(LOWEST)/bin/pip install --quiet --group unit # apart: pip looks for an hour for both
	@touch $@

test-all: test test-slow test-lowest

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml
	@scripts/setup $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@scripts/setup $(PYTHON) $(VENV) test lint
	@touch $@

minkowski: setup-dev
	scripts/minkowski $(VENV)

clean:
	rm -rf $(VENV) $(LOWEST) .pytest_cache .ruff_cache .import_linter_cache build dist
