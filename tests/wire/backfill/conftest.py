"""Payloads and tables that several modules look at."""

import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.client import BACKFILL, DATASET, Sandbox
from tests.wire.airflow_api import AirflowApi
from tests.wire.backfill.checking import (
    OUR_TABLES,
    SOURCE_SETTINGS,
    ByHand,
    Watch,
    makes_or_proves_a_table_of_ours,
    writing_statements,
)
from tests.wire.backfill.payloads import FEATURES, INCIDENT, REPLICA, Frozen, run_steps
from tests.wire.connections import census_connection


@pytest.fixture(scope="module")
def incident(world: Sandbox) -> Frozen:  # noqa: ARG001 - the environment
    return run_steps(INCIDENT, "incident")


@pytest.fixture(scope="module")
def incident_ids(world: Sandbox) -> list[str]:
    """Properties of the incident that have every day's usual product."""
    rows = world.sql(
        f"SELECT replica.snappt_property_id_c FROM {REPLICA} AS replica INNER JOIN {FEATURES} AS features"
        " ON features.property_id = replica.snappt_property_id_c"
        " WHERE CAST(replica.created_date AS DATE) = '2025-11-21' AND features.fraud_enabled ORDER BY 1 LIMIT 20"
    )
    return [row[0] for row in rows]


@pytest.fixture
def change_table(sandbox: Sandbox) -> Iterator[Callable[[str, str], None]]:
    """Executes a statement on a table that others read too; the table is as it was afterwards."""
    changed: list[str] = []

    def change(table: str, statement: str) -> None:
        if table not in changed:
            sandbox.sql(f"CREATE OR REPLACE TABLE crm.sfdc_dbx.kept_{len(changed)} AS SELECT * FROM {table}")
            changed.append(table)
        sandbox.sql(statement.replace("{table}", table))

    yield change
    for number, table in enumerate(changed):
        sandbox.sql(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM crm.sfdc_dbx.kept_{number}")
        sandbox.sql(f"DROP TABLE crm.sfdc_dbx.kept_{number}")


@pytest.fixture
def watch(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Watch]:
    """Whatever the test is about: no data is written, and Census is only asked."""
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path / "output"))
    watch = Watch(sandbox, sandbox.seq())
    yield watch
    watch.read()
    assert [sql for sql in writing_statements(watch.entries) if not makes_or_proves_a_table_of_ours(sql)] == []
    assert [entry for entry in watch.entries if entry["kind"] == "census.request" and entry["method"] != "GET"] == []
    assert [entry for entry in watch.entries if entry["kind"] in ("census.run.started", "salesforce.transaction")] == []
    output = tmp_path / "output"
    assert not output.exists() or list(output.iterdir()) == [], "the write test left a file behind"


@pytest.fixture
def by_hand(watch: Watch) -> ByHand:
    return watch.by_hand


@pytest.fixture
def api(airflow_api: AirflowApi) -> Iterator[AirflowApi]:
    yield airflow_api
    airflow_api.reset()


@pytest.fixture
def _impatient(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the pauses between tries are shorter."""
    monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(sandbox))
    once = re.sub("(_retry_stop_after_attempts_count%22%3A%20)3", r"\g<1>1", os.environ["AIRFLOW_CONN_DATABRICKS_DEFAULT"])
    assert once != os.environ["AIRFLOW_CONN_DATABRICKS_DEFAULT"]
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", once)


@pytest.fixture
def change_sync(sandbox: Sandbox, by_hand: ByHand) -> Iterator[Callable[..., None]]:
    """Changes the sync as a person in Census would; restored afterwards."""
    with by_hand():
        original = sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]

    def change(make: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        with by_hand():
            answer = sandbox.census("PATCH", f"syncs/{BACKFILL}", json=make(json.loads(json.dumps(original))))
        assert answer.ok, answer.text

    yield change
    names = ("operation", "paused", "schedule_frequency", "mappings", "source_attributes", "destination_attributes")
    with by_hand():
        assert sandbox.census("PATCH", f"syncs/{BACKFILL}", json={name: original[name] for name in names}).ok


@pytest.fixture
def change_dataset(sandbox: Sandbox, by_hand: ByHand) -> Iterator[Callable[[str], None]]:
    """Gives the dataset another query, as a person in Census would; restored afterwards."""
    with by_hand():
        original = sandbox.census("GET", f"datasets/{DATASET}").json()["data"]["query"]

    def change(query: str) -> None:
        with by_hand():
            answer = sandbox.census("PATCH", f"datasets/{DATASET}", json={"query": query})
        assert answer.ok, answer.text

    yield change
    change(original)


@pytest.fixture
def change_source(sandbox: Sandbox, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes the settings name a table like ``table``, with other columns, or without those that become nothing."""

    def change(table: str, columns: Mapping[str, str | None]) -> str:
        name = f"crm.sfdc_dbx.other_{uuid.uuid4().hex}"
        added = "".join(f", {value} AS {column}" for column, value in columns.items() if value)
        with by_hand():
            sandbox.sql(f"CREATE TABLE {name} AS SELECT * EXCEPT ({', '.join(columns)}){added} FROM {table} LIMIT 3")
        monkeypatch.setenv(f"FEATURE_SYNC_{SOURCE_SETTINGS[table]}", name)
        return name

    return change


@pytest.fixture
def own_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Our tables under names that nobody has used yet, but for the batch table, which the sync knows by its name."""
    names = []
    for name in OUR_TABLES:
        if name != "batch_table":
            names.append(f"crm.sfdc_dbx.{name}_{uuid.uuid4().hex}")
            monkeypatch.setenv(f"FEATURE_SYNC_{name.upper()}", names[-1])
    return names


@pytest.fixture
def blocked_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Makes the settings name an output folder that would lie below a file."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path / "file" / "payloads"))
    return tmp_path / "file" / "payloads"
