PYTHON := .venv/bin/python
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder
LOCK := $(PYTHON) -m uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help run test lint format lock docs image build clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## set up what is missing and serve (ARGS="--port 9000")
	@scripts/bootstrap.sh run
	@$(PYTHON) -m lebureau_app build
	@exec $(PYTHON) -m lebureau_app serve $(ARGS)

test: ## set up what is missing and run the tests (ARGS="-k chat" chooses)
	@scripts/bootstrap.sh test
	@$(PYTHON) -m pytest $(SIDE_BY_SIDE) $(ARGS)

lint: ## ruff and pyright
	@scripts/bootstrap.sh test
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m pyright

format: ## let ruff put the code in order
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

lock: ## write the locks anew from pyproject.toml
	$(LOCK) -o requirements.lock
	$(LOCK) --group dev -c requirements.lock -o requirements-dev.lock

docs: ## write docs/errors.md anew from the error classes
	$(PYTHON) -m scripts.document_errors

image: ## build the golden image now
	@scripts/bootstrap.sh run
	@$(PYTHON) -m lebureau_app image build

build: ## build the front end
	@scripts/bootstrap.sh run
	@$(PYTHON) -m lebureau_app build

clean: ## remove what was built, but no data
	rm -rf .web .venv .states .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
