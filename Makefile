# Every verb does one thing; hooks and CI call these and nothing else.
PYTHON ?= python3
BIN := .venv/bin
ifndef SLIPWAY_PATH  # what the shell that typed `make` finds, without what is added here
export SLIPWAY_PATH := $(PATH)
endif
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE  # what was compiled once serves every process

.DEFAULT_GOAL := help
.PHONY: help setup doctor engine lock format tables check rules test apart offline up down demo promote due conclude propose preview refresh measure

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

setup:  ## make the virtual environments from the hash-locked requirements
	@$(PYTHON) tools/setup.py $(addprefix --with ,$(WITH))

doctor:  ## what is missing on this machine, and how to get it; works before setup
	@$(PYTHON) -m delivery.doctor

lock:  ## compile pyproject's dependency groups into requirements/*.txt
	@$(PYTHON) tools/lock.py

format:  ## rewrite the code in the one format
	@ruff format .
	@ruff check --fix --quiet . || true

tables: setup  ## write the pages that are made from code
	@python tools/tables.py

check: setup  ## everything that can be said without running: format, lint, types, directions, spelling, Dockerfiles
	ruff format --check .
	ruff check .
	pyrefly check
	lint-imports
	codespell
	python tools/tables.py --check
	$(if $(wildcard */Dockerfile),hadolint $(wildcard */Dockerfile))
	zizmor --offline --quiet .github/workflows
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(MAKE) --no-print-directory rules

rules: setup  ## judge every environment: settings, our own rules, checkov over the synthesised plans
	@$(PYTHON) tools/setup.py rules
	python -m delivery.rules

test: setup  ## the tests: unit, conformance, containers as processes, docs
	pytest -n 4 --dist loadscope --no-loadscope-reorder -m "not story and not apart"

apart: setup  ## the tests of what has an environment of its own: the SageMaker SDK (1 GB), TensorFlow (2 GB)
	@$(PYTHON) tools/setup.py sagemaker-sdk tensorflow
	pytest -n 2 -m apart

measure: setup  ## measure the serving container against its peers, and the embedded AWS; writes docs/benchmarks.md (needs wrk, nginx, two idle cores)
	@serving=0; python -m benchmarks.serving.measure --write || serving=$$?; \
	python -m benchmarks.localaws.measure --write && exit $$serving

offline: setup  ## the whole way on the embedded AWS: train, gate, deploy, canary, roll back
	pytest -m story

up: setup  ## from nothing to a first prediction on the embedded AWS; with ENV=name: bring that environment up and try it
	@$(if $(filter-out local,$(ENV)),slipway up $(ENV) --yes && slipway smoke $(ENV),slipway launch)

demo: setup  ## play the whole story on an embedded AWS of its own, told as it happens, with a report at the end
	@slipway demo

down: setup  ## remove the local environment with all it holds, and stop the embedded AWS
	@slipway down local --yes

# SOURCE_AWS_… are FROM's own credentials, where one set does not reach both accounts.
SOURCE := SLIPWAY_$(shell echo $(FROM) | tr a-z A-Z)_AWS
promote: setup  ## release in TO what serves in FROM, with NOTE as your yes
	@env $(foreach each,ACCESS_KEY_ID SECRET_ACCESS_KEY SESSION_TOKEN,$(SOURCE)_$(each)="$$SOURCE_AWS_$(each)") \
	  slipway promote "$$FROM" "$$TO" --note "$$NOTE" --yes

due: setup  ## say where experiments run that no open proposal is about, as an output of the step (in CI)
	@proposed="$$(gh pr list --json headRefName --jq '.[].headRefName' --limit 1000)" && \
	  due="$$(echo "$$proposed" | python tools/due.py)" && echo "environments=$$due" >>"$$GITHUB_OUTPUT"

conclude: setup  ## end the experiments of ENV as their verdicts say; those that are not decided go on
	@slipway experiment conclude --env "$(ENV)"

propose:  ## propose the release file of TO as a pull request, when it changed (in CI)
	@git add "releases/$$TO.yaml"; if git diff --cached --quiet; then echo "releases/$$TO.yaml is as it was: nothing to propose"; else \
	  set -e; \
	  git switch --quiet --create "release-$$TO-$$GITHUB_RUN_ID"; \
	  git -c user.name=slipway -c user.email=slipway@users.noreply.github.com commit --quiet --message "What serves in $$TO" "releases/$$TO.yaml"; \
	  git push --quiet "https://x-access-token:$$GH_TOKEN@github.com/$$GITHUB_REPOSITORY" HEAD; \
	  gh pr create --title "What serves in $$TO" --body "Released by workflow run $$GITHUB_RUN_ID." --head "release-$$TO-$$GITHUB_RUN_ID"; fi

preview: setup  ## what `up` would change in ENV, and what that would cost a month
	@slipway preview $(or $(ENV),local)

refresh: setup  ## fail when ENV is no longer as declared
	@slipway preview $(or $(ENV),local) --detailed-exit

engine: setup  ## fetch the pinned Pulumi CLI where no engine is on PATH
	@command -v pulumi >/dev/null || command -v terraform >/dev/null || slipway engine --install
