"""Whoever comes after a crash or a lost answer finds the run that was started, and starts no second one."""

import contextlib
import threading
from dataclasses import replace

import pytest

from feature_sync.census.errors import CensusAuthError, CensusProtocolError
from feature_sync.census.hook import CensusHook
from feature_sync.sending.batches import Attempt, AttemptStatus
from feature_sync.sending.pacing import Pause
from feature_sync.sending.sender import NotTriggeredError
from tests.sandbox.client import Sandbox
from tests.wire.campaign import Campaign, begin
from tests.wire.connections import census_connection


class Killed(BaseException):
    """Stands for the death of the process at this line."""


class DiesBeforeTrigger(CensusHook):
    """The hook of a process that dies right before it would send the trigger."""

    def trigger_sync(self, sync_id: int) -> int:  # noqa: ARG002 - the hook's signature
        raise Killed


class DiesAfterTrigger(CensusHook):
    """The hook of a process that dies when Census has answered the trigger."""

    def trigger_sync(self, sync_id: int) -> int:
        super().trigger_sync(sync_id)
        raise Killed


class DiesWithTriggerOnItsWay(CensusHook):
    """The hook of a process whose trigger reaches Census two seconds after its death."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[threading.Timer] = []

    def trigger_sync(self, sync_id: int) -> int:
        self.late.append(threading.Timer(2.0, super().trigger_sync, [sync_id]))
        self.late[-1].start()
        raise Killed


class StartsADryRunAndDies(CensusHook):
    """The hook of a process that dies before its trigger, while a person starts a dry run."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.sandbox = sandbox

    def trigger_sync(self, sync_id: int) -> int:
        self.sandbox.control("POST", "runs", {"sync_id": sync_id, "ui_tag": "Dry Run"})
        raise Killed


def die(campaign: Campaign, census: CensusHook, number: int = 1) -> None:
    """Send a batch until the process dies."""
    with pytest.raises(Killed):
        begin(campaign.sender(number, census=census))


def test_a_trigger_that_times_out_and_arrives_late_is_waited_for_and_adopted(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.patience = replace(campaign.patience, flight_seconds=8.0)
    campaign.sandbox.fault("trigger", "slow", seconds=4.0, times=1)

    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(campaign.sandbox, {"timeout": 0.5}))
        with pytest.raises(NotTriggeredError, match="No run has shown up yet; the next try looks again"):
            begin(campaign.sender())
    outcome = campaign.send()

    assert outcome.succeeded
    assert (campaign.triggers, campaign.runs, campaign.attempt().number) == (1, 1, 1)


def test_a_process_that_dies_before_the_trigger_leaves_nothing_to_adopt(campaign: Campaign) -> None:
    die(campaign, DiesBeforeTrigger())

    outcome = campaign.send()

    assert outcome.succeeded
    assert (campaign.triggers, campaign.runs, campaign.attempt().number) == (1, 1, 2)


def test_a_trigger_of_a_dead_process_that_is_still_on_its_way_is_waited_for_and_adopted(campaign: Campaign) -> None:
    campaign.patience = replace(campaign.patience, flight_seconds=6.0)
    census = DiesWithTriggerOnItsWay()
    die(campaign, census)

    with contextlib.suppress(Killed):
        pause = campaign.sender(census=census).begin()
    assert len(census.late) == 1, "the sender triggered a second time while the first trigger was on its way"
    census.late[0].join()
    outcome = campaign.send()

    assert isinstance(pause, Pause)
    assert "on its way" in pause.reason
    assert outcome.succeeded
    assert (campaign.triggers, campaign.runs, campaign.attempt().number) == (1, 1, 1)


@pytest.mark.parametrize("seconds", [pytest.param(0.05, id="run-over"), pytest.param(1.5, id="run-going-on")])
def test_a_process_that_dies_after_the_trigger_is_followed_by_one_that_adopts_the_run(campaign: Campaign, seconds: float) -> None:
    campaign.sandbox.settings(census_work_seconds=seconds)
    die(campaign, DiesAfterTrigger())

    outcome = campaign.send()

    assert outcome.succeeded
    assert (campaign.triggers, campaign.runs, campaign.attempt().number) == (1, 1, 1)


def test_a_process_that_dies_after_the_outcome_was_written_does_not_send_again(campaign: Campaign) -> None:
    campaign.send()

    attempt = campaign.sender().begin()

    assert isinstance(attempt, Attempt)
    assert attempt.status is AttemptStatus.SUCCEEDED
    assert campaign.runs == 1


def test_a_dead_attempt_does_not_adopt_the_run_of_the_batch_that_came_after_it(campaign: Campaign) -> None:
    die(campaign, DiesBeforeTrigger(), number=1)

    campaign.send(2)
    outcome = campaign.send(1)

    assert outcome.succeeded
    assert campaign.runs == 2
    assert campaign.attempt(1).sync_run_id != campaign.attempt(2).sync_run_id


def test_a_dry_run_is_not_taken_for_ours(campaign: Campaign) -> None:
    die(campaign, StartsADryRunAndDies(campaign.sandbox))

    outcome = campaign.send()

    assert outcome.succeeded
    assert len(campaign.sent_keys()) == 1


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
