# Two commands: `make run` and `make test`. Both set up .venv first, once, from the pins in constraints.txt.
SHELL := /bin/bash
VENV := .venv
READY := $(VENV)/.ready
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PYTEST_ARGS ?= -n 3 --dist loadfile
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test check setup lock clean peers

run: setup
	$(VENV)/bin/al-loop run configs/quickstart.yaml

test: setup
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

setup: $(READY)

$(READY): constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "al-loop needs Python 3.11 or newer, and none was found on the PATH" >&2; exit 2; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version): about 2 GB, a few minutes, once"
	$(PYTHON) -m venv $(VENV)
	@# torch by itself and first: a looser requirement would take gigabytes of CUDA packages
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[xtb,docking,rna,selfies,postgresql,dev]'
	@touch $(READY)

# the versions in .venv become the pins
lock:
	@{ echo "# The versions behind 'make run' and 'make test', written by 'make lock'; pyproject.toml itself stays open."; \
	$(VENV)/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' | sort -f; } > constraints.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache

# what the benchmarks are held against, in an environment of its own: torchgfn wants an older numpy
peers: .venv-peers/.ready

.venv-peers/.ready:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check torchgfn==2.4.1
	@touch $@
