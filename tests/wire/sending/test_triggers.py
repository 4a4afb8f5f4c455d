"""What a batch waits for in the triggerer, beside the sandbox."""

from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent

from feature_sync.census.hook import CensusHook
from feature_sync.orchestration import dag_runs
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
    """States of the lower batches, as Airflow would answer."""

    def __init__(self, *states: str | None) -> None:
        self.states = {f"batch.send_{index}": state for index, state in enumerate(states)}

    def get_task_states(self, **_: Any) -> dict[str, Any]:
        return {"run": self.states}


def turn(wait_seconds: float = 0) -> BatchTurnTrigger:
    return BatchTurnTrigger(
        dag_id="dag",
        run_id="run",
        map_index=2,
        send_task_id="batch.send",
        sync_id=BACKFILL,
        wait_seconds=wait_seconds,
        poll_seconds=0.1,
    )


@pytest.mark.parametrize("last", ["success", "failed", "upstream_failed", "skipped", "removed"])
@pytest.mark.usefixtures("sandbox")
def test_a_turn_comes_when_every_lower_batch_has_ended_well_or_badly(monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Turns("success", last))

    assert isinstance(fire(turn()), TaskSuccessEvent)


@pytest.mark.parametrize("last", [None, "scheduled", "queued", "running", "deferred", "up_for_retry"])
@pytest.mark.usefixtures("sandbox")
def test_a_turn_does_not_come_while_a_lower_batch_has_not_ended(monkeypatch: pytest.MonkeyPatch, last: str | None) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Turns("success", last))

    with pytest.raises(TimeoutError):
        fire(turn(), seconds=0.6)


def test_a_turn_does_not_come_before_the_wait_is_over(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Turns("success", "success"))
    campaign.send(1)

    with pytest.raises(TimeoutError):
        fire(turn(wait_seconds=600), seconds=0.6)


def test_a_turn_outlives_an_outage_of_census(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Turns("success", "success"))
    monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(sandbox, {"attempts": 1}))
    sandbox.fault("list_runs", "status", code=503, times=2)

    assert isinstance(fire(turn()), TaskSuccessEvent)


def test_a_turn_ends_with_the_error_when_the_token_is_refused(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Turns("success", "success"))
    sandbox.fault("list_runs", "token_expired", times=1)

    event = fire(turn())

    assert "401" in event.payload["error"]
