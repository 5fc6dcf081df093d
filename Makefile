# The two commands of the README, and what else is done with this tree. `make help` lists it.

VENV ?= .venv
PYTHON ?=
SENTENCE ?= From text to sound, in one line and in no time at all.
SAVE ?= say.wav

export VENV PYTHON

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST)
	@echo
	@echo 'PYTHON=python3.12 chooses the interpreter, VENV=path the virtual environment (.venv).'

.PHONY: say
say: ## Install what is missing, speak SENTENCE, and keep it as SAVE
	@scripts/bootstrap
	"$(VENV)/bin/voice" say "$(SENTENCE)" --save "$(SAVE)"

.PHONY: test
test: ## Install what is missing, then check format, lint and types, and run every test
	@scripts/bootstrap --test
	@scripts/check

.PHONY: test-models
test-models: ## Test the engines on their own packages, with torch (gigabytes, in .venv-models)
	$(or $(PYTHON),python3) -m venv .venv-models
	.venv-models/bin/pip install -q --upgrade 'pip>=25.1'
	.venv-models/bin/pip install -q -e . --group models
	.venv-models/bin/pip install -q --no-deps 'chatterbox-streaming>=0.1.2'
	VOICE_TEST_MODELS=1 .venv-models/bin/pytest tests/backends tests/streamer tests/models

.PHONY: bench
bench: ## Run the benchmarks (20 minutes, on a machine with nothing else to do) and write tests/bench/RESULTS.md
	@scripts/bootstrap --test
	"$(VENV)/bin/python" tests/bench/results.py
