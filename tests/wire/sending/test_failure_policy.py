"""When failed batches hold back the others, and what clearing does."""

import pytest

from feature_sync.census.errors import CensusRefusedError
from feature_sync.sending.batches import AttemptStatus
from feature_sync.sending.outcome import BatchHaltedError
from tests.wire.campaign import Campaign, begin


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
    outcomes = [campaign.send(number, generation=1) for number in range(1, 6)]

    assert halted.status is AttemptStatus.HALTED
    assert all(outcome.succeeded for outcome in outcomes)
    assert campaign.runs == 3 + 5


def test_bad_records_hold_nothing_back_and_a_cleared_run_goes_on(campaign: Campaign) -> None:
    campaign.sandbox.fault("run", "reject_rows", message="FIELD_CUSTOM_VALIDATION_EXCEPTION: no", count=1, times=6)

    first = [campaign.send(number) for number in (1, 2, 3)]
    again = [campaign.send(number, generation=1) for number in (1, 2, 3)]

    assert [len(outcome.rejected or ()) for outcome in first + again] == [1] * 6
    assert campaign.send(4).succeeded
    assert campaign.send(5, generation=1).succeeded


@pytest.mark.parametrize("policy", ["stop", "continue"])
def test_a_limit_of_the_organisation_stops_the_run_at_once_and_is_not_tried_in_smaller_batches(
    campaign: Campaign, policy: str
) -> None:
    campaign.sandbox.fault("run", "reject_rows", message="REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded.", times=1)

    assert campaign.send(1).status is AttemptStatus.ORGANIZATION_LIMIT
    with pytest.raises(BatchHaltedError, match="batch 001 reached a limit of the whole Salesforce organisation"):
        begin(campaign.sender(2, on_batch_failure=policy))
    assert campaign.send(1, generation=1).succeeded
    assert campaign.send(2, generation=1).succeeded


def test_one_held_back_batch_that_is_cleared_alone_is_sent(campaign: Campaign) -> None:
    fail_batches(campaign, 3)
    for number in (4, 5):
        with pytest.raises(BatchHaltedError):
            begin(campaign.sender(number))

    assert campaign.send(4, generation=1).succeeded


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


def test_a_batch_that_was_accepted_by_counters_ends_the_row_of_failures(campaign: Campaign) -> None:
    fail_batches(campaign, 2)
    campaign.sandbox.fault("run", "records_lost", times=1)

    assert campaign.send(3).status is AttemptStatus.ACCEPTED_BY_COUNTERS
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
