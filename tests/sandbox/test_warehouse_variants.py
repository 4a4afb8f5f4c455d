"""The statements of ``include/sql`` on the sandbox's warehouse, with settings by which their text changes in more than names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_sync.config.settings import Settings
from feature_sync.storage.warehouse import Warehouse
from sandbox.seed import seed_warehouse
from sandbox.warehouse.engine import Engine
from sandbox.warehouse.service import WarehouseService
from tests.sandbox.warehouse_client import ask, connect
from tests.sandbox.wire import TOKEN, airflow_connection, serve
from tests.spark.variants import change_settings, variants
from tests.sql.data import fill_copy, spoil, thin_out
from tests.sql.script import adapt, script_for
from tests.sql.steps import Change


@pytest.fixture
def changed(variant: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return change_settings(variant, monkeypatch)


@pytest.fixture
def port(changed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    engine = Engine(tmp_path / "warehouse")
    seed_warehouse(engine)
    fill_copy(engine)
    thin_out(engine)
    spoil(engine)
    adapt(engine, changed)
    service = WarehouseService(engine, lambda: TOKEN, lambda _: None)
    server = serve(service)
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", airflow_connection(server.server_port))
    yield server.server_port
    server.shutdown()
    server.server_close()
    service.close()
    engine.close()


@variants
def test_every_statement_that_depends_on_settings_is_executed(port: int, changed: Settings) -> None:
    with Warehouse(changed) as warehouse, connect(port) as others:
        for step in script_for(changed):
            if isinstance(step, Change):
                ask(others, step.text)
            else:
                warehouse.fetch_all(step.statement, step.parameters, step.names)
