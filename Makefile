# make demo   sets up all it needs and serves a real small model on this machine (Debian, Ubuntu; root or sudo)
# make test   all tests: static checks, unit tests, and the lab of real hosts (root; about 20 minutes the first time)
.PHONY: help demo test deps check unit lab storm soak heavy bench golden clean
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
FAST   := tests/unit tests/properties tests/contract tests/golden

help:
	@sed -n '1,2s/^# //p' $(firstword $(MAKEFILE_LIST))
	@echo 'parts of make test: deps (Debian packages for the lab), check, unit, lab; besides: storm, soak, heavy, bench, golden, clean'
	@echo 'make soak   kills applies and hosts at every step and 200 times at random (SOAK_KILLS, SOAK_SEED); each time one more apply must set all right'

demo:
	@bash specs/demo.sh

test: $(VENV)/.installed
	@bash .ci/tests $(BIN)

deps:
	tests/lab/lab deps

$(VENV)/.installed: pyproject.toml
	@bash .ci/venv $(PYTHON) $(VENV) '[test]'

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto -m 'not lab and not heavy' $(FAST)

lab: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'lab and not heavy' tests/contract tests/lab

storm: $(VENV)/.installed # a container on each of 100 hosts; about 6 GB of memory
	$(BIN)/python -m pytest tests/lab/test_storms.py

soak: $(VENV)/.installed # half an hour and more; SOAK_SEED tells a run again
	$(BIN)/python -m pytest -s -p no:randomly tests/lab/test_soak.py

heavy: $(VENV)/.installed
	$(BIN)/python -m pytest -m heavy tests/contract tests/lab

bench: $(VENV)/.installed # deployer beside fabric, pyinfra and Ansible, on eight hosts of the lab; root
	$(BIN)/python -m tests.bench $(if $(BENCH),--groups $(BENCH))

golden: $(VENV)/.installed
	$(BIN)/python -m pytest $(FAST) --update-golden

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
