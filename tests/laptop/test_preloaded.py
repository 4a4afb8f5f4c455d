"""The processes that run tasks find the libraries in memory, and our own package on the disk."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CODE = """
import importlib, pathlib, sys
import airflow.jobs.scheduler_job_runner  # what the scheduler loads by itself
from laptop import preloaded

preloaded.load()
assert not [name for name in sys.modules if name.partition(".")[0] == "feature_sync"]
sys.path[:0] = ["plugins", "dags"]
before = {name.partition(".")[0] for name in sys.modules}
dags = {path.stem for path in pathlib.Path("dags").glob("*.py")}
for name in (*dags, "databricks.sql.client"):
    importlib.import_module(name)

loaded = {name.partition(".")[0] for name in sys.modules} - before - dags
print("LOADED", sorted(loaded - set(sys.stdlib_module_names)))
"""


def test_a_task_loads_no_library_only_what_is_ours() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", CODE], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()[-1]

    assert printed == "LOADED ['feature_sync']"
