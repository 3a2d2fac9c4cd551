# Two commands are all you need:   make run    (see it trade)      make test   (see that it works)
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
SPEED  ?= 60
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: help setup setup-dev run test test-long check lint types imports simulate simulate-release bench fuzz example lock clean
help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# --- installing ---------------------------------------------------------------------------------
# A stamp a set of packages: nothing is installed twice, and a change of the lock re-installs.
CORE_STAMP := $(VENV)/.core
DEV_STAMP  := $(VENV)/.dev

setup: $(CORE_STAMP)      ## install what running needs into .venv
setup-dev: $(DEV_STAMP)   ## … and what testing needs

$(BIN)/python:
	@echo "==> Creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Tradewind needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 4; }
	@$(PYTHON) -m venv $(VENV)
	@echo "==> Fetching uv, a faster installer (pip does it when uv cannot be had)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv 2>/dev/null || true

define install
	@echo "==> Installing $(1)"
	@if test -x $(BIN)/uv; then VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install -q -c constraints.txt -e '$(2)'; \
	 else $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '$(2)'; fi
endef

$(CORE_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(call install,Tradewind and its libraries,.)
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(call install,Tradewind and what its tests need,.[dev])
	@touch $(CORE_STAMP) $@

# --- using --------------------------------------------------------------------------------------
run: setup                ## trade on the embedded exchange, shown in a terminal view (SPEED=60)
	@./tradewind demo --speed $(SPEED)

# Side by side: the program's tests wait for processes half of the time, the simulated worlds for nothing.
test: setup-dev           ## run every test but the long ones and the benchmarks
	@$(BIN)/python -m pytest -n 1 -m "not benchmark and not long" -p no:unraisableexception tests/simulation \
	   > $(VENV)/simulated.log 2>&1 & simulated=$$!; \
	 $(BIN)/python -m pytest -n 3 --dist loadfile -m "not benchmark and not long" --ignore tests/simulation; \
	 outcome=$$?; echo "==> and the whole daemon under simulated faults"; \
	 wait $$simulated || outcome=1; cat $(VENV)/simulated.log; exit $$outcome

test-long: setup-dev      ## the long ones: real sessions at 600x, interrupted downloads, parity
	@$(BIN)/python -m pytest -m long

check: setup-dev lint types imports test   ## lint, types, import contracts, tests; CI adds `make simulate`

lint: setup-dev
	@echo "==> ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check -q .
types: setup-dev
	@echo "==> mypy"; $(BIN)/mypy
imports: setup-dev
	@echo "==> import-linter"; $(BIN)/lint-imports

# Two parts at a time, each on one core; what measures real time comes last, alone. `make simulate-worlds`,
# -crashes, -mutants, -same, -soak, -kills, -fuzz, -load, -ready: one part.
simulate: setup-dev       ## daemon and exchange under faults in virtual time (20 min on two cores)
	@$(BIN)/python -m research.simulation.parts

SIMULATED := $(addprefix simulate-,worlds crashes mutants same soak kills fuzz load ready)
.PHONY: $(SIMULATED)
$(SIMULATED): simulate-%:
	@$(BIN)/python -m research.simulation.parts $*

# Resumable: worlds that are in the results file are not played again, and count.
simulate-release: setup-dev ## the same for MINUTES (90), added to var/simulation.jsonl
	@mkdir -p var
	@$(BIN)/python -m research.simulation --worlds 100000 --days 3 --jobs 2 --minutes $(or $(MINUTES),90) --results var/simulation.jsonl
	@$(BIN)/python -m research.simulation --crash-points 20000 --jobs 2
	@$(BIN)/python -m research.simulation --same 100
	@$(BIN)/python -m research.simulation --mutants --jobs 2
	@$(BIN)/python -m research.simulation --state-fuzz 65536 --soak 250
	@$(BIN)/python -m research.simulation --wire-fuzz 5000000 --real-kills 1000 --results var/tiers.jsonl
	@$(BIN)/python -m research.simulation --load 600 --ready 100
	@$(BIN)/python -m research.simulation --ready 100 --journal 100000

fuzz: setup-dev           ## throw 200,000 mutated requests and frames at the exchange (3 min)
	@$(BIN)/python -m tests.support.wire_fuzz 200000

bench: setup-dev          ## measure speed, as ratios to alternatives in the same run
	@for b in tests/benchmarks/bench_*.py; do echo "==> $$b"; \
	  $(BIN)/python -m tests.benchmarks.$$(basename $$b .py) || exit 1; done

example: setup            ## write .env.example anew from the settings
	@$(BIN)/python -m daemon.settings_example > .env.example

lock: setup-dev           ## resolve constraints.txt anew
	@$(BIN)/uv pip compile -q --all-extras --no-emit-index-url --no-emit-find-links --no-header --no-annotate pyproject.toml | sed 's/+cpu//' > constraints.txt

clean:                    ## remove what was installed (never the state in var/)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
