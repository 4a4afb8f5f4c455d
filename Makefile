# The two commands: `make run` and `make test`. `make help` lists the rest.
# Needs Python 3.11 to 3.14 and make. Everything else comes from the package index into .venv.

SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
UV_VERSION := 0.13.9
# This file exists if .venv has the packages of requirements-dev.txt.
INSTALLED := $(VENV)/.installed
# This file exists if .venv also has those of requirements-spark.txt: 450 MB for the tests only, useless without a JDK 17.
SPARK_INSTALLED := $(VENV)/.spark-installed
# This file exists if .venv-bench has the libraries that `make bench` compares with.
BENCH_INSTALLED := .venv-bench/.installed
PORT ?=
PORT_OPTION = $(if $(PORT),--port $(PORT))
WORLD ?=
WORLD_OPTION = $(if $(WORLD),--world $(WORLD))

# A user's own switches must not affect the installation or the commands.
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

# The tests on Spark need a JDK, which not every machine has.
spark_too = if $(PYTHON) -m tests.spark.java >/dev/null 2>&1; then $(MAKE) --no-print-directory $(SPARK_INSTALLED); fi
# Two of the three mostly wait for an Airflow of their own, see tests/conftest.py.
SHARED_AMONG_THREE := -n 3 --no-loadscope-reorder

.PHONY: help run verify story up down status test test-quick test-long test-next test-browser setup-browser docs test-spark bench bench-large fuzz chaos clicks compose-env test-compose lint format clean distclean
.DEFAULT_GOAL := help

help:
	@echo 'make run      repair the incident'"'"'s records in a fresh Airflow with the sandbox, then stop everything'
	@echo '              (WORLD=real plays an untidy organisation instead of the incident, see sandbox/README.md; also for make up)'
	@echo 'make verify   let the DAG feature_sync_verify look at a fresh sandbox, print its page, then stop everything; exit code 1 if something'
	@echo '              is wrong, as in the incident (WORLD=real too)'
	@echo 'make test     ruff, mypy and the tests (50 minutes on two cores)'
	@echo 'make test-quick   ruff, mypy and the tests that need neither a sandbox nor a running Airflow (under a minute)'
	@echo 'make test-long    the tests that take longest: most of those on a real Airflow, and the settings that change the SQL on Spark (an hour)'
	@echo 'make test-next    the tests on the newest pre-release of Airflow, in .venv-next; lists what fails and whose fault it is'
	@echo 'make setup-browser   install Playwright into .venv; then `make test` also clicks through Airflow in a real Chromium, which the'
	@echo '                     system must have (Debian and Ubuntu: apt install chromium)'
	@echo 'make test-browser    only those tests; their pictures are in output/pictures'
	@echo 'make test-spark   run every SQL statement on a real Spark and on the sandbox, with each setting that changes the SQL; needs a JDK 17.'
	@echo '                  If there is one, `make test` does it with the usual settings, and `make test-long` with the others, taken together'
	@echo 'make bench    measure a million records beside the same work by hand and by other libraries; writes benchmarks/results.md'
	@echo '              (half an hour; RECORDS=... for others)'
	@echo 'make bench-large   the same with ten million records, once; writes benchmarks/results_10000000.md'
	@echo 'make fuzz     hold the SQL against an independent computation on 500 random worlds (SEED=... chooses others)'
	@echo 'make chaos    kill every part of a running system, 20 times and more, and check each run (20 minutes; SEED=... repeats one)'
	@echo 'make clicks   click at random at 42 runs (mark, clear, pause, delete) and check each green one (40 minutes; SEED=... repeats one)'
	@echo 'make up       start Airflow and the sandbox and leave them running (PORT=... chooses another port than 8080)'
	@echo 'make status   show the state of the parts that `make up` started'
	@echo 'make story OF="..."   tell what happened to one record, by id or name, while `make up` runs'
	@echo 'make down     stop Airflow and the sandbox; their data stays'
	@echo 'make compose-env    write .env and .env.airflow for docker-compose.yaml, with new secrets; existing values stay'
	@echo 'make test-compose   run docker-compose.yaml for real and kill its parts (15 to 30 minutes; needs a Docker engine;'
	@echo '                    SEED=... repeats one, ONLY=incident or ONLY=kills runs one half, BUILD_NETWORK=host builds on the host network)'
	@echo 'make docs     write docs/reference.md and the tables of docs/scale.md'
	@echo 'make format   fix and format the code with ruff'
	@echo 'make clean    stop Airflow and the sandbox; remove their data, the output files and all caches'
	@echo 'make distclean   clean, and remove .venv and .venv-next'

run: $(INSTALLED)
	@$(PYTHON) -m laptop run $(PORT_OPTION) $(WORLD_OPTION)

verify: $(INSTALLED)
	@$(PYTHON) -m laptop verify $(PORT_OPTION) $(WORLD_OPTION)

up: $(INSTALLED)
	@$(PYTHON) -m laptop up $(PORT_OPTION) $(WORLD_OPTION)

story: $(INSTALLED)
	@$(PYTHON) -m laptop story "$(OF)"

# Without .venv no part can be running, so these two do not wait for an installation.
down status:
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m laptop $@; else echo 'Nothing is running.'; fi

test: $(INSTALLED) lint
	@$(spark_too)
	$(PYTHON) -m pytest $(SHARED_AMONG_THREE) -m "not long"

# What an engineer runs after each change. The folders and modules that it names start no process.
test-quick: $(INSTALLED) lint
	$(PYTHON) -m pytest -q -n 2 tests/feature_sync tests/dags tests/sql tests/test_layout.py tests/test_statements.py tests/test_docs.py

# Not a part of `make test`: what it tries changes with the package index.
test-next: $(INSTALLED)
	@$(PYTHON) -m tests.next_airflow

setup-browser: $(INSTALLED)
	@$(PYTHON) -m uv pip install --quiet --python $(PYTHON) --requirement requirements-browser.txt
	@if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then \
		echo 'There is no Chromium yet. On Debian and Ubuntu: apt install chromium' >&2; exit 1; fi

test-browser: setup-browser
	$(PYTHON) -m pytest tests/live/test_browser.py

docs: $(INSTALLED)
	@AIRFLOW_HOME=$(CURDIR)/.laptop/docs PYTHONPATH=plugins $(PYTHON) -m laptop.reference
	@AIRFLOW_HOME=$(CURDIR)/.laptop/docs PYTHONPATH=plugins $(PYTHON) -m laptop.scale

test-long: $(INSTALLED)
	@$(spark_too)
	$(PYTHON) -m pytest $(SHARED_AMONG_THREE) -m long

test-spark: $(INSTALLED)
	@$(PYTHON) -m tests.spark.java >/dev/null
	@$(MAKE) --no-print-directory $(SPARK_INSTALLED)
	EACH_VARIANT=1 $(PYTHON) -m pytest tests/spark

bench: $(INSTALLED) $(BENCH_INSTALLED)
	PYTHONPATH=plugins $(PYTHON) -m benchmarks.table $(if $(RECORDS),--records $(RECORDS))

bench-large: $(INSTALLED) $(BENCH_INSTALLED)
	PYTHONPATH=plugins $(PYTHON) -m benchmarks.table --records 10000000 --rounds 1 --without-airflow

fuzz: $(INSTALLED)
	ORACLE_SEED=$(or $(SEED),1000) ORACLE_WORLDS=500 $(PYTHON) -m pytest -q -n 2 tests/oracle -k computation

chaos: $(INSTALLED)
	@PYTHONPATH=plugins $(PYTHON) -u -m tests.live.chaos $(if $(SEED),--seed $(SEED))

clicks: $(INSTALLED)
	@PYTHONPATH=plugins $(PYTHON) -u -m tests.live.clicks $(if $(SEED),--seed $(SEED))

# Needs only Python, so it does not wait for an installation.
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
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -not -path './.venv-next/*' -not -path './.venv-bench/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) .venv-next .venv-bench

$(INSTALLED): requirements-dev.txt
	@$(find_python); \
	if ! $(PYTHON) -m pip --version >/dev/null 2>&1; then \
		if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
			echo "$$python cannot create a virtual environment: its modules venv and ensurepip are missing." >&2; \
			echo 'On Debian and Ubuntu: apt install python3-venv. Then try again.' >&2; exit 1; \
		fi; \
		echo "Creating $(VENV) with $$($$python --version) ..."; \
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

# The vendor's provider is apart from the others: it is used with the Airflow of .venv, and needs nothing that is not there.
$(BENCH_INSTALLED): $(INSTALLED) requirements-bench.txt requirements-vendor.txt
	@echo 'Installing requirements-bench.txt (a minute or two) ...'
	@$(PYTHON) -m venv --clear .venv-bench
	@$(PYTHON) -m uv pip install --quiet --python .venv-bench/bin/python --requirement requirements-bench.txt
	@$(PYTHON) -m uv pip install --quiet --no-deps --target .venv-bench/vendor --requirement requirements-vendor.txt
	@touch $@
