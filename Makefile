# Works on a machine that has Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
CONFIGS := configs/forecasting
REGISTRY := sqlite:///runs/demo/mlflow.db
# The raw table that the demo's models were trained on; known once the environment is there.
CO2 = $(shell $(RUN)/python -c 'from importlib.resources import files; print(files("statsmodels") / "datasets/co2/co2.csv")')
# The environment is made anew when what it is made from changes.
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo demo-production test test-fast test-slow test-slow-share test-today lint format bench bench-list soak sbom lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	# torch first and by itself: where pip finds a CPU build of the pinned version, that one is taken.
	$(RUN)/pip install --quiet --disable-pip-version-check --no-compile -c requirements.lock torch
	$(RUN)/pip install --quiet --disable-pip-version-check --no-compile -c requirements.lock -e '.[dev]'
	# pip compiles on one core. Tests that packages bring are never imported; some of their templates are no Python.
	$(RUN)/python -m compileall -q -j 0 -x '/tests?/' $(VENV)/lib > /dev/null || true
	touch $@

demo: $(STAMP) ## train and test on bundled series, beside the rows to beat; export, register, promote the winner; score a raw CSV, serve, ask
	$(RUN)/lightning-app compare $(CONFIGS)/co2_phase.yaml $(CONFIGS)/co2_ridge.yaml $(CONFIGS)/co2_seasonal.yaml $(CONFIGS)/co2_naive.yaml
	$(RUN)/lightning-app compare $(CONFIGS)/sp500_patch.yaml $(CONFIGS)/sp500_ridge.yaml $(CONFIGS)/sp500_naive.yaml
	rm -rf runs/demo
	$(RUN)/lightning-app export best -c $(CONFIGS)/co2_ridge.yaml --output runs/demo/package
	$(RUN)/lightning-app package verify runs/demo/package
	$(RUN)/lightning-app register runs/demo/package --name co2 --registry $(REGISTRY)
	$(RUN)/lightning-app promote co2@1 --to champion --registry $(REGISTRY)
	$(RUN)/lightning-app score co2@champion $(CO2) --output runs/demo/predictions.parquet --registry $(REGISTRY)
	$(RUN)/python examples/serve_and_ask.py co2@champion $(CO2) --registry $(REGISTRY)

demo-production: $(STAMP) ## train on 2011, serve the hours of 2012, see drift, retrain, canary, promote; four minutes; needs bike_sharing/hour.csv
	$(RUN)/python examples/production/demo.py

test: $(STAMP) ## run the tests but the slow ones
	$(RUN)/python -m pytest -n 3 --dist worksteal

test-fast: $(STAMP) ## run the tests that neither fit nor start processes: the inner loop
	$(RUN)/python -m pytest -n 2 --dist worksteal --fast

test-slow: $(STAMP) ## run all slow tests, those of Ray included
	$(RUN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev,scale,text-demo]'
	$(RUN)/python -m pytest -m slow

test-slow-share: $(STAMP) ## run the slow tests that are due today: one in sixty, another one each day
	$(RUN)/python -m pytest -n 2 --dist worksteal -m slow --slow-share $(or $(SHARE),$$(date -u +%j)/60)

test-today: $(STAMP) ## run what CI runs: the tests but the slow ones, and of these those that are due today
	$(RUN)/python -m pytest -n 3 --dist worksteal -m '' --slow-share $(or $(SHARE),$$(date -u +%j)/60)

lint: $(STAMP) ## check style, types and import directions
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

format: $(STAMP) ## format the code
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

bench: $(STAMP) ## measure against the peers; writes benchmarks/results.md; hours, see bench-list; SECTIONS="a b" for some
	$(RUN)/python -m benchmarks $(SECTIONS)

sbom: $(STAMP) ## list what is in the image, CycloneDX
	PYTHON=$(RUN)/python deploy/image/sbom.sh dist/sbom.json

soak: $(STAMP) ## twenty minutes of kills, reloads, restarts and a bad canary: the journal has to add up; MINUTES=3 for a shorter one
	$(RUN)/python -m benchmarks.soak $(or $(MINUTES),20)

bench-list: $(STAMP) ## sections of the benchmarks, and how long each takes
	$(RUN)/python -m benchmarks --list

lock: ## resolve every version anew into requirements.lock
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/pip install --quiet --dry-run --ignore-installed --report .venv-lock/report.json 'torch==2.13.0' '.[all,dev]'
	.venv-lock/bin/python -c 'import json; found = {i["metadata"]["name"].lower().replace("_", "-"): i["metadata"]["version"].split("+")[0] for i in json.load(open(".venv-lock/report.json"))["install"]}; found.pop("lightning-r2p"); print("# Every version of lightning-r2p[all,dev], resolved together: a constraints file. `make lock` writes it anew."); [print(f"{n}=={v}") for n, v in sorted(found.items())]' > requirements.lock
	rm -rf .venv-lock
	$(RUN)/python deploy/image/requirements.py

clean: ## remove the environment and caches
	rm -rf $(VENV) .peer .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
