"""How runs of the sandbox may end, and what each end means for the batch."""

import dataclasses
from typing import Any

import pytest

from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import AttemptStatus
from feature_sync.sending.pacing import Pause
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse
from tests.wire.campaign import Campaign


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


def test_row_records_that_never_show_are_a_failure(campaign: Campaign) -> None:
    campaign.sandbox.settings(records_visible_seconds=60)

    outcome = campaign.send()

    assert outcome.status is AttemptStatus.FAILED
    assert "no record of 4 that were staged" in outcome.reason
