"""The real world: a foreign table has the name that ours had once, and there are two copies of Salesforce, one of them stale."""

import os
from collections.abc import Iterator

import pytest

from feature_sync.config.problems import OwnTableError
from feature_sync.config.settings import load_settings
from feature_sync.storage.candidates import describe_candidates
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import FAST, Sandbox

FOREIGN = "crm.sfdc_dbx.product_property_feature_backfill"
LIVE, STALE = "crm.sfdc_replica.product_property_c", "crm.salesforce.product_property_c"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox.start(tmp_path_factory.mktemp("real") / "state", "--world", "real", **FAST)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(real: Sandbox, environment: dict[str, str], process: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The settings of this world, as its user sets them."""
    connection = "AIRFLOW_CONN_DATABRICKS_DEFAULT"
    settings = real.control("GET", "world")["settings"]
    for name, value in {**settings, connection: environment[connection].replace(str(process.port), str(real.port))}.items():
        monkeypatch.setitem(os.environ, name, value)
    return real


def state_of(sandbox: Sandbox, table: str) -> list[object]:
    return [
        sandbox.sql(f"DESCRIBE TABLE EXTENDED {table}"),
        sandbox.sql(f"SELECT * FROM {table} ORDER BY ALL"),
        sandbox.sql(f"DESCRIBE HISTORY {table}"),
    ]


def test_our_tables_are_made_beside_the_foreign_one(sandbox: Sandbox) -> None:
    before = state_of(sandbox, FOREIGN)

    with Warehouse(load_settings()) as warehouse:
        prepare_tables(warehouse)
        prepare_tables(warehouse)

    assert state_of(sandbox, FOREIGN) == before


def test_the_foreign_table_is_refused_and_stays_as_it_is_before_and_after_its_notebook(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_PAYLOAD_TABLE", FOREIGN)
    for name in ("BATCH", "SYNC_LOG", "REJECTION", "DRIFT"):
        monkeypatch.setenv(f"FEATURE_SYNC_{name}_TABLE", f"crm.sfdc_dbx.not_made_{name.lower()}")
    for _ in range(2):
        before = state_of(sandbox, FOREIGN)

        with Warehouse(load_settings()) as warehouse, pytest.raises(OwnTableError) as refused:
            prepare_tables(warehouse)

        assert refused.value.problems == [
            f"{FOREIGN} belongs to somebody else: it has no mark of ours, and it lacks our columns run_id, record_number, "
            "salesforce_id. It is neither written nor changed. Set PAYLOAD_TABLE to a name that nobody uses."
        ]
        assert state_of(sandbox, FOREIGN) == before
        sandbox.control("POST", "notebook")
    assert [row for row in sandbox.sql("SHOW TABLES IN crm.sfdc_dbx") if row[1].startswith("not_made")] == []


@pytest.mark.usefixtures("sandbox")
def test_of_two_replicas_the_one_that_is_alive_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_TABLE", "crm.sfdc_replica.product_property")

    with Warehouse(load_settings()) as warehouse:
        heading, live, stale = describe_candidates(warehouse, "crm.sfdc_replica.product_property").strip().splitlines()

    assert heading == "These have the columns id, snappt_property_id_c, the newest first:"
    assert live.strip().startswith(f"{LIVE}: 1,8")
    assert stale.strip().startswith(f"{STALE}: ")
    assert "newest row replicated at 2025-09-30 06:12 UTC, changed at 20" in stale


@pytest.mark.usefixtures("sandbox")
def test_properties_are_recognised_by_their_keys_and_our_tables_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_PROPERTIES_TABLE", "nowhere.public.properties")

    with Warehouse(load_settings()) as warehouse:
        prepare_tables(warehouse)
        lines = describe_candidates(warehouse, "nowhere.public.properties").strip().splitlines()

    assert any(line.strip().startswith("rds.pg_rds_public.properties: 2,008 rows, newest row replicated at 20") for line in lines)
    assert "feature_sync_" not in "".join(lines)


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        pytest.param("system.information_schema", LIVE, id="the-system-catalog-is-closed"),
        pytest.param("information_schema", "", id="all-are-closed"),
        pytest.param("DESCRIBE DETAIL", f"{LIVE}: it cannot be read", id="the-tables-are-closed"),
    ],
)
def test_what_cannot_be_read_hides_nothing(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, failing: str, expected: str
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_TABLE", "crm.sfdc_replica.gone")
    fault = sandbox.fault("warehouse", "fail", message="[INSUFFICIENT_PERMISSIONS] no", contains=failing)

    with Warehouse(load_settings()) as warehouse:
        said = describe_candidates(warehouse, "crm.sfdc_replica.gone")
    sandbox.control("DELETE", f"faults/{fault}")

    assert expected in said
