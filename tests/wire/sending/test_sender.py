"""A batch between the warehouse and Census, with every fault on the way; the journal says what the outside world saw."""

from typing import Any

import pytest

from feature_sync.backfill import payload
from feature_sync.census.errors import CensusAuthError, CensusRefusedError
from feature_sync.sending.batches import AttemptStatus
from feature_sync.sending.pacing import Pause
from feature_sync.sending.sender import NotTriggeredError, StagingError
from feature_sync.storage.warehouse import StatementError
from tests.sandbox.client import BACKFILL, BATCH_TABLE, DATASET
from tests.wire.campaign import SIZE, Campaign, begin


def test_a_batch_is_staged_triggered_once_and_judged(campaign: Campaign) -> None:
    outcome = campaign.send(2)

    assert outcome.succeeded
    assert (campaign.triggers, campaign.runs) == (1, 1)
    attempt = campaign.attempt(2)
    assert (attempt.status, attempt.number, attempt.records, attempt.records_rejected) == (AttemptStatus.SUCCEEDED, 1, SIZE, 0)
    assert len(campaign.sent_keys()[0]) == SIZE


def test_a_batch_is_sent_through_a_dataset_that_is_the_whole_batch_table(campaign: Campaign) -> None:
    sync = campaign.sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]["source_attributes"]
    query = campaign.sandbox.census("GET", f"datasets/{DATASET}").json()["data"]["query"]
    ours = {"query": f"SELECT * FROM {BATCH_TABLE}"}
    assert campaign.sandbox.census("PATCH", f"datasets/{DATASET}", json=ours).ok
    source = sync | {"object": {"type": "dataset", "id": DATASET}}
    assert campaign.sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"source_attributes": source}).ok
    try:
        outcome = campaign.send()
    finally:
        assert campaign.sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"source_attributes": sync}).ok
        assert campaign.sandbox.census("PATCH", f"datasets/{DATASET}", json={"query": query}).ok

    assert outcome.succeeded
    assert len(campaign.sent_keys()[0]) == SIZE


@pytest.mark.parametrize(
    ("fault", "triggers"),
    [
        pytest.param({"fault": "lost_response"}, 1, id="answer-lost-after-the-run-was-created"),
        pytest.param({"fault": "not_json", "after_work": True}, 1, id="answer-not-json-after-the-run-was-created"),
        pytest.param({"fault": "status", "code": 502, "after_work": True}, 1, id="502-after-the-run-was-created"),
        pytest.param({"fault": "refuse"}, 2, id="connection-closed-before-anything"),
        pytest.param({"fault": "status", "code": 500}, 2, id="500"),
        pytest.param({"fault": "status", "code": 503}, 2, id="503"),
        pytest.param({"fault": "status", "code": 429, "retry_after": 1}, 2, id="429-with-retry-after"),
        pytest.param({"fault": "status", "code": 429}, 2, id="429"),
        pytest.param({"fault": "not_json", "after_work": False}, 2, id="not-json-and-nothing-done"),
    ],
)
def test_a_trigger_without_a_usable_answer_is_looked_up_and_leads_to_one_run(
    campaign: Campaign, fault: dict[str, Any], triggers: int
) -> None:
    campaign.sandbox.fault("trigger", times=1, **fault)

    outcome = campaign.send()

    assert outcome.succeeded
    assert (campaign.triggers, campaign.runs) == (triggers, 1)


def test_triggers_that_never_start_anything_end_with_an_error(campaign: Campaign) -> None:
    campaign.sandbox.fault("trigger", "status", code=503)

    with pytest.raises(NotTriggeredError, match="batch 001: records 1-4: Census did not answer 3 triggers"):
        begin(campaign.sender())

    assert campaign.runs == 0


def test_a_token_that_is_refused_sends_nothing_and_is_not_tried_again(campaign: Campaign) -> None:
    campaign.sandbox.fault("trigger", "token_expired")

    with pytest.raises(CensusAuthError):
        begin(campaign.sender())

    assert (campaign.triggers, campaign.runs) == (1, 0)


def test_a_batch_that_is_cleared_after_its_success_is_sent_again(campaign: Campaign) -> None:
    campaign.send()

    outcome = campaign.send(generation=1)

    assert outcome.succeeded
    assert campaign.runs == 2
    first, second = campaign.sent_keys()
    assert first == second


def test_nothing_is_staged_while_somebody_elses_run_is_active(campaign: Campaign) -> None:
    campaign.send(1)
    campaign.sandbox.settings(census_work_seconds=1.5)
    before = campaign.sandbox.seq()
    foreign = campaign.sandbox.control("POST", "runs", {"sync_id": BACKFILL, "ui_tag": "Manual", "full_sync": True})

    pause = campaign.sender(2).begin()

    assert isinstance(pause, Pause)
    assert pause.active_run is not None
    assert pause.active_run.id == foreign["sync_run_id"]
    assert not [entry for entry in campaign.sandbox.journal("warehouse.statement", before) if "INSERT OVERWRITE" in entry["sql"]]
    campaign.sandbox.settings(census_work_seconds=0.1)
    assert campaign.send(2).succeeded


def test_somebody_elses_run_is_waited_after_like_ours(campaign: Campaign) -> None:
    campaign.send(1)
    campaign.sandbox.control("POST", "runs", {"sync_id": BACKFILL, "ui_tag": "Manual", "full_sync": True})

    begin(campaign.sender(2, wait_seconds=1.5))

    [foreign] = [entry for entry in campaign.journal("census.run.ended") if entry["ui_tag"] == "Manual"]
    ours = campaign.journal("census.run.started")[-1]
    assert ours["ui_tag"] == "API Request"
    assert ours["at"] > foreign["at"]


def test_a_run_that_census_skips_is_not_sent_and_the_next_try_sends_it(campaign: Campaign) -> None:
    campaign.sandbox.fault("run", "skipped", times=1)

    first, second = campaign.send(), campaign.send()

    assert first.status is AttemptStatus.NOT_SENT
    assert "skipped" in first.reason
    assert second.succeeded
    assert len(campaign.sent_keys()) == 1


def test_only_rejected_records_are_sent_again(campaign: Campaign) -> None:
    campaign.sandbox.fault("run", "reject_rows", count=3, message="FIRST", times=1)
    first = campaign.send()
    campaign.sandbox.fault("run", "reject_rows", count=1, message="SECOND", times=1)

    second, third = campaign.send(), campaign.send(generation=2)

    assert [outcome.status for outcome in (first, second, third)] == [
        AttemptStatus.FAILED,
        AttemptStatus.FAILED,
        AttemptStatus.SUCCEEDED,
    ]
    sent = campaign.sent_keys()
    assert [len(keys) for keys in sent] == [4, 3, 1] or [entry["records"] for entry in campaign.journal("census.run.ended")] == [
        4,
        3,
        1,
    ]
    rejected = {row.identifier for row in first.rejected or ()}
    assert {row.identifier for row in second.rejected or ()} < rejected
    assert (campaign.attempt().records, campaign.attempt().records_rejected) == (1, 0)


def test_a_batch_whose_rows_are_not_known_is_sent_again_whole(campaign: Campaign) -> None:
    campaign.sandbox.fault("run", "canceled", after_sending=True, times=1)
    campaign.send()

    outcome = campaign.send()

    assert outcome.succeeded
    assert campaign.attempt().records == SIZE


@pytest.mark.parametrize("fault", ["lost_response", "refuse"])
@pytest.mark.parametrize("contains", ["INSERT OVERWRITE", "feature_sync_log"], ids=["while-staging", "while-writing-the-log"])
def test_a_statement_whose_answer_is_lost_is_sent_again_without_harm(campaign: Campaign, fault: str, contains: str) -> None:
    campaign.sandbox.fault("warehouse", fault, contains=contains, times=1)

    outcome = campaign.send()

    assert outcome.succeeded
    assert campaign.runs == 1
    rows = campaign.warehouse.fetch_all("sending/select_last_attempts", {"run_id": campaign.run_id, "batch_number": 1})
    assert len(rows) == 1


@pytest.mark.parametrize("contains", ["INSERT OVERWRITE", "MERGE INTO crm.sfdc_dbx.feature_sync_log"], ids=["staging", "log"])
def test_a_statement_that_fails_once_is_reported_and_the_next_try_sends_once(campaign: Campaign, contains: str) -> None:
    campaign.sandbox.fault("warehouse", "fail", message="[INTERNAL_ERROR] node lost", contains=contains, times=1)

    with pytest.raises(StatementError, match="node lost"):
        begin(campaign.sender())
    outcome = campaign.send()

    assert outcome.succeeded
    assert campaign.runs == 1


def test_a_batch_that_is_not_in_the_payload_is_not_sent(campaign: Campaign) -> None:
    campaign.run_id = "never-frozen"

    with pytest.raises(StagingError, match="0 of its 4 records are in the payload table"):
        begin(campaign.sender())

    assert campaign.triggers == 0


def test_a_refusal_by_census_is_reported_in_its_words(campaign: Campaign) -> None:
    campaign.sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"paused": True})
    try:
        with pytest.raises(CensusRefusedError, match="pause"):
            begin(campaign.sender())
    finally:
        campaign.sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"paused": False})


def test_a_payload_that_was_frozen_again_after_its_checks_is_not_sent(campaign: Campaign) -> None:
    keys = [row["upsert_key"] for row in campaign.warehouse.fetch_all("sending/select_batch_keys", first_batch(campaign))]
    payload.freeze_payload({"scope": "property_ids", "property_ids": keys, "batch_size": SIZE}, campaign.run_id)

    with pytest.raises(StagingError, match="0 of its 4 records are in the payload table"):
        begin(campaign.sender())

    assert campaign.triggers == 0


def first_batch(campaign: Campaign) -> dict[str, Any]:
    return {"run_id": campaign.run_id, "batch_number": 1, "resends_attempt": None, "attempt": 1}
