"""The weekly comparison on the sandbox: the incident's numbers, and every class of difference on a few records of its own."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from feature_sync.backfill.validation import NothingToValidateError
from feature_sync.config.problems import NotReadyError
from feature_sync.config.settings import load_settings
from feature_sync.reconciliation.comparison import (
    DriftError,
    HealingRefusedError,
    check_still_allowed,
    compare,
    conclude,
)
from feature_sync.reconciliation.drift import Drift, DriftClass, NothingComparedError
from feature_sync.reconciliation.history import read_history
from feature_sync.reconciliation.verdict import Finding
from feature_sync.storage.warehouse import SQL_FOLDER, Warehouse, render_statement
from tests.sandbox.client import Sandbox
from tests.wire.few import NOT_HEALED, Few, differences, folder, run_week, validation

INCIDENT = {
    "fraud_detection": 1_226,
    "income_verification": 1_176,
    "id_verification": 7,
    "idv_only": 0,
    "connected_payroll": 5,
    "bank_linking": 4,
    "verification_of_rent": 0,
}
MISMATCHED = {"scope": "mismatched", "created_from": None, "created_to": None, "property_ids": "", "skip_unmatched": False}
NOTHING = Finding(heals=False, question=None, run_config={}, reason="", mismatched=0)


@pytest.fixture(scope="module")
def found(world: Sandbox) -> Finding:  # noqa: ARG001 - it must run
    return run_week("incident")


class TestIncident:
    def test_every_record_is_compared_and_the_wrong_ones_are_those_of_the_incident(self, found: Finding) -> None:
        report = validation("incident")

        assert report["properties_checked"] == 10_000
        assert found.mismatched == report["properties_mismatched"]
        assert 1_226 <= report["properties_mismatched"] <= 1_296
        assert report["result"] == f"{report['properties_mismatched']:,} properties with mismatched feature data"
        assert {each["product"]: each["wrongly_false"] for each in report["products"]} == INCIDENT
        assert report["differences"]["wrongly_true"] == 0
        assert {report["differences"][kind] for kind in ("missing_in_salesforce", "missing_in_warehouse", "key_mismatch")} == {0}

    @pytest.mark.usefixtures("found")
    def test_a_bounded_list_of_differences_leaves_the_warehouse(self) -> None:
        rows = differences("incident")

        assert Counter(row["class"] for row in rows) == {"wrongly_false": 2_000, "date_differs": 2_000}
        keys = ("class", "salesforce_id", "snappt_property_id_c", "reverse_etl_id_c", "product", "field")
        accepted = ("is_accepted", "accepted_reason", "accepted_by", "accepted_until")
        causes = ("cause", "sent_by_run", "sent_outcome", "sent_value", "before_value", "sent_from", "sent_until", "rejection")
        seen = ("changed_at", "changed_by", "asked_value")
        known = ("property_name", "company", "status", "number_of_products", "product_names", "salesforce_link")
        assert tuple(rows[0]) == (*keys, "in_salesforce_value", "in_warehouse_value", *accepted, *causes, *seen, *known)

    @pytest.mark.usefixtures("found")
    def test_the_drift_table_has_one_row_a_product_also_when_the_task_runs_twice(self) -> None:
        run_week("incident")
        with Warehouse(load_settings()) as warehouse:
            rows = warehouse.fetch_all("reconciliation/select_drift", {"run_id": "incident"})

        assert {row["product"]: row["wrongly_false"] for row in rows} == INCIDENT
        [fraud] = [row for row in rows if row["product"] == "fraud_detection"]
        assert fraud["enabled_in_warehouse"] - fraud["enabled_in_salesforce"] == 1_226
        assert fraud["accuracy"] == pytest.approx(1 - fraud["mismatched"] / 10_000)
        assert fraud["copy_synced_at"] < fraud["checked_at"]

    @pytest.mark.usefixtures("found")
    def test_the_history_of_a_product_goes_into_the_report(self) -> None:
        run_week("a week later")
        with Warehouse(load_settings()) as warehouse:
            now = warehouse.fetch_all("reconciliation/select_drift", {"run_id": "a week later"})[0]["checked_at"]
            history = read_history(warehouse, now)
        fraud = history[history["product"] == "fraud_detection"]

        assert fraud["run_id"].tolist()[-2:] == ["incident", "a week later"]
        assert "weekly comparisons since" in (folder("a week later") / "report.html").read_text()
        assert "All products have one scale." in (folder("a week later") / "accuracy.svg").read_text()

    def test_healing_is_off_unless_it_is_set(self, found: Finding) -> None:
        assert (found.heals, found.question) == (False, None)

    def test_more_than_the_limits_are_never_healed_automatically(self, monkeypatch: pytest.MonkeyPatch, world: Sandbox) -> None:  # noqa: ARG002
        monkeypatch.setenv("FEATURE_SYNC_HEALING", "auto")

        found = compare("auto")

        assert not found.heals
        assert "HEALING_RECORDS_LIMIT allows 100" in found.reason

    def test_a_person_is_asked_with_what_would_change(self, monkeypatch: pytest.MonkeyPatch, world: Sandbox) -> None:  # noqa: ARG002
        monkeypatch.setenv("FEATURE_SYNC_HEALING", "ask")
        monkeypatch.setenv("FEATURE_SYNC_HEALING_RUN_CONFIG", '{"wait_seconds": 5}')

        found = compare("ask")

        assert found.heals
        assert found.run_config == {"scope": "mismatched", "dry_run": False, "wait_seconds": 5}
        [fraud] = [line for line in str(found.question).splitlines() if "Fraud Detection" in line]
        _, label, *numbers, _ = (cell.strip() for cell in fraud.split("|"))
        now, after, to_enable, to_disable = (int(number.replace(",", "")) for number in numbers)
        assert (label, to_enable, to_disable) == ("Fraud Detection", 1_226, 0)
        assert after - now == 1_226

    def test_the_last_task_says_what_is_wrong_and_writes_the_report(self, found: Finding) -> None:
        with pytest.raises(DriftError, match=r"(?s)of 10,000 properties differ .*HEALING is off; .*validation\.json"):
            conclude("incident", found, NOT_HEALED)

        assert validation("incident")["healing"] == {"heals": False, "reason": found.reason, "mismatched_before": None}

    def test_a_missing_comparison_is_no_success(self) -> None:
        with pytest.raises(NothingToValidateError, match="Nothing was compared"):
            conclude("never", None, NOT_HEALED)


class TestEnd:
    """What `conclude` takes for a success."""

    @pytest.mark.parametrize("step", ["replica", "comparison"])
    def test_the_result_of_an_earlier_try_does_not_stand_in_for_a_check_that_failed(self, few: Few, step: str) -> None:
        few.compare()

        with pytest.raises(NothingToValidateError):
            conclude("few", NOTHING, replace(NOT_HEALED, **{step: "failed"}))

    def test_a_replica_that_became_stale_meanwhile_is_no_success(self, few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
        few.compare()
        monkeypatch.setenv("FEATURE_SYNC_COPY_AGE_LIMIT_SECONDS", "1")
        few.sql("UPDATE {replica} SET _fivetran_synced = current_timestamp() - INTERVAL 5 SECONDS")

        with pytest.raises(NotReadyError, match="is stale now"):
            conclude("few", NOTHING, NOT_HEALED)

    def test_a_healing_that_failed_is_reported_even_if_nothing_differs_any_more(self, few: Few) -> None:
        few.compare()

        with pytest.raises(DriftError, match="The healing failed"):
            conclude("few", replace(NOTHING, heals=True, mismatched=1), replace(NOT_HEALED, healing="failed"))

    def test_the_verdict_goes_by_the_numbers_of_the_comparison_right_before_it(self, few: Few) -> None:
        found = compare("few")
        few.sql("UPDATE {replica} SET fraud_detection_enabled_c = NOT fraud_detection_enabled_c")

        assert conclude("few", found, NOT_HEALED, may_reuse=True)["properties_checked"] == 8

        with pytest.raises(DriftError, match="8 of 8 properties differ"):
            conclude("few", found, NOT_HEALED)

    @pytest.mark.parametrize(("age", "counts"), [(timedelta(minutes=9), True), (timedelta(minutes=11), False)])
    def test_numbers_that_are_old_do_not_count(self, few: Few, age: timedelta, counts: bool) -> None:
        found = compare("few")
        measured_at = datetime.now(UTC) - age
        few.sql(f"UPDATE {load_settings().drift_table} SET checked_at = TIMESTAMP'{measured_at:%F %T}' WHERE run_id = 'few'")
        few.sql(
            f"UPDATE {load_settings().difference_table} SET compared_at = TIMESTAMP'{measured_at:%F %T}' WHERE run_id = 'few'"
        )

        conclude("few", found, NOT_HEALED, may_reuse=True)

        assert (datetime.fromisoformat(validation("few")["checked_at"]) < measured_at + timedelta(minutes=1)) is counts

    def test_without_a_healing_both_systems_are_compared_once_and_the_lists_only_describe_what_was_found(
        self, few: Few, sandbox: Sandbox
    ) -> None:
        run_week("the-tables-exist")
        before = sandbox.seq()

        run_week("few")

        names = {
            render_statement(name, load_settings()): name
            for name in (f"{path.parent.name}/{path.stem}" for path in SQL_FOLDER.glob("re*/*.sql"))
        }
        texts = [entry["sql"] for entry in sandbox.journal("warehouse.statement", after=before)]
        assert [names.get(text, text) for text in texts if few.replica in text and few.properties in text] == [
            "reconciliation/record_differences",
            "reconciliation/select_missing_records",
            "reconciliation/select_differences",
        ]
        assert len(texts) == 39, "of these, 18 look at our own tables and prove that they may be written"

    def test_numbers_and_lists_are_of_one_look(self, few: Few) -> None:
        one, two = few.ids()[:2]
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c = '{one}'")
        found = compare("one look")
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c = '{two}'")

        with pytest.raises(DriftError, match="1 of 8 properties differ "):
            conclude("one look", found, NOT_HEALED, may_reuse=True)

        assert [row["snappt_property_id_c"] for row in differences("one look")] == [one]

    def test_numbers_count_only_beside_the_differences_of_their_look(self, few: Few) -> None:
        found = compare("lost")
        few.sql(f"DELETE FROM {load_settings().difference_table} WHERE run_id = 'lost'")
        few.sql("UPDATE {replica} SET fraud_detection_enabled_c = NOT fraud_detection_enabled_c")

        with pytest.raises(DriftError, match="8 of 8 properties differ"):
            conclude("lost", found, NOT_HEALED, may_reuse=True)

    def test_without_a_look_there_are_no_numbers_instead_of_no_differences(self, few: Few) -> None:
        few.listed()
        few.sql(f"DELETE FROM {load_settings().difference_table} WHERE class = 'compared'")

        with pytest.raises(NothingComparedError, match="nothing was compared"):
            Drift.from_rows(few.query("reconciliation/measure_drift", {"compared_by": "listed"}), load_settings().fields)

    def test_the_differences_of_a_run_that_has_ended_are_gone_after_a_week(self, few: Few) -> None:
        table = load_settings().difference_table
        for run_id, days in (("six days ago", 6), ("eight days ago", 8)):
            few.listed(compared_by=run_id)
            few.sql(f"UPDATE {table} SET compared_at = compared_at - INTERVAL {days} DAYS WHERE run_id = '{run_id}'")

        few.listed()

        kept = {row[0] for row in few.sql(f"SELECT DISTINCT run_id FROM {table}")}
        assert {"six days ago", "listed"} <= kept
        assert "eight days ago" not in kept

    @pytest.mark.parametrize("healing", ["off", "ask"])
    def test_the_lists_are_there_before_the_end_only_if_a_healing_comes_between(
        self, few: Few, monkeypatch: pytest.MonkeyPatch, healing: str
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_HEALING", healing)
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c = '{few.ids()[0]}'")

        compare(f"early-{healing}")

        assert [(folder(f"early-{healing}") / name).exists() for name in ("mismatches.csv", "report.html")] == [
            healing == "ask"
        ] * 2

    def test_after_something_was_to_be_healed_the_systems_are_compared_again(
        self, few: Few, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_HEALING", "ask")
        one = few.ids()[0]
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c = '{one}'")
        found = compare("few")
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = TRUE WHERE snappt_property_id_c = '{one}'")

        assert found.heals
        assert conclude("few", found, NOT_HEALED, may_reuse=True)["properties_checked"] == 8

    def test_healed_records_are_counted_only_after_a_healing(self, few: Few) -> None:
        few.compare()
        found = replace(NOTHING, heals=True, mismatched=1)

        conclude("few", found, replace(NOT_HEALED, healing="success"))
        healed = validation("few")["healing"]
        conclude("few", found, NOT_HEALED)

        assert (healed["mismatched_before"], healed["reason"]) == (1, "The records that differed were sent again.")
        assert validation("few")["healing"]["mismatched_before"] is None


class TestStillAllowed:
    """Between comparison and healing there may be hours."""

    def harm(self, few: Few, records: int) -> None:
        ids = "', '".join(few.ids()[:records])
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c IN ('{ids}')")

    def test_more_than_was_approved_is_not_sent(self, few: Few) -> None:
        self.harm(few, 3)

        with pytest.raises(HealingRefusedError, match=r"2 records were approved, but 3 differ now"):
            check_still_allowed(replace(NOTHING, question="2 of 8", mismatched=2))
        assert check_still_allowed(replace(NOTHING, question="3 of 8", mismatched=3)) == 3

    def test_more_than_the_limits_allow_is_not_sent_although_it_was_less_before(
        self, few: Few, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_HEALING", "auto")
        monkeypatch.setenv("FEATURE_SYNC_HEALING_SHARE_LIMIT", "1")
        monkeypatch.setenv("FEATURE_SYNC_HEALING_RECORDS_LIMIT", "2")
        self.harm(few, 3)

        with pytest.raises(HealingRefusedError, match="HEALING_RECORDS_LIMIT allows 2"):
            check_still_allowed(replace(NOTHING, mismatched=1))

    @pytest.mark.usefixtures("few")
    def test_nothing_is_sent_when_somebody_has_corrected_the_records(self) -> None:
        assert check_still_allowed(replace(NOTHING, question="3 of 8", mismatched=3)) == 0


class TestClasses:
    def test_records_that_agree_have_no_difference(self, few: Few) -> None:
        report, rows = few.compare()

        assert (report["properties_checked"], report["properties_mismatched"], rows) == (8, 0, [])
        assert {each["accuracy"] for each in report["products"]} == {1.0}
        assert conclude("few", NOTHING, NOT_HEALED)["properties_checked"] == 8

    @pytest.mark.parametrize(
        ("change", "kind", "field"),
        [
            ("fraud_detection_enabled_c = FALSE", DriftClass.WRONGLY_FALSE, "fraud_detection_enabled_c"),
            ("idv_only_enabled_c = TRUE", DriftClass.WRONGLY_TRUE, "idv_only_enabled_c"),
            ("vor_updated_date_c = DATE'2001-02-03'", DriftClass.DATE_DIFFERS, "vor_updated_date_c"),
            ("fraud_detection_start_date_c = NULL", DriftClass.DATE_DIFFERS, "fraud_detection_start_date_c"),
        ],
    )
    def test_a_field_that_differs_in_salesforce(self, few: Few, change: str, kind: DriftClass, field: str) -> None:
        [one, *_] = few.ids()
        few.sql(f"UPDATE {{replica}} SET {change} WHERE snappt_property_id_c = '{one}'")

        report, rows = few.compare()

        assert report["properties_mismatched"] == 1
        assert {name: count for name, count in report["differences"].items() if count} == {kind: 1}
        assert [(row["class"], row["snappt_property_id_c"], row["field"]) for row in rows] == [(kind, one, field)]
        [product] = [each for each in report["products"] if each["mismatched"]]
        assert product["product"] == rows[0]["product"]
        assert product["accuracy"] == 7 / 8

    def test_each_of_the_21_fields_is_compared(self, few: Few) -> None:
        [one, *_] = few.ids()
        fields = load_settings().fields.features
        changes = ", ".join(
            f"{field.column} = " + (f"NOT {field.column}" if field.kind == "checkbox" else "DATE'2001-02-03'") for field in fields
        )
        few.sql(f"UPDATE {{replica}} SET {changes} WHERE snappt_property_id_c = '{one}'")

        _, rows = few.compare()

        assert sorted(row["field"] for row in rows) == sorted(field.column for field in fields)

    def test_a_property_without_a_record(self, few: Few) -> None:
        [one, *_] = few.ids()
        few.sql(f"DELETE FROM {{replica}} WHERE snappt_property_id_c = '{one}'")

        report, [row] = few.compare()

        assert report["differences"]["missing_in_salesforce"] == 1
        assert (row["class"], row["snappt_property_id_c"]) == ("missing_in_salesforce", one)
        with pytest.raises(DriftError, match="1 property has no record in Salesforce"):
            conclude("few", NOTHING, NOT_HEALED)

    def test_a_deleted_record_is_none_and_a_deleted_property_needs_none(self, few: Few) -> None:
        [one, two, *_] = few.ids()
        few.sql(f"UPDATE {{replica}} SET is_deleted = TRUE WHERE snappt_property_id_c IN ('{one}', '{two}')")
        few.sql(f"UPDATE {{properties}} SET status = 'DELETED' WHERE id = {two}")

        report, [row] = few.compare()

        assert report["properties_checked"] == 6
        assert row["snappt_property_id_c"] == one

    def test_a_record_whose_property_the_warehouse_does_not_know_is_not_compared_with_nothing(self, few: Few) -> None:
        [one, *_] = few.ids()
        few.sql(f"DELETE FROM {{properties}} WHERE id = {one}")

        report, rows = few.compare()

        assert report["properties_mismatched"] == 0
        assert sorted(row["class"] for row in rows) == ["missing_in_warehouse", "unmatched_features"]
        with Warehouse(load_settings()) as warehouse:
            assert warehouse.fetch_one("backfill/count_scope", MISMATCHED)["records"] == 0, (
                "nor would a backfill turn its products off"
            )

    def test_an_empty_properties_table_is_no_agreement(self, few: Few) -> None:
        few.sql("DELETE FROM {properties}")

        with pytest.raises(NothingComparedError, match="nothing was compared"):
            compare("few")

    def test_a_record_whose_keys_disagree_is_never_sent_the_values_of_another_property(self, few: Few) -> None:
        [one, two, *_] = few.ids()
        wrong = f"snappt_property_id_c = '{two}', fraud_detection_enabled_c = FALSE"
        few.sql(f"UPDATE {{replica}} SET {wrong} WHERE reverse_etl_id_c = '{one}'")

        report, _ = few.compare()

        assert (report["properties_checked"], report["properties_mismatched"]) == (6, 0)
        with Warehouse(load_settings()) as warehouse:
            assert warehouse.fetch_one("backfill/count_scope", MISMATCHED)["records"] == 0
            assert warehouse.fetch_all("deployment/select_feature_sync") == []

    @pytest.mark.parametrize(
        ("change", "wrong"),
        [
            pytest.param("reverse_etl_id_c = '1'", 1, id="keys-of-different-properties"),
            pytest.param("reverse_etl_id_c = NULL", 1, id="no-upsert-key"),
            pytest.param("snappt_property_id_c = '1'", 1, id="property-that-does-not-exist"),
            pytest.param("snappt_property_id_c = '{two}', reverse_etl_id_c = '{two}'", 2, id="two-records-of-one-property"),
        ],
    )
    def test_a_record_whose_keys_are_wrong(self, few: Few, change: str, wrong: int) -> None:
        [one, two, *_] = few.ids()
        few.sql(f"UPDATE {{replica}} SET {change.format(two=two)} WHERE snappt_property_id_c = '{one}'")

        report, rows = few.compare()

        assert report["differences"]["key_mismatch"] == wrong
        assert [row["class"] for row in rows].count("key_mismatch") == wrong
        assert report["differences"]["missing_in_warehouse"] == 0

    def test_a_property_that_is_there_twice_is_sent_by_no_run(self, few: Few) -> None:
        [one, *_] = few.ids()
        few.sql(f"INSERT INTO {{properties}} SELECT * FROM {{properties}} WHERE CAST(id AS STRING) = '{one}'")
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c = '{one}'")

        report, rows = few.compare()

        assert {row["class"] for row in rows} == {"key_mismatch"}
        assert report["properties_mismatched"] == 0
        with Warehouse(load_settings()) as warehouse:
            assert warehouse.fetch_one("backfill/count_scope", MISMATCHED)["records"] == 0

    def test_an_empty_replica_is_never_a_pass(self, few: Few) -> None:
        few.sql("DELETE FROM {replica}")

        with pytest.raises(NothingComparedError):
            compare("few")
        with pytest.raises(NotReadyError):
            conclude("few", NOTHING, NOT_HEALED)
