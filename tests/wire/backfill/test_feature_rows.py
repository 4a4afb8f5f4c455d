"""A feature table that has more than one row of a property, empty flags, or rows that the replication has deleted."""

from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, freeze_payload
from feature_sync.backfill.scope import count_scope
from feature_sync.config.problems import GuardError, RunConfigError
from feature_sync.config.run_config import parse_run_config
from feature_sync.config.settings import load_settings
from feature_sync.reconciliation.comparison import DriftError, conclude
from feature_sync.reconciliation.verdict import Finding, Steps
from feature_sync.storage.run_files import run_files
from feature_sync.storage.warehouse import Warehouse
from tests.wire.backfill.checking import check, problems_of
from tests.wire.backfill.payloads import rows_of
from tests.wire.few import Few

NOTHING = Finding(heals=False, question=None, run_config={}, reason="", mismatched=0)
DONE = Steps(replica="success", comparison="success", approval="skipped", healing="skipped")
KEY = "snappt_property_id_c"


def repeat(few: Few, property_id: str, changes: str = "row_id") -> None:
    """Add a row of a property that is like its own but for ``changes``, a list of values with names."""
    few.sql("CREATE OR REPLACE TABLE {features} AS SELECT *, 1 AS row_id FROM {features}")
    names = [change.rpartition(" AS ")[2] for change in changes.split(", ")]
    added = "" if changes == "row_id" else f", {changes}"
    kept = ", ".join({"row_id", *names})
    few.sql(
        f"INSERT INTO {{features}} BY NAME SELECT * EXCEPT ({kept}), 2 AS row_id{added} FROM {{features}}"
        f" WHERE property_id = '{property_id}'"
    )


def frozen(few: Few, run_id: str) -> list[str]:
    rows = few.sql(f"SELECT {KEY} FROM {load_settings().payload_table} WHERE run_id = '{run_id}' ORDER BY 1")
    return [row[0] for row in rows]


def left_out(run_id: str) -> Path:
    return Path(str(run_files(load_settings(), run_id).records_left_out))


class TestEqualRows:
    def test_they_count_as_one_everywhere(self, few: Few) -> None:
        ids = few.ids()
        few.sql(
            "CREATE OR REPLACE TABLE {features} AS SELECT *, number FROM {features}, (SELECT explode(sequence(1, 3)) AS number)"
        )

        report, rows = few.compare()
        freeze_payload({"scope": "all"}, "equal-rows")
        checked = check_payload({"scope": "all"}, "equal-rows")

        assert (report["properties_checked"], rows) == (8, [])
        assert (checked.records, frozen(few, "equal-rows")) == (8, ids)
        assert sorted(row[KEY] for row in few.query("deployment/select_property_sync")) == ids
        assert few.query("deployment/select_feature_sync") == []
        assert not left_out("equal-rows").exists()

    def test_one_that_is_wrong_in_salesforce_is_in_the_feature_sync_once(self, few: Few) -> None:
        [one, *_] = few.ids()
        repeat(few, one)
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE {KEY} = '{one}'")

        assert [row[KEY] for row in few.query("deployment/select_feature_sync")] == [one]


class TestUnequalRows:
    @pytest.mark.parametrize("change", ["FALSE AS fraud_enabled", "NULL AS idv_only_enabled", "NULL AS fraud_enabled_at"])
    def test_they_are_a_class_of_their_own_in_the_weekly_run(self, few: Few, change: str) -> None:
        [one, *_] = few.ids()
        repeat(few, one, change)

        report, [row] = few.compare()

        assert {name: count for name, count in report["differences"].items() if count} == {"ambiguous_features": 1}
        assert (report["properties_checked"], report["properties_mismatched"]) == (7, 0)
        assert (row["class"], row[KEY]) == ("ambiguous_features", one)
        with pytest.raises(DriftError) as red:
            conclude("few", NOTHING, DONE)
        assert (
            "1 record in Salesforce belongs to a property with unequal rows in the feature table, or one that misspells its id. "
            in str(red.value)
        )
        assert "in Salesforce, or" not in str(red.value)

    @pytest.mark.parametrize("scope", ["mismatched", "all", "created_between", "property_ids"])
    def test_such_a_record_is_sent_in_no_scope_and_the_others_are(self, few: Few, scope: str) -> None:
        ids = few.ids()
        one, two = ids[:2]
        repeat(few, one, "FALSE AS fraud_enabled")
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE {KEY} IN ('{one}', '{two}')")
        asked: dict[str, Any] = {
            "mismatched": {},
            "all": {},
            "created_between": {"created_from": "2020-01-01", "created_to": "2030-01-01"},
            "property_ids": {"property_ids": [one, two]},
        }
        conf = {"scope": scope, **asked[scope]}
        run_id = f"unequal-{scope}"

        freeze_payload(conf, run_id)
        checked = check_payload(conf, run_id)

        sent = [two] if scope in ("mismatched", "property_ids") else ids[1:]
        assert (checked.records, frozen(few, run_id)) == (len(sent), sent)
        assert [(row[KEY], row["reason"]) for row in rows_of(left_out(run_id))] == [(one, "ambiguous_features")]
        preview = Path(str(run_files(load_settings(), run_id).preview)).read_text()
        assert '"records_ambiguous": 1' in preview

    def test_no_source_query_sends_such_a_property(self, few: Few) -> None:
        one, two, *others = few.ids()
        repeat(few, one, "FALSE AS fraud_enabled")
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE {KEY} IN ('{one}', '{two}')")

        assert sorted(row[KEY] for row in few.query("deployment/select_property_sync")) == [two, *others]
        assert [row[KEY] for row in few.query("deployment/select_feature_sync")] == [two]

    def test_a_scope_of_such_records_alone_says_why_nothing_can_be_sent(self, few: Few) -> None:
        [one, *_] = few.ids()
        repeat(few, one, "FALSE AS fraud_enabled")
        config = parse_run_config({"scope": "property_ids", "property_ids": [one]})

        with Warehouse(load_settings()) as warehouse, pytest.raises(RunConfigError) as refused:
            count_scope(warehouse, config, 100)

        assert "1 record is left out, because crm.sfdc_dbx.few_features has unequal rows" in str(refused.value)
        assert "FEATURES_ORDER_COLUMN" in str(refused.value)

    def test_the_list_is_gone_when_a_new_freezing_leaves_out_none(self, few: Few) -> None:
        [one, *_] = few.ids()
        repeat(few, one, "FALSE AS fraud_enabled")
        freeze_payload({"scope": "all"}, "again")
        listed = left_out("again").exists()
        few.sql("DELETE FROM {features} WHERE row_id = 2")

        freeze_payload({"scope": "all"}, "again")

        assert (listed, left_out("again").exists()) == (True, False)


class TestOrderColumn:
    @pytest.mark.parametrize(
        ("old", "new", "enabled"),
        [
            pytest.param("1", "2", False, id="the-second-row-is-newer"),
            pytest.param("2", "1", True, id="the-first-row-is-newer"),
            pytest.param("1", "NULL", True, id="no-time-is-oldest"),
            pytest.param("1", "1", None, id="equally-new"),
            pytest.param("NULL", "NULL", None, id="no-times"),
        ],
    )
    def test_the_newest_of_unequal_rows_counts_if_there_is_one(
        self, few: Few, old: str, new: str, enabled: bool | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [one, *_] = few.ids()
        repeat(few, one, "FALSE AS fraud_enabled")
        seen = f"CAST(CASE row_id WHEN 1 THEN {old} ELSE {new} END AS INT) AS seen"
        few.sql(f"CREATE OR REPLACE TABLE {{features}} AS SELECT *, {seen} FROM {{features}}")
        monkeypatch.setenv("FEATURE_SYNC_FEATURES_ORDER_COLUMN", "seen")

        found = {row[KEY]: row["fraud_detection_enabled_c"] for row in few.query("deployment/select_property_sync")}
        report, _ = few.compare()

        assert found.get(one) is enabled
        assert report["differences"]["ambiguous_features"] == (1 if enabled is None else 0)
        assert report["differences"]["wrongly_true"] == (1 if enabled is False else 0)


@pytest.mark.parametrize("flag", ["fraud_enabled", "vor_enabled"])
def test_a_property_with_an_empty_flag_is_in_no_source_query(few: Few, flag: str) -> None:
    one, *others = few.ids()
    few.sql(f"UPDATE {{features}} SET {flag} = NULL WHERE property_id = '{one}'")

    assert sorted(row[KEY] for row in few.query("deployment/select_property_sync")) == others
    assert few.query("deployment/select_feature_sync") == []


def test_a_property_that_the_properties_table_has_twice_is_not_in_the_property_sync(few: Few) -> None:
    one, *others = few.ids()
    few.sql(f"INSERT INTO {{properties}} SELECT * FROM {{properties}} WHERE id = {one}")

    assert sorted(row[KEY] for row in few.query("deployment/select_property_sync")) == others


class TestDeletedRows:
    def test_those_of_the_feature_table_do_not_count(self, few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
        one, two, *_ = few.ids()
        repeat(few, one, "FALSE AS fraud_enabled")
        few.sql(
            "CREATE OR REPLACE TABLE {features} AS SELECT *, CASE WHEN row_id = 2 THEN TRUE"
            f" WHEN property_id = '{two}' THEN NULL ELSE FALSE END AS _fivetran_deleted FROM {{features}}"
        )
        monkeypatch.setenv("FEATURE_SYNC_FEATURES_DELETED_COLUMN", "_fivetran_deleted")

        assert few.compare()[1] == []
        assert len(few.query("deployment/select_property_sync")) == 8

    def test_those_of_the_properties_table_are_no_properties(self, few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
        one, two, *others = few.ids()
        few.sql(
            f"CREATE OR REPLACE TABLE {{properties}} AS SELECT *, id IN ({one}, {two}) AS _fivetran_deleted FROM {{properties}}"
        )
        # One was replaced by another row; the other is gone, and so is its record in Salesforce.
        few.sql(
            "INSERT INTO {properties} BY NAME SELECT * EXCEPT (_fivetran_deleted), NULL AS _fivetran_deleted FROM {properties}"
            f" WHERE id = {one}"
        )
        few.sql(f"DELETE FROM {{replica}} WHERE {KEY} = '{two}'")
        monkeypatch.setenv("FEATURE_SYNC_PROPERTIES_DELETED_COLUMN", "_fivetran_deleted")

        report, rows = few.compare()

        # The feature table still has a row of the one that is gone.
        assert (report["properties_checked"], [(row["class"], row[KEY]) for row in rows]) == (7, [("unmatched_features", two)])
        assert sorted(row[KEY] for row in few.query("deployment/select_property_sync")) == [one, *others]


class TestReplicationsColumns:
    @pytest.mark.parametrize("table", ["properties", "features"])
    def test_deleted_rows_that_no_setting_names_are_refused(self, few: Few, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
        few.sql(f"CREATE OR REPLACE TABLE {{{table}}} AS SELECT *, FALSE AS _fivetran_deleted FROM {{{table}}}")
        setting = f"{table.upper()}_DELETED_COLUMN"

        with pytest.raises(GuardError) as refused:
            check({"scope": "all"})
        monkeypatch.setenv(f"FEATURE_SYNC_{setting}", "_fivetran_deleted")
        check({"scope": "all"})

        assert refused.value.problems == [
            f"{getattr(few, table)} has the column _fivetran_deleted, but {setting} is empty, so rows that the replication has "
            f"deleted would count as if they were there. Set {setting} to _fivetran_deleted."
        ]

    @pytest.mark.parametrize("table", ["properties", "features", "replica"])
    def test_a_history_table_is_refused(self, few: Few, table: str) -> None:
        few.sql(f"CREATE OR REPLACE TABLE {{{table}}} AS SELECT *, TRUE AS _fivetran_active FROM {{{table}}}")

        [problem] = problems_of({"scope": "all"})

        assert problem.startswith(f"{getattr(few, table)} has the column _fivetran_active, so it is a history table")

    def test_the_columns_of_the_settings_are_looked_for(self, few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("PROPERTIES_DELETED_COLUMN", "FEATURES_DELETED_COLUMN", "FEATURES_ORDER_COLUMN"):
            monkeypatch.setenv(f"FEATURE_SYNC_{name}", f"no_{name.lower()}")

        problems = problems_of({"scope": "all"})

        assert [problem.partition(". Check")[0] for problem in problems] == [
            f"{few.properties} lacks the columns no_properties_deleted_column",
            f"{few.features} lacks the columns no_features_deleted_column, no_features_order_column",
        ]
