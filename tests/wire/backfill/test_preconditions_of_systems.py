"""What the first step of a run finds wrong in Census and in the warehouse."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from feature_sync.config import connections
from feature_sync.config.problems import GuardError, NotReadyError
from feature_sync.config.settings import load_settings
from feature_sync.storage.marks import own_tables
from tests.late_secrets import use_site_backend
from tests.sandbox.client import BACKFILL, DATASET, Sandbox
from tests.wire.airflow_api import AirflowApi
from tests.wire.backfill.checking import (
    FEATURES,
    INCIDENT,
    OUR_TABLES,
    PROPERTIES,
    REPLICA,
    ByHand,
    Watch,
    check,
    problems_of,
    statements_of,
)

pytestmark = pytest.mark.usefixtures("watch")


class TestCensus:
    def test_a_sync_that_was_changed_is_refused_with_each_difference_that_was_found(
        self, change_sync: Callable[..., None]
    ) -> None:
        def change(sync: dict[str, Any]) -> dict[str, Any]:
            mappings = sync["mappings"][:-1]
            constant = {"type": "constant_value", "data": {"value": False, "basic_type": "boolean"}}
            mappings[2] |= {"from": constant}
            mappings[3] |= {"sync_null_values": False}
            mappings[5] |= {"from": {"type": "column", "data": "idv_only_enabled_c"}}
            return {
                "operation": "upsert",
                "paused": True,
                "schedule_frequency": "hourly",
                "source_attributes": sync["source_attributes"] | {"object": {"type": "dataset", "id": 815}},
                "destination_attributes": sync["destination_attributes"] | {"object": "Account"},
                "mappings": [*mappings, mappings[0] | {"to": "Name", "is_primary_identifier": False}],
            }

        change_sync(change)

        problems = problems_of(INCIDENT)

        expected = [
            "its behavior is 'upsert'; it must be 'update', so that no record is created or deleted.",
            "it writes to Account; it must write to Product_Property__c.",
            "it reads dataset 815, whose query reads rds.pg_rds_public.properties and has a WHERE; it must read all of the"
            " table crm.sfdc_dbx.feature_sync_batch, and nothing else.",
            "it is paused; resume it in Census.",
            "it runs on the schedule 'hourly'; it must be manual, because each batch is triggered.",
            "it does not map vor_updated_date__c. If Salesforce has no such field, remove `updated` from verification_of_rent in"
            " feature_fields.toml (line 18).",
            "it also maps Name; remove them.",
            "fraud_detection_enabled__c is mapped from a constant_value; it must be mapped from fraud_detection_enabled_c.",
            "fraud_detection_start_date__c does not sync null values, so a wrong date would stay; switch on 'sync null values'.",
            "income_verification_enabled__c is mapped from idv_only_enabled_c; it must be mapped from"
            " income_verification_enabled_c.",
        ]
        assert [problem.casefold() for problem in problems] == [f"Census sync {BACKFILL}: {text}".casefold() for text in expected]

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            pytest.param(lambda _: {"operation": "upsert"}, "its behavior is 'upsert'; it must be 'update'", id="operation"),
            pytest.param(
                lambda sync: {"mappings": sync["mappings"][:-1]}, "it does not map vor_updated_date__c", id="mapping-removed"
            ),
        ],
    )
    def test_one_difference_is_enough(
        self, change_sync: Callable[..., None], change: Callable[[dict[str, Any]], dict[str, Any]], complaint: str
    ) -> None:
        change_sync(change)

        [problem] = problems_of(INCIDENT)

        assert problem.startswith(f"Census sync {BACKFILL}: {complaint}")

    @pytest.mark.parametrize(
        ("query", "complaint"),
        [
            pytest.param("SELECT * FROM `crm`.`sfdc_dbx`.`feature_sync_batch`", None, id="the-whole-table"),
            pytest.param(
                "SELECT * FROM crm.sfdc_dbx.feature_sync_batch LIMIT 50",
                "it reads dataset 815, whose query has a LIMIT; it must read all of the table",
                id="limited",
            ),
        ],
    )
    def test_a_dataset_counts_as_the_table_only_if_it_is_all_of_it(
        self, change_sync: Callable[..., None], change_dataset: Callable[[str], None], query: str, complaint: str | None
    ) -> None:
        change_dataset(query)
        change_sync(
            lambda sync: {"source_attributes": sync["source_attributes"] | {"object": {"type": "dataset", "id": DATASET}}}
        )

        if complaint is None:
            assert check(INCIDENT)["records"] == 1_296
        else:
            [problem] = problems_of(INCIDENT)
            assert problem.startswith(f"Census sync {BACKFILL}: {complaint}")

    def test_a_sync_that_was_corrected_passes_again(self, change_sync: Callable[..., None]) -> None:
        change_sync(lambda _: {"paused": True})
        assert len(problems_of(INCIDENT)) == 1

        change_sync(lambda _: {"paused": False})

        assert check(INCIDENT)["records"] == 1_296

    def test_other_syncs_that_write_the_object_are_named_in_the_log_and_refuse_nothing(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")

        assert check(INCIDENT)["records"] == 1_296

        said = "Census sync 4712 (Product Property sync) writes Product_Property__c too: hourly at minute 0"
        assert said in caplog.text

    def test_a_token_that_may_not_list_the_syncs_is_reported_with_the_reason_for_asking(self, sandbox: Sandbox) -> None:
        sandbox.fault("list_syncs", "status", code=403)

        [problem] = problems_of(INCIDENT)

        assert problem.startswith("Census's list of syncs cannot be read (census_default): ")
        assert problem.endswith(
            "Each batch waits for the runs of all syncs that write Product_Property__c, so they must be known."
        )

    def test_a_sync_that_does_not_exist_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_CENSUS_SYNC_ID", "99")

        [problem] = problems_of(INCIDENT)

        assert problem == "Census sync 99 cannot be read (census_default): Census answered GET syncs/99 with 404"

    def test_a_token_that_has_expired_is_reported_with_the_cause(self, sandbox: Sandbox) -> None:
        sandbox.fault("fetch_sync", "token_expired")

        [problem] = problems_of(INCIDENT)

        assert problem.startswith(f"Census sync {BACKFILL} cannot be read (census_default): ")
        assert "with 401. Check the token of the connection" in problem

    @pytest.mark.usefixtures("_impatient")
    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            pytest.param({"fault": "refuse"}, "Census did not answer GET syncs/4711", id="down"),
            pytest.param({"fault": "status", "code": 503}, "Census answered GET syncs/4711 with 503", id="503"),
            pytest.param({"fault": "not_json"}, "with something other than JSON", id="not-json"),
        ],
    )
    def test_an_outage_is_worth_another_try(self, sandbox: Sandbox, fault: dict[str, Any], said: str) -> None:
        sandbox.fault("fetch_sync", **fault)

        [problem] = problems_of(INCIDENT, NotReadyError)

        assert problem.startswith(f"Census sync {BACKFILL} cannot be read (census_default): ")
        assert said in problem

    def test_a_wrong_token_is_reported_without_the_token(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        connection = {"conn_type": "http", "host": sandbox.url, "password": "census-pat-wrong-and-secret"}
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", json.dumps(connection))

        [problem] = problems_of(INCIDENT)

        assert "401" in problem
        assert "census-pat-wrong-and-secret" not in problem

    def test_a_connection_without_a_token_is_named(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", json.dumps({"conn_type": "http", "host": sandbox.url}))

        [problem] = problems_of(INCIDENT)

        assert "Connection census_default has no password; it must hold the Census token." in problem

    @pytest.mark.parametrize(
        "connection",
        [
            pytest.param(None, id="missing"),
            pytest.param({"host": "no host"}, id="no-url"),
            pytest.param(
                {"host": "http://[::1"},
                id="half-an-address",
            ),
            pytest.param({"password": "se\ncret"}, id="token-with-a-line-break"),
        ],
    )
    def test_a_missing_or_wrong_connection_is_reported_with_the_other_problems(
        self, sandbox: Sandbox, api: AirflowApi, connection: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.pool = {"name": "census_sync", "exists": False}
        if connection is None:
            monkeypatch.delenv("AIRFLOW_CONN_CENSUS_DEFAULT")
        else:
            wrong = {"conn_type": "http", "host": sandbox.url, "password": "secret"} | connection
            monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", json.dumps(wrong))

        pool, census = problems_of(INCIDENT)

        assert pool.startswith("Pool census_sync does not exist")
        assert "census_default" in census
        assert "cret" not in census


class TestWarehouse:
    @pytest.mark.parametrize(
        ("table", "columns", "complaints"),
        [
            pytest.param(
                PROPERTIES,
                {"id": "CAST(id AS DOUBLE)", "company_id": None},
                [
                    " lacks the columns company_id. Check the table's name in the settings, or add them.",
                    ": id is double; it must be bigint or decimal or int or smallint or string or tinyint.",
                ],
                id="properties",
            ),
            pytest.param(
                FEATURES,
                {
                    "property_id": "CAST(property_id AS BIGINT)",
                    "fraud_enabled": "CAST(fraud_enabled AS INT)",
                    "idv_enabled": None,
                    "vor_enabled_at": "CAST(vor_enabled_at AS STRING)",
                    "vor_updated_at": None,
                },
                [
                    " lacks idv_enabled. If there is no such column, remove id_verification from feature_fields.toml (line 14).",
                    " lacks vor_updated_at. If there is no such column,"
                    " remove `updated` from verification_of_rent in feature_fields.toml (line 18).",
                    ": property_id is bigint; it must be string.",
                    ": fraud_enabled is int; it must be boolean."
                    ' If the flags are stored so, write flag_type = "number" in feature_fields.toml.',
                    ": vor_enabled_at is string; it must be date or timestamp or timestamp_ntz.",
                ],
                id="features",
            ),
            pytest.param(
                REPLICA,
                {
                    "snappt_property_id_c": None,
                    "reverse_etl_id_c": "1",
                    "bank_linking_enabled_c": "CAST(bank_linking_enabled_c AS STRING)",
                    "vor_start_date_c": "CAST(vor_start_date_c AS STRING)",
                    "created_date": "CAST(created_date AS DATE)",
                    "system_modstamp": None,
                    "_fivetran_synced": None,
                },
                [
                    " lacks the columns system_modstamp, _fivetran_synced. Check the table's name in the settings, or add them.",
                    " lacks snappt_property_id_c."
                    " If Salesforce has no such field, correct `property_id` in feature_fields.toml (line 7).",
                    ": reverse_etl_id_c is int; it must be string.",
                    ": bank_linking_enabled_c is string; it must be boolean.",
                    ": vor_start_date_c is string; it must be date.",
                    ": created_date is date; it must be timestamp or timestamp_ntz.",
                ],
                id="replica-of-salesforce",
            ),
        ],
    )
    def test_columns_that_are_missing_or_mistyped_are_named_with_what_was_found(
        self, change_source: Callable[..., str], table: str, columns: dict[str, str | None], complaints: list[str]
    ) -> None:
        name = change_source(table, columns)

        problems = problems_of(INCIDENT)

        # A table that lacks a key may be the wrong one, so the tables follow that could be meant.
        assert [problem.partition("\n")[0] for problem in problems] == [f"{name}{complaint}" for complaint in complaints]

    def test_a_date_that_is_a_time_in_salesforce_points_to_the_setting(self, change_source: Callable[..., str]) -> None:
        name = change_source(REPLICA, {"vor_start_date_c": "CAST(vor_start_date_c AS TIMESTAMP)"})

        [problem] = problems_of(INCIDENT)

        assert problem == (
            f"{name}: vor_start_date_c is timestamp; it must be date. If vor_start_date__c is a Date/Time field in Salesforce, "
            "add it to DATETIME_FIELDS."
        )

    def test_a_time_that_is_a_date_in_salesforce_points_to_the_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_DATETIME_FIELDS", '["vor_start_date_c"]')

        source, *_ = problems_of(INCIDENT)

        assert source == (
            f"{REPLICA}: vor_start_date_c is date; it must be timestamp or timestamp_ntz. "
            "If vor_start_date__c is a Date field in Salesforce, remove it from DATETIME_FIELDS."
        )

    def test_tables_that_are_missing_are_all_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_FEATURES_TABLE", "crm.sfdc_dbx.not_there")
        monkeypatch.setenv("FEATURE_SYNC_PROPERTIES_TABLE", "crm.nowhere.properties")

        properties, features = problems_of(INCIDENT)

        assert f"\n    {PROPERTIES}: 10,050 rows, changed at 20" in properties
        assert f"\n    {FEATURES}: 9,735 rows, changed at 20" in features
        assert properties.startswith("crm.nowhere.properties cannot be read: ")
        assert features.startswith("crm.sfdc_dbx.not_there cannot be read: ")
        assert "[TABLE_OR_VIEW_NOT_FOUND]" in features

    def test_a_statement_that_fails_is_reported_with_its_name_and_the_warehouses_words(self, sandbox: Sandbox) -> None:
        sandbox.fault("warehouse", "fail", message="[INTERNAL_ERROR] out of luck", contains="current_timezone()")

        [problem] = problems_of(INCIDENT)

        assert problem == "The statement backfill/count_scope.sql failed: [INTERNAL_ERROR] out of luck"

    @pytest.mark.usefixtures("_impatient")
    @pytest.mark.parametrize("statement", ["DESCRIBE TABLE", "current_timezone()", "DELETE FROM"])
    def test_an_outage_between_statements_is_worth_another_try_too(self, sandbox: Sandbox, statement: str) -> None:
        sandbox.fault("warehouse", "refuse", contains=statement)

        problems = problems_of(INCIDENT, NotReadyError)

        assert all(".sql" in problem for problem in problems)

    def test_a_wrong_token_is_reported_without_the_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        address = os.environ["AIRFLOW_CONN_DATABRICKS_DEFAULT"]
        monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", address.replace("dapi-local", "dapi-wrong-and-secret"))

        with pytest.raises(GuardError) as refused:
            check(INCIDENT)

        assert "The warehouse cannot be reached (databricks_default): " in str(refused.value)
        assert "Invalid access token" in str(refused.value)
        assert "dapi-wrong-and-secret" not in str(refused.value)

    def test_a_connection_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AIRFLOW_CONN_DATABRICKS_DEFAULT")

        with pytest.raises(GuardError, match=r"Connection databricks_default is missing\. It was looked for in Env"):
            check(INCIDENT)

    def test_a_secrets_backend_that_does_not_answer_is_worth_another_try(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of the connection to Salesforce nobody knows then whether there is one, so that it need not be there is no way out."""
        monkeypatch.setattr(connections, "PAUSES", (0.1,))
        for name in ("DATABRICKS", "CENSUS"):
            monkeypatch.delenv(f"AIRFLOW_CONN_{name}_DEFAULT")
        use_site_backend(monkeypatch).failures = 1000

        problems = problems_of(INCIDENT, NotReadyError)

        assert sum("cannot be read now: no answer from SiteBackend (ConnectionError)" in problem for problem in problems) == 3, (
            "also that to Salesforce"
        )


class TestOurTables:
    def test_on_a_fresh_warehouse_they_are_created_proven_writable_and_stay_empty(
        self, sandbox: Sandbox, watch: Watch, by_hand: ByHand
    ) -> None:
        settings = load_settings()
        names = [getattr(settings, name) for name in OUR_TABLES]
        with by_hand():
            for name in names:
                sandbox.sql(f"DROP TABLE {name}")

        check(INCIDENT)

        watch.read()
        statements = statements_of(watch.entries)
        assert sorted(sql.split()[5] for sql in statements if sql.startswith("CREATE TABLE")) == sorted(names)
        assert sorted(sql for sql in statements if "DELETE FROM" in sql) == sorted(
            f"DELETE FROM {name} WHERE FALSE" for name in names
        )
        assert [sandbox.sql(f"SELECT count(*) FROM {name}")[0][0] for name in names] == [0] * len(names)

    def test_one_of_an_older_version_gets_the_columns_it_lacks_and_keeps_its_rows(
        self, sandbox: Sandbox, watch: Watch, by_hand: ByHand, own_names: list[str]
    ) -> None:
        with by_hand():
            sandbox.sql(
                f"CREATE TABLE {own_names[0]} TBLPROPERTIES ('feature_sync.table' = 'payload/1') AS SELECT 'old' AS run_id,"
                " 'id' AS salesforce_id, CAST(NULL AS BIGINT) AS record_number, TRUE AS fraud_detection_enabled_c"
            )

        check(INCIDENT)

        watch.read()
        added = [sql for sql in statements_of(watch.entries) if sql.startswith("ALTER")]
        columns = [row[0] for row in sandbox.sql(f"DESCRIBE TABLE {own_names[0]}")]
        assert len(added) == 1
        assert {"record_number", "salesforce_id", "vor_updated_date_c", "before_vor_updated_date_c"} <= set(columns)
        assert len(columns) == len(set(columns)) == 10 + 23 + 21
        assert sandbox.sql(f"SELECT run_id, fraud_detection_enabled_c, record_number FROM {own_names[0]}") == [
            ("old", True, None)
        ]

    def test_those_with_other_types_are_all_reported_at_once(
        self, sandbox: Sandbox, by_hand: ByHand, own_names: list[str]
    ) -> None:
        with by_hand():
            for table in own_tables(load_settings()):
                if table.name in own_names:
                    others = ", ".join(f"1 AS {column}" for column in table.keys)
                    made = f"CREATE OR REPLACE TABLE {table.name} TBLPROPERTIES ({table.mark_property}) AS SELECT {others}"
                    sandbox.sql(made)

        # The scope is not counted, because accepted differences are in one of these tables.
        tables = problems_of(INCIDENT)

        first = {name: "class" if "accepted" in name else "run_id" for name in own_names}
        expected = [f"{name} was created with other types: {first[name]} is int, now it must be string" for name in own_names]
        assert [problem[: len(start)] for problem, start in zip(tables, expected, strict=True)] == expected

    def test_one_that_may_not_be_written_is_named(self, sandbox: Sandbox) -> None:
        batch_table = load_settings().batch_table
        sandbox.fault(
            "warehouse",
            "fail",
            message="[INSUFFICIENT_PERMISSIONS] Insufficient privileges: MODIFY. SQLSTATE: 42501",
            contains=f"DELETE FROM {batch_table} WHERE FALSE",
        )

        [problem] = problems_of(INCIDENT)

        assert batch_table in problem
        assert "INSUFFICIENT_PERMISSIONS" in problem
