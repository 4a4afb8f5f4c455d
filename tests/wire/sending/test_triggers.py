"""What a batch waits for in the triggerer, beside the sandbox."""

from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent

from feature_sync.census.hook import CensusHook
from feature_sync.orchestration import dag_runs
from feature_sync.orchestration.dag_runs import BUSY, FINISHED
from feature_sync.sending.triggers import BatchTurnTrigger, CensusRunTrigger
from tests.sandbox.client import BACKFILL, Sandbox
from tests.wire.campaign import Campaign
from tests.wire.connections import census_connection
from tests.wire.firing import fire


def test_a_trigger_fires_at_its_deadline_although_the_run_is_still_active(campaign: Campaign) -> None:
    campaign.sandbox.settings(census_work_seconds=60)
    run_id = CensusHook().trigger_sync(BACKFILL)

    event = fire(CensusRunTrigger(run_id, 0.1, "2020-01-01T00:00:00+00:00"))

    assert event.payload == {}


class Turns:
    """Two batches before ours, whose turns have come: what Airflow would answer about the states of their tasks."""

    def __init__(self, *sends: str | None) -> None:
        self.states = {"batch.wait_for_turn": ["success", "success", "deferred"], "batch.send": [*sends, None]}

    def get_ti_count(self, *, task_ids: list[str], states: list[str], **_: Any) -> int:
        return sum(state in states for state in self.states[task_ids[0]])


def turn(wait_seconds: float = 0) -> BatchTurnTrigger:
    return BatchTurnTrigger(
        dag_id="dag",
        run_id="run",
        map_index=2,
        turn_task_id="batch.wait_for_turn",
        send_task_id="batch.send",
        sync_id=BACKFILL,
        wait_seconds=wait_seconds,
        poll_seconds=0.1,
    )


@pytest.mark.parametrize("last", FINISHED)
@pytest.mark.usefixtures("sandbox")
def test_a_turn_comes_when_every_batch_before_has_ended_well_or_badly(monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Turns("success", last))

    assert isinstance(fire(turn()), TaskSuccessEvent)


@pytest.mark.parametrize("last", [None, *BUSY])
@pytest.mark.usefixtures("sandbox")
def test_a_turn_does_not_come_while_a_batch_before_has_not_ended(monkeypatch: pytest.MonkeyPatch, last: str | None) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Turns("success", last))

    with pytest.raises(TimeoutError):
        fire(turn(), seconds=0.6)


def test_a_turn_does_not_come_before_the_wait_is_almost_over(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Turns("success", "success"))
    campaign.send(1)

    with pytest.raises(TimeoutError):
        fire(turn(wait_seconds=600), seconds=0.6)
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_PREPARE_SECONDS", "60")
    assert isinstance(fire(turn(wait_seconds=60)), TaskSuccessEvent)


def test_a_turn_outlives_an_outage_of_census(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Turns("success", "success"))
    monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(sandbox, {"attempts": 1}))
    sandbox.fault("list_runs", "status", code=503, times=2)

    assert isinstance(fire(turn()), TaskSuccessEvent)


def test_a_refused_token_is_left_to_the_task_that_sends(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Turns("success", "success"))
    sandbox.fault("list_runs", "token_expired", times=100)

    assert isinstance(fire(turn()), TaskSuccessEvent)
    assert "leaving the error to batch.send" in capsys.readouterr().out
