"""From the scope to the files over the wire: the incident's numbers, and a payload that stays once it was sent."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import CheckedPayload, check_payload, export_csv, freeze_payload, release_payload
from feature_sync.backfill.plan import plan_batches, plan_probes
from feature_sync.config.fields import FieldKind
from feature_sync.config.problems import OwnTableError
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox
from tests.wire.backfill import payloads
from tests.wire.backfill.checking import SOURCE_SETTINGS
from tests.wire.backfill.payloads import (
    DAY,
    FEATURES,
    FIELDS,
    FRAUD,
    INCIDENT,
    RENT,
    Frozen,
    records_left,
    records_released,
    refusal,
    rows_of,
    run_steps,
)

# The incident report's table: label, enabled in Salesforce before, enabled after.
PRODUCTS = [
    ("fraud_detection", "Fraud Detection", 0, 1_226),
    ("income_verification", "Income Verification", 0, 1_176),
    ("id_verification", "ID Verification", 0, 7),
    ("idv_only", "IDV Only", 0, 0),
    ("connected_payroll", "Connected Payroll", 0, 5),
    ("bank_linking", "Bank Linking", 0, 4),
    ("verification_of_rent", "Verification of Rent", 0, 0),
]


class TestIncident:
    def test_the_counts_are_those_of_the_report(self, incident: Frozen) -> None:
        assert incident.frozen == payloads.frozen(1_296)
        fraud = {"product": "fraud_detection", "label": "Fraud Detection", "now": 0, "after": 1_226}
        assert incident.checked.products[0] == fraud
        assert replace(incident.checked, products=[]) == CheckedPayload(records=1_296, records_unmatched=40, approval=None)
        assert incident.exported["records"] == 1_296

    def test_each_product_gets_what_the_report_says(self, incident: Frozen) -> None:
        products = [dict(product) for product in incident.preview["products"]]
        dates = [product.pop("dates_changed") for product in products]

        assert all(after <= changed <= 1_296 for changed, (*_, after) in zip(dates, PRODUCTS, strict=True)), dates
        assert products == [
            {
                "product": product,
                "label": label,
                "enabled_now": now,
                "enabled_after": after,
                "to_enable": after - now,
                "to_disable": 0,
                "before_unknown": 0,
            }
            for product, label, now, after in PRODUCTS
        ]

    def test_the_preview_has_the_totals(self, incident: Frozen) -> None:
        totals = {name: value for name, value in incident.preview.items() if name not in ("products", "neighbours", "ages")}
        [undone, *_] = totals.pop("regular_sync")

        assert totals == {
            "run_id": "incident",
            "purpose": "repair",
            "dry_run": False,
            "nothing_to_do": None,
            "records": 1_296,
            "records_unmatched": 40,
            "records_not_undone": 0,
            "batches": 26,
            "estimated_seconds": 26 * 45 + 25 * 150,
            "records_without_property": 0,
            "records_with_key_mismatch": 0,
            "records_ambiguous": 0,
            "records_with_unknown_flag": 0,
            "records_true_through_sibling": 0,
            "records_accepted": 0,
        }
        assert undone.startswith("The repair would be undone by the next run of the regular sync")
        assert set(incident.preview["ages"]) == set(SOURCE_SETTINGS)

    def test_the_preview_names_the_other_sync_that_starts_during_the_run(self, incident: Frozen) -> None:
        [neighbour] = incident.preview["neighbours"]

        start = datetime.fromisoformat(neighbour.pop("next_start"))
        assert neighbour == {"sync_id": 4712, "label": "Product Property sync", "schedule": "hourly at minute 0"}
        assert (start.minute, start.utcoffset()) == (0, timedelta(0))

    def test_there_are_26_batches_and_the_last_has_46(self, incident: Frozen) -> None:
        sizes = [batch["last"] - batch["first"] + 1 for batch in incident.batches]

        assert sizes == [50] * 25 + [46]
        assert [batch["number"] for batch in incident.batches] == list(range(1, 27))
        assert incident.batches[-1]["label"] == "batch 026: records 1251-1296"

    def test_94_6_percent_have_a_product_and_70_have_none(self, incident: Frozen) -> None:
        flags = [product.enabled.column for product in FIELDS.products]

        without = [row for row in rows_of(incident.full_csv) if not any(row[flag] == "true" for flag in flags)]

        assert len(without) == 70

    def test_the_files_are_named_as_the_report_names_them(self, incident: Frozen) -> None:
        names = [path.name for path in incident.parts()]

        assert incident.full_csv == incident.folder / "feature_backfill_20251121.csv"
        assert incident.folder.name == "incident"
        assert names[0] == "feature_backfill_batch_001_records_1-50.csv"
        assert names[-1] == "feature_backfill_batch_026_records_1251-1296.csv"
        assert len(names) == 26
        assert sorted(path.name for path in incident.folder.iterdir()) == [
            "feature_backfill_20251121.csv",
            "feature_backfill_batches",
            "preview.json",
        ]

    def test_the_preview_says_that_the_next_regular_sync_would_undo_the_repair(self, incident: Frozen) -> None:
        head, *found = incident.preview["regular_sync"]

        assert head.startswith("The repair would be undone by the next run of the regular sync (Census sync 4712, ")
        assert any("Fraud Detection" in each and "The join with the feature table is missing" in each for each in found)


class TestFiles:
    def test_the_full_csv_has_the_23_columns_in_their_order(self, incident: Frozen) -> None:
        header = incident.full_csv.read_text(encoding="utf-8").partition("\n")[0]

        assert header.split(",") == list(FIELDS.columns)
        assert len(FIELDS.columns) == 23

    def test_its_rows_are_in_the_order_of_their_numbers(self, sandbox: Sandbox, incident: Frozen) -> None:
        numbered = sandbox.sql(
            f"SELECT record_number, reverse_etl_id_c FROM {load_settings().payload_table} WHERE run_id = 'incident' ORDER BY 1"
        )

        keys = [row["reverse_etl_id_c"] for row in rows_of(incident.full_csv)]

        assert [number for number, _ in numbered] == list(range(1, 1_297))
        assert keys == [key for _, key in numbered]

    def test_the_batches_are_byte_for_byte_parts_of_it(self, incident: Frozen) -> None:
        header, _, body = incident.full_csv.read_bytes().partition(b"\n")

        parts = [path.read_bytes().partition(b"\n") for path in incident.parts()]

        assert {part[0] for part in parts} == {header}
        assert b"".join(part[2] for part in parts) == body
        assert [len(rows_of(path)) for path in incident.parts()] == [50] * 25 + [46]

    def test_every_cell_is_what_the_warehouse_says_and_dates_are_days_in_utc(self, sandbox: Sandbox, incident: Frozen) -> None:
        names = [str(field.source) for field in FIELDS.features]
        truth = {row[0]: row[1:] for row in sandbox.sql(f"SELECT property_id, {', '.join(names)} FROM {FEATURES}")}
        rows = rows_of(incident.full_csv)
        instants: list[datetime] = []

        def cell(value: Any, kind: FieldKind) -> str:
            if kind is FieldKind.CHECKBOX:
                return "true" if value else "false"
            if value is None:
                return ""
            instants.append(value.astimezone(UTC))
            return f"{value.astimezone(UTC):%Y-%m-%d}"

        nothing = (None,) * len(names)
        expected = [
            [
                cell(value, field.kind)
                for value, field in zip(truth.get(row["snappt_property_id_c"], nothing), FIELDS.features, strict=True)
            ]
            for row in rows
        ]

        assert [[row[field.column] for field in FIELDS.features] for row in rows] == expected
        # The check would prove nothing without times that are another day in another time zone, on both sides of midnight.
        second = timedelta(seconds=1)
        assert sum(each.date() != (each + second).date() for each in instants) > 20
        assert sum(each.date() != (each - second).date() for each in instants) > 20

    def test_a_date_that_is_a_datetime_in_salesforce_is_written_as_one(
        self, sandbox: Sandbox, incident_ids: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_DATETIME_FIELDS", '["fraud_detection_start_date_c"]')
        monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_TABLE", "crm.salesforce.with_times")
        column = "fraud_detection_start_date_c"
        sandbox.sql(
            f"CREATE OR REPLACE TABLE crm.salesforce.with_times AS SELECT * REPLACE (CAST({column} AS TIMESTAMP) AS {column}) "
            "FROM crm.salesforce.product_property_c"
        )
        with Warehouse(load_settings()) as warehouse:
            with pytest.raises(OwnTableError, match="fraud_detection_start_date_c is date, now it must be timestamp"):
                prepare_tables(warehouse)
            for table in ("PAYLOAD", "BATCH", "READ_BACK"):
                monkeypatch.setenv(f"FEATURE_SYNC_{table}_TABLE", f"crm.sfdc_dbx.{table.lower()}_with_times")
        with Warehouse(load_settings()) as warehouse:
            prepare_tables(warehouse)
        conf = {"scope": "property_ids", "property_ids": incident_ids[:3]}

        frozen = run_steps(conf, "with-times")

        listed = ", ".join(f"'{each}'" for each in incident_ids[:3])
        truth = sandbox.sql(f"SELECT fraud_enabled_at FROM {FEATURES} WHERE property_id IN ({listed}) ORDER BY property_id")
        found = [row["fraud_detection_start_date_c"] for row in rows_of(frozen.full_csv)]
        assert found == [f"{row[0].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for row in truth]
        assert all(len(row["fraud_detection_updated_date_c"]) == 10 for row in rows_of(frozen.full_csv))

    def test_writing_them_again_makes_the_same_files(self, sandbox: Sandbox, incident: Frozen) -> None:  # noqa: ARG002
        before = {path: path.read_bytes() for path in [incident.full_csv, *incident.parts()]}
        preview = {**incident.preview, "neighbours": None}

        checked = check_payload(INCIDENT, "incident")
        export_csv("incident", DAY)
        plan_probes(INCIDENT, "incident")
        batches = plan_batches(INCIDENT, "incident")

        assert (checked, batches) == (incident.checked, incident.batches)
        assert {path: path.read_bytes() for path in before} == before
        assert {**incident.preview, "neighbours": None} == preview


class TestFreezing:
    def payload(self, sandbox: Sandbox, run_id: str) -> list[tuple[Any, ...]]:
        columns = ", ".join(("record_number", "batch_number", "salesforce_id", "has_feature_row", *FIELDS.columns))
        before = ", ".join(f"before_{field.column}" for field in FIELDS.features)
        table = load_settings().payload_table
        rows = sandbox.sql(f"SELECT {columns}, {before} FROM {table} WHERE run_id = '{run_id}' ORDER BY record_number")
        return [tuple(row) for row in rows]

    def test_doing_it_again_makes_the_same_payload_once(self, sandbox: Sandbox, incident_ids: list[str]) -> None:
        conf = {"scope": "property_ids", "property_ids": incident_ids[:12], "batch_size": 5}

        counts = freeze_payload(conf, "twice")
        first = self.payload(sandbox, "twice")
        again = freeze_payload(conf, "twice")

        assert counts == again == payloads.frozen(12)
        assert self.payload(sandbox, "twice") == first
        assert [row[:2] for row in first] == [(number, (number - 1) // 5 + 1) for number in range(1, 13)]

    def test_the_values_in_salesforce_before_are_kept(self, sandbox: Sandbox, incident_ids: list[str]) -> None:
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, "before")

        [[now, before]] = sandbox.sql(
            "SELECT count(CASE WHEN fraud_detection_enabled_c THEN 1 END),"
            " count(CASE WHEN before_fraud_detection_enabled_c IS FALSE THEN 1 END)"
            f" FROM {load_settings().payload_table} WHERE run_id = 'before'"
        )
        assert (now, before) == (20, 20)

    @pytest.mark.parametrize("tried", [False, True], ids=["not-yet-tried", "tried"])
    def test_a_payload_follows_the_source_until_a_batch_was_tried(
        self,
        sandbox: Sandbox,
        incident_ids: list[str],
        change_table: Callable[[str, str], None],
        tried: bool,
    ) -> None:
        run_id = f"tried-{tried}"
        conf = {"scope": "property_ids", "property_ids": incident_ids, "batch_size": 5}
        freeze_payload(conf, run_id)
        before = self.payload(sandbox, run_id)
        if tried:
            with Warehouse(load_settings()) as warehouse:
                SyncLog(warehouse).record(Attempt(run_id, 1, 1, AttemptStatus.SENDING, 5, 0))
        change_table(FEATURES, f"UPDATE {{table}} SET vor_enabled = TRUE WHERE property_id = '{incident_ids[7]}'")

        counts = freeze_payload(conf, run_id)

        assert counts["records"] == 20
        changed = [old[4] for old, new in zip(before, self.payload(sandbox, run_id), strict=True) if old != new]
        assert changed == ([] if tried else [incident_ids[7]])

    def test_another_runs_attempt_does_not_keep_it(self, sandbox: Sandbox, incident_ids: list[str]) -> None:
        with Warehouse(load_settings()) as warehouse:
            SyncLog(warehouse).record(Attempt("someone-else", 1, 1, AttemptStatus.SUCCEEDED, 5, 0))
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, "own")

        counts = freeze_payload({"scope": "property_ids", "property_ids": incident_ids[:4]}, "own")

        assert counts["records"] == 4
        assert len(self.payload(sandbox, "own")) == 4


def test_a_preview_is_made_although_census_cannot_be_asked_for_its_syncs(
    sandbox: Sandbox, incident_ids: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run_id = f"no-list-{uuid.uuid4()}"
    conf = {"scope": "property_ids", "property_ids": incident_ids, "dry_run": True}
    freeze_payload(conf, run_id)
    sandbox.fault("list_syncs", "status", code=403)

    check_payload(conf, run_id)

    assert "Census could not be asked which other syncs write the same object" in caplog.text


class TestMassDisable:
    CHANGE = (
        f"before_{FRAUD.enabled.column} = TRUE, {FRAUD.enabled.column} = FALSE, before_{RENT.enabled.column} = TRUE,"
        f" {RENT.enabled.column} = record_number > 1"
    )

    @pytest.fixture
    def run_id(self, sandbox: Sandbox, incident_ids: list[str]) -> str:
        """Turns Fraud Detection off for 3 of 20 records, and Verification of Rent for one."""
        run_id = f"mass-disable-{uuid.uuid4()}"
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, run_id)
        sandbox.sql(f"UPDATE {load_settings().payload_table} SET {self.CHANGE} WHERE run_id = '{run_id}' AND record_number <= 3")
        return run_id

    def test_the_refusal_of_a_dry_run_too_says_how_it_is_allowed(self, run_id: str) -> None:
        [problem] = refusal(run_id, {"dry_run": True})

        assert problem.startswith("mass_disable: Fraud Detection would turn")
        assert "start a run with allow_mass_disable; a person then approves the numbers." in problem

    def test_when_allowed_the_numbers_go_to_a_person(self, sandbox: Sandbox, run_id: str) -> None:
        checked = check_payload({"allow_mass_disable": True}, run_id)

        lines = [" ".join(line.split()) for line in str(checked.approval).splitlines()]
        reasons = [line for line in lines if line.startswith("- mass_disable")]
        assert reasons == [
            "- mass_disable: Fraud Detection would turn from True to False for 3 of 20 records (15.0%); "
            "GUARD_DISABLE_SHARE allows 5.0%."
        ]
        assert any(line.startswith("| Fraud Detection | 3 | 17 | 17 | 3 |") for line in lines), lines
        assert any(line.startswith("| Verification of Rent | 3 | 2 | 0 | 1 |") for line in lines)
        assert "- 20 records, 0 of them without a feature row" in lines
        assert records_left(sandbox, run_id) == 20

    def test_nothing_can_be_staged_before_a_person_has_approved(self, sandbox: Sandbox, run_id: str) -> None:
        check_payload({"allow_mass_disable": True}, run_id)
        before = records_released(sandbox, run_id)

        release_payload(run_id)

        assert (before, records_released(sandbox, run_id)) == (0, 20)

    def test_a_dry_run_asks_nobody(self, run_id: str) -> None:
        checked = check_payload({"allow_mass_disable": True, "dry_run": True}, run_id)

        assert replace(checked, products=[]) == CheckedPayload(records=20, records_unmatched=0, approval=None)


def test_a_cell_that_a_spreadsheet_would_calculate_is_not_exported_as_one(sandbox: Sandbox, incident_ids: list[str]) -> None:
    freeze_payload({"scope": "property_ids", "property_ids": incident_ids[:3]}, "formula")
    sandbox.sql(
        f"UPDATE {load_settings().payload_table} SET snappt_property_id_c = '=cmd()|x'"
        " WHERE run_id = 'formula' AND record_number = 2"
    )

    exported = export_csv("formula", DAY)

    cells = [row["snappt_property_id_c"] for row in rows_of(Path(exported["full_csv"]))]
    assert cells == [incident_ids[0], "'=cmd()|x", incident_ids[2]]
