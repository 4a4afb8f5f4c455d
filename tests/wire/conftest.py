"""A sandbox process for the tests that go over the wire, and the environment that makes the package talk to it."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from feature_sync.config.settings import load_settings
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import BACKFILL, FAST, PROJECT, PROPERTIES, Sandbox
from tests.wire.airflow_api import AirflowApi
from tests.wire.connections import salesforce_connection
from tests.wire.few import Few, few_records
from tests.wire.planned_runs import Plan, planner


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One process for all modules; it starts when the first test asks for it."""
    sandbox = Sandbox.start(tmp_path_factory.mktemp("sandbox") / "state", "--tls-port", "0", **FAST)
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="session")
def airflow_api() -> Iterator[AirflowApi]:
    """Stands in for Airflow's API server."""
    with AirflowApi().serving() as server:
        yield server


@pytest.fixture(scope="session")
def environment(process: Sandbox, airflow_api: AirflowApi, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a user would set: the two connections that the sandbox prints, and the package's own settings."""
    printed = subprocess.run(
        [sys.executable, "-m", "sandbox", "connections", "--port", str(process.port)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    connections = dict(line.split("=", 1) for line in printed.splitlines())
    output = str(tmp_path_factory.mktemp("output"))
    return connections | {
        "FEATURE_SYNC_OUTPUT_PATH": output,
        "FEATURE_SYNC_CENSUS_POLL_SECONDS": "0.2",
        "FEATURE_SYNC_AIRFLOW_API_URL": airflow_api.url,
    }


@pytest.fixture(scope="module")
def world(process: Sandbox, environment: dict[str, str]) -> Iterator[Sandbox]:
    """
    The sandbox as on the first day but with our tables, which a run's first step makes, and the environment.

    Undone at the module's end, because other tests read it too.
    """
    process.control("POST", "reset")
    process.settings(**FAST)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setitem(os.environ, name, value)
        with Warehouse(load_settings()) as warehouse:
            prepare_tables(warehouse)
        yield process


@pytest.fixture
def sandbox(world: Sandbox) -> Iterator[Sandbox]:
    """Fast, without faults, no run going on. What a test changes in data or syncs, it restores."""
    defaults = {name: row["default"] for name, row in world.control("GET", "settings/described").items()}
    world.control("DELETE", "faults")
    world.settings(**{**defaults, **FAST})
    yield world
    world.control("DELETE", "faults")
    for sync_id in (BACKFILL, PROPERTIES):
        for run in world.census("GET", f"syncs/{sync_id}/sync_runs").json()["data"]:
            if run["status"] in ("queued", "working"):
                world.census("POST", f"sync_runs/{run['id']}/cancel")


@pytest.fixture
def connected(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The same with the optional connection: Salesforce itself may be asked."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sandbox.state / "authority.pem"))
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", salesforce_connection(sandbox))
    return sandbox


@pytest.fixture(scope="module")
def plan(world: Sandbox) -> Plan:
    return planner(world)


@pytest.fixture
def three_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Three of the seven products, for tests of what is the same for each product.

    The SQL repeats itself for each product, and reading it is most of what the warehouse does with a few records.
    """
    monkeypatch.setenv("FEATURE_SYNC_FIELDS_FILE", "tests/sql/three_products.toml")


@pytest.fixture
def few(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Few]:
    yield from few_records(sandbox, monkeypatch)
