"""From the scope to batches over the wire: the incident's numbers, the files, the guards, and a payload that stays once sent."""

import csv
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_sync.batches import Batch
from feature_sync.fields import FieldKind, load_fields
from feature_sync.guards import GuardError
from feature_sync.outcome import AttemptStatus
from feature_sync.payload import check_payload, export_csv, freeze_payload, plan_batches, plan_probes, release_payload
from feature_sync.payload_guards import Guard
from feature_sync.schema import OwnTableError, prepare_tables
from feature_sync.sending import StagingError
from feature_sync.settings import load_settings
from feature_sync.sync_log import Attempt, SyncLog
from feature_sync.warehouse import Warehouse
from tests.feature_sync.campaign import Campaign
from tests.sandbox.client import BATCH_TABLE, DATASET, Sandbox

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
    """What the steps gave for a run."""

    frozen: dict[str, Any]
    checked: dict[str, Any]
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
    frozen, checked = freeze_payload(conf, run_id), check_payload(conf, run_id)
    exported = export_csv(run_id, DAY)
    plan_probes(conf, run_id, DAY)
    return Frozen(frozen, checked, exported, plan_batches(conf, run_id))


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
        " WHERE CAST(copy.created_date AS DATE) = '2025-11-21' AND features.fraud_enabled ORDER BY 1 LIMIT 20"
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
        assert incident.frozen == {"records": 1_296}
        assert incident.checked == {"records": 1_296, "records_unmatched": 40, "approval": None}
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
            "records_not_undone": 0,
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
        with Warehouse(load_settings()) as warehouse:
            with pytest.raises(OwnTableError, match="fraud_detection_start_date_c is date, now it must be timestamp"):
                prepare_tables(warehouse)
            for table in ("PAYLOAD", "BATCH"):
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

    def test_writing_them_again_gives_the_same_files(self, sandbox: Sandbox, incident: Frozen) -> None:  # noqa: ARG002
        before = {path: path.read_bytes() for path in [incident.full_csv, *incident.parts(), incident.folder / "preview.json"]}

        checked = check_payload(INCIDENT, "incident")
        export_csv("incident", DAY)
        plan_probes(INCIDENT, "incident", DAY)
        batches = plan_batches(INCIDENT, "incident")

        assert (checked, batches) == (incident.checked, incident.batches)
        assert {path: path.read_bytes() for path in before} == before


class TestScope:
    @pytest.mark.parametrize(
        ("conf", "records", "unmatched"),
        [
            pytest.param({}, 1_252, 0, id="mismatched"),
            pytest.param({"scope": "all"}, 10_000, 314, id="all"),
            pytest.param(INCIDENT | {"unmatched": "skip"}, 1_256, 0, id="skip-unmatched"),
        ],
    )
    def test_how_many_records_a_scope_has(
        self,
        sandbox: Sandbox,  # noqa: ARG002
        conf: dict[str, Any],
        records: int,
        unmatched: int,
    ) -> None:
        run_id = f"scope-{conf.get('scope')}-{conf.get('unmatched')}"

        frozen, checked = freeze_payload(conf, run_id), check_payload(conf, run_id)

        assert frozen == {"records": records}
        assert checked == {"records": records, "records_unmatched": unmatched, "approval": None}

    def test_listed_properties_and_no_other(self, sandbox: Sandbox, incident_ids: list[str]) -> None:  # noqa: ARG002
        ids = incident_ids[3:10]

        frozen = run_steps({"scope": "property_ids", "property_ids": ids[::-1], "batch_size": 3}, "listed")

        assert sorted(row["snappt_property_id_c"] for row in rows_of(frozen.full_csv)) == ids
        assert [batch["last"] - batch["first"] + 1 for batch in frozen.batches] == [3, 3, 1]

    def test_the_days_are_inclusive_and_those_of_utc(self, sandbox: Sandbox, incident: Frozen) -> None:
        [[first, last]] = sandbox.sql(
            "SELECT MIN(created_date), MAX(created_date) FROM crm.salesforce.product_property_c"
            " WHERE snappt_property_id_c IN"
            f" (SELECT snappt_property_id_c FROM {load_settings().payload_table} WHERE run_id = 'incident')"
        )

        assert first == datetime(2025, 11, 21, tzinfo=UTC)
        assert last == datetime(2025, 11, 21, 23, 59, 59, tzinfo=UTC)
        assert incident.checked["records"] == 1_296

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
        conf = {"scope": "property_ids", "property_ids": incident_ids[:12], "batch_size": 5}

        counts = freeze_payload(conf, "twice")
        first = self.payload(sandbox, "twice")
        again = freeze_payload(conf, "twice")

        assert counts == again == {"records": 12}
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


FLAGS = [product.enabled.column for product in FIELDS.products]
FRAUD, RENT = FIELDS.products[0], FIELDS.products[-1]
TODAY = datetime.now(UTC).date()
"""Of the test's start. When midnight passes meanwhile it is no future day either."""
AFTER_TODAY = (datetime.now(UTC) + timedelta(hours=36)).date()
"""Later than today even if midnight passes while the tests run."""


def each(columns: list[str], value: str) -> str:
    return ", ".join(f"{column} = {value}" for column in columns)


def refusal(run_id: str, conf: dict[str, Any] | None = None) -> list[str]:
    """The problems of a payload that is refused."""
    with pytest.raises(GuardError) as refused:
        check_payload(conf or {}, run_id)
    return refused.value.problems


def names(problems: list[str]) -> list[str]:
    return [problem.partition(":")[0] for problem in problems]


def records_left(sandbox: Sandbox, run_id: str) -> int:
    [[records]] = sandbox.sql(f"SELECT count(*) FROM {load_settings().payload_table} WHERE run_id = '{run_id}'")
    return records


def records_released(sandbox: Sandbox, run_id: str) -> int:
    """How many may be staged."""
    table = load_settings().payload_table
    [[records]] = sandbox.sql(f"SELECT count(*) FROM {table} WHERE run_id = '{run_id}' AND released_at IS NOT NULL")
    return records


class SeenFromOutside:
    """What reached Census, Salesforce and the batch table since it was made, as the sandbox's journal has it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.after = sandbox.seq()

    @property
    def effects(self) -> list[Any]:
        entries = self.sandbox.journal(after=self.after)
        assert any(entry["kind"] == "warehouse.statement" for entry in entries), "the journal was not written"
        return [
            entry
            for entry in entries
            if entry["kind"] in ("census.run.started", "salesforce.transaction")
            or (entry["kind"] == "census.request" and entry["method"] != "GET")
            or (entry["kind"] == "warehouse.statement" and "REPLACE" in entry["sql"] and BATCH_TABLE in entry["sql"])
        ]


class TestGuards:
    """Each guard over the wire, on a payload of 20 records that is sound but for what a test changes in the first of them."""

    @pytest.fixture(scope="class")
    def sound(self, world: Sandbox, incident_ids: list[str]) -> str:  # noqa: ARG002 - the environment
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FEATURE_SYNC_PARENT_COLUMN", "")  # so that the first records are those of the first ids
            freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, "sound")
        return "sound"

    @pytest.fixture
    def frozen_with(self, sandbox: Sandbox, sound: str) -> Callable[[str, int], str]:
        def freeze(change: str, records: int) -> str:
            run_id, table = f"guarded-{uuid.uuid4()}", load_settings().payload_table
            pairs = [pair.split(" = ") for pair in change.split(", ")]
            changed = "".join(
                f", CASE WHEN record_number <= {records} THEN {value} ELSE {column} END AS {column}" for column, value in pairs
            )
            kept = ", ".join(["run_id", *(column for column, _ in pairs)])
            sandbox.sql(
                f"INSERT INTO {table} BY NAME SELECT '{run_id}' AS run_id, * EXCEPT ({kept}){changed}"
                f" FROM {table} WHERE run_id = '{sound}'"
            )
            return run_id

        return freeze

    @pytest.mark.parametrize(
        ("change", "records", "settings", "problem"),
        [
            pytest.param(
                "reverse_etl_id_c = NULL",
                3,
                {},
                "empty_keys: 3 records have no reverse_etl_id_c (named is the property), such as {first}.",
                id="empty-keys",
            ),
            pytest.param(
                "reverse_etl_id_c = '{first}'",
                3,
                {},
                "repeated_keys: 3 records share their reverse_etl_id_c with another, such as {first}.",
                id="repeated-keys",
            ),
            pytest.param(
                "reverse_etl_id_c = 'nobody-' || record_number",
                2,
                {},
                "missing_keys: 2 records have a reverse_etl_id_c that no record in Salesforce has, such as nobody-1.",
                id="missing-keys",
            ),
            *(
                pytest.param(
                    f"{product.enabled.column} = NULL",
                    2,
                    {},
                    "empty_flags: 2 records have an empty flag; a Salesforce checkbox takes no null, such as {first}.",
                    id=f"empty-flags-{product.name}",
                )
                for product in (FRAUD, RENT)
            ),
            pytest.param(
                "has_feature_row = FALSE",
                3,
                {},
                "feature_rows: only 85.0% of 20 properties have a feature row; GUARD_FEATURE_ROW_SHARE asks for 90.0%.",
                id="feature-rows",
            ),
            pytest.param(
                "has_feature_row = FALSE",
                1,
                {"FEATURE_ROW_SHARE": "0.96"},
                "feature_rows: only 95.0% of 20 properties have a feature row; GUARD_FEATURE_ROW_SHARE asks for 96.0%.",
                id="feature-rows-by-setting",
            ),
            pytest.param(
                each(FLAGS, "FALSE"),
                20,
                {},
                "no_product: 0 of 20 properties have a product at all; GUARD_ENABLED_RECORDS asks for 1.",
                id="no-product",
            ),
            pytest.param(
                each(FLAGS, "FALSE"),
                17,
                {"ENABLED_RECORDS": "4"},
                "no_product: 3 of 20 properties have a product at all; GUARD_ENABLED_RECORDS asks for 4.",
                id="no-product-by-setting",
            ),
            *(
                pytest.param(
                    f"{field.column} = DATE'{AFTER_TODAY}'",
                    2,
                    {},
                    "future_dates: 2 records have a date that lies in the future, such as {first}.",
                    id=f"future-dates-{field.column}",
                )
                for field in (FRAUD.start, RENT.updated)
            ),
            *(
                pytest.param(
                    f"{field.column} = DATE'2016-12-31'",
                    2,
                    {},
                    "early_dates: 2 records have a date before 2017-01-01 (GUARD_EARLIEST_DATE), such as {first}.",
                    id=f"early-dates-{field.column}",
                )
                for field in (FRAUD.start, RENT.updated)
            ),
            pytest.param(
                "vor_start_date_c = DATE'2019-01-31'",
                1,
                {"EARLIEST_DATE": "2019-02-01"},
                "early_dates: 1 records have a date before 2019-02-01 (GUARD_EARLIEST_DATE), such as {first}.",
                id="early-dates-by-setting",
            ),
            pytest.param(
                f"before_{RENT.enabled.column} = TRUE, {RENT.enabled.column} = FALSE",
                2,
                {},
                "mass_disable: Verification of Rent would turn from True to False for 2 of 20 records (10.0%); "
                "GUARD_DISABLE_SHARE allows 5.0%.",
                id="mass-disable",
            ),
            pytest.param(
                f"before_{FRAUD.enabled.column} = TRUE, {FRAUD.enabled.column} = FALSE",
                1,
                {"DISABLE_SHARE": "0"},
                "mass_disable: Fraud Detection would turn from True to False for 1 of 20 records (5.0%); "
                "GUARD_DISABLE_SHARE allows 0.0%.",
                id="mass-disable-by-setting",
            ),
        ],
    )
    def test_it_refuses_by_name_with_count_and_example(
        self,
        *,
        incident_ids: list[str],
        frozen_with: Callable[[str, int], str],
        monkeypatch: pytest.MonkeyPatch,
        change: str,
        records: int,
        settings: dict[str, str],
        problem: str,
    ) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"FEATURE_SYNC_GUARD_{name}", value)
        run_id = frozen_with(change.replace("{first}", incident_ids[0]), records)

        [found] = refusal(run_id)

        assert found.startswith(problem.replace("{first}", incident_ids[0]))

    @pytest.mark.parametrize(
        ("change", "records", "settings"),
        [
            pytest.param("has_feature_row = FALSE", 2, {}, id="feature-rows"),
            pytest.param("has_feature_row = FALSE", 5, {"FEATURE_ROW_SHARE": "0.75"}, id="feature-rows-by-setting"),
            pytest.param(each(FLAGS, "FALSE"), 19, {}, id="no-product"),
            pytest.param(each(FLAGS, "FALSE"), 16, {"ENABLED_RECORDS": "4"}, id="no-product-by-setting"),
            pytest.param(each(FLAGS, "FALSE"), 20, {"ENABLED_RECORDS": "0"}, id="no-product-switched-off"),
            pytest.param(f"{RENT.enabled.column} = TRUE, {FRAUD.enabled.column} = FALSE", 20, {}, id="any-product"),
            pytest.param(each([field.column for field in FIELDS.dates], f"DATE'{TODAY}'"), 20, {}, id="future-dates"),
            pytest.param(each([field.column for field in FIELDS.dates], "DATE'2017-01-01'"), 20, {}, id="early-dates"),
            pytest.param(each([field.column for field in FIELDS.dates], "NULL"), 20, {}, id="no-dates"),
            pytest.param(
                f"{FRAUD.start.column} = DATE'2016-12-31'", 1, {"EARLIEST_DATE": "2016-12-31"}, id="early-dates-by-setting"
            ),
            pytest.param(f"before_{FRAUD.enabled.column} = TRUE, {FRAUD.enabled.column} = FALSE", 1, {}, id="mass-disable"),
            pytest.param(
                f"before_{FRAUD.enabled.column} = TRUE, {FRAUD.enabled.column} = FALSE",
                5,
                {"DISABLE_SHARE": "0.25"},
                id="mass-disable-by-setting",
            ),
            pytest.param(
                each([f"before_{flag}" for flag in FLAGS], "TRUE") + ", " + each(FLAGS, "FALSE"),
                1,
                {},
                id="each-product-by-itself",
            ),
        ],
    )
    def test_it_lets_pass_what_just_reaches_its_threshold(
        self,
        frozen_with: Callable[[str, int], str],
        monkeypatch: pytest.MonkeyPatch,
        change: str,
        records: int,
        settings: dict[str, str],
    ) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"FEATURE_SYNC_GUARD_{name}", value)
        run_id = frozen_with(change, records)

        checked = check_payload({}, run_id)

        assert (checked["records"], checked["approval"]) == (20, None)

    @pytest.mark.parametrize("allowed", [False, True], ids=["", "mass-disable-allowed"])
    def test_every_guard_that_does_not_hold_is_named_at_once_and_none_but_the_last_can_be_overridden(
        self, frozen_with: Callable[[str, int], str], allowed: bool
    ) -> None:
        key = "CASE WHEN record_number < 3 THEN NULL WHEN record_number < 5 THEN 'nobody' ELSE reverse_etl_id_c END"
        everything = [
            f"reverse_etl_id_c = {key}",
            "has_feature_row = FALSE",
            each([f"before_{FRAUD.enabled.column}"], "TRUE"),
            each([FRAUD.enabled.column], "FALSE"),
            each(FLAGS[1:], "NULL"),
            f"{FRAUD.start.column} = DATE'{AFTER_TODAY}'",
            f"{RENT.start.column} = DATE'1999-12-31'",
        ]

        found = names(refusal(frozen_with(", ".join(everything), 20), {"allow_mass_disable": allowed}))

        others = [guard for guard in Guard if guard not in (Guard.EMPTY_PAYLOAD, Guard.MASS_DISABLE)]
        assert [name for name in found if name != "mass_disable"] == others
        assert "mass_disable" in found or allowed

    def test_a_record_deleted_in_salesforce_since_has_no_key_there(
        self, incident_ids: list[str], frozen_with: Callable[[str, int], str], change_table: Callable[[str, str], None]
    ) -> None:
        run_id = frozen_with("batch_number = 1", 20)
        change_table(COPY, f"UPDATE {{table}} SET is_deleted = TRUE WHERE reverse_etl_id_c = '{incident_ids[4]}'")

        [problem] = refusal(run_id)

        assert problem.startswith("missing_keys: 1 records")
        assert f"such as {incident_ids[4]}." in problem

    @pytest.mark.parametrize("product", [FRAUD, RENT], ids=lambda product: product.name)
    def test_an_empty_flag_of_the_feature_table_is_refused(
        self, incident_ids: list[str], change_table: Callable[[str, str], None], product: Any
    ) -> None:
        flag = product.enabled.source
        change_table(FEATURES, f"UPDATE {{table}} SET {flag} = NULL WHERE property_id = '{incident_ids[2]}'")
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, f"empty-{flag}")

        [problem] = refusal(f"empty-{flag}")

        assert problem.startswith("empty_flags: 1 records have an empty flag")
        assert f"such as {incident_ids[2]}." in problem

    def test_a_second_feature_row_of_a_property_is_refused(
        self, incident_ids: list[str], change_table: Callable[[str, str], None]
    ) -> None:
        change_table(FEATURES, f"INSERT INTO {{table}} SELECT * FROM {{table}} WHERE property_id = '{incident_ids[2]}'")
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, "two-rows")

        [problem] = refusal("two-rows")

        assert problem.startswith("repeated_keys: 2 records share their reverse_etl_id_c with another")
        assert f"such as {incident_ids[2]}." in problem

    @pytest.mark.parametrize(
        ("scope", "count"), [pytest.param(slice(0, 20), 2, id="both-in-scope"), pytest.param(slice(2, 20), 1, id="one-in-scope")]
    )
    def test_a_key_that_two_records_share_is_refused(
        self, incident_ids: list[str], change_table: Callable[[str, str], None], scope: slice, count: int
    ) -> None:
        change_table(
            COPY,
            f"UPDATE {{table}} SET reverse_etl_id_c = '{incident_ids[1]}' WHERE snappt_property_id_c = '{incident_ids[2]}'",
        )
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids[scope]}, f"one-key-{count}")

        [problem] = refusal(f"one-key-{count}")

        assert problem.startswith(f"repeated_keys: {count} records share")
        assert f"such as {incident_ids[1]}." in problem

    @pytest.mark.parametrize("key", ["NULL", "''", "'  '"])
    def test_a_record_without_a_key_is_refused(
        self, incident_ids: list[str], change_table: Callable[[str, str], None], key: str
    ) -> None:
        change_table(COPY, f"UPDATE {{table}} SET reverse_etl_id_c = {key} WHERE snappt_property_id_c = '{incident_ids[2]}'")
        run_id = f"no-key-{len(key)}"
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, run_id)

        [problem] = refusal(run_id)

        assert problem.startswith("empty_keys: 1 records have no reverse_etl_id_c")
        assert f"such as {incident_ids[2]}." in problem

    def test_a_scope_that_vanished_is_refused(self, sandbox: Sandbox) -> None:  # noqa: ARG002
        freeze_payload({"scope": "property_ids", "property_ids": ["nobody"]}, "vanished")

        assert names(refusal("vanished")) == ["empty_payload"]

    def test_a_payload_that_was_refused_is_gone_until_it_is_frozen_again(
        self, sandbox: Sandbox, sound: str, incident_ids: list[str], frozen_with: Callable[[str, int], str]
    ) -> None:
        run_id = frozen_with("has_feature_row = FALSE", 20)
        first = names(refusal(run_id))
        left = records_left(sandbox, run_id)

        second = names(refusal(run_id))
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, run_id)

        assert (first, left, second) == (["feature_rows"], 0, ["empty_payload"])
        assert records_released(sandbox, run_id) == 0, "before the check"
        assert check_payload({}, run_id)["records"] == 20
        assert records_released(sandbox, run_id) == 20
        assert records_left(sandbox, sound) == 20, "of another run"

    def test_a_payload_of_which_a_batch_was_tried_is_refused_but_stays_to_be_undone(
        self, sandbox: Sandbox, frozen_with: Callable[[str, int], str]
    ) -> None:
        run_id = frozen_with("has_feature_row = FALSE, released_at = current_timestamp()", 20)
        with Warehouse(load_settings()) as warehouse:
            SyncLog(warehouse).record(Attempt(run_id, 1, 1, AttemptStatus.SUCCEEDED, 20))

        assert names(refusal(run_id)) == ["feature_rows"]
        assert (records_left(sandbox, run_id), records_released(sandbox, run_id)) == (20, 0)

    def test_the_preview_is_written_for_a_payload_that_is_refused_too(self, frozen_with: Callable[[str, int], str]) -> None:
        run_id = frozen_with(f"before_{FRAUD.enabled.column} = TRUE, {FRAUD.enabled.column} = FALSE", 4)

        refusal(run_id)

        preview = json.loads((Path(load_settings().output_url) / run_id / "preview.json").read_text())
        fraud = preview["products"][0]
        assert (fraud["enabled_now"], fraud["enabled_after"], fraud["to_enable"], fraud["to_disable"]) == (4, 16, 16, 4)


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

        lines = [" ".join(line.split()) for line in checked["approval"].splitlines()]
        reasons = [line for line in lines if line.startswith("- mass_disable")]
        assert reasons == [
            "- mass_disable: Fraud Detection would turn from True to False for 3 of 20 records (15.0%); "
            "GUARD_DISABLE_SHARE allows 5.0%."
        ]
        assert "| Fraud Detection | 3 | 17 | 17 | 3 |" in lines
        assert "| Verification of Rent | 3 | 2 | 0 | 1 |" in lines
        assert "- 20 records, 0 of them without a feature row" in lines
        assert records_left(sandbox, run_id) == 20

    def test_nothing_can_be_staged_before_a_person_has_approved(self, sandbox: Sandbox, run_id: str) -> None:
        check_payload({"allow_mass_disable": True}, run_id)
        before = records_released(sandbox, run_id)

        release_payload(run_id)

        assert (before, records_released(sandbox, run_id)) == (0, 20)

    def test_a_dry_run_asks_nobody(self, run_id: str) -> None:
        checked = check_payload({"allow_mass_disable": True, "dry_run": True}, run_id)

        assert checked == {"records": 20, "records_unmatched": 0, "approval": None}


class TestTheIncidentAgain:
    """The mistake itself cannot be sent: neither the wrong SQL, nor a feature table that is empty."""

    BEFORE = ", ".join(f"before_{field.column}" for field in FIELDS.features)

    def freeze_what_the_wrong_sql_gives(self, sandbox: Sandbox, run_id: str, where: str) -> int:
        """
        The rows of the regular sync's dataset, as it stands in Census, in the place of what `freeze_payload` would write.

        They are released, as after a former check, so that nothing but the refusal keeps them from being sent.
        """
        query = sandbox.census("GET", f"datasets/{DATASET}").json()["data"]["query"]
        asks_for_features = str(FEATURES in query).upper()
        numbered = "row_number() OVER (ORDER BY copy.id)"
        sandbox.sql(
            f"INSERT INTO {load_settings().payload_table} (run_id, record_number, batch_number, frozen_at, released_at,"
            f" salesforce_id, has_feature_row, {', '.join(FIELDS.columns)}, {self.BEFORE})"
            f" SELECT '{run_id}', {numbered}, CAST(floor(({numbered} - 1) / 50) AS INT) + 1, current_timestamp(),"
            f" current_timestamp(), copy.id, {asks_for_features}, {', '.join(f'source.{column}' for column in FIELDS.columns)},"
            f" {', '.join(f'copy.{field.column}' for field in FIELDS.features)}"
            f" FROM ({query}) AS source INNER JOIN {COPY} AS copy ON copy.reverse_etl_id_c = source.reverse_etl_id_c"
            f" WHERE NOT copy.is_deleted AND {where}"
        )
        return records_left(sandbox, run_id)

    @pytest.mark.parametrize(
        ("where", "conf", "records", "guards"),
        [
            pytest.param(
                "CAST(copy.created_date AS DATE) = '2025-11-21'", {}, 1_296, ["feature_rows", "no_product"], id="of-the-day"
            ),
            pytest.param("TRUE", {}, 10_000, ["feature_rows", "no_product", "mass_disable"], id="all"),
            pytest.param(
                "TRUE", {"allow_mass_disable": True}, 10_000, ["feature_rows", "no_product"], id="all-and-mass-disable-allowed"
            ),
        ],
    )
    def test_the_wrong_sql_is_refused_by_name_and_nothing_goes_out(
        self, *, sandbox: Sandbox, where: str, conf: dict[str, Any], records: int, guards: list[str]
    ) -> None:
        run_id = f"wrong-sql-{uuid.uuid4()}"
        outside = SeenFromOutside(sandbox)
        frozen = self.freeze_what_the_wrong_sql_gives(sandbox, run_id, where)

        problems = refusal(run_id, conf)

        assert frozen == records
        assert [guard for guard in dict.fromkeys(names(problems)) if guard in guards] == guards
        assert f"no_product: 0 of {records:,} properties have a product at all" in problems[1]
        assert records_left(sandbox, run_id) == 0
        with Warehouse(load_settings()) as warehouse:
            sender = Campaign(sandbox, warehouse, run_id, [Batch(1, 1, 50, 50)], outside.after).sender(wait_seconds=-2)
            with pytest.raises(StagingError, match=r"0 of 50 of its records .* Nothing was triggered\."):
                sender.begin()
        assert outside.effects == []

    def test_the_disabling_of_each_product_is_counted(self, sandbox: Sandbox) -> None:
        run_id = "wrong-sql-counted"
        self.freeze_what_the_wrong_sql_gives(sandbox, run_id, "TRUE")
        counts = ", ".join(f"COUNT_IF({flag})" for flag in FLAGS)
        [enabled] = sandbox.sql(f"SELECT {counts} FROM {COPY} WHERE NOT is_deleted")

        problems = [problem for problem in refusal(run_id) if problem.startswith("mass_disable")]

        expected = [
            f"mass_disable: {product.label} would turn from True to False for {count:,} of 10,000 records"
            for product, count in zip(FIELDS.products, enabled, strict=True)
            if count > 500
        ]
        assert [problem.partition(" (")[0] for problem in problems] == expected
        assert len(expected) >= 4

    def test_an_empty_feature_table_is_refused_by_name_and_nothing_goes_out(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outside = SeenFromOutside(sandbox)
        sandbox.sql(f"CREATE OR REPLACE TABLE crm.sfdc_dbx.no_features AS SELECT * FROM {FEATURES} WHERE FALSE")
        monkeypatch.setenv("FEATURE_SYNC_FEATURES_TABLE", "crm.sfdc_dbx.no_features")

        frozen = freeze_payload(INCIDENT, "no-features")
        problems = refusal("no-features")

        sandbox.sql("DROP TABLE crm.sfdc_dbx.no_features")
        assert frozen == {"records": 1_296}
        assert names(problems) == ["feature_rows", "no_product"]
        assert problems[0].startswith("feature_rows: only 0.0% of 1,296 properties have a feature row")
        assert records_left(sandbox, "no-features") == 0
        assert outside.effects == []


class TestDryRun:
    @pytest.fixture
    def conf(self, incident_ids: list[str]) -> dict[str, Any]:
        return {"scope": "property_ids", "property_ids": incident_ids[:7], "batch_size": 3, "dry_run": True}

    def test_it_goes_as_far_as_the_plan_says_what_would_change_and_sends_nothing(
        self, sandbox: Sandbox, conf: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "feature_sync")
        outside = SeenFromOutside(sandbox)

        frozen = run_steps(conf, "dry")

        assert frozen.batches == []
        assert [len(rows_of(path)) for path in frozen.parts()] == [3, 3, 1]
        assert (frozen.preview["records"], frozen.preview["batches"]) == (7, 3)
        assert outside.effects == []
        assert sandbox.journal("census.request", outside.after) == []
        assert records_released(sandbox, "dry") == 0
        assert "| Fraud Detection      |          0 |          7 |          7 |          0 |" in caplog.text
        assert "Dry run: none of them is sent." in caplog.text

    def test_only_the_dry_run_keeps_it_from_sending(self, sandbox: Sandbox, conf: dict[str, Any]) -> None:  # noqa: ARG002
        assert len(run_steps(conf | {"dry_run": False}, "not-dry").batches) == 3


def test_a_cell_that_a_spreadsheet_would_calculate_is_not_exported_as_one(sandbox: Sandbox, incident_ids: list[str]) -> None:
    freeze_payload({"scope": "property_ids", "property_ids": incident_ids[:3]}, "formula")
    sandbox.sql(
        f"UPDATE {load_settings().payload_table} SET snappt_property_id_c = '=cmd()|x'"
        " WHERE run_id = 'formula' AND record_number = 2"
    )

    exported = export_csv("formula", DAY)

    cells = [row["snappt_property_id_c"] for row in rows_of(Path(exported["full_csv"]))]
    assert cells == [incident_ids[0], "'=cmd()|x", incident_ids[2]]
