"""How runs of the sandbox may end, and what each end means for the batch."""

import dataclasses
from typing import Any

import pytest

from feature_sync.census.errors import CensusError
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.outcome import Outcome
from feature_sync.sending.pacing import Pause
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse
from tests.wire.campaign import Campaign, begin
from tests.wire.connections import census_connection


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
def test_an_incomplete_run_is_a_failure_with_its_reason(campaign: Campaign, fault: dict[str, Any], reason: str) -> None:
    campaign.sandbox.fault("run", times=1, **fault)

    outcome = campaign.send()

    assert outcome.status is AttemptStatus.FAILED
    assert reason in outcome.reason
    assert campaign.attempt().reason == outcome.reason


def test_an_unknown_status_is_a_failure_and_counts_as_active_until_the_limit(
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


def test_row_records_that_show_late_are_waited_for(campaign: Campaign) -> None:
    campaign.sandbox.settings(records_visible_seconds=0.4)

    assert campaign.send().succeeded


def test_row_records_that_come_after_minutes_are_waited_for_as_long_as_census_works_on_the_run(campaign: Campaign) -> None:
    campaign.sandbox.settings(records_visible_seconds=5, census_updated_seconds=5)  # longer than the sender waits for quiet

    outcome = campaign.send()

    assert outcome.status is AttemptStatus.SUCCEEDED
    assert campaign.attempt().records_rejected == 0


@pytest.mark.parametrize(
    ("call", "fault", "said"),
    [
        pytest.param("run", {"fault": "records_lost"}, "but shows no row record.", id="none"),
        pytest.param("run", {"fault": "records_lost", "count": 1}, "but shows the row records of 3 of them.", id="one-missing"),
        pytest.param("records", {"fault": "status", "code": 404}, "records with 404).", id="404"),
        pytest.param("records", {"fault": "status", "code": 403}, "with 403. Check the token", id="403"),
        pytest.param("records", {"fault": "not_json"}, "something other than JSON", id="not-json"),
    ],
)
def test_row_records_that_never_come_leave_a_batch_accepted_by_counters_if_those_are_right(
    campaign: Campaign, call: str, fault: dict[str, Any], said: str
) -> None:
    campaign.sandbox.fault(call, **fault)

    outcome = campaign.send()

    assert outcome.status is AttemptStatus.ACCEPTED_BY_COUNTERS
    assert "counts all 4 records as accepted" in outcome.reason
    assert said in outcome.reason
    attempt = campaign.attempt()
    assert (attempt.status, attempt.records_updated, attempt.records_rejected) == ("accepted_by_counters", 4, None)
    assert attempt.reason == outcome.reason


def test_a_batch_that_was_accepted_by_counters_is_not_sent_again_by_a_retry_but_whole_by_a_clear(campaign: Campaign) -> None:
    campaign.sandbox.fault("run", "records_lost", times=1)
    campaign.send()

    again = campaign.sender().begin()
    cleared = campaign.send(generation=1)

    assert isinstance(again, Attempt)
    assert again.status is AttemptStatus.ACCEPTED_BY_COUNTERS
    assert cleared.status is AttemptStatus.SUCCEEDED
    assert (campaign.runs, campaign.attempt().records) == (2, 4)


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        pytest.param("records", {"fault": "status", "code": 404}, id="404"),
        pytest.param("records", {"fault": "status", "code": 403}, id="403"),
    ],
)
def test_row_records_that_never_come_do_not_leave_an_attempt_open_if_counters_are_wrong(
    campaign: Campaign, call: str, fault: dict[str, Any]
) -> None:
    campaign.sandbox.fault("run", "reject_rows", count=1, times=1)
    campaign.sandbox.fault(call, **fault)

    outcome = campaign.send()

    assert outcome.status is AttemptStatus.FAILED
    assert "records_failed is 1 instead of 0" in outcome.reason
    assert str(fault["code"]) in outcome.reason
    assert (campaign.attempt().status, campaign.attempt().records_rejected) == ("failed", None)
    campaign.sandbox.control("DELETE", "faults")
    assert campaign.send().status is AttemptStatus.SUCCEEDED
    assert campaign.attempt().records == 4  # which rows were rejected is not known


@pytest.mark.parametrize("code", [401, 503])
def test_a_wrong_token_or_an_outage_is_no_answer_and_leaves_the_run_to_the_next_try(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(campaign.sandbox, {"attempts": 2}))
    attempt = begin(campaign.sender())
    run = campaign.wait_for(attempt)
    campaign.sandbox.fault("records", "status", code=code, times=2)

    with pytest.raises(CensusError, match=str(code)):
        campaign.sender().conclude(attempt, run)

    campaign.sandbox.control("DELETE", "faults")
    assert campaign.attempt().is_open
    assert campaign.send().status is AttemptStatus.SUCCEEDED
    assert campaign.runs == 1


def test_a_run_of_two_weeks_ago_is_judged_at_once(campaign: Campaign) -> None:
    attempt = begin(campaign.sender())
    run = campaign.wait_for(attempt)
    campaign.sandbox.fault("records", "status", code=404)
    campaign.patience = dataclasses.replace(campaign.patience, records_quiet_seconds=-5)  # as if the end was long ago

    outcome = campaign.sender().conclude(attempt, run)

    assert isinstance(outcome, Outcome)
    assert outcome.status is AttemptStatus.ACCEPTED_BY_COUNTERS
