"""Runs of the Census API: from the trigger to the end, over the wire."""

import time
from datetime import datetime

import pytest
import requests

from tests.sandbox.client import BACKFILL, DATASET, PROPERTIES, WORKSPACE_KEY, Sandbox, eventually


def test_a_run_goes_from_queued_over_working_to_completed(sandbox: Sandbox) -> None:
    sandbox.stage(3)
    sandbox.settings(census_queue_seconds=0.3, census_work_seconds=0.4)
    run_id = sandbox.trigger()

    seen = [sandbox.run(run_id)]
    while seen[-1]["status"] in ("queued", "working"):
        seen.append(sandbox.run(run_id))

    statuses = [run["status"] for run in seen]
    assert list(dict.fromkeys(statuses)) == ["queued", "working", "completed"]
    assert seen[0]["records_processed"] is None
    assert seen[0]["completed_at"] is None
    last = seen[-1]
    assert (last["source_record_count"], last["records_processed"], last["records_updated"]) == (3, 3, 3)
    assert (last["records_failed"], last["records_invalid"]) == (0, 0)
    assert last["full_sync"] is True
    assert last["sync_trigger_reason"]["ui_tag"] == "API Request"
    assert last["completed_at"].endswith("Z")
    assert last["completed_at"] >= last["created_at"]


def test_the_journal_tells_a_run_from_its_start_to_its_end(sandbox: Sandbox) -> None:
    keys = sandbox.stage(4)
    before = sandbox.seq()

    run = sandbox.send()

    entries = {entry["kind"]: entry for entry in sandbox.journal(after=before)}
    kinds = [entry["kind"] for entry in sandbox.journal(after=before) if "sync_run_id" in entry]
    assert kinds == ["census.run.started", "salesforce.transaction", "census.run.ended"]
    assert sorted(entries["salesforce.transaction"]["keys"]) == sorted(keys)
    assert entries["salesforce.transaction"]["sync_run_id"] == run["id"]
    assert entries["census.run.ended"]["records"] == 4
    assert entries["census.run.started"]["full_sync"] is True


def test_a_missing_source_table_fails_the_run_and_leaves_the_counters_null(sandbox: Sandbox) -> None:
    sandbox.stage(1)
    sandbox.sql("DROP TABLE crm.sfdc_dbx.feature_sync_batch")

    run = sandbox.send()

    assert run["status"] == "failed"
    assert run["error_code"] == "TABLE_OR_VIEW_NOT_FOUND"
    assert "feature_sync_batch" in run["error_message"]
    assert run["records_processed"] is None
    assert run["completed_at"] is None


def test_a_trigger_during_a_run_makes_a_skipped_one(sandbox: Sandbox) -> None:
    sandbox.stage(2)
    sandbox.settings(census_work_seconds=1)
    first = sandbox.trigger()

    second = sandbox.run(sandbox.trigger())

    assert second["status"] == "skipped"
    assert "earlier instance" in second["error_message"]
    assert sandbox.ended(first)["status"] == "completed"
    skipped = sandbox.journal("census.run.skipped")[-1]
    assert skipped["sync_run_id"] == second["id"]


def test_a_trigger_during_a_run_can_be_refused_instead(sandbox: Sandbox) -> None:
    sandbox.stage(2)
    sandbox.settings(census_work_seconds=1, census_while_running="refuse")
    sandbox.trigger()

    answer = sandbox.census("POST", f"syncs/{BACKFILL}/trigger")

    assert answer.status_code == 409
    assert answer.json()["status"] == "error"


def test_an_incremental_run_sends_only_what_changed(sandbox: Sandbox) -> None:
    sandbox.stage(5, offset=100)
    sandbox.send()

    unchanged = sandbox.send(full=False)
    sandbox.stage(6, offset=100)
    one_more = sandbox.send(full=False)
    forced = sandbox.send(full=True)

    assert (unchanged["source_record_count"], unchanged["records_processed"]) == (5, 0)
    assert (one_more["source_record_count"], one_more["records_processed"]) == (6, 1)
    assert (forced["records_processed"], forced["full_sync"], unchanged["full_sync"]) == (6, True, False)


def test_rows_that_left_the_source_are_counted_and_nothing_happens_to_them(sandbox: Sandbox) -> None:
    keys = sandbox.stage(5, offset=110)
    sandbox.send()
    kept = sandbox.stage(2, offset=110)

    run = sandbox.send(full=False)

    assert run["source_record_deletes"] == 3
    assert run["records_processed"] == 0
    gone = next(key for key in keys if key not in kept)
    assert sandbox.soql(f"SELECT COUNT() FROM Product_Property__c WHERE Reverse_ETL_ID__c = '{gone}'")["totalSize"] == 1


def test_rejected_rows_are_sent_again_by_the_next_incremental_run(sandbox: Sandbox) -> None:
    sandbox.stage(4, offset=120)
    sandbox.fault("run", "reject_rows", count=1, times=1, message="WRONG: once")
    assert sandbox.send()["records_failed"] == 1

    run = sandbox.send(full=False)

    assert (run["records_processed"], run["records_updated"]) == (1, 1)


def test_force_full_sync_counts_in_the_query_alone(sandbox: Sandbox) -> None:
    sandbox.stage(2, offset=130)
    sandbox.send()

    answer = sandbox.census("POST", f"syncs/{BACKFILL}/trigger", json={"force_full_sync": True})

    run = sandbox.ended(answer.json()["data"]["sync_run_id"])
    assert run["full_sync"] is False
    assert run["records_processed"] == 0


@pytest.mark.parametrize(
    ("key", "status", "invalid"),
    [
        pytest.param(
            "CASE WHEN id = (SELECT min(id) FROM crm.salesforce.product_property_c) THEN '1' ELSE NULL END", "NULL", 3, id="null"
        ),
        pytest.param("'100001'", "DUPLICATE", 3, id="repeated"),
    ],
)
def test_rows_without_a_key_of_their_own_are_invalid_and_not_sent(sandbox: Sandbox, key: str, status: str, invalid: int) -> None:
    sandbox.stage(3, key=key)

    run = sandbox.send()

    assert (run["records_invalid"], run["source_record_invalids"], run["records_processed"]) == (invalid, invalid, 0)
    assert {record["status"] for record in sandbox.records(run["id"], status="invalid")} == {status}


@pytest.mark.parametrize(("mode", "failed"), [pytest.param("reject", 2, id="rejected"), pytest.param("ignore", 0, id="ignored")])
def test_an_update_of_an_unknown_key(sandbox: Sandbox, mode: str, failed: int) -> None:
    sandbox.stage(2, key="'no-such-' || id")
    sandbox.settings(census_unmatched=mode)

    run = sandbox.send()

    assert run["status"] == "completed"
    assert (run["source_record_count"], run["records_updated"], run["records_failed"]) == (2, 0, failed)


def test_runs_are_listed_newest_first_in_pages(sandbox: Sandbox) -> None:
    sandbox.stage(1)
    sandbox.send(), sandbox.send(), sandbox.send()
    path = f"syncs/{BACKFILL}/sync_runs"

    zeroth = sandbox.census("GET", path, params={"page": 0, "per_page": 2}).json()
    first = sandbox.census("GET", path, params={"page": 1, "per_page": 2}).json()
    oldest = sandbox.census("GET", path, params={"order": "asc", "per_page": 1}).json()
    clamped = sandbox.census("GET", path, params={"per_page": 1000}).json()

    ids = [run["id"] for run in first["data"]]
    assert ids == sorted(ids, reverse=True)
    assert zeroth == first
    assert first["pagination"]["next_page"] == 2
    assert "page=2&per_page=2" in first["next"]
    assert first["pagination"]["last_page"] == -(-first["pagination"]["total_records"] // 2)
    assert oldest["data"][0]["id"] < min(ids)
    assert clamped["pagination"]["per_page"] == 100
    following = requests.get(first["next"], headers={"Authorization": "Bearer census-pat-local"}, timeout=5).json()
    assert following["data"][0]["id"] < min(ids)


def test_a_canceled_run_says_so_by_its_flag_and_sends_no_more(sandbox: Sandbox) -> None:
    sandbox.stage(2)
    sandbox.settings(census_work_seconds=5)
    run_id = sandbox.trigger()
    eventually(lambda: sandbox.run(run_id)["status"] == "working")

    canceled = sandbox.census("POST", f"sync_runs/{run_id}/cancel")

    run = sandbox.run(run_id)
    assert canceled.json() == {"status": "cancelled", "data": {}}
    assert (run["status"], run["canceled"]) == ("completed", True)
    assert sandbox.census("POST", f"sync_runs/{run_id}/cancel").status_code == 400
    assert not [entry for entry in sandbox.journal("salesforce.transaction") if entry["sync_run_id"] == run_id]


def test_row_records_become_visible_after_the_end(sandbox: Sandbox) -> None:
    sandbox.stage(3)
    sandbox.settings(records_visible_seconds=0.5, census_work_seconds=0.3)
    run_id = sandbox.trigger()

    early_export = sandbox.census("GET", f"sync_runs/{run_id}/records_export")
    sandbox.ended(run_id)
    at_the_end = sandbox.records(run_id)
    time.sleep(0.6)

    assert early_export.status_code == 425
    assert at_the_end == []
    records = sandbox.records(run_id, status="succeeded")
    assert len(records) == 3
    assert records[0]["operation"] == "update"
    assert records[0]["record_payload"]["fraud_detection_start_date__c"] == "2025-06-01"
    assert sandbox.census("GET", f"sync_runs/{run_id}/records_count").json()["data"] == [{"record_count": 3}]
    assert sandbox.census("GET", f"sync_runs/{run_id}/records_export").json()["urls"]


def test_census_works_on_a_completed_run_for_a_while(sandbox: Sandbox) -> None:
    sandbox.settings(census_updated_seconds=0.6)
    sandbox.stage(1)
    run_id = sandbox.send()["id"]

    first = sandbox.run(run_id)["updated_at"]
    time.sleep(0.2)
    second = sandbox.run(run_id)["updated_at"]
    time.sleep(0.6)
    still = [sandbox.run(run_id) for _ in range(2)]

    assert first < second
    assert still[0] == still[1]
    worked = datetime.fromisoformat(still[0]["updated_at"]) - datetime.fromisoformat(still[0]["completed_at"])
    assert worked.total_seconds() == pytest.approx(0.6, abs=0.002)


def test_a_dry_run_looks_successful_and_changes_nothing(sandbox: Sandbox) -> None:
    sandbox.stage(2, flag="FALSE")
    before = sandbox.seq()

    run = sandbox.ended(sandbox.control("POST", "runs", {"sync_id": BACKFILL, "ui_tag": "Dry Run"})["sync_run_id"])

    assert (run["status"], run["records_failed"]) == ("completed", 0)
    assert run["records_updated"] == run["records_processed"]
    assert run["sync_trigger_reason"]["ui_tag"] == "Dry Run"
    assert sandbox.census("GET", f"sync_runs/{run['id']}/records").status_code == 404
    assert sandbox.journal("salesforce.transaction", before) == []


def test_the_regular_property_sync_repeats_the_mistake_of_the_incident(sandbox: Sandbox) -> None:
    """It runs its SQL, which knows no products: a property that has some loses them."""
    [victim] = sandbox.soql(
        "SELECT Snappt_Property_ID__c FROM Product_Property__c"
        " WHERE fraud_detection_enabled__c = TRUE AND CreatedDate < 2025-01-01T00:00:00Z LIMIT 1"
    )["records"]
    number = victim["Snappt_Property_ID__c"]
    dataset = sandbox.census("GET", f"datasets/{DATASET}").json()["data"]
    one = f"{dataset['query']} AND rds.id = {number}"
    assert sandbox.census("PATCH", f"datasets/{DATASET}", json={"query": one}).json()["status"] == "updated"

    run = sandbox.send(PROPERTIES)

    sandbox.census("PATCH", f"datasets/{DATASET}", json={"query": dataset["query"]})
    assert (run["source_record_count"], run["records_updated"]) == (1, 1)
    [after] = sandbox.soql(
        "SELECT fraud_detection_enabled__c, fraud_detection_start_date__c FROM Product_Property__c"
        f" WHERE Snappt_Property_ID__c = '{number}'"
    )["records"]
    assert after["fraud_detection_enabled__c"] is False
    assert after["fraud_detection_start_date__c"] is None


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_unknown_things_are_404_with_the_number_as_status(sandbox: Sandbox, version: str) -> None:
    token = WORKSPACE_KEY if version == "v1" else "census-pat-local"
    for method, path in (
        ("POST", "syncs/1/trigger"),
        ("GET", "sync_runs/999999"),
        ("GET", "syncs/1"),
        ("GET", "datasets/1"),
        ("GET", "nothing"),
    ):
        answer = sandbox.census(method, path, version=version, token=token)
        assert (answer.status_code, answer.json()) == (404, {"status": 404}), path
