# The developer's manual: every target sets up what it needs.
PYTHON ?= python3
VENV   := .venv
VENV4  := .venv-transformers4
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo kernels test test-slow interop fuzz lint format docs bench clean help
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else "electra needs Python 3.11 or newer; this is %d.%d: say make PYTHON=python3.11" % v)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/core: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/develop: $(VENV)/core pyproject.toml constraints.txt
	$(PIP) --editable '.[test,lint]'
	@touch $@

demo: $(VENV)/core  ## one model's whole life: text in, a pretrained ELECTRA out, and answers from it
	$(BIN)/electra quickstart

kernels: $(VENV)/core  ## compile the kernels for CPUs (needs a C++ compiler): see pipeline(precision=…)
	$(BIN)/python -m electra.inference.compiling

test: $(VENV)/develop  ## the test suite
	$(BIN)/python -m pytest -m 'not slow and not gpu and not interop'

test-slow: $(VENV)/develop  ## the long tests
	$(BIN)/python -m pytest -m 'slow and not gpu and not interop'

$(VENV)/interop: $(VENV)/develop pyproject.toml constraints.txt
	$(PIP) --editable '.[test,interop]'
	@touch $@

# the older transformers, in an environment of its own: with it come other versions of tokenizers and of the hub
$(VENV4)/ready: constraints.txt
	$(PYTHON) -m venv $(VENV4)
	grep -E '^(torch|numpy|safetensors)==' constraints.txt > $(VENV4)/constraints.txt
	$(VENV4)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(VENV4)/constraints.txt \
		'transformers==4.57.6' torch numpy
	@touch $@

interop: $(VENV)/interop $(VENV4)/ready  ## our models and folders in the libraries that people use them with
	$(BIN)/python -m pytest -m 'interop and not gpu'

fuzz: $(VENV)/develop  ## random hostile input for SECONDS (600); --only and --seed by ARGS
	$(BIN)/python -m tests.fuzz.driver --seconds $(or $(SECONDS),600) $(ARGS)

lint: $(VENV)/develop  ## formatting, lint, types, and the direction of the imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/develop  ## rewrite the source in the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/docs: $(VENV)/core pyproject.toml constraints.txt
	$(PIP) --editable '.[docs]'
	@touch $@

docs: $(VENV)/docs  ## the documentation as a site, in build/site; a warning or a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --clean --strict --quiet

bench: $(VENV)/interop  ## every benchmark; those of fine-tuning need the data in ELECTRA_SHARED
	@for script in benchmarks/*.py; do \
		case $$script in *finetuning*) test -d "$${ELECTRA_SHARED:-../shared}/data/glue" || \
			{ echo "$$script left out: it needs the data in ELECTRA_SHARED" >&2; continue; };; esac; \
		$(BIN)/python $$script || exit 1; \
	done

clean:  ## remove what was built here
	rm -rf $(VENV) $(VENV4) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
