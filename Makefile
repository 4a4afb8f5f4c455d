# The two commands: `make run` and `make test`. `make help` lists the rest.
# Needs Python 3.11 to 3.14 and make; everything else comes from the package index into .venv.

SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
UV_VERSION := 0.13.9
# Exists when .venv holds what requirements-dev.txt asks for.
INSTALLED := $(VENV)/.installed
# Exists when it also holds requirements-spark.txt: 450 MB, for the tests alone, and of no use without a JDK 17.
SPARK_INSTALLED := $(VENV)/.spark-installed
PORT ?=
PORT_OPTION = $(if $(PORT),--port $(PORT))

# A user's own switches must change neither the installation nor what runs.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV

define find_python
for candidate in python3.13 python3.12 python3.11 python3.14 python3; do \
	if $$candidate -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then \
		python=$$candidate; break; \
	fi; \
done; \
if [ -z "$$python" ]; then \
	echo 'No Python from 3.11 to 3.14 found. Install one (python.org, pyenv, brew, apt), then try again.' >&2; exit 1; \
fi
endef

.PHONY: help run up down status test test-spark chaos compose-env test-compose lint format clean distclean
.DEFAULT_GOAL := help

help:
	@echo 'make run      repair the incident'"'"'s records in a fresh Airflow beside the sandbox, then stop everything'
	@echo 'make test     ruff, mypy and pytest'
	@echo 'make test-spark   every SQL statement on a real Spark beside the sandbox; needs a JDK 17, with which `make test` does it too'
	@echo 'make chaos    kill every part of a running system, 20 times and more, and prove each run (20 minutes; SEED=... repeats one)'
	@echo 'make up       start Airflow and the sandbox and leave them running (PORT=... for another port than 8080)'
	@echo 'make status   what `make up` has running'
	@echo 'make down     stop it; its data stays'
	@echo 'make compose-env    write .env and .env.airflow for docker-compose.yaml, with new secrets; changes none that is there'
	@echo 'make test-compose   run docker-compose.yaml for real and kill its parts (15 to 30 minutes; needs a Docker engine;'
	@echo '                    SEED=... repeats one, ONLY=incident or kills runs one half, BUILD_NETWORK=host builds there)'
	@echo 'make format   let ruff format the code'
	@echo 'make clean    stop it and remove its data, the output files and all caches'
	@echo 'make distclean   that, and remove .venv'

run: $(INSTALLED)
	@$(PYTHON) -m laptop run $(PORT_OPTION)

up: $(INSTALLED)
	@$(PYTHON) -m laptop up $(PORT_OPTION)

# Without .venv nothing can be running, and stopping must not wait for an installation.
down status:
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m laptop $@; else echo 'Nothing is running.'; fi

test: $(INSTALLED) lint
	@if $(PYTHON) -m tests.spark.java >/dev/null 2>&1; then $(MAKE) --no-print-directory $(SPARK_INSTALLED); fi
	$(PYTHON) -m pytest -n 3 --no-loadscope-reorder

test-spark: $(INSTALLED)
	@$(PYTHON) -m tests.spark.java >/dev/null
	@$(MAKE) --no-print-directory $(SPARK_INSTALLED)
	$(PYTHON) -m pytest tests/spark

chaos: $(INSTALLED)
	@PYTHONPATH=plugins $(PYTHON) -u -m tests.live.chaos $(if $(SEED),--seed $(SEED))

# Needs nothing but Python, so it does not wait for an installation.
compose-env:
	@$(find_python); $$python -m laptop.compose_env

test-compose: $(INSTALLED)
	@PYTHONPATH=plugins $(PYTHON) -u -m tests.compose.real_run $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(BUILD_NETWORK),--build-network $(BUILD_NETWORK))

lint: $(INSTALLED)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format: $(INSTALLED)
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

clean: down
	rm -rf .laptop output .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)

$(INSTALLED): requirements-dev.txt
	@$(find_python); \
	if ! $(PYTHON) -m pip --version >/dev/null 2>&1; then \
		if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
			echo "$$python cannot make a virtual environment: its modules venv and ensurepip are missing." >&2; \
			echo 'On Debian and Ubuntu: apt install python3-venv. Then try again.' >&2; exit 1; \
		fi; \
		echo "Making $(VENV) with $$($$python --version) ..."; \
		$$python -m venv --clear $(VENV) || exit 1; \
	fi
	@echo 'Installing requirements-dev.txt (a minute or two) ...'
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(PYTHON) -m uv pip install --quiet --python $(PYTHON) --compile-bytecode --requirement requirements-dev.txt
	@touch $@

$(SPARK_INSTALLED): $(INSTALLED) requirements-spark.txt
	@echo 'Installing requirements-spark.txt (a minute or two) ...'
	@$(PYTHON) -m uv pip install --quiet --python $(PYTHON) --requirement requirements-spark.txt
	@touch $@
