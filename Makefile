# Works with GNU make 3.81 and newer. `make help` says what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
WEB := services/web
ASSETS := $(WEB)/web/static/web/vendor/icons.svg
CATALOGUES := shared/vestnik/locale $(WEB)/web/locale
WORDS := $(VENV)/words
READY := $(STAMP) $(ASSETS) $(WORDS)
PACKAGES := shared/pyproject.toml services/web/pyproject.toml services/dispatcher/pyproject.toml
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# Django's settings want an environment even where nothing is run (mypy's plugin reads them).
NOWHERE := MODE=local SECRET_KEY=lint DATABASE_URL=postgresql:///lint REDIS_URL=unix:///lint MAIL_SERVICE_URL=smtp://localhost
COMPILE := .local/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header

.DEFAULT_GOAL := help
.PHONY: help setup run demo pictures up down logs shell backup restore smoke test test-fast trial-servers lint format messages \
	variables audit bench soak lock clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make the environment (.venv) and what pages load, if they are not up to date

run: $(READY) ## Set up and start everything; Ctrl-C stops it
	@exec $(BIN)/python -m local.run

demo: $(READY) ## Make the demo in the data of `make run`, which has to be running, and say who can sign in
	@$(BIN)/python -m local.demo

pictures: $(READY) ## Take the README's pictures of the running `make run` (wants Chromium)
	@$(BIN)/python -m local.pictures

up: ## Start an installation for real use in containers, with a private .env made at the first time
	@$(PYTHON) -m ops.up $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))

down: ## Stop its containers; what they keep stays in its volumes
	@docker compose down

logs: ## Follow what they say
	@docker compose logs --follow --tail 100

shell: ## Python with Django in the web's container
	@docker compose exec web python -m django shell

backup: ## Write its database and pictures to a file in backups/
	@$(PYTHON) -m ops.backup

restore: ## Make an empty installation what FILE=backups/… has kept; FORCE=1: one that is not empty
	@$(PYTHON) -m ops.restore "$(FILE)" $(if $(filter 1,$(FORCE)),--force) $(if $(filter 1,$(TRIAL)),--trial)

smoke: ## Try a whole installation in containers of its own: build, send, kill, scale, back up, restore
	@$(PYTHON) -m ops.smoke

test: $(READY) ## Set up and run every test, or those of T=tests/web/test_clients.py
ifdef T
	@$(BIN)/pytest $(T)
else
	@$(BIN)/pytest -n auto -m "not alone"
	@$(BIN)/pytest -m alone
endif

test-fast: $(READY) ## Run the tests that neither start processes nor wait: while you change something
	@$(BIN)/pytest -n auto -m "not slow"

trial-servers: $(READY) ## Send through servers of others: Postfix, and Exim and OpenSMTPD where they can be had
	@$(BIN)/python -m tests.trial_servers.others
	@TRIAL_SERVERS=1 $(BIN)/pytest tests/trial_servers

lint: $(READY) ## Check style, types, migrations and workflows
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(NOWHERE) $(BIN)/mypy
	@$(BIN)/python -m tools.variables --check
	@$(NOWHERE) $(BIN)/python -m tools.migrations
	@$(BIN)/zizmor --offline --quiet .github
	@PATH="$(CURDIR)/$(BIN):$$PATH" node tools/workflows.mjs

format: $(STAMP) ## Bring the code into its form
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

messages: $(STAMP) ## Gather the texts to translate (wants gettext)
	@for catalogue in $(CATALOGUES); do (cd $$catalogue/.. && $(NOWHERE) $(CURDIR)/$(BIN)/python -m django makemessages \
		--locale ru --no-obsolete --add-location never --ignore 'static/*'); done

variables: $(STAMP) ## Make the table of variables in docs/operations.md again
	@$(BIN)/python -m tools.variables

audit: ## Ask whether known holes are in what is installed (wants the network)
	@test -x .local/audit/bin/python || $(PYTHON) -m venv .local/audit
	@.local/audit/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements/audit.txt
	@.local/audit/bin/pip-audit --require-hashes --disable-pip $(foreach file,$(wildcard requirements/*.txt),-r $(file))

bench: $(READY) ## Measure the way of letters beside the wire's limit (a million: python -m bench million)
	@$(BIN)/python -m bench

soak: $(READY) ## Kill everything that can die, a hundred times, and hold the ledger against what arrived
	@exec $(BIN)/python -m bench.soak

lock: ## Choose the newest fitting versions again (requirements/*.txt)
	@$(PYTHON) -m venv .local/uv
	@.local/uv/bin/python -m pip --quiet --disable-pip-version-check install uv
	@$(COMPILE) --upgrade shared/pyproject.toml services/web/pyproject.toml -o requirements/web.txt
	@$(COMPILE) --upgrade shared/pyproject.toml services/dispatcher/pyproject.toml -o requirements/dispatcher.txt
	@$(COMPILE) --upgrade requirements/node.in -o requirements/node.txt
	@$(COMPILE) --upgrade requirements/build.in -o requirements/build.txt
	@$(COMPILE) --upgrade requirements/inbox.in -o requirements/inbox.txt
	@$(COMPILE) --upgrade requirements/audit.in -o requirements/audit.txt
	@$(COMPILE) --upgrade requirements/local.in $(PACKAGES) -o requirements/local.txt
	@rm -rf .local/uv

clean: ## Remove the environment and the tools' caches; data (.local) stays
	@rm -rf $(VENV) $(WEB)/node_modules $(dir $(ASSETS)) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements/local.txt $(PACKAGES)
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) is not found. Vestnik needs Python 3.11 or newer; PYTHON=… names another."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Vestnik needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) -V 2>&1`. PYTHON=python3.12 names another."; \
		exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "This Python comes without its venv module. On Debian and Ubuntu: apt install python3-venv" \
		"(or `$(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'`)"; exit 1; }
	@echo "Setting up $(VENV) …"
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --require-hashes --use-pep517 -r requirements/local.txt
	@$(PIP) install --no-build-isolation --no-deps -e shared -e services/web -e services/dispatcher
	@touch $@

# The libraries of the pages, and a sprite of the icons that the templates name. Where there is no Node.js, one from PyPI.
$(ASSETS): $(WEB)/package-lock.json $(WEB)/vendor.mjs $(shell find $(WEB)/web -name '*.html' -o -name '*.py') | $(STAMP)
	@node -e 'process.exit(+(process.versions.node.split(".")[0] < 18))' 2>/dev/null && command -v npm >/dev/null || \
		{ echo "Fetching Node.js …" && $(PIP) install --require-hashes -r requirements/node.txt; }
	@export PATH="$(CURDIR)/$(BIN):$$PATH" && cd $(WEB) && if [ node_modules/.package-lock.json -nt package-lock.json ]; \
		then node vendor.mjs; else echo "Fetching what pages load …" && npm ci --loglevel=error; fi
	@touch $@

$(WORDS): $(shell find shared $(WEB)/web -name '*.po') | $(STAMP)
	@for catalogue in $(CATALOGUES); do $(BIN)/pybabel --quiet compile --domain django --directory $$catalogue; done
	@touch $@
