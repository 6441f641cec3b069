# Everything that is done in this tree from a shell; `make` alone lists it.

PYTHON ?= python3
CORPUS ?=
ARGS ?=
PYTEST_ARGS ?=

BIN := .venv/bin
CLIENTS := tests/clients/node/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help run test test-quick lint format config train bench bench-quick bench-connections soak fuzz audit screenshots clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: .venv/.run ## install what is missing and start the server; ARGS="--port 9000" is passed on
	@exec $(BIN)/python server.py --config config.yaml $(ARGS)

# Under CI nothing may be skipped, so the tests of training/ and of Ray get what they need too.
test: lint $(CLIENTS) $(if $(filter true,$(CI)),.venv/.training .venv/.ray) ## check everything: lint, format, types, all tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-quick: .venv/.dev $(CLIENTS) ## the tests that take less than two minutes
	@$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

lint: .venv/.dev ## check style, format and types without tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: .venv/.dev ## format the code and mend what the linter can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# By way of a second file, so that a failure leaves config.yaml as it is.
config: .venv/.run ## write config.yaml anew from the declared settings
	@$(BIN)/python -m engine.config > config.yaml.new
	@mv config.yaml.new config.yaml

train: .venv-train/.train ## train the embedded model: make train CORPUS=folder
	@test -n "$(CORPUS)" || { echo 'Say which corpus: make train CORPUS=folder'; exit 1; }
	@exec .venv-train/bin/python -m training train --corpus $(CORPUS) $(ARGS)

bench: .venv/.bench ## measure beside llama-server, at most an hour; ARGS="--resume" goes on
	@exec $(BIN)/python -m bench.compare $(ARGS)

bench-quick: .venv/.bench ## the same on two models in 5 minutes
	@exec $(BIN)/python -m bench.compare --quick $(ARGS)

bench-connections: .venv/.bench ## 10,000 idle dashboards, beside sse-starlette on uvicorn
	@exec $(BIN)/python -m bench.connections $(ARGS)

soak: .venv/.run ## 20,000 streams that end as they like, at most 10 minutes; ARGS is passed on
	@exec $(BIN)/python -m bench.soak $(ARGS)

fuzz: .venv/.dev ## spoilt requests to every path, 20,000 of them; FUZZ_EXAMPLES=... for more or fewer
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-20000} $(BIN)/python -m pytest -q -s tests/attacks/test_fuzz.py $(PYTEST_ARGS)

audit: .venv/.audit ## look for known vulnerabilities of what is installed; needs PyPI's JSON API
	@.venv/audit/bin/pip-audit --strict --progress-spinner off --skip-editable \
		--path $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

screenshots: .venv/.dev $(CLIENTS) ## the pictures of the pages in README, made by their tests
	@mkdir -p docs/images
	@SCREENSHOTS=docs/images $(BIN)/python -m pytest -q tests/web -k "fits_a_phone or what_the_server_does"

clean: ## remove the environments and caches; built wheels stay in the user's cache folder
	rm -rf .venv .venv-train .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/clients/node/node_modules

# The files below .venv say what has been done there, so that a second run starts at once.

# $(call environment,FOLDER): a virtual environment with a pip that reads options in requirement lines.
define environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo 'Babelbrook needs Python 3.11 or newer. Name one: make PYTHON=python3.12 ...'; exit 1; }
@$(PYTHON) -m venv $(1)
@$(1)/bin/python -m pip install --quiet --disable-pip-version-check "pip>=23.1"
endef

.venv/.made:
	$(call environment,.venv)
	@touch $@

# Wishes in CMAKE_ARGS are looked at every time; wheel.py sees whether they changed anything.
.venv/.wheel: requirements.txt engine/llama/wheel.py .venv/.made $(if $(CMAKE_ARGS),FORCE)
	@$(BIN)/python -m engine.llama.wheel
	@touch $@

.venv/.run: .venv/.wheel
	@echo 'Installing requirements.txt'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.run
	@echo 'Installing requirements-dev.txt'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# Without Node.js the tests of its clients skip, and under CI they fail.
$(CLIENTS): tests/clients/node/package-lock.json
	@if command -v npm > /dev/null; then \
		echo 'Installing tests/clients/node'; \
		npm ci --silent --no-audit --no-fund --prefix tests/clients/node; \
	else echo 'There is no npm: tests of the clients of Node.js will skip'; fi

# The last stages of a training run the new model as the server does, so they need its packages too.
.venv/.training: training/requirements.txt .venv/.dev
	@echo 'Installing training/requirements.txt'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r training/requirements.txt
	@touch $@

# Without it the tests of Ray skip, and under CI they fail.
.venv/.ray: requirements-ray.txt .venv/.dev
	@echo 'Installing requirements-ray.txt'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-ray.txt
	@touch $@

.venv/.bench: bench/requirements.txt .venv/.run
	@echo 'Installing bench/requirements.txt'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	@touch $@

# Apart from the server's packages, whose versions it must not change.
.venv/.audit: .venv/.run
	@$(PYTHON) -m venv .venv/audit
	@.venv/audit/bin/python -m pip install --quiet --disable-pip-version-check "pip-audit>=2.9,<3"
	@touch $@

.venv-train/.train: requirements.txt training/requirements.txt
	$(call environment,.venv-train)
	@.venv-train/bin/python -m engine.llama.wheel
	@echo 'Installing training/requirements.txt'
	@.venv-train/bin/python -m pip install --quiet --disable-pip-version-check \
		-r requirements.txt -r training/requirements.txt
	@touch $@
