# Needs python3 (3.11 or newer) and make; everything else is installed into .venv.
#
#   make demo                        one short trial on synthetic data, its curve and page
#   make tables                      both paper sweeps on synthetic data, demonstration scale
#   make tables DATA=/path/to/cbis   both paper sweeps on a CBIS-DDSM download, full scale
#   make tables ARGS="seed=1"        further settings for the sweeps
#   make tables-matlab WEIGHTS=dir   the same on MATLAB's own networks, with weights of that folder
#   make tables RUNS=elsewhere       another folder for the record (and the report: REPORT=...)

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
# tests start many processes, each of which would compile all modules anew
TEST   := env -u PYTHONDONTWRITEBYTECODE $(RUN)
READY  := $(VENV)/.installed
# another installer may be named: make install INSTALL="uv pip install --python .venv/bin/python"
INSTALL := $(RUN) -m pip install --disable-pip-version-check
PORT   ?= 5000
DASHBOARD_PORT ?= 8080
DATA   ?=
WEIGHTS ?=
ARGS   ?=
TESTS  ?= tests
FAULTS ?=
ENDURE ?=
RUNS   ?= mlruns
STORAGE ?= sqlite:///$(RUNS)/optuna.db
REPORT ?= report
DEMO_IN ?= demo

# row AL3 of the paper's Table 1
ALEXNET_3 := backbone=alexnet head.weight_lr=15 head.bias_lr=20 stopping.patience=15
# random weights, as others cannot be downloaded without a network, and easier phantoms than the default
DEMO_DATA := data=phantom data.phantom.difficulty=0.1 backbone.on_missing_weights=random

TRAIN := $(RUN) -m mcalc.train -m 'tracking.dir=$(RUNS)'
ifeq ($(DATA),)
# It shows that a network learns at all.
DEMO := $(DEMO_DATA) tracking.keep_models=none
ALEXNET   := $(TRAIN) sweep=alexnet trainer=demo_alexnet $(DEMO) $(ARGS)
GOOGLENET := $(TRAIN) sweep=googlenet trainer=demo_googlenet $(DEMO) $(ARGS)
# on phantoms that are as easy every protocol would reach the same
AUDIT     := $(TRAIN) sweep=audit trainer=demo_alexnet data=phantom \
             backbone.on_missing_weights=random tracking.keep_models=none $(ARGS)
MATLAB    := $(TRAIN) sweep=paper_matlab trainer=demo_matlab $(DEMO)
else
AUDIT     := $(TRAIN) sweep=audit data=cbis_ddsm 'data.root=$(DATA)' $(ARGS)
ALEXNET   := $(TRAIN) sweep=alexnet data=cbis_ddsm 'data.root=$(DATA)' $(ARGS)
GOOGLENET := $(TRAIN) sweep=googlenet data=cbis_ddsm 'data.root=$(DATA)' $(ARGS)
MATLAB    := $(TRAIN) sweep=paper_matlab data=cbis_ddsm 'data.root=$(DATA)'
endif
MATLAB += $(if $(WEIGHTS),'backbone.weights=$(WEIGHTS)') $(ARGS)
TABLES := $(RUN) -m mcalc.report 'tracking.dir=$(RUNS)' 'out=$(REPORT)'

# nothing is recorded after a mistake in ARGS, say, which what follows would say again; a trial
# that failed is recorded
NO_MISTAKE := test $$first != 2 || test -e '$(RUNS)/mlflow.db' || exit 2

# each command would say so, one after another
HAS_DATA := @test -z '$(DATA)' || test -d '$(DATA)' || { \
	echo "error: DATA=$(DATA) is no folder: name that of a CBIS-DDSM download" >&2; exit 2; }

.DEFAULT_GOAL := help
.PHONY: help install demo sweeps audit tables tables-matlab table1 table2 table3 table4 table5 table6 \
        report ui dashboard \
        test test-all test-fuzz test-faults coverage faults lint format bench bench-gpu clean-cache

help:  ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## */\1\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("mcalc needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": name another with make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	@echo "installing into $(VENV) (about 7 GB, a few minutes; once)"
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) --quiet -r requirements.lock
	@$(INSTALL) --quiet --no-deps --editable .
	@touch $@

install: $(READY)  ## Install everything into .venv (the other targets do it when needed)

# in a folder of its own, so that it stands in nobody's tables
demo: $(READY)  ## One short trial on synthetic data, its curve and page (DEMO_IN=demo)
	@$(RUN) -m mcalc.train name=demo $(ALEXNET_3) protocol=patient protocol.validation=0.2 \
	  trainer=demo_alexnet $(DEMO_DATA) 'tracking.dir=$(DEMO_IN)/mlruns' $(ARGS)
	@$(RUN) -m mcalc.report 'tracking.dir=$(DEMO_IN)/mlruns' 'out=$(DEMO_IN)/report'

sweeps: $(READY)  ## Run AL1..AL10 and GL1..GL10; finished trials are skipped
	$(ALEXNET)
	$(GOOGLENET)

# a failed trial is shown as not run in the tables; it still makes this target fail
tables: $(READY)  ## Run both paper sweeps, print Tables 1, 2, 5, 6, write report/ with Tables 3, 4
	$(HAS_DATA)
	@$(ALEXNET); first=$$?; case $$first in 75|130) exit $$first;; esac; $(NO_MISTAKE); \
	$(GOOGLENET); second=$$?; case $$second in 75|130) exit $$second;; esac; \
	$(TABLES) && exit $$((first > second ? first : second))

tables-matlab: $(READY)  ## The same on MATLAB's own AlexNet and GoogLeNet (WEIGHTS=FOLDER: docs/weights.md)
	$(HAS_DATA)
	@$(MATLAB); first=$$?; case $$first in 75|130) exit $$first;; esac; $(NO_MISTAKE); \
	$(TABLES) alexnet=paper_matlab googlenet=paper_matlab && exit $$first

table1 table2 table3 table4 table5 table6: table%: $(READY)
	$(TABLES) table=$*

table1:  ## AlexNet: parameters and accuracy, ours beside the paper's
table2:  ## GoogLeNet: parameters and accuracy
table3:  ## AlexNet: curves, classified crops, confusion matrices (a page)
table4:  ## GoogLeNet: the same
table5:  ## True and false negatives and positives
table6:  ## Recall, precision, specificity, F-measure

audit: $(READY)  ## What leakage adds: the same rows under four protocols, four seeds (DATA= for real)
	$(HAS_DATA)
	$(AUDIT)
	$(TABLES) table=discipline sweep=audit

report: $(READY)  ## Write every table and the HTML page from what is recorded
	$(TABLES)

ui: $(READY)  ## Open MLflow on 127.0.0.1:PORT (5000) over RUNS (mlruns)
	@$(RUN) -m mcalc.tracking.page '$(RUNS)' '$(PORT)'

dashboard: $(READY)  ## Open Optuna's dashboard on 127.0.0.1:DASHBOARD_PORT (8080) over STORAGE
	@$(RUN) -m mcalc.sweep.dashboard '$(STORAGE)' '$(DASHBOARD_PORT)'

test: $(READY)  ## Run the tests, but for launchers, Ray, PostgreSQL and the longest
	$(TEST) -m pytest -n auto --dist loadgroup -m 'not distributed and not whole' $(TESTS)

test-all: $(READY)  ## Run every test
	$(TEST) -m pytest -n auto --dist loadgroup $(TESTS)

# many modules are reached by the tests that make test leaves out
coverage: $(READY)  ## Run every test and print line and branch coverage by package (an hour on two cores)
	@rm -f .coverage .coverage.*
	$(TEST) -m coverage run -m pytest -n auto --dist loadgroup -q $(TESTS)
	@$(RUN) -m coverage combine --quiet && $(RUN) -m coverage json --quiet -o .coverage.json
	@$(RUN) tests/coverage_by_package.py .coverage.json

faults: $(READY)  ## Replay the planted faults of tests/faults (FAULTS="plan check": those names)
	$(TEST) tests/faults/replay.py $(FAULTS)

test-fuzz: $(READY)  ## Read 10,000 damaged inputs (FUZZ="count=500 seed=7 dicom": fewer, others, one kind)
	$(TEST) tests/fuzz/run.py $(FUZZ)

test-faults: $(READY)  ## Kill, fill disks, send signals: nothing is lost (ENDURE="kills=10 seed=7 disk": a part)
	$(TEST) tests/durability/run.py $(ENDURE)

lint: $(READY)  ## Check format, lint and types
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

format: $(READY)  ## Put the code in its format
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

bench: $(READY)  ## Measure speed on this machine, beside a peer and a limit (BENCH="short": in five minutes)
	$(RUN) -m benchmarks $(BENCH)

bench-gpu: $(READY)  ## Measure steps and the twenty rows at full scale on a CUDA device
	$(RUN) -m benchmarks gpu

clean-cache:  ## Remove prepared images and phantoms (they are made again when needed)
	rm -rf .cache
