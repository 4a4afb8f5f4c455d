"""A sandbox process for the tests of this folder, and a warehouse without the rest of the sandbox."""

import logging
import os
import tempfile
from collections.abc import Iterator

# The hooks read Airflow's configuration when they are imported.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-of-sandbox-tests-"))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

import pytest
from airflow.providers.databricks.hooks.databricks_sql import DatabricksSqlHook
from databricks.sql.client import Connection

from sandbox.seed import seed_warehouse
from sandbox.warehouse.engine import Engine
from tests.sandbox.client import BACKFILL, FAST, PROPERTIES, Sandbox
from tests.sandbox.warehouse_client import Stand, connect
from tests.sandbox.wire import airflow_connection, serve


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


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "databricks.sql")  # else pytest keeps every message of the wire
    caplog.set_level(logging.WARNING, "databricks.sql.unsafe")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    stand = Stand(Engine(tmp_path_factory.mktemp("warehouse")))
    seed_warehouse(stand.engine)
    service = stand.service()
    server = serve(service)
    stand.port = server.server_port
    yield stand
    server.shutdown()
    server.server_close()
    service.close()
    stand.engine.close()


@pytest.fixture
def stand(served: Stand) -> Iterator[Stand]:
    yield served
    served.fault = None
    served.statements.clear()


@pytest.fixture
def connection(stand: Stand) -> Iterator[Connection]:
    with connect(stand.port, session_configuration={"TIMEZONE": "UTC"}) as connection:
        yield connection


@pytest.fixture
def hook(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> DatabricksSqlHook:
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", airflow_connection(stand.port))
    return DatabricksSqlHook("databricks_default", session_configuration={"TIMEZONE": "UTC"})
