# Every command of the project. `make demo` and `make test` work from a clean clone: they make .venv, install what
# they need into it and build the native module. They need Python 3.11 or newer, a Rust toolchain and a C compiler.

PYTHON ?= python3
VENV   ?= .venv
PROFILE ?= ci
COUNT  ?= 100
SHELL  := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN    := $(VENV)/bin
PY     := $(BIN)/python
READY  := $(VENV)/.ready
SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml 2>/dev/null) Cargo.toml Cargo.lock
CARGO  := cargo
export PYO3_PYTHON := $(abspath $(PY))
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-rust test-python browser develop lint format wheel bench bench-quick bench-pieces bench-rust \
        bench-peers bench-report campaign security doc docs clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# --- set-up ------------------------------------------------------------------------------------------

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "durable needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	@command -v cargo >/dev/null \
	  || { echo "durable needs a Rust toolchain (cargo is not on the PATH): see https://rustup.rs"; exit 2; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  e = p["optional-dependencies"]; \
	  print(*p["dependencies"], *e["test"], *e["lint"], *e["docs"], "maturin>=1.9,<2", sep="\n")' > $(VENV)/requirements.txt
	$(PY) -m pip install --quiet --requirement $(VENV)/requirements.txt
	@touch $@

$(VENV)/.built-$(PROFILE): $(READY) $(SOURCES) pyproject.toml
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --locked --profile $(PROFILE)
	@rm -f $(VENV)/.built-*; touch $@

develop: $(VENV)/.built-$(PROFILE) ## Build the native module into .venv (PROFILE=release for the wheel's speed)

# --- the README's two commands -------------------------------------------------------------------------

demo: develop ## A pipeline over this repository's own history
	$(BIN)/durable demo

test: develop test-rust test-python ## All everyday tests

test-rust: $(READY)
	$(CARGO) test --workspace --locked --profile ci --no-fail-fast

# The web page is tested in a browser: installed where this may be, else named.
browser:
	@command -v "$${CHROMIUM:-chromium}" >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } \
	  || { echo "tests/ui needs Chromium: apt-get install chromium, or CHROMIUM=/path/to/it"; exit 2; }

test-python: develop browser
	$(PY) -m pytest -n auto --dist loadfile

# --- quality -------------------------------------------------------------------------------------------

lint: develop ## Every linter and type checker, warnings as errors
	cargo fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked --profile ci -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --profile ci
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(PY)
	$(BIN)/lint-imports
	$(PY) -m pytest -q tests/test_tidy.py

format: $(READY) ## Put everything into shape
	cargo fmt --all
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

doc: ## The Rust documentation
	$(CARGO) doc --workspace --no-deps --locked

docs: $(READY) ## The documentation site, into site/; a broken link is an error
	$(BIN)/zensical build --strict
	@echo "The site is in site/: open site/index.html, or look at it with $(BIN)/zensical serve"

wheel: $(READY) ## The wheel, as it is shipped
	$(BIN)/maturin build --release --strip --locked --out dist
	@ls -l dist

# --- speed: see bench/README.md ---------------------------------------------------------------------------

bench: ## W1 to W9 with the machine's limits beside them, then the table and the plot
	$(MAKE) develop PROFILE=release
	$(PY) -m pip install --quiet matplotlib psutil
	$(PY) bench/run.py --rounds 3
	$(PY) bench/report.py

bench-quick: ## The same, a tenth of the size, once
	$(MAKE) develop PROFILE=release
	$(PY) -m pip install --quiet psutil
	$(PY) bench/run.py --quick

bench-pieces: ## The Python pieces, one by one
	$(MAKE) develop PROFILE=release
	$(PY) -m pytest bench/pieces --benchmark-only --benchmark-group-by=group

bench-rust: ## The Rust pieces, one by one
	$(CARGO) bench --workspace --locked

bench-peers: ## The same load on DBOS, Restate and Celery, in turn with ours
	$(MAKE) develop PROFILE=release
	$(PY) -m pip install --quiet matplotlib psutil
	$(PY) bench/peers/run.py --rounds 3
	$(PY) bench/report.py

bench-report: $(READY) ## The table and the plot, from the stored results
	$(PY) -m pip install --quiet matplotlib
	$(PY) bench/report.py

# --- reliability campaigns: see docs/reliability.md ----------------------------------------------------------

CAMPAIGN := nice $(PY) tests/durability/campaign.py

campaign: develop ## make campaign NAME=kill-loop COUNT=2000
	$(CAMPAIGN) $(NAME) --count $(COUNT)

security: develop ## All that is tried of the server's security, in full: some minutes
	DURABLE_SECURITY=long $(PY) -m pytest -q -s tests/security

clean: ## Remove what was built
	rm -rf $(VENV) target dist site
