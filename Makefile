# Everything works from a fresh clone; the first target that needs packages installs them into the checkout.
PYTHON ?= python3
BOOTSTRAP = @$(PYTHON) -I config/bootstrap.py
BIN = .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo up test lint format lock openapi fuzz ledger drills gates screenshots clean

help:  ## print these targets
	@echo "Voicereel: one picture and one voice become a video."
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '  make %-11s %s\n' "$$name" "$$text"; done

install:  ## install the platform into .venv
	$(BOOTSTRAP) run

demo:  ## start everything, render the sample, show the bill, serve until Ctrl-C (ONCE=1: exit after it)
	$(BOOTSTRAP) run
	@exec $(BIN)/python manage.py demo $(if $(ONCE),--once) $(ARGS)

up:  ## start everything and serve until Ctrl-C (ARGS="--port 9000 --home DIR")
	$(BOOTSTRAP) run
	@exec $(BIN)/python manage.py up $(ARGS)

test:  ## run all tests against real servers (ARGS="-k name")
	$(BOOTSTRAP) test
	@exec $(BIN)/python -m pytest -n 3 $(ARGS)

lint:  ## check style, types, import contracts and migrations
	$(BOOTSTRAP) lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	DATABASE_POOL=0 $(BIN)/python -W "ignore:Got an error checking" manage.py makemigrations --check --dry-run

format:  ## put the code into shape
	$(BOOTSTRAP) lint
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

lock:  ## renew requirements/*.lock after a change of pyproject.toml
	$(BOOTSTRAP) lock

openapi:  ## renew docs/openapi.json after a change of /v1
	$(BOOTSTRAP) run
	DATABASE_POOL=0 $(BIN)/python manage.py spectacular --format openapi-json --file docs/openapi.json --validate --fail-on-warn

fuzz:  ## throw 2,000 made-up requests and more at /v1 (FUZZ_SEED=number)
	$(BOOTSTRAP) test
	@FUZZ=full exec $(BIN)/python -m pytest -s tests/dialects/rest/test_fuzz.py

ledger:  ## walk 10,000 random steps through the books (ARGS=--hypothesis-seed=number)
	$(BOOTSTRAP) test
	@LEDGER=full exec $(BIN)/python -m pytest -s --timeout=3600 tests/billing/test_ledger_machine.py $(ARGS)

drills:  ## drop the answers of 1,000 orders, and have a vendor die under 400: none lost, made twice or paid twice
	$(BOOTSTRAP) test
	@DRILLS=full exec $(BIN)/python -m pytest -s tests/faults/test_lost_answers.py tests/faults/test_vendor_death.py $(ARGS)

gates:  ## look every page over, the console's too; print what each weighs and how soon it is there
	$(BOOTSTRAP) test
	@GATES=full exec $(BIN)/python -m pytest -s tests/gates $(ARGS)

screenshots:  ## take docs/screenshots anew
	$(BOOTSTRAP) test
	@exec $(BIN)/python -m pytest --timeout=1200 tests/gates/screenshots.py $(ARGS)

clean:  ## remove what these targets installed; data in .voicereel stays
	rm -rf .venv .uv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis staticfiles
