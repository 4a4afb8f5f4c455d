"""A sandbox process for the tests of this folder."""

import os
import tempfile
from collections.abc import Iterator

# The hooks read Airflow's configuration when they are imported.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-of-sandbox-tests-"))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

import pytest

from tests.sandbox.client import BACKFILL, FAST, PROPERTIES, Sandbox


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox.start(tmp_path_factory.mktemp("sandbox") / "state")
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(process: Sandbox) -> Iterator[Sandbox]:
    """The shared process: fast, without faults, no run going on, both syncs as they were seeded."""
    defaults = {name: row["default"] for name, row in process.control("GET", "settings/described").items()}
    process.control("DELETE", "faults")
    process.settings(**{**defaults, **FAST})
    yield process
    process.control("DELETE", "faults")
    for run in (
        run for sync in (BACKFILL, PROPERTIES) for run in process.census("GET", f"syncs/{sync}/sync_runs").json()["data"]
    ):
        if run["status"] in ("queued", "working"):
            process.census("POST", f"sync_runs/{run['id']}/cancel")
