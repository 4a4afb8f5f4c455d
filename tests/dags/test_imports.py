"""
What a process loads that reads a DAG file: Airflow reads each file every half minute, and again for each task.

Times depend on the machine; what is loaded does not.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SLOW = (
    *(
        "aiohttp",
        "altair",
        "databricks.sql",
        "numpy",
        "pandas",
        "pyarrow",
        "requests",
        "simple_salesforce",
        "sqlglot",
        "vl_convert",
        "xlsxwriter",
    ),
    *("zeep", "airflow.providers.databricks", "airflow.providers.http", "airflow.providers.salesforce"),
)
"""Each takes a tenth of a second or more to load. Who needs it imports it where it is used."""
SCRIPT = """
import sys, airflow.sdk
before = set(sys.modules)
exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'), {'__name__': 'a_dag'})
print(*(set(sys.modules) - before), file=sys.stderr)
"""


@pytest.mark.parametrize("path", sorted((PROJECT / "dags").glob("*.py")), ids=lambda path: path.stem)
def test_it_loads_no_slow_library(path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "plugins")}
    asked = [sys.executable, "-c", SCRIPT, path]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True, cwd=PROJECT)
    loaded = set(done.stderr.splitlines()[-1].split())

    assert "feature_sync.config.names" in loaded
    assert [name for name in SLOW if name in loaded] == []
