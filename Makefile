# make run     set up what is missing and serve http://localhost:2000
# make test    set up what is missing and run every test
# make fault   the long runs of faults: kills, pauses and crashes as often as is promised; MINUTES=10 of them under load
# make load    fifty signed-in sessions at work: how long pages take, errors, memory; MINUTES=10
# make check   formatting, lint, types, arrows between packages, quick tests (under a minute)
# make setup   only create .venv with the locked dependencies
# make settings-reference   write .env.example and docs/reference/settings.md from the settings
# make audit   known weaknesses in the locked dependencies; needs the network
# make sbom    build/sbom.json: what the product is made of, in CycloneDX
# make image-steps  the steps of the Dockerfile without an engine; needs root, debootstrap and the network
# make lock    write requirements.txt and requirements-dev.txt anew from the .in files

PYTHON ?= python3
PORT ?= 2000
MINUTES ?= 10
BIN := .venv/bin
TYPED := recon_engine services ops pages app.py

.DEFAULT_GOAL := run
.PHONY: run setup setup-dev test fault soak load system-packages check lint types arrows quick scan audit sbom image-steps lock settings-reference bench clean

# Each of the many threads of a server would keep freed memory in an arena of its own.
run: setup
	@MALLOC_ARENA_MAX=2 exec $(BIN)/streamlit run app.py --server.port $(PORT) --server.headless true

setup: .venv/installed
setup-dev: .venv/installed-dev

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed. Install it, or name it: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@.ci/virtual-environment $(PYTHON) .venv

# The stamps are newer than the locks once these are installed: a second start installs nothing.
.venv/installed: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/installed-dev: requirements.txt requirements-dev.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-dev.txt
	@touch .venv/installed $@

# The faults as many times as is promised: an hour. `make test` injects a sample of them.
fault: setup-dev system-packages
	RECON_FAULT=full $(BIN)/python -m pytest -rP tests/fault $(ARGS)
	$(BIN)/python -m tests.fault.soak --minutes $(MINUTES)

# Only the part of `make fault` in which users are at work.
soak: setup-dev system-packages
	$(BIN)/python -m tests.fault.soak --minutes $(MINUTES) $(ARGS)

load: setup-dev
	$(BIN)/python -m benchmarks.load --minutes $(MINUTES) $(ARGS)

system-packages:
	@.ci/system-packages

test: setup-dev system-packages
	$(BIN)/python -m pytest $(ARGS)

check: setup-dev lint types arrows quick

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup-dev
	$(BIN)/mypy $(TYPED)

arrows: setup-dev
	$(BIN)/lint-imports

quick: setup-dev
	$(BIN)/python -m pytest -q -n auto --dist loadfile tests/unit -m "not slow" $(ARGS)

scan: setup-dev
	@.ci/secrets

# Known weaknesses in what is locked; asks a public list, so it is no part of .ci/run.
audit: setup-dev
	@.ci/audit

sbom: setup-dev
	@$(BIN)/python .ci/sbom $(VERSION)

image-steps:
	@.ci/image-steps

lock:
	@test -x build/lock/bin/uv || { .ci/virtual-environment $(PYTHON) build/lock && build/lock/bin/python -m pip install --quiet "uv>=0.8"; }
	build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links requirements.in -o requirements.txt
	build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links requirements-dev.in -o requirements-dev.txt

settings-reference: setup-dev
	$(BIN)/python .ci/settings-reference

bench: setup-dev
	$(BIN)/python -m benchmarks.cascade $(ARGS)

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
