"""A whole run, but for the sending, with another field table and other kinds of ids than those of the incident."""

import re
from collections.abc import Callable

import pytest

from feature_sync.backfill.payload import check_payload, freeze_payload
from feature_sync.backfill.validation import SalesforceDiffersError, validate
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import BACKFILL, PROJECT, Sandbox
from tests.wire.backfill.checking import REPLICA, check, problems_of
from tests.wire.backfill.payloads import refusal, rows_of, run_steps
from tests.wire.few import Few

OTHER = "tests/sql/fewer_fields.toml"
UUID = "concat('0f0e7c1a-0000-4000-8000-', lpad(CAST({} AS STRING), 12, '0'))"


@pytest.fixture
def own_tables(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - the environment
    """Ours under other names, because a table keeps the columns of the field table that made it."""
    for name in ("payload", "batch", "rejection", "sync_log", "drift"):
        monkeypatch.setenv(f"FEATURE_SYNC_{name.upper()}_TABLE", f"crm.sfdc_dbx.other_fields_{name}")
    monkeypatch.setenv("FEATURE_SYNC_FIELDS_FILE", OTHER)
    with Warehouse(load_settings()) as warehouse:
        prepare_tables(warehouse)


@pytest.fixture
def other(few: Few, own_tables: None) -> Few:  # noqa: ARG001 - the settings
    """Records with UUIDs, without the key and the dates that the other field table lacks, and with numbers as flags."""
    few.sql(f"UPDATE {{replica}} SET snappt_property_id_c = {UUID.format('snappt_property_id_c')}")
    few.sql(f"CREATE OR REPLACE TABLE {{properties}} AS SELECT * EXCEPT (id), {UUID.format('id')} AS id FROM {{properties}}")
    few.sql(f"UPDATE {{features}} SET property_id = {UUID.format('property_id')}")
    flags = [f"{product.enabled.source}" for product in load_settings().fields.products]
    numbers = ", ".join(f"CAST({flag} AS INT) AS {flag}" for flag in flags)
    kept = "property_id, fraud_enabled_at, iv_updated_at"
    few.sql(f"CREATE OR REPLACE TABLE {{features}} AS SELECT {kept}, {numbers} FROM {{features}}")
    absent = ("reverse_etl_id_c", "fraud_detection_updated_date_c", "income_verification_start_date_c", "vor_start_date_c")
    few.sql(f"CREATE OR REPLACE TABLE {{replica}} AS SELECT * EXCEPT ({', '.join(absent)}) FROM {{replica}}")
    return few


@pytest.mark.usefixtures("own_tables")
class TestOtherFields:
    def test_records_that_agree_have_no_difference(self, other: Few) -> None:
        report, rows = other.compare()

        assert (report["properties_checked"], report["properties_mismatched"], rows) == (8, 0, [])
        assert [each["product"] for each in report["products"]] == ["fraud_detection", "income_verification", "id_verification"]

    def test_each_field_that_exists_is_compared_and_the_key_is_listed_once(self, other: Few) -> None:
        [one, *_] = other.ids()
        fields = load_settings().fields.features
        changes = ", ".join(
            f"{field.column} = " + (f"NOT {field.column}" if field.kind == "checkbox" else "DATE'2001-02-03'") for field in fields
        )
        other.sql(f"UPDATE {{replica}} SET {changes} WHERE snappt_property_id_c = '{one}'")

        report, rows = other.compare()

        assert report["properties_mismatched"] == 1
        assert sorted(row["field"] for row in rows) == sorted(field.column for field in fields)
        assert [name for name in rows[0] if name.endswith("_c")] == ["snappt_property_id_c"]
        assert [each["date_differs"] for each in report["products"]] == [1, 1, 0]

    def test_keys_cannot_disagree_but_two_records_can_share_one(self, other: Few) -> None:
        [one, two, *_] = other.ids()
        other.sql(f"UPDATE {{replica}} SET snappt_property_id_c = '{two}' WHERE snappt_property_id_c = '{one}'")

        report, rows = other.compare()

        assert report["differences"]["key_mismatch"] == 2
        assert report["differences"]["missing_in_salesforce"] == 1
        assert [row["snappt_property_id_c"] for row in rows if row["class"] == "key_mismatch"] == [two, two]

    def test_a_run_has_each_column_once_in_every_file_and_table(self, other: Few) -> None:
        ids = other.ids()[:3]
        named = "', '".join(ids)
        other.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c IN ('{named}')")

        frozen = run_steps({}, "other-fields")

        columns = list(load_settings().fields.columns)
        assert len(columns) == 6
        assert list(rows_of(frozen.full_csv)[0]) == list(rows_of(frozen.parts()[0])[0]) == columns
        assert sorted(row["snappt_property_id_c"] for row in rows_of(frozen.full_csv)) == ids
        assert [product["to_enable"] for product in frozen.preview["products"]] == [3, 0, 0]
        with Warehouse(load_settings()) as warehouse:
            staged = {"run_id": "other-fields", "batch_number": 1, "resends_attempt": None, "attempt": 1}
            warehouse.execute("sending/stage_batch", staged)
            SyncLog(warehouse).record(Attempt("other-fields", 1, 1, AttemptStatus.SUCCEEDED, 3, sync_run_id=1))
        table = load_settings().batch_table
        assert [row[0] for row in other.sql(f"DESCRIBE TABLE {table}")] == [*columns, "run_id", "batch_number"]
        with pytest.raises(SalesforceDiffersError, match="3 of 3 properties differ"):
            validate({}, "other-fields")
        differing = rows_of(frozen.folder / "mismatches.csv")
        assert sorted(row["snappt_property_id_c"] for row in differing) == ids

    def test_both_source_queries_have_each_column_once(self, other: Few) -> None:
        [one, *_] = other.ids()
        flag = "id_verification_enabled_c"
        other.sql(f"UPDATE {{replica}} SET {flag} = NOT {flag} WHERE snappt_property_id_c = '{one}'")

        of_properties, of_features = (other.query(f"deployment/select_{name}_sync") for name in ("property", "feature"))

        columns = list(load_settings().fields.columns)
        assert list(of_properties[0])[-6:] == list(of_features[0]) == columns
        assert [row["snappt_property_id_c"] for row in of_features] == [one]
        assert sorted(row["snappt_property_id_c"] for row in of_properties) == other.ids()
        assert {type(row["fraud_detection_enabled_c"]) for row in of_properties} == {bool}

    @pytest.mark.parametrize("value", ["2", "NULL", "-1"])
    def test_a_number_that_is_no_flag_is_refused_and_never_sent_as_a_guess(self, other: Few, value: str) -> None:
        [one, *_] = other.ids()
        other.sql(f"UPDATE {{features}} SET fraud_enabled = {value} WHERE property_id = '{one}'")
        freeze_payload({"scope": "all"}, f"no-flag-{value}")

        [problem] = refusal(f"no-flag-{value}")

        assert problem.startswith("empty_flags: 1 record has an empty flag")
        assert f"such as {one}." in problem


def test_ids_that_are_uuids_work_with_the_field_table_of_the_incident(few: Few) -> None:
    few.sql(f"CREATE OR REPLACE TABLE {{properties}} AS SELECT * EXCEPT (id), {UUID.format('id')} AS id FROM {{properties}}")
    few.sql(f"UPDATE {{features}} SET property_id = {UUID.format('property_id')}")
    both = UUID.format("snappt_property_id_c")
    few.sql(f"UPDATE {{replica}} SET snappt_property_id_c = {both}, reverse_etl_id_c = {both}")
    report, rows = few.compare()
    ids = few.ids()[:2]

    freeze_payload({"scope": "property_ids", "property_ids": ids}, "uuids")

    assert (report["properties_checked"], rows) == (8, [])
    assert ids[0].startswith("0f0e7c1a-0000-4000-8000-")
    assert check_payload({"scope": "property_ids", "property_ids": ids}, "uuids").records == 2


@pytest.mark.usefixtures("watch")
def test_a_field_that_salesforce_lacks_is_refused_with_the_line_to_change_in_table_and_sync(
    change_source: Callable[..., str],
    change_sync: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    column, field = "fraud_detection_updated_date_c", "fraud_detection_updated_date__c"
    replica = change_source(REPLICA, {column: None})
    change_sync(lambda sync: {"mappings": [each for each in sync["mappings"] if each["to"].lower() != field]})
    cure = "If Salesforce has no such field, remove `updated` from fraud_detection in feature_fields.toml (line 12)."

    problems = problems_of({"scope": "all"})

    assert problems == [f"Census sync {BACKFILL}: it does not map {field}. {cure}", f"{replica} lacks {column}. {cure}"]
    lines = (PROJECT / "include" / "feature_fields.toml").read_text().splitlines()
    lines[11] = re.sub(r", +updated = [^ ]+", "", lines[11])
    corrected = tmp_path_factory.mktemp("fields") / "corrected.toml"
    corrected.write_text("\n".join(lines))
    monkeypatch.setenv("FEATURE_SYNC_FIELDS_FILE", str(corrected))
    assert check({"scope": "all"})["records"] == 3
