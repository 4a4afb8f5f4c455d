"""Flags that are empty on one side. Unknown is neither False nor equal."""

import json
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, freeze_payload
from feature_sync.config.problems import GuardError
from feature_sync.config.settings import load_settings
from feature_sync.reconciliation.comparison import DriftError, conclude
from feature_sync.reconciliation.verdict import Finding, Steps
from feature_sync.storage.run_files import run_files
from tests.sandbox.client import Sandbox
from tests.wire.backfill.payloads import names, rows_of
from tests.wire.few import Few

pytestmark = pytest.mark.usefixtures("three_products")
KEY = "snappt_property_id_c"
NOTHING = Finding(heals=False, question=None, run_config={}, reason="", mismatched=0)
DONE = Steps(replica="success", comparison="success", approval="skipped", healing="skipped")


def payload(few: Few, run_id: str) -> list[str]:
    return [row[0] for row in few.sql(f"SELECT {KEY} FROM {load_settings().payload_table} WHERE run_id = '{run_id}' ORDER BY 1")]


def found(report: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in report["differences"].items() if count}


def path_of(run_id: str) -> Path:
    return Path(str(run_files(load_settings(), run_id).preview))


class TestInSalesforce:
    def test_the_weekly_run_counts_it_as_a_class_of_its_own_and_sends_nothing(self, few: Few) -> None:
        one, two, *_ = few.ids()
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = NULL WHERE {KEY} IN ('{one}', '{two}')")

        report, rows = few.compare()

        assert found(report) == {"unknown_in_salesforce": 2}
        assert report["properties_mismatched"] == 0
        assert [(row["class"], row[KEY], row["in_salesforce_value"], row["in_warehouse_value"]) for row in rows] == [
            ("unknown_in_salesforce", each, "", "true") for each in (one, two)
        ]
        assert few.query("deployment/select_feature_sync") == []
        with pytest.raises(DriftError) as red:
            conclude("few", NOTHING, DONE)
        assert "2 flags are empty in the replica of Salesforce. Nobody can say whether they are right." in str(red.value)

    def test_the_preview_counts_it_neither_as_to_enable_nor_as_to_disable(self, few: Few) -> None:
        ids = few.ids()
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = NULL WHERE {KEY} = '{ids[0]}'")
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE {KEY} = '{ids[1]}'")

        freeze_payload({"scope": "all"}, "before-unknown")
        check_payload({"scope": "all"}, "before-unknown")

        [fraud, *_] = json.loads(path_of("before-unknown").read_text())["products"]
        assert {name: fraud[name] for name in ("enabled_now", "enabled_after", "to_enable", "to_disable", "before_unknown")} == {
            "enabled_now": 6,
            "enabled_after": 8,
            "to_enable": 1,
            "to_disable": 0,
            "before_unknown": 1,
        }

    def test_a_record_that_differs_elsewhere_is_sent(self, few: Few) -> None:
        one, two, *_ = few.ids()
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = NULL WHERE {KEY} IN ('{one}', '{two}')")
        few.sql(f"UPDATE {{replica}} SET idv_only_enabled_c = TRUE WHERE {KEY} = '{one}'")

        freeze_payload({"scope": "mismatched"}, "differs-elsewhere")

        assert payload(few, "differs-elsewhere") == [one]
        assert found(few.compare()[0]) == {"wrongly_true": 1, "unknown_in_salesforce": 2}


class TestInWarehouse:
    def test_no_query_has_such_a_property_and_the_weekly_run_names_it(self, few: Few) -> None:
        one, two, *others = few.ids()
        few.sql(f"UPDATE {{features}} SET fraud_enabled = NULL WHERE property_id IN ('{one}', '{two}')")
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE, idv_only_enabled_c = TRUE WHERE {KEY} = '{two}'")

        report, rows = few.compare()

        assert found(report) == {"wrongly_true": 1, "unknown_in_warehouse": 2}
        assert report["properties_held_back"] == 1
        assert [row[KEY] for row in rows if row["class"] == "unknown_in_warehouse"] == [one, two]
        assert few.query("deployment/select_feature_sync") == []
        assert sorted(row[KEY] for row in few.query("deployment/select_property_sync")) == others
        with pytest.raises(DriftError) as red:
            conclude("few", NOTHING, DONE)
        assert "2 flags are empty in the feature table. A checkbox cannot be empty" in str(red.value)

    def test_scope_mismatched_leaves_its_record_out_and_lists_it(self, few: Few) -> None:
        one, two, *_ = few.ids()
        few.sql(f"UPDATE {{features}} SET fraud_enabled = NULL WHERE property_id = '{one}'")
        few.sql(f"UPDATE {{replica}} SET idv_only_enabled_c = TRUE WHERE {KEY} IN ('{one}', '{two}')")

        freeze_payload({"scope": "mismatched"}, "unknown-mismatched")
        check_payload({"scope": "mismatched", "allow_mass_disable": True}, "unknown-mismatched")

        assert payload(few, "unknown-mismatched") == [two]
        listed = rows_of(Path(str(run_files(load_settings(), "unknown-mismatched").records_left_out)))
        assert [(row[KEY], row["reason"]) for row in listed] == [(one, "unknown_flag")]
        assert json.loads(path_of("unknown-mismatched").read_text())["records_with_unknown_flag"] == 1

    def test_a_person_who_names_its_record_is_refused(self, few: Few) -> None:
        one, *_ = few.ids()
        few.sql(f"UPDATE {{features}} SET fraud_enabled = NULL WHERE property_id = '{one}'")
        conf = {"scope": "property_ids", "property_ids": [one]}

        freeze_payload(conf, "unknown-named")
        with pytest.raises(GuardError) as refused:
            check_payload(conf, "unknown-named")

        assert "empty_flags" in names(refused.value.problems)

    def test_unknown_on_both_sides_is_not_equal(self, few: Few) -> None:
        one, *_ = few.ids()
        few.sql(f"UPDATE {{features}} SET fraud_enabled = NULL WHERE property_id = '{one}'")
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = NULL WHERE {KEY} = '{one}'")

        assert found(few.compare()[0]) == {"unknown_in_salesforce": 1, "unknown_in_warehouse": 1}


class TestUnmatchedFeatures:
    @pytest.mark.parametrize(
        ("change", "resembles"),
        [("property_id || ' '", True), ("'gone-' || property_id", False), ("'\u00a0' || property_id", True)],
        ids=["blank", "another", "other-blank"],
    )
    def test_the_weekly_run_names_them_and_says_what_they_may_be(self, few: Few, change: str, resembles: bool) -> None:
        one, *_ = few.ids()
        few.sql(f"UPDATE {{features}} SET property_id = {change} WHERE property_id = '{one}'")

        report, rows = few.compare()

        assert report["differences"]["unmatched_features"] == 1
        [row] = [row for row in rows if row["class"] == "unmatched_features"]
        assert row["in_warehouse_value"] == (one if resembles else "")
        with pytest.raises(DriftError) as red:
            conclude("few", NOTHING, DONE)
        assert "1 property in the feature table is not in the properties table. They are such as '" in str(red.value)
        assert (f"(like '{one}')" in str(red.value)) is resembles
        # A property whose row is only misspelled is left alone, and nothing sends False for it.
        assert report["differences"]["ambiguous_features"] == int(resembles)
        assert report["properties_mismatched"] == int(not resembles)
        assert [row[KEY] for row in few.query("deployment/select_feature_sync")] == ([] if resembles else [one])
        in_property_sync = {row[KEY] for row in few.query("deployment/select_property_sync")}
        assert (one in in_property_sync) is not resembles

    def test_a_property_that_the_replication_deleted_counts_as_gone(self, few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
        one, *_ = few.ids()
        few.sql(f"CREATE OR REPLACE TABLE {{properties}} AS SELECT *, id = {one} AS _fivetran_deleted FROM {{properties}}")
        monkeypatch.setenv("FEATURE_SYNC_PROPERTIES_DELETED_COLUMN", "_fivetran_deleted")

        report, _ = few.compare()

        assert found(report) == {"missing_in_warehouse": 1, "unmatched_features": 1}


def test_an_undo_never_turns_an_unknown_flag_to_false(few: Few, sandbox: Sandbox) -> None:
    one, two, *_ = few.ids()
    table, log = load_settings().payload_table, load_settings().sync_log_table
    few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = NULL WHERE {KEY} = '{one}'")
    few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE {KEY} = '{two}'")
    conf = {"scope": "property_ids", "property_ids": [one, two]}
    freeze_payload(conf, "to-undo")
    few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = TRUE WHERE {KEY} IN ('{one}', '{two}')")
    sandbox.sql(
        f"INSERT INTO {log} (run_id, batch_number, attempt, series, status, records, sync_run_id, opened_at) SELECT DISTINCT"
        f" run_id, batch_number, 1, 0, 'succeeded', 2, 1, current_timestamp() FROM {table} WHERE run_id = 'to-undo'"
    )

    freeze_payload({"undo_run_id": "to-undo"}, "undo")

    assert payload(few, "undo") == [two]
    listed = rows_of(Path(str(run_files(load_settings(), "undo").records_not_undone)))
    assert [(row[KEY], row["reason"]) for row in listed] == [(one, "before_unknown")]
    [counts] = few.query("backfill/count_undone_records", {"undo_run_id": "to-undo"})
    assert (counts["before_unknown"], counts["to_undo"]) == (1, 1)
