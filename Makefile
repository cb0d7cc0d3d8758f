# Everything a developer types. `make` alone lists the targets.

PYTHON ?= $(shell for name in python3.11 python3; do $$name -c '' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UV_VERSION := 0.13.9

# Extra words for the command of a target: make test ARGS="-k lease"
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo up test check format bench bench-adaptive bench-mailroom chaos chaos-servers chaos-schedules chaos-limits chaos-workflows chaos-alerts model api-fuzz spam mailroom mailroom-imap lock clean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Create .venv with everything that development needs

demo: $(INSTALLED) ## Index real documents and answer questions; sync a mailbox and understand it; stop
	$(BIN)/python -m tidemill_apps.knowledge.demo $(ARGS)
	$(BIN)/python -m tidemill_apps.mailroom.demo

up: $(INSTALLED) ## Like demo, but keep the system running until Ctrl-C
	$(BIN)/python -m tidemill_apps.knowledge.demo --keep $(ARGS)

test: $(INSTALLED) ## Run the tests (real servers included) on all cores
	PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/$(VENV)/compiled \
		$(BIN)/pytest --numprocesses=auto --dist=worksteal $(ARGS)

check: $(INSTALLED) ## Format, lint, types, import contracts, words
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.check_imports
	$(BIN)/python -m tools.check_words
	$(BIN)/codespell

format: $(INSTALLED) ## Format the code and apply the safe fixes
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(INSTALLED) ## Measure, and print the ratio to a bare loop
	$(BIN)/python benchmarks/run.py $(ARGS)

bench-adaptive: $(INSTALLED) ## Measure automatic concurrency beside the best fixed one
	$(BIN)/python benchmarks/adaptive.py $(ARGS)

bench-mailroom: $(INSTALLED) ## Measure how fast real mail is analysed, with one worker process and with two
	$(BIN)/python benchmarks/mailroom.py $(ARGS)

chaos: $(INSTALLED) ## Kill and freeze workers and servers at random while tasks run
	$(BIN)/python -m tests.chaos $(ARGS)

chaos-servers: $(INSTALLED) ## Kill workers and their server at random under 20,000 tasks
	$(BIN)/python -m tests.chaos servers $(ARGS)

chaos-schedules: $(INSTALLED) ## Kill schedulers at random while 20,000 schedules fire
	$(BIN)/python -m tests.chaos schedules $(ARGS)

chaos-limits: $(INSTALLED) ## Hold keys, rates and concurrency to their limits, workers killed meanwhile
	$(BIN)/python -m tests.chaos fairness rates concurrency $(ARGS)

chaos-workflows: $(INSTALLED) ## Kill workers under a join of 10,000 tasks, and run graphs in order
	$(BIN)/python -m tests.chaos chord siblings dag $(ARGS)

chaos-alerts: $(INSTALLED) ## Fail tasks and kill a worker, and hear of it once by a webhook and by mail
	$(BIN)/python -m tests.chaos alerts $(ARGS)

model: $(INSTALLED) ## Compare engines with the memory engine on 2,000 random histories
	TIDEMILL_MODEL_EXAMPLES=2000 $(BIN)/pytest tests/engines/test_model.py --timeout 3600 $(ARGS)

api-fuzz: $(INSTALLED) ## Send 5,000 cases that schemathesis makes of the OpenAPI document
	TIDEMILL_API_EXAMPLES=170 $(BIN)/pytest tests/api/test_fuzz.py --timeout 3600 $(ARGS)

spam: $(INSTALLED) ## Read 6,046 real mails, and hold the spam filter to its figures
	$(BIN)/pytest apps/tests/mailroom/real_mail.py $(ARGS)
	$(BIN)/python -m apps.tests.mailroom.corpus

mailroom: $(INSTALLED) ## Analyse 6,046 real mails twice, learn from them, and ask ten questions about them
	MAILROOM_MAILS=6046 $(BIN)/pytest -s apps/tests/mailroom/real_analysis.py apps/tests/mailroom/real_training.py $(ARGS)
	$(BIN)/python -m apps.tests.mailroom.search.figures

mailroom-imap: $(INSTALLED) ## Sync 400 real mails from Dovecot (install dovecot-imapd before)
	$(BIN)/pytest apps/tests/mailroom/imap/real_servers.py $(ARGS)

lock: ## Pin the newest allowed versions, with hashes, in requirements/*.txt
	$(PYTHON) -m venv .lock
	.lock/bin/pip install --quiet uv==$(UV_VERSION)
	.lock/bin/uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 \
		--generate-hashes --no-header \
		--no-emit-package tidemill --no-emit-package tidemill-apps \
		--output-file requirements/dev.txt requirements/dev.in
	for name in bench bench-arq; do \
		.lock/bin/uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 \
			--generate-hashes --no-header \
			--output-file requirements/$$name.txt requirements/$$name.in; \
	done
	rm -rf .lock

clean: ## Remove .venv, caches and built distributions; data files stay
	rm -rf $(VENV) .venv-bench .lock build dist apps/build apps/dist .coverage .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements/dev.txt pyproject.toml apps/pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Tidemill needs Python 3.11 or newer, and '$(or $(PYTHON),python3)' is not. Name one: make install PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable . --editable apps
	@touch $@
