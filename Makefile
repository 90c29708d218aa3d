# `make demo` and `make test` are all that a newcomer needs; each makes .venv itself. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The oldest Python that sagad supports is the one to develop on; what is newer is tried by `make newer`. The first choice
# is Debian's own, which is what runs it on a node: it is built with profiles, and a seventh faster than one that is not.
PYTHON ?= $(shell for python in /usr/bin/python3.11 python3.11 python3; do \
	"$$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
BIN := .venv/bin
STAMP := .venv/.made-from-lock
PYTEST_ARGS ?=

.PHONY: help venv test lint types imports unit newer demo demo-cloud live bench bench-drift simulate torture fuzz format \
	cover lock system-deps clean

help:  ## these lines
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

venv: $(STAMP)  ## .venv with sagad and sagactl in it, made anew when the lock is newer

# The stamp is written last: an install that was cut short is done again. The project itself is only linked, so it
# needs no network; what it is built with is in the lock.
$(STAMP): requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "sagad needs Python 3.11 or newer; make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

test: lint types imports unit newer  ## all that CI runs

lint: $(STAMP)  ## format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

imports: $(STAMP)  ## who may import whom (DESIGN.md's rooms)
	$(BIN)/lint-imports

# A process for each core. The tests of a file stay together: many files have one daemon for all of theirs.
WORKERS ?= $(shell nproc)
unit: $(STAMP)  ## the tests; PYTEST_ARGS="-k machine" for some of them
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

newer: $(STAMP)  ## the quick tests on a newer Python, where there is one
	@.ci/newer

demo: $(STAMP)  ## three sagas: one completes, one is taken back, one outlives kill -9
	$(BIN)/python examples/demo.py

demo-cloud: $(STAMP)  ## the examples for DigitalOcean, against one on loopback
	$(BIN)/python -m examples.demo_cloud

live: $(STAMP)  ## one snapshot at the real DigitalOcean; needs DIGITALOCEAN_TOKEN and DIGITALOCEAN_DROPLET
	@$(BIN)/python -m examples.live

bench: $(STAMP)  ## the figures of SPEC 11
	$(BIN)/python -m tests.bench

bench-drift: $(STAMP)  ## what a sync and a sweep of 10,000 resources cost
	$(BIN)/python -m tests.bench.drift

SEEDS ?= 1000
JOBS ?= 1
simulate: $(STAMP)  ## the daemon on a simulated disk and world; SEEDS=n, JOBS=n (0: all cores), or SEED=n [KEEP=1] for one
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED) $(if $(KEEP),--keep),--seeds $(SEEDS) --jobs $(JOBS))

torture: $(STAMP)  ## the daemon killed, stopped and starved under load; MINUTES=30 for the full run
	$(BIN)/python -m tests.torture --minutes $(or $(MINUTES),10)

fuzz: $(STAMP)  ## bad input of every kind; CASES=20000 for the full run
	$(BIN)/python -m tests.fuzz --cases $(or $(CASES),5000)

format: $(STAMP)  ## write the code as `make lint` wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

cover: $(STAMP)  ## which lines and branches the tests reach
	$(BIN)/coverage run -m pytest $(PYTEST_ARGS)
	$(BIN)/coverage report

# uv resolves for every supported Python at once, which pip cannot; nothing else needs it. The runtime lock takes its
# versions from the dev lock, so that what is tested is what is shipped.
lock:  ## take the newest versions into requirements*.txt
	"$(PYTHON)" -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --upgrade uv
	.venv-lock/bin/uv pip compile --quiet --upgrade $(LOCK) --group dev pyproject.toml --output-file requirements-dev.txt
	.venv-lock/bin/uv pip compile --quiet --upgrade $(LOCK) --constraints requirements-dev.txt pyproject.toml \
		--output-file requirements.txt
LOCK := --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	--custom-compile-command 'make lock'

system-deps:  ## the Debian packages that the systemd tests need
	@.ci/system-deps

clean:  ## what make has made
	rm -rf .venv .venv-newer .venv-lock build *.egg-info .coverage .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
