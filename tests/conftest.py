"""Airflow reads its environment when it is first imported, so it is set here, before any test imports it."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]

for name in [name for name in os.environ if name.startswith(("AIRFLOW", "FEATURE_SYNC_"))]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(PROJECT / "dags")
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(PROJECT / "plugins")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Two workers share the tests by file, but all that drive a real Airflow go to one of them, which begins with them.

    Two Airflows at once would be too much for two cores, and the longest way comes first.
    """
    for item in items:
        live = item.get_closest_marker("live") is not None
        item.add_marker(pytest.mark.xdist_group("live" if live else str(item.path)))
    items.sort(key=lambda item: item.get_closest_marker("live") is None)
