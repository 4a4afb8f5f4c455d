"""The services of the real world, as a client sees them: Census, Salesforce, the notebook, the replication, the settings."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.client import FAST, PROJECT, Sandbox, command, eventually

OURS, REGULAR, HOURLY, TRIGGERED, INSERT = 58_213, 41_877, 44_120, 52_904, 39_551
BATCH = "crm.sfdc_dbx.feature_sync_batch"
FOREIGN = "crm.sfdc_dbx.product_property_feature_backfill"
LIVE, STALE = "crm.sfdc_replica.product_property_c", "crm.salesforce.product_property_c"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox.start(tmp_path_factory.mktemp("real") / "state", "--world", "real")
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(process: Sandbox) -> Sandbox:
    process.settings(**FAST, census_updated_seconds=0, flow_fires="trigger_rollups")
    return process


def printed_settings(world: str) -> dict[str, str]:
    printed, _ = command("settings", "--world", world).communicate(timeout=60)
    return dict(line.split("=", 1) for line in printed.splitlines() if line)


def syncs(sandbox: Sandbox) -> dict[int, dict[str, Any]]:
    return {sync["id"]: sync for sync in sandbox.census("GET", "syncs").json()["data"]}


def stage(sandbox: Sandbox, keys: str, column: str = "fraud_detection_enabled_c") -> int:
    """Put a batch with the table's 19 columns in place: the live records of these keys, with a flag turned round."""
    mapped = [mapping["from"]["data"] for mapping in syncs(sandbox)[OURS]["mappings"]]
    values = ", ".join(f"NOT {name} AS {name}" if name == column else name for name in mapped)
    sandbox.sql(f"CREATE OR REPLACE TABLE {BATCH} AS SELECT DISTINCT {values} FROM {LIVE} WHERE {keys}")
    return sandbox.sql(f"SELECT count(*) FROM {BATCH}")[0][0]


class TestSettings:
    def test_each_name_exists_in_this_world(self, sandbox: Sandbox) -> None:
        lines = printed_settings("real")
        tables = {lines[f"FEATURE_SYNC_{name}_TABLE"] for name in ("PROPERTIES", "FEATURES", "SALESFORCE")}

        assert all(sandbox.sql(f"SELECT count(*) FROM {table}")[0][0] > 1_000 for table in tables)
        assert LIVE in tables
        assert lines["FEATURE_SYNC_CENSUS_SYNC_ID"] == str(OURS)
        assert lines["FEATURE_SYNC_CENSUS_PROPERTY_SYNC_ID"] == str(REGULAR)
        assert sandbox.census("GET", f"datasets/{lines['FEATURE_SYNC_CENSUS_DATASET_ID']}").ok
        assert sandbox.control("GET", "world")["settings"] == lines

    def test_none_of_our_tables_has_the_name_of_somebody_elses(self, sandbox: Sandbox) -> None:
        ours = {value for name, value in printed_settings("real").items() if name.endswith("_TABLE")}
        theirs = {f"crm.sfdc_dbx.{row[1]}" for row in sandbox.sql("SHOW TABLES IN crm.sfdc_dbx")} - {BATCH}

        assert FOREIGN in theirs
        assert ours & theirs == {"crm.sfdc_dbx.product_property_w_features"}

    def test_the_field_table_leaves_out_what_salesforce_does_not_have(self) -> None:
        table = tomllib.loads(Path(printed_settings("real")["FEATURE_SYNC_FIELDS_FILE"]).read_text(encoding="utf-8"))

        assert table["property_id"] == table["upsert_key"] == "snappt_property_id_c"
        assert [name for name, row in table["products"].items() if "updated" not in row] == [
            "fraud_detection",
            "id_verification",
            "idv_only",
        ]
        incident = tomllib.loads((PROJECT / "include" / "feature_fields.toml").read_text(encoding="utf-8"))["products"]
        assert all(row.items() <= incident[name].items() for name, row in table["products"].items())

    def test_the_default_world_needs_none(self) -> None:
        assert printed_settings("incident") == {}

    def test_the_control_endpoints_say_which_world_runs(self, sandbox: Sandbox) -> None:
        assert sandbox.control("GET", "health") == {"status": "ok", "world": "real"}
        assert set(sandbox.control("GET", "world")["syncs"].values()) == {OURS, REGULAR, HOURLY, TRIGGERED, INSERT}

    def test_a_state_folder_keeps_its_world(self, tmp_path: Path) -> None:
        other = Sandbox.start(tmp_path / "state", "--world", "real")
        other.stop()

        refused = command("--port", "0", "--state", str(other.state), "--world", "incident")
        _, said = refused.communicate(timeout=60)
        again = Sandbox.start(other.state)
        name = again.control("GET", "health")["world"]
        again.stop()

        assert (refused.returncode, len(said.splitlines())) == (2, 1)
        assert "holds the world real" in said
        assert name == "real"


class TestCensus:
    def test_five_syncs_write_the_object(self, sandbox: Sandbox) -> None:
        found = syncs(sandbox)

        assert {number: (sync["operation"], sync["schedule_frequency"]) for number, sync in found.items()} == {
            INSERT: ("insert", "never"),
            REGULAR: ("upsert", "daily"),
            HOURLY: ("update", "hourly"),
            TRIGGERED: ("update", "never"),
            OURS: ("update", "never"),
        }
        assert {sync["destination_attributes"]["object"] for sync in found.values()} == {"Product_Property__c"}
        assert "sync_sequence" in found[TRIGGERED]["mode"]["triggers"]

    def test_the_list_has_pages(self, sandbox: Sandbox) -> None:
        page = sandbox.census("GET", "syncs", params={"per_page": 2, "page": 2}).json()

        assert len(page["data"]) == 2
        assert (page["pagination"]["total_records"], page["pagination"]["last_page"]) == (5, 3)

    def test_our_source_is_a_table_that_looks_like_a_dataset(self, sandbox: Sandbox) -> None:
        source = syncs(sandbox)[OURS]["source_attributes"]["object"]

        assert (source["type"], source["query"]) == (
            "business_object_source",
            "SELECT * FROM `crm`.`sfdc_dbx`.`feature_sync_batch`",
        )

    def test_our_mappings_have_one_key_and_18_features(self, sandbox: Sandbox) -> None:
        mappings = syncs(sandbox)[OURS]["mappings"]

        assert [mapping["to"] for mapping in mappings if mapping["is_primary_identifier"]] == ["Snappt_Property_ID__c"]
        assert len(mappings) == 19

    def test_the_regular_sync_reads_a_view_whose_values_are_wrong(self, sandbox: Sandbox) -> None:
        sync = syncs(sandbox)[REGULAR]
        [(text,)] = sandbox.sql("SHOW CREATE TABLE crm.sfdc_dbx.product_property_sync_v")

        assert sync["source_attributes"]["object"]["query"] == "SELECT * FROM crm.sfdc_dbx.product_property_sync_v"
        assert len(sync["mappings"]) == 40
        assert "JOIN" not in text
        assert "p.name AS company_name_c" in text
        assert sandbox.sql("SELECT count_if(fraud_detection_enabled_c) FROM crm.sfdc_dbx.product_property_sync_v") == [(0,)]

    @pytest.mark.parametrize(("path", "count"), [("sources", 2), ("destinations", 2), ("datasets", 4), ("datasets?type=sql", 4)])
    def test_other_lists(self, sandbox: Sandbox, path: str, count: int) -> None:
        answer = sandbox.census("GET", path).json()

        assert (answer["status"], len(answer["data"]), answer["pagination"]["total_records"]) == ("success", count, count)
        assert all({"id", "name", "created_at"} <= set(entry) for entry in answer["data"])

    def test_an_update_sends_what_no_two_records_share(self, sandbox: Sandbox) -> None:
        shared = (
            f"SELECT snappt_property_id_c FROM {LIVE} WHERE NOT is_deleted AND NOT _fivetran_deleted"
            " GROUP BY 1 HAVING count(*) > 1"
        )
        alone = f"SELECT snappt_property_id_c FROM {LIVE} GROUP BY 1 HAVING count(*) = 1"
        stage(sandbox, f"snappt_property_id_c IN ({alone} ORDER BY 1 LIMIT 60)")
        sandbox.sql(
            f"UPDATE {BATCH} SET snappt_property_id_c = (SELECT max(snappt_property_id_c) FROM ({shared}))"
            f" WHERE snappt_property_id_c = (SELECT min(snappt_property_id_c) FROM {BATCH})"
        )

        run = sandbox.send(OURS)

        assert (run["status"], run["records_processed"], run["records_updated"], run["records_failed"]) == (
            "completed",
            60,
            59,
            1,
        )
        [rejected] = sandbox.records(run["id"], status="rejected")
        assert rejected["status_message"].startswith("DUPLICATE_EXTERNAL_ID: Snappt_Property_ID__c: more than one record found")

    def test_the_flow_only_runs_for_rows_that_fire_it(self, sandbox: Sandbox) -> None:
        alone = f"SELECT snappt_property_id_c FROM {LIVE} GROUP BY 1 HAVING count(*) = 1"
        stage(sandbox, f"snappt_property_id_c IN ({alone} ORDER BY 1 DESC LIMIT 180)")

        quiet = sandbox.send(OURS)
        fired = sandbox.send(INSERT)

        assert (quiet["records_updated"], quiet["records_failed"]) == (180, 0)
        assert fired["records_failed"] == 200  # the first transaction; the rest of the rows is few enough
        [message] = {row["status_message"].splitlines()[2] for row in sandbox.records(fired["id"], status="rejected")}
        assert message == "Limit Exceeded"

    def test_an_insert_leaves_existing_records_alone(self, sandbox: Sandbox) -> None:
        sandbox.settings(flow_enabled=False)
        before = sandbox.soql("SELECT COUNT() FROM Product_Property__c")["totalSize"]

        run = sandbox.send(INSERT)

        after = sandbox.soql("SELECT COUNT() FROM Product_Property__c")["totalSize"]
        sandbox.settings(flow_enabled=True)
        assert after - before == run["records_updated"] > 100

    def test_a_run_is_still_updated_after_its_end_and_its_records_come_late(self, sandbox: Sandbox) -> None:
        sandbox.settings(census_updated_seconds=2.0, records_visible_seconds=2.0)
        alone = f"SELECT snappt_property_id_c FROM {LIVE} GROUP BY 1 HAVING count(*) = 1"
        stage(sandbox, f"snappt_property_id_c IN ({alone} ORDER BY 1 LIMIT 3)", "vor_start_date_c IS NULL AS x")

        run = sandbox.ended(sandbox.trigger(OURS))
        first = sandbox.records(run["id"])
        moved = eventually(lambda: now if (now := sandbox.run(run["id"]))["updated_at"] > run["updated_at"] else None)

        assert first == []
        assert moved["completed_at"] == run["completed_at"]
        assert len(eventually(lambda: sandbox.records(run["id"]))) == 3


class TestTheRest:
    def test_the_notebook_rebuilds_a_table_of_another_schema(self, sandbox: Sandbox) -> None:
        sandbox.sql(f"ALTER TABLE {FOREIGN} ADD COLUMNS (run_id STRING)")
        before = sandbox.sql(f"DESCRIBE DETAIL {FOREIGN}")[0].lastModified

        told = sandbox.control("POST", "notebook")

        columns = [row[0] for row in sandbox.sql(f"DESCRIBE {FOREIGN}")]
        assert told == {"table": FOREIGN, "rows": sandbox.sql(f"SELECT count(*) FROM {FOREIGN}")[0][0]}
        assert columns == ["property_id", "product", "is_enabled", "enabled_date", "built_at"]
        assert sandbox.sql(f"DESCRIBE DETAIL {FOREIGN}")[0].lastModified > before
        assert sandbox.journal("notebook")

    def test_the_notebook_may_trigger_a_sync(self, sandbox: Sandbox) -> None:
        told = sandbox.control("POST", "notebook", {"sync_id": TRIGGERED})

        assert sandbox.ended(told["sync_run_id"])["sync_trigger_reason"]["ui_tag"] == "API Request"

    def test_replication_writes_the_live_replica_alone(self, sandbox: Sandbox) -> None:
        [record] = sandbox.soql("SELECT Id, Notes__c FROM Product_Property__c WHERE Notes__c = null LIMIT 1")["records"]
        stale = sandbox.sql(f"SELECT max(_fivetran_synced), count(*) FROM {STALE}")

        sandbox.salesforce("PATCH", f"sobjects/Product_Property__c/{record['Id']}", json={"Notes__c": "seen"})

        eventually(
            lambda: sandbox.sql(f"SELECT notes_c, _fivetran_deleted FROM {LIVE} WHERE id = '{record['Id']}'") == [("seen", False)]
        )
        assert sandbox.sql(f"SELECT max(_fivetran_synced), count(*) FROM {STALE}") == stale

    def test_salesforce_answers_an_ambiguous_key_with_the_addresses(self, sandbox: Sandbox) -> None:
        [(key,)] = sandbox.sql(
            f"SELECT max(snappt_property_id_c) FROM (SELECT snappt_property_id_c FROM {LIVE} WHERE NOT is_deleted"
            " AND NOT _fivetran_deleted GROUP BY 1 HAVING count(*) = 2)"
        )

        answer = sandbox.salesforce("GET", f"sobjects/Product_Property__c/Snappt_Property_ID__c/{key}")

        assert (answer.status_code, len(answer.json())) == (300, 2)

    def test_soql_and_describe_know_the_control_fields(self, sandbox: Sandbox) -> None:
        fields = {
            each["name"]: each for each in sandbox.salesforce("GET", "sobjects/Product_Property__c/describe").json()["fields"]
        }

        assert fields["Exclude_From_Flow__c"]["type"] == "boolean"
        assert (fields["Snappt_Property_ID__c"]["externalId"], fields["Snappt_Property_ID__c"]["unique"]) == (True, False)
        assert sandbox.soql("SELECT COUNT() FROM Product_Property__c WHERE Exclude_From_Flow__c = true")["totalSize"] > 0
