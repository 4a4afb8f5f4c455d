"""The real world for the tests of this room: a sandbox of its own, whose regular sync reads a view."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.sandbox.client import FAST, PROJECT, Sandbox
from tests.wire.connections import census_connection

VIEW = "crm.sfdc_dbx.product_property_sync_v"
REGULAR, REGULAR_DATASET = 41_877, 6_021


@pytest.fixture(scope="module")
def real_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox.start(tmp_path_factory.mktemp("real") / "state", "--world", "real", **FAST)
    sandbox.control("POST", "replication", {})
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def real_environment(real_process: Sandbox) -> dict[str, str]:
    """What a user would set: the connections and the package's settings that the sandbox prints for this world."""
    environment = {}
    for command in (["connections", "--port", str(real_process.port)], ["settings", "--world", "real"]):
        printed = subprocess.run(
            [sys.executable, "-m", "sandbox", *command], cwd=PROJECT, capture_output=True, text=True, check=True
        ).stdout
        environment |= dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    return environment


@pytest.fixture
def real(real_process: Sandbox, real_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The real world with the package's settings for it. Its view, its dataset and its sync are restored afterwards."""
    for name, value in real_environment.items():
        monkeypatch.setitem(os.environ, name, value)
    monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(real_process))
    [[_, view]] = [
        row for row in real_process.sql(f"DESCRIBE TABLE EXTENDED {VIEW}") if row[0] == "View Text" for row in [row[:2]]
    ]
    dataset = real_process.census("GET", f"datasets/{REGULAR_DATASET}").json()["data"]
    mappings = real_process.census("GET", f"syncs/{REGULAR}").json()["data"]["mappings"]
    yield real_process
    real_process.control("DELETE", "faults")
    real_process.sql(f"CREATE OR REPLACE VIEW {VIEW} AS\n{view}")
    real_process.census("PATCH", f"datasets/{REGULAR_DATASET}", json={"query": dataset["query"]})
    source = {"connection_id": 1_204, "object": {"type": "dataset", "id": REGULAR_DATASET}}
    real_process.census("PATCH", f"syncs/{REGULAR}", json={"mappings": mappings, "source_attributes": source})
