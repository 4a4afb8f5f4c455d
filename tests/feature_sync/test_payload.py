"""From the scope to batches over the wire: the incident's numbers, the files, and a payload that stays once it was sent."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_sync.fields import FieldKind, load_fields
from feature_sync.guards import GuardError
from feature_sync.outcome import AttemptStatus
from feature_sync.payload import export_csv, freeze_payload, plan_batches
from feature_sync.settings import load_settings
from feature_sync.sync_log import Attempt, SyncLog
from feature_sync.warehouse import Warehouse
from tests.sandbox.client import Sandbox

DAY = date(2025, 11, 21)
INCIDENT = {"scope": "created_between", "created_from": "2025-11-21", "created_to": "2025-11-21"}
FIELDS = load_fields()
FEATURES = "crm.sfdc_dbx.product_property_w_features"
COPY = "crm.salesforce.product_property_c"
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


@dataclass(frozen=True, slots=True)
class Frozen:
    """What the three steps gave for a run."""

    counts: dict[str, Any]
    exported: dict[str, Any]
    batches: list[dict[str, Any]]

    @property
    def folder(self) -> Path:
        return Path(self.exported["folder"])

    @property
    def full_csv(self) -> Path:
        return Path(self.exported["full_csv"])

    @property
    def preview(self) -> dict[str, Any]:
        return json.loads((self.folder / "preview.json").read_text())

    def parts(self) -> list[Path]:
        return sorted((self.folder / "feature_backfill_batches").iterdir())


def run_steps(conf: dict[str, Any], run_id: str) -> Frozen:
    return Frozen(freeze_payload(conf, run_id), export_csv(run_id, DAY), plan_batches(conf, run_id, DAY))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def incident(world: Sandbox) -> Frozen:  # noqa: ARG001 - the environment
    return run_steps(INCIDENT, "incident")


@pytest.fixture(scope="module")
def incident_ids(world: Sandbox) -> list[str]:
    """Properties of the incident that have every day's usual product."""
    rows = world.sql(
        f"SELECT copy.snappt_property_id_c FROM {COPY} AS copy INNER JOIN {FEATURES} AS features"
        " ON features.property_id = copy.snappt_property_id_c"
        " WHERE CAST(copy.created_date AS DATE) = '2025-11-21' AND features.fraud_enabled ORDER BY 1 LIMIT 12"
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


class TestIncident:
    def test_the_counts_are_those_of_the_report(self, incident: Frozen) -> None:
        assert incident.counts == {"records": 1_296, "records_unmatched": 40}
        assert incident.exported["records"] == 1_296

    def test_each_product_gets_what_the_report_says(self, incident: Frozen) -> None:
        assert incident.preview["products"] == [
            {
                "product": product,
                "label": label,
                "enabled_now": now,
                "enabled_after": after,
                "to_enable": after - now,
                "to_disable": 0,
            }
            for product, label, now, after in PRODUCTS
        ]

    def test_the_preview_has_the_totals(self, incident: Frozen) -> None:
        totals = {name: value for name, value in incident.preview.items() if name != "products"}

        assert totals == {
            "run_id": "incident",
            "records": 1_296,
            "records_unmatched": 40,
            "batches": 26,
            "estimated_seconds": 26 * 45 + 25 * 150,
        }

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


class TestFiles:
    def test_the_full_csv_has_the_23_columns_in_their_order(self, incident: Frozen) -> None:
        header = incident.full_csv.read_text(encoding="utf-8").partition("\n")[0]

        assert header.split(",") == list(FIELDS.columns)
        assert len(FIELDS.columns) == 23

    def test_its_rows_stand_in_the_order_of_their_numbers(self, sandbox: Sandbox, incident: Frozen) -> None:
        numbered = sandbox.sql(
            f"SELECT record_number, reverse_etl_id_c FROM {load_settings().payload_table} WHERE run_id = 'incident' ORDER BY 1"
        )

        keys = [row["reverse_etl_id_c"] for row in rows_of(incident.full_csv)]

        assert [number for number, _ in numbered] == list(range(1, 1_297))
        assert keys == [key for _, key in numbered]
        assert keys == sorted(keys)

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
        monkeypatch.setenv("FEATURE_SYNC_PAYLOAD_TABLE", "crm.sfdc_dbx.payload_with_times")
        conf = {"scope": "property_ids", "property_ids": incident_ids[:3]}

        frozen = run_steps(conf, "with-times")

        listed = ", ".join(f"'{each}'" for each in incident_ids[:3])
        truth = sandbox.sql(f"SELECT fraud_enabled_at FROM {FEATURES} WHERE property_id IN ({listed}) ORDER BY property_id")
        found = [row["fraud_detection_start_date_c"] for row in rows_of(frozen.full_csv)]
        assert found == [f"{row[0].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for row in truth]
        assert all(len(row["fraud_detection_updated_date_c"]) == 10 for row in rows_of(frozen.full_csv))

    def test_writing_them_again_gives_the_same_files(self, sandbox: Sandbox, incident: Frozen) -> None:  # noqa: ARG002
        before = {path: path.read_bytes() for path in [incident.full_csv, *incident.parts(), incident.folder / "preview.json"]}

        export_csv("incident", DAY)
        batches = plan_batches(INCIDENT, "incident", DAY)

        assert batches == incident.batches
        assert {path: path.read_bytes() for path in before} == before


class TestScope:
    @pytest.mark.parametrize(
        ("conf", "counts"),
        [
            pytest.param({}, {"records": 1_252, "records_unmatched": 0}, id="mismatched"),
            pytest.param({"scope": "all"}, {"records": 10_000, "records_unmatched": 314}, id="all"),
            pytest.param(INCIDENT | {"unmatched": "skip"}, {"records": 1_256, "records_unmatched": 0}, id="skip-unmatched"),
        ],
    )
    def test_how_many_records_a_scope_has(self, sandbox: Sandbox, conf: dict[str, Any], counts: dict[str, int]) -> None:  # noqa: ARG002
        run_id = f"scope-{conf.get('scope')}-{conf.get('unmatched')}"

        assert freeze_payload(conf, run_id) == counts

    def test_listed_properties_and_no_other(self, sandbox: Sandbox, incident_ids: list[str]) -> None:  # noqa: ARG002
        ids = incident_ids[3:10]

        frozen = run_steps({"scope": "property_ids", "property_ids": ids[::-1], "batch_size": 3}, "listed")

        assert [row["snappt_property_id_c"] for row in rows_of(frozen.full_csv)] == ids
        assert [batch["last"] - batch["first"] + 1 for batch in frozen.batches] == [3, 3, 1]

    def test_the_days_are_inclusive_and_those_of_utc(self, sandbox: Sandbox, incident: Frozen) -> None:
        [[first, last]] = sandbox.sql(
            "SELECT MIN(created_date), MAX(created_date) FROM crm.salesforce.product_property_c"
            " WHERE snappt_property_id_c IN"
            f" (SELECT snappt_property_id_c FROM {load_settings().payload_table} WHERE run_id = 'incident')"
        )

        assert first == datetime(2025, 11, 21, tzinfo=UTC)
        assert last == datetime(2025, 11, 21, 23, 59, 59, tzinfo=UTC)
        assert incident.counts["records"] == 1_296

    def test_a_record_deleted_in_salesforce_is_in_no_scope(self, sandbox: Sandbox) -> None:
        freeze_payload({"scope": "all"}, "no-deleted")

        [[found]] = sandbox.sql(
            f"SELECT count(*) FROM {load_settings().payload_table} AS payload INNER JOIN {COPY} AS copy"
            " ON copy.id = payload.salesforce_id WHERE payload.run_id = 'no-deleted' AND copy.is_deleted"
        )
        assert found == 0

    @pytest.mark.parametrize(("skip", "count"), [("send_false", 40), ("skip", 0)])
    def test_a_property_without_a_feature_row_goes_out_as_false_or_not_at_all(
        self, sandbox: Sandbox, skip: str, count: int
    ) -> None:
        run_id = f"unmatched-{skip}"

        freeze_payload(INCIDENT | {"unmatched": skip}, run_id)

        flags = " OR ".join(f"NOT ({product.enabled.column} IS FALSE)" for product in FIELDS.products)
        [[unmatched, wrong]] = sandbox.sql(
            f"SELECT count(*), count(CASE WHEN {flags} THEN 1 END) FROM {load_settings().payload_table}"
            f" WHERE run_id = '{run_id}' AND NOT has_feature_row"
        )
        assert (unmatched, wrong) == (count, 0)


class TestFreezing:
    def payload(self, sandbox: Sandbox, run_id: str) -> list[tuple[Any, ...]]:
        columns = ", ".join(("record_number", "batch_number", "salesforce_id", "has_feature_row", *FIELDS.columns))
        before = ", ".join(f"before_{field.column}" for field in FIELDS.features)
        table = load_settings().payload_table
        rows = sandbox.sql(f"SELECT {columns}, {before} FROM {table} WHERE run_id = '{run_id}' ORDER BY record_number")
        return [tuple(row) for row in rows]

    def test_doing_it_again_gives_the_same_payload_once(self, sandbox: Sandbox, incident_ids: list[str]) -> None:
        conf = {"scope": "property_ids", "property_ids": incident_ids, "batch_size": 5}

        counts = freeze_payload(conf, "twice")
        first = self.payload(sandbox, "twice")
        again = freeze_payload(conf, "twice")

        assert counts == again == {"records": 12, "records_unmatched": 0}
        assert self.payload(sandbox, "twice") == first
        assert [row[:2] for row in first] == [(number, (number - 1) // 5 + 1) for number in range(1, 13)]

    def test_the_values_in_salesforce_before_are_kept(self, sandbox: Sandbox, incident_ids: list[str]) -> None:
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, "before")

        [[now, before]] = sandbox.sql(
            "SELECT count(CASE WHEN fraud_detection_enabled_c THEN 1 END),"
            " count(CASE WHEN before_fraud_detection_enabled_c IS FALSE THEN 1 END)"
            f" FROM {load_settings().payload_table} WHERE run_id = 'before'"
        )
        assert (now, before) == (12, 12)

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

        assert counts["records"] == 12
        changed = [old[0] for old, new in zip(before, self.payload(sandbox, run_id), strict=True) if old != new]
        assert changed == ([] if tried else [8])

    def test_another_runs_attempt_does_not_keep_it(self, sandbox: Sandbox, incident_ids: list[str]) -> None:
        with Warehouse(load_settings()) as warehouse:
            SyncLog(warehouse).record(Attempt("someone-else", 1, 1, AttemptStatus.SUCCEEDED, 5, 0))
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, "own")

        counts = freeze_payload({"scope": "property_ids", "property_ids": incident_ids[:4]}, "own")

        assert counts["records"] == 4
        assert len(self.payload(sandbox, "own")) == 4


class TestGuards:
    @pytest.mark.parametrize("product", [FIELDS.products[0], FIELDS.products[-1]], ids=lambda product: product.name)
    def test_an_empty_flag_is_refused(
        self, incident_ids: list[str], change_table: Callable[[str, str], None], product: Any
    ) -> None:
        flag = product.enabled.source
        change_table(FEATURES, f"UPDATE {{table}} SET {flag} = NULL WHERE property_id = '{incident_ids[2]}'")

        with pytest.raises(GuardError, match="1 records have a feature row with an empty flag"):
            freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, f"empty-{flag}")

    def test_a_second_feature_row_of_a_property_is_refused(
        self, incident_ids: list[str], change_table: Callable[[str, str], None]
    ) -> None:
        change_table(FEATURES, f"INSERT INTO {{table}} SELECT * FROM {{table}} WHERE property_id = '{incident_ids[2]}'")

        with pytest.raises(GuardError, match="1 records repeat the reverse_etl_id_c of another"):
            freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, "two-rows")

    def test_a_key_that_two_records_share_is_refused(
        self, incident_ids: list[str], change_table: Callable[[str, str], None]
    ) -> None:
        change_table(
            COPY,
            f"UPDATE {{table}} SET reverse_etl_id_c = '{incident_ids[1]}' WHERE snappt_property_id_c = '{incident_ids[2]}'",
        )

        with pytest.raises(GuardError, match="1 records repeat the reverse_etl_id_c of another"):
            freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, "one-key")

    @pytest.mark.parametrize("key", ["NULL", "''", "'  '"])
    def test_a_record_without_a_key_is_refused(
        self, incident_ids: list[str], change_table: Callable[[str, str], None], key: str
    ) -> None:
        change_table(COPY, f"UPDATE {{table}} SET reverse_etl_id_c = {key} WHERE snappt_property_id_c = '{incident_ids[2]}'")

        with pytest.raises(GuardError) as refused:
            freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, f"no-key-{len(key)}")

        assert [problem.partition(";")[0] for problem in refused.value.problems] == ["1 records have no reverse_etl_id_c"]

    def test_a_scope_that_vanished_is_refused(self, sandbox: Sandbox) -> None:  # noqa: ARG002
        with pytest.raises(GuardError, match="The payload is empty"):
            freeze_payload({"scope": "property_ids", "property_ids": ["nobody"]}, "vanished")
