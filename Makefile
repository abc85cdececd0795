# Every target does its own set-up and may be repeated. PYTHON chooses the interpreter that makes the environment.
PYTHON ?= python3
BIN := .venv/bin
# pip compiles on one core; $(COMPILE) uses all, and passes over files that are no Python of this version (templates).
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
COMPILE := $(BIN)/python -m compileall -qq -j 0 .venv/lib
# With a slow or shared index a default of 15 s is short.
export PIP_DEFAULT_TIMEOUT ?= 60
# Nothing that the project starts phones home.
export BENTOML_DO_NOT_TRACK := True
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := False
export HF_HUB_OFFLINE := 1
export MLFLOW_DISABLE_TELEMETRY := true
export RAY_USAGE_STATS_ENABLED := 0
export DS_ACCELERATOR := cpu
# Every step is a process: one that may not keep what it compiled takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test lint types unit soak swift fixture bench setup setup-dev browser clean
help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# torch first and by itself: pip then takes a CPU build where the index offers one, and nothing later replaces it.
.venv/demo.stamp: pyproject.toml constraints.txt
	@python="$(PYTHON)"; if [ -x $(BIN)/python ]; then python=$(BIN)/python; fi; \
	  "$$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null || { \
	    echo "NAVA needs Python 3.11 or 3.12, but $$python is: $$("$$python" --version 2>&1)" >&2; \
	    echo "Install one of them, remove .venv if there is one, and name it: make demo PYTHON=python3.11" >&2; \
	    exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the demo's packages into .venv (a few minutes the first time)"
	@$(INSTALL) torch==2.13.0
	@$(INSTALL) --editable '.[demo]'
	@$(COMPILE) || true
	@touch $@

.venv/dev.stamp: .venv/demo.stamp
	@echo "installing the developers' packages into .venv"
	@$(INSTALL) --editable '.[dev]'
	@$(COMPILE) || true
	@touch $@

setup: .venv/demo.stamp ## The environment the demo needs, in .venv

setup-dev: .venv/dev.stamp ## The environment the tests need, in .venv

demo: setup ## The whole life cycle on this machine; ends on runs/demo/index.html
	@$(BIN)/nava pipeline run lifecycle --recipe demo

browser:
	@if ! command -v chromium >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing the system package chromium (the page's tests open it)"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	  else \
	    echo "chromium is not installed and this user may not install it: the page's browser tests will be skipped"; \
	  fi; \
	fi

# mypy keeps one core busy for two minutes: the tests begin on the other.
test: setup-dev browser lint ## Lint, types and every test but the soak ones
	@$(MAKE) --no-print-directory --jobs 2 types unit

lint: setup-dev ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup-dev ## mypy
	@$(BIN)/mypy

unit: setup-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not soak" --numprocesses 2 --dist loadfile --durations 40 --durations-min 4

soak: setup-dev browser ## Long kill and load tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak

# Swift has an environment of its own, outside .venv. SWIFT chooses the folder of it and of its storage.
SWIFT ?= $(HOME)/.cache/nava/swift
swift: setup-dev ## Curate from, version to and train from a real S3 service: OpenStack Swift on the loopback
	@$(BIN)/python tests/s3/swift_server.py install "$(SWIFT)"
	@NAVA_TEST_SWIFT="$(SWIFT)" OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m swift tests/s3

fixture: setup ## The seeded fixture corpus that data.dvc names, into data/; says whether the bytes are those
	@$(BIN)/nava data synthetic --recipe smoke --output data
	@rm -rf data/truth
	@$(BIN)/dvc status data.dvc

bench: setup ## Every figure of benchmarks/: the life cycle (about 8 minutes), the transformer (about 13)
	@$(BIN)/python benchmarks/lifecycle.py
	@$(BIN)/python benchmarks/model.py

clean: ## Runs, caches and the environment
	rm -rf runs build .venv .mypy_cache .ruff_cache .pytest_cache
