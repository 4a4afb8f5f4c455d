"""Every fault between a batch and its outcome, over the wire; the journal says what the outside world saw."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from feature_sync import payload, sending
from feature_sync.census.errors import CensusAuthError, CensusProtocolError, CensusRefusedError
from feature_sync.census.hook import CensusHook
from feature_sync.outcome import AttemptStatus, BatchHaltedError
from feature_sync.pacing import Pause
from feature_sync.schema import prepare_tables
from feature_sync.sending import BatchSender, NotTriggeredError, StagingError
from feature_sync.settings import load_settings
from feature_sync.sync_log import Attempt
from feature_sync.warehouse import StatementError, Warehouse
from tests.feature_sync.campaign import SIZE, Campaign, begin
from tests.sandbox.client import BACKFILL, Sandbox


@pytest.fixture
def campaign(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Campaign]:
    monkeypatch.setattr(sending, "LOOKUP_SECONDS", 0.5)
    monkeypatch.setattr(sending, "LOOKUP_PAUSE", 0.1)
    monkeypatch.setattr(sending, "FLIGHT_SECONDS", 1.5)
    monkeypatch.setattr(sending, "RECORDS_PAUSES", (0.1, 0.2, 0.4))
    with Warehouse(load_settings()) as warehouse:
        yield Campaign.freeze(sandbox, warehouse, batches=5)


class Killed(BaseException):
    """Stands for the death of the process at this line."""


def test_a_batch_is_staged_triggered_once_and_judged(campaign: Campaign) -> None:
    outcome = campaign.send(2)

    assert outcome.succeeded
    assert (campaign.triggers, campaign.runs) == (1, 1)
    attempt = campaign.attempt(2)
    assert (attempt.status, attempt.number, attempt.records, attempt.records_rejected) == (AttemptStatus.SUCCEEDED, 1, SIZE, 0)
    assert len(campaign.sent_keys()[0]) == SIZE


# --- the answer to the trigger ---


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


def test_a_trigger_that_times_out_and_arrives_late_is_waited_for_and_adopted(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "FLIGHT_SECONDS", 8.0)
    campaign.sandbox.fault("trigger", "slow", seconds=4.0, times=1)

    with monkeypatch.context() as patch:
        patch.setattr("feature_sync.census.hook.READ_TIMEOUT", 0.5)
        with pytest.raises(NotTriggeredError, match="No run has shown up yet; the next try looks again"):
            begin(campaign.sender())
    outcome = campaign.send()

    assert outcome.succeeded
    assert (campaign.triggers, campaign.runs, campaign.attempt().number) == (1, 1, 1)


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


# --- deaths ---


def test_a_process_that_dies_before_the_trigger_leaves_nothing_to_adopt(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(_hook: CensusHook, _sync_id: int) -> int:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CensusHook, "trigger_sync", dies)
        with pytest.raises(Killed):
            begin(campaign.sender())
    outcome = campaign.send()

    assert outcome.succeeded
    assert (campaign.triggers, campaign.runs, campaign.attempt().number) == (1, 1, 2)


def test_a_trigger_of_a_dead_process_that_is_still_on_its_way_is_waited_for_and_adopted(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "FLIGHT_SECONDS", 6.0)
    late: list[threading.Timer] = []

    def dies(hook: CensusHook, sync_id: int) -> int:
        late.append(threading.Timer(2.0, hook.trigger_sync_unpatched, [sync_id]))  # type: ignore[attr-defined]
        late[-1].start()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CensusHook, "trigger_sync_unpatched", CensusHook.trigger_sync, raising=False)
        patch.setattr(CensusHook, "trigger_sync", dies)
        with pytest.raises(Killed):
            begin(campaign.sender())
        with contextlib.suppress(Killed):
            pause = BatchSender.begin(campaign.sender())
        assert len(late) == 1, "the sender triggered a second time while the first trigger was on its way"
        late[0].join()
    outcome = campaign.send()

    assert isinstance(pause, Pause)
    assert "on its way" in pause.reason
    assert outcome.succeeded
    assert (campaign.triggers, campaign.runs, campaign.attempt().number) == (1, 1, 1)


@pytest.mark.parametrize("seconds", [pytest.param(0.05, id="run-over"), pytest.param(1.5, id="run-going-on")])
def test_a_process_that_dies_after_the_trigger_is_followed_by_one_that_adopts_the_run(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    campaign.sandbox.settings(census_work_seconds=seconds)
    trigger = CensusHook.trigger_sync

    def dies(hook: CensusHook, sync_id: int) -> int:
        trigger(hook, sync_id)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CensusHook, "trigger_sync", dies)
        with pytest.raises(Killed):
            begin(campaign.sender())
    outcome = campaign.send()

    assert outcome.succeeded
    assert (campaign.triggers, campaign.runs, campaign.attempt().number) == (1, 1, 1)


def test_a_process_that_dies_after_the_outcome_was_written_does_not_send_again(campaign: Campaign) -> None:
    campaign.send()

    attempt = campaign.sender().begin()

    assert isinstance(attempt, Attempt)
    assert attempt.status is AttemptStatus.SUCCEEDED
    assert campaign.runs == 1


def test_a_batch_that_is_cleared_after_its_success_is_sent_again(campaign: Campaign) -> None:
    campaign.send()

    outcome = campaign.send(series=1)

    assert outcome.succeeded
    assert campaign.runs == 2
    first, second = campaign.sent_keys()
    assert first == second


def test_a_dead_attempt_does_not_adopt_the_run_of_the_batch_that_came_after_it(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(_hook: CensusHook, _sync_id: int) -> int:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CensusHook, "trigger_sync", dies)
        with pytest.raises(Killed):
            begin(campaign.sender(1))
    campaign.send(2)
    outcome = campaign.send(1)

    assert outcome.succeeded
    assert campaign.runs == 2
    assert campaign.attempt(1).sync_run_id != campaign.attempt(2).sync_run_id


# --- others ---


def test_nothing_is_staged_while_somebody_elses_run_is_active(campaign: Campaign) -> None:
    campaign.send(1)
    campaign.sandbox.settings(census_work_seconds=1.5)
    before = campaign.sandbox.seq()
    foreign = campaign.sandbox.control("POST", "runs", {"sync_id": BACKFILL, "ui_tag": "Manual", "full_sync": True})

    pause = campaign.sender(2).begin()

    assert isinstance(pause, Pause)
    assert pause.active_run is not None
    assert pause.active_run.id == foreign["sync_run_id"]
    assert not [entry for entry in campaign.sandbox.journal("warehouse.statement", before) if "CREATE OR REPLACE" in entry["sql"]]
    campaign.sandbox.settings(census_work_seconds=0.1)
    assert campaign.send(2).succeeded


def test_somebody_elses_run_is_waited_after_like_ours(campaign: Campaign) -> None:
    campaign.send(1)
    campaign.sandbox.control("POST", "runs", {"sync_id": BACKFILL, "ui_tag": "Manual", "full_sync": True})

    begin(campaign.sender(2, wait_seconds=1.5))

    foreign, ours = campaign.journal("census.run.ended")[-1], campaign.journal("census.run.started")[-1]
    assert (foreign["ui_tag"], ours["ui_tag"]) == ("Manual", "API Request")
    assert ours["at"] > foreign["at"]


def test_a_dry_run_is_not_taken_for_ours(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(_hook: CensusHook, _sync_id: int) -> int:
        campaign.sandbox.control("POST", "runs", {"sync_id": BACKFILL, "ui_tag": "Dry Run"})
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CensusHook, "trigger_sync", dies)
        with pytest.raises(Killed):
            begin(campaign.sender())
    outcome = campaign.send()

    assert outcome.succeeded
    assert len(campaign.sent_keys()) == 1


def test_a_run_that_census_skips_is_not_sent_and_the_next_try_sends_it(campaign: Campaign) -> None:
    campaign.sandbox.fault("run", "skipped", times=1)

    first, second = campaign.send(), campaign.send()

    assert first.status is AttemptStatus.NOT_SENT
    assert "skipped" in first.reason
    assert second.succeeded
    assert len(campaign.sent_keys()) == 1


# --- what a run may end like ---


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param({"fault": "canceled", "status": "completed"}, "was canceled", id="canceled-completed"),
        pytest.param({"fault": "canceled", "status": "failed"}, "was canceled", id="canceled-failed"),
        pytest.param({"fault": "canceled", "status": "cancelled"}, "was canceled", id="canceled-cancelled"),
        pytest.param({"fault": "null_counters"}, "is empty instead of", id="null-counters"),
        pytest.param({"fault": "process_none"}, "records_processed is 0 instead of 4", id="processed-0"),
        pytest.param({"fault": "source_count", "count": 7}, "source_record_count is 7 instead of 4", id="source-count-not-ours"),
        pytest.param({"fault": "counters_disagree"}, "4 accepted by its counters, 3 by its records", id="counters-and-records"),
        pytest.param(
            {"fault": "failed", "error_code": "JSON_ARRAY_ERROR", "error_message": "boom"}, "JSON_ARRAY_ERROR: boom", id="failed"
        ),
        pytest.param({"fault": "reject_rows", "message": "NO_GOOD"}, "4 x 'NO_GOOD'", id="all-rejected"),
        pytest.param({"fault": "reject_rows", "count": 1, "message": "NO_GOOD"}, "1 x 'NO_GOOD'", id="one-rejected"),
    ],
)
def test_a_run_that_did_not_do_all_is_a_failure_with_its_reason(campaign: Campaign, fault: dict[str, Any], reason: str) -> None:
    campaign.sandbox.fault("run", times=1, **fault)

    outcome = campaign.send()

    assert outcome.status is AttemptStatus.FAILED
    assert reason in outcome.reason
    assert campaign.attempt().reason == outcome.reason


def test_a_status_nobody_knows_is_a_failure_and_counts_as_active_for_the_limit(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.sandbox.fault("run", "unknown_status", status="foo", times=1)

    outcome, pause = campaign.send(), campaign.sender(2).begin()
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_RUN_LIMIT_SECONDS", "1")
    with Warehouse(load_settings()) as warehouse:
        later = dataclasses.replace(campaign, warehouse=warehouse).send(2)

    assert outcome.status is AttemptStatus.FAILED
    assert "'foo', which the API does not document" in outcome.reason
    assert isinstance(pause, Pause)
    assert "is foo" in pause.reason
    assert later.succeeded
    campaign.sandbox.control("POST", "reset")
    prepare_tables(campaign.warehouse)


def test_only_what_was_rejected_is_sent_again(campaign: Campaign) -> None:
    campaign.sandbox.fault("run", "reject_rows", count=3, message="FIRST", times=1)
    first = campaign.send()
    campaign.sandbox.fault("run", "reject_rows", count=1, message="SECOND", times=1)

    second, third = campaign.send(), campaign.send(series=2)

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


def test_row_records_that_show_late_are_waited_for(campaign: Campaign) -> None:
    campaign.sandbox.settings(records_visible_seconds=0.4)

    assert campaign.send().succeeded


def test_row_records_that_never_show_are_a_failure(campaign: Campaign) -> None:
    campaign.sandbox.settings(records_visible_seconds=60)

    outcome = campaign.send()

    assert outcome.status is AttemptStatus.FAILED
    assert "no record of 4 that were staged" in outcome.reason


def test_a_token_that_expires_while_the_run_works_leaves_it_to_be_adopted(campaign: Campaign) -> None:
    sender = campaign.sender()
    attempt = begin(sender)
    fault = campaign.sandbox.fault("fetch_run", "token_expired")

    with pytest.raises(CensusAuthError):
        campaign.wait_for(attempt)
    sender.note_not_sent(CensusAuthError("expired"))
    campaign.sandbox.control("DELETE", f"faults/{fault}")
    outcome = campaign.send()

    assert outcome.succeeded
    assert campaign.runs == 1


@pytest.mark.parametrize("fault", ["not_json", "lost_response", "refuse"])
def test_a_run_that_cannot_be_looked_at_for_a_moment_is_not_lost(campaign: Campaign, fault: str) -> None:
    attempt = begin(campaign.sender())
    campaign.sandbox.fault("fetch_run", fault, times=1)

    with contextlib.suppress(CensusProtocolError):  # the task is retried then
        campaign.wait_for(attempt)
    outcome = campaign.send()

    assert outcome.succeeded
    assert campaign.runs == 1


# --- the warehouse ---


@pytest.mark.parametrize("fault", ["lost_response", "refuse"])
@pytest.mark.parametrize(
    "contains", ["CREATE OR REPLACE TABLE", "product_property_feature_sync_log"], ids=["while-staging", "while-writing-the-log"]
)
def test_a_statement_whose_answer_is_lost_is_sent_again_without_harm(campaign: Campaign, fault: str, contains: str) -> None:
    campaign.sandbox.fault("warehouse", fault, contains=contains, times=1)

    outcome = campaign.send()

    assert outcome.succeeded
    assert campaign.runs == 1
    rows = campaign.warehouse.fetch_all("select_last_attempts", {"run_id": campaign.run_id, "batch_number": 1})
    assert len(rows) == 1


@pytest.mark.parametrize(
    "contains", ["CREATE OR REPLACE TABLE", "MERGE INTO crm.sfdc_dbx.product_property_feature_sync_log"], ids=["staging", "log"]
)
def test_a_statement_that_fails_once_is_said_and_the_next_try_sends_once(campaign: Campaign, contains: str) -> None:
    campaign.sandbox.fault("warehouse", "fail", message="[INTERNAL_ERROR] node lost", contains=contains, times=1)

    with pytest.raises(StatementError, match="node lost"):
        begin(campaign.sender())
    outcome = campaign.send()

    assert outcome.succeeded
    assert campaign.runs == 1


def test_a_batch_that_is_not_in_the_payload_is_not_sent(campaign: Campaign) -> None:
    campaign.run_id = "never-frozen"

    with pytest.raises(StagingError, match="0 of 4 of its records are in the payload table"):
        begin(campaign.sender())

    assert campaign.triggers == 0


def test_a_refusal_by_census_is_told_in_its_words(campaign: Campaign) -> None:
    campaign.sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"paused": True})
    try:
        with pytest.raises(CensusRefusedError, match="pause"):
            begin(campaign.sender())
    finally:
        campaign.sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"paused": False})


# --- the failure policy ---


def fail_batches(campaign: Campaign, count: int) -> None:
    campaign.sandbox.fault("run", "reject_rows", message="NO_GOOD", times=count)
    for number in range(1, count + 1):
        assert campaign.send(number).status is AttemptStatus.FAILED


def test_failures_in_a_row_hold_back_the_rest_and_clearing_sends_exactly_it(campaign: Campaign) -> None:
    fail_batches(campaign, 3)

    for number in (4, 5):
        with pytest.raises(BatchHaltedError, match=r"batches 001, 002, 003 failed in a row \(max_consecutive_failures is 3\)"):
            begin(campaign.sender(number))
    halted = campaign.attempt(4)
    outcomes = [campaign.send(number, series=1) for number in range(1, 6)]

    assert halted.status is AttemptStatus.HALTED
    assert all(outcome.succeeded for outcome in outcomes)
    assert campaign.runs == 3 + 5


def test_one_held_back_batch_that_is_cleared_alone_is_sent(campaign: Campaign) -> None:
    fail_batches(campaign, 3)
    for number in (4, 5):
        with pytest.raises(BatchHaltedError):
            begin(campaign.sender(number))

    assert campaign.send(4, series=1).succeeded


def test_with_stop_one_failure_holds_back_the_rest(campaign: Campaign) -> None:
    fail_batches(campaign, 1)

    with pytest.raises(BatchHaltedError, match=r"batch 001 failed \(on_batch_failure is stop\)"):
        begin(campaign.sender(2, on_batch_failure="stop"))

    assert campaign.runs == 1


def test_a_success_in_between_ends_the_row_of_failures(campaign: Campaign) -> None:
    fail_batches(campaign, 2)

    assert campaign.send(3).succeeded
    campaign.sandbox.fault("run", "reject_rows", message="NO_GOOD", times=1)
    assert not campaign.send(4).succeeded
    assert campaign.send(5).succeeded


def test_a_batch_that_was_not_sent_counts_as_a_failure_with_its_reason(campaign: Campaign) -> None:
    campaign.sandbox.fault("trigger", "status", code=422)
    for number in (1, 2, 3):
        sender = campaign.sender(number)
        with pytest.raises(CensusRefusedError) as refused:
            begin(sender)
        sender.note_not_sent(refused.value)

    with pytest.raises(BatchHaltedError):
        begin(campaign.sender(4))


def test_a_payload_that_was_frozen_anew_after_its_checks_is_not_sent(campaign: Campaign) -> None:
    keys = [row["upsert_key"] for row in campaign.warehouse.fetch_all("select_batch_keys", first_batch(campaign))]
    payload.freeze_payload({"scope": "property_ids", "property_ids": keys, "batch_size": SIZE}, campaign.run_id)

    with pytest.raises(StagingError, match="0 of 4 of its records are in the payload table"):
        begin(campaign.sender())

    assert campaign.triggers == 0


def first_batch(campaign: Campaign) -> dict[str, Any]:
    return {"run_id": campaign.run_id, "batch_number": 1, "resends_attempt": None}
