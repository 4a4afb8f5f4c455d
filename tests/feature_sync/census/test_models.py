"""The forms of Census's answers that are documented or were observed, parsed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from feature_sync.census.models import RowRecord, RunStatus, Sync, SyncRun

# The API reference's sample of a run that completed.
RUN = {
    "id": 94_000_001,
    "sync_id": 4711,
    "source_record_count": 50,
    "source_record_updates": 50,
    "source_record_deletes": 0,
    "source_record_invalids": 0,
    "records_processed": 50,
    "records_updated": 48,
    "records_failed": 1,
    "records_invalid": 1,
    "created_at": "2026-11-24T15:00:00.123Z",
    "updated_at": "2026-11-24T15:00:37.000Z",
    "completed_at": "2026-11-24T15:00:36.500Z",
    "scheduled_execution_time": None,
    "error_code": None,
    "error_message": None,
    "error_detail": None,
    "status": "completed",
    "canceled": False,
    "full_sync": True,
    "sync_trigger_reason": {"ui_tag": "API Request", "ui_detail": None},
}
COUNTERS = ("source_record_count", "records_processed", "records_updated", "records_failed", "records_invalid")
SYNC = {
    "id": 4711,
    "label": "Product Property feature backfill",
    "operation": "update",
    "paused": False,
    "schedule_frequency": "never",
    "source_attributes": {
        "connection_id": 31,
        "object": {"type": "table", "table_catalog": "crm", "table_schema": "sfdc_dbx", "table_name": "batch"},
    },
    "destination_attributes": {"connection_id": 47, "object": "Product_Property__c"},
    "mappings": [],
}


def run(**changes: Any) -> SyncRun:
    return SyncRun.model_validate(RUN | changes)


def sync(**changes: Any) -> Sync:
    return Sync.model_validate(SYNC | changes)


def test_a_documented_run_is_read_whole() -> None:
    found = run()

    assert (found.id, found.sync_id, found.status, found.raw_status) == (94_000_001, 4711, RunStatus.COMPLETED, "completed")
    assert tuple(getattr(found, name) for name in COUNTERS) == (50, 50, 48, 1, 1)
    assert found.created_at == datetime(2026, 11, 24, 15, 0, 0, 123_000, UTC)
    assert (found.full_sync, found.ui_tag, found.is_dry_run) == (True, "API Request", False)


@pytest.mark.parametrize(
    ("word", "status", "active"),
    [
        pytest.param("queued", RunStatus.QUEUED, True, id="queued"),
        pytest.param("working", RunStatus.WORKING, True, id="working"),
        pytest.param("completed", RunStatus.COMPLETED, False, id="completed"),
        pytest.param("failed", RunStatus.FAILED, False, id="failed"),
        pytest.param("skipped", RunStatus.SKIPPED, False, id="skipped"),
        pytest.param("preparing", RunStatus.QUEUED, True, id="deprecated-preparing"),
        pytest.param("new", RunStatus.QUEUED, True, id="deprecated-new"),
        pytest.param("retrying", RunStatus.WORKING, True, id="deprecated-retrying"),
        pytest.param("cancelled", RunStatus.CANCELLED, False, id="cancelled-as-prefect-knows-it"),
        pytest.param("canceled", RunStatus.CANCELLED, False, id="canceled-as-the-page-shows-it"),
        pytest.param("Completed", RunStatus.UNKNOWN, False, id="other-case"),
        pytest.param("finalizing", RunStatus.UNKNOWN, False, id="undocumented"),
        pytest.param("unknown", RunStatus.UNKNOWN, False, id="our-own-word"),
        pytest.param("", RunStatus.UNKNOWN, False, id="empty"),
        pytest.param(None, RunStatus.UNKNOWN, False, id="null"),
        pytest.param(7, RunStatus.UNKNOWN, False, id="number"),
        pytest.param(["completed"], RunStatus.UNKNOWN, False, id="list"),
    ],
)
def test_each_word_for_a_status(word: Any, status: RunStatus, active: bool) -> None:
    found = run(status=word)

    assert (found.status, found.raw_status, found.is_active) == (status, str(word), active)


@pytest.mark.parametrize(
    ("changes", "canceled"),
    [
        pytest.param({"canceled": True}, True, id="completed-and-canceled"),
        pytest.param({"canceled": True, "status": "failed", "completed_at": None}, True, id="failed-and-canceled"),
        pytest.param({"canceled": True, "status": "working", "completed_at": None}, True, id="working-and-canceled"),
        pytest.param({"status": "cancelled"}, True, id="status-alone"),
        pytest.param({"status": "canceled", "canceled": None}, True, id="status-alone-and-null"),
        pytest.param({"canceled": None}, False, id="null"),
        pytest.param({"canceled": False}, False, id="no"),
    ],
)
def test_each_form_of_a_canceled_run(changes: dict[str, Any], canceled: bool) -> None:
    found = run(**changes)

    assert found.was_canceled is canceled
    assert not found.is_active


def test_counters_that_are_null_or_absent_stay_unknown_and_are_not_0() -> None:
    null = run(status="failed", completed_at=None, **dict.fromkeys(COUNTERS))
    absent = SyncRun.model_validate({name: RUN[name] for name in ("id", "sync_id", "status", "created_at")})

    for found in (null, absent):
        assert [getattr(found, name) for name in COUNTERS] == [None] * len(COUNTERS)


@pytest.mark.parametrize(
    ("changes", "ended"),
    [
        pytest.param({}, "2026-11-24T15:00:36.500Z", id="completed"),
        pytest.param({"status": "failed", "completed_at": None}, "2026-11-24T15:00:37Z", id="failed-has-no-end-of-its-own"),
        pytest.param(
            {"status": "failed", "completed_at": None, "updated_at": None}, "2026-11-24T15:00:00.123Z", id="nothing-but-its-start"
        ),
        pytest.param({"status": "working", "completed_at": None}, None, id="working"),
        pytest.param({"status": "finalizing", "completed_at": None}, None, id="unknown-without-an-end"),
        pytest.param({"status": "finalizing"}, "2026-11-24T15:00:36.500Z", id="unknown-with-an-end"),
        pytest.param({"status": "finalizing", "completed_at": None, "canceled": True}, "2026-11-24T15:00:37Z", id="canceled"),
    ],
)
def test_when_a_run_ended(changes: dict[str, Any], ended: str | None) -> None:
    found = run(**changes)

    assert found.ended_at == (datetime.fromisoformat(ended) if ended else None)
    assert found.may_be_active is (ended is None)


def test_a_dry_run_looks_successful_but_for_its_tag() -> None:
    found = run(sync_trigger_reason={"ui_tag": "Dry Run", "ui_detail": None})

    assert found.status is RunStatus.COMPLETED
    assert found.is_dry_run


@pytest.mark.parametrize("reason", [None, {}, {"ui_tag": None}])
def test_a_run_without_a_tag(reason: Any) -> None:
    assert run(sync_trigger_reason=reason).ui_tag is None


def test_the_error_has_all_that_census_says() -> None:
    found = run(status="failed", error_code="JSON_ARRAY_ERROR", error_message="no array", error_detail="line 3")

    assert found.error == "JSON_ARRAY_ERROR: no array: line 3"
    assert run().error == ""


@pytest.mark.parametrize("name", ["id", "sync_id", "status", "created_at"])
def test_a_run_that_lacks_what_is_always_there_is_no_run(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        SyncRun.model_validate({key: value for key, value in RUN.items() if key != name})


@pytest.mark.parametrize("status", ["succeeded", "rejected", "invalid", "NULL", "DUPLICATE", "something-new"])
def test_each_status_of_a_row(status: str) -> None:
    record = RowRecord.model_validate(
        {"record_payload": {"a": 1}, "identifier": None, "operation": "update", "status": status, "status_message": None}
    )

    assert (record.status, record.identifier, record.status_message) == (status, None, None)


def test_a_table_as_source_is_named_by_its_three_levels() -> None:
    assert sync().source.table == "crm.sfdc_dbx.batch"
    assert sync().destination_object == "Product_Property__c"


def test_a_dataset_as_source_has_no_table_but_its_sql() -> None:
    # Observed; the key with the equals sign is Census's own slip.
    object_ = {"type": "business_object_source", "id": 815, "dataset_id": 815, "dataset_id=": 815, "query": "SELECT 1"}

    source = sync(source_attributes={"connection_id": 31, "object": object_}).source

    assert (source.table, source.dataset_id, source.query) == (None, 815, "SELECT 1")


@pytest.mark.parametrize(
    ("origin", "column", "kind"),
    [
        pytest.param({"type": "column", "data": "idv_only_enabled_c"}, "idv_only_enabled_c", "column", id="column"),
        pytest.param(
            {"type": "constant_value", "data": {"value": False, "basic_type": "boolean"}}, None, "constant_value", id="constant"
        ),
        pytest.param(
            {"type": "constant_value", "data": "idv_only_enabled_c"}, None, "constant_value", id="constant-like-a-column"
        ),
        pytest.param({"type": "liquid_template", "data": "{{ record['x'] }}"}, None, "liquid_template", id="template"),
        pytest.param({"type": "sync_metadata", "data": "sync_run_id"}, None, "sync_metadata", id="metadata"),
        pytest.param({"type": "hash", "data": None}, None, "hash", id="hash"),
    ],
)
def test_only_a_column_is_a_column(origin: dict[str, Any], column: str | None, kind: str) -> None:
    [mapping] = sync(mappings=[{"from": origin, "to": "IDV_Only_Enabled__c", "is_primary_identifier": False}]).mappings

    assert (mapping.column, mapping.source_type, mapping.to) == (column, kind, "IDV_Only_Enabled__c")


def test_null_values_are_synced_unless_the_mapping_says_no() -> None:
    origin = {"from": {"type": "column", "data": "x_c"}, "to": "x__c"}

    mappings = sync(mappings=[origin, origin | {"sync_null_values": False}]).mappings

    assert [mapping.sync_null_values for mapping in mappings] == [True, False]
    assert [mapping.is_primary_identifier for mapping in mappings] == [False, False]


def test_attributes_that_the_api_adds_are_kept_as_they_came() -> None:
    found = sync(instant_mode=True, alert_attributes=[{"id": 1}])

    assert found.mappings == sync().mappings
    assert found.attributes["instant_mode"] is True
