"""Other syncs that write the same object: their runs are waited for like ours, and never taken for ours."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent

from feature_sync.census.errors import CensusAuthError, CensusBusyError, CensusRefusedError
from feature_sync.census.hook import CensusHook
from feature_sync.census.models import SyncOutline, SyncRunPage
from feature_sync.census.neighbours import WriterRuns
from feature_sync.orchestration import dag_runs
from feature_sync.sending.batches import Attempt
from feature_sync.sending.pacing import Pause
from feature_sync.sending.triggers import CensusQuietTrigger
from tests.sandbox.client import BACKFILL, PROPERTIES
from tests.wire.campaign import Campaign, begin
from tests.wire.firing import fire
from tests.wire.sending.test_adoption import DiesBeforeTrigger, die
from tests.wire.sending.test_operators import context, operator
from tests.wire.sending.test_triggers import Turns, turn

OBJECT = "Product_Property__c"


@pytest.fixture
def active(campaign: Campaign) -> Iterator[int]:
    """A run of the regular sync that does not end until it is canceled."""
    campaign.sandbox.fault("run", "stuck", phase="queued", sync_id=PROPERTIES, times=1)
    run_id = campaign.sandbox.control("POST", "runs", {"sync_id": PROPERTIES})["sync_run_id"]
    yield run_id
    campaign.sandbox.census("POST", f"sync_runs/{run_id}/cancel")


@pytest.fixture
def change_neighbour(campaign: Campaign) -> Iterator[Callable[..., None]]:
    """Changes the destination of the regular sync; restored afterwards."""
    path = f"syncs/{PROPERTIES}"
    original = campaign.sandbox.census("GET", path).json()["data"]["destination_attributes"]

    def change(**values: Any) -> None:
        assert campaign.sandbox.census("PATCH", path, json={"destination_attributes": original | values}).ok

    yield change
    change()


def lists_of_syncs(campaign: Campaign) -> int:
    return len([entry for entry in campaign.journal("census.request") if "/syncs?" in entry["path"]])


def test_nothing_is_staged_while_a_run_of_another_sync_is_active(campaign: Campaign, active: int) -> None:
    before = campaign.sandbox.seq()

    pause = campaign.sender().begin()

    assert isinstance(pause, Pause)
    assert pause.active_run is not None
    assert (pause.active_run.id, pause.active_run.sync_id) == (active, PROPERTIES)
    assert f"of sync {PROPERTIES} is queued" in pause.reason
    assert not [entry for entry in campaign.sandbox.journal("warehouse.statement", before) if "INSERT OVERWRITE" in entry["sql"]]


def test_the_wait_counts_from_the_end_of_the_other_sync_s_run(campaign: Campaign, active: int) -> None:
    campaign.sandbox.census("POST", f"sync_runs/{active}/cancel")

    pause = campaign.sender(wait_seconds=600).begin()

    assert isinstance(pause, Pause)
    assert pause.active_run is None
    assert f"Census run {active} of sync {PROPERTIES} ended" in pause.reason
    assert pause.seconds > 500


@pytest.mark.usefixtures("active")
@pytest.mark.parametrize("elsewhere", [{"object": "Account"}, {"connection_id": 99}], ids=["object", "connection"])
def test_a_sync_that_writes_elsewhere_is_not_waited_for(
    campaign: Campaign, change_neighbour: Callable[..., None], elsewhere: dict[str, Any]
) -> None:
    change_neighbour(**elsewhere)

    assert isinstance(begin(campaign.sender()), Attempt)


def test_a_run_of_another_sync_is_not_taken_for_ours(campaign: Campaign) -> None:
    die(campaign, DiesBeforeTrigger())
    campaign.sandbox.fault("run", "process_none", sync_id=PROPERTIES, times=1)
    foreign = campaign.sandbox.trigger(PROPERTIES)  # over the API, as ours
    campaign.sandbox.ended(foreign)

    outcome = campaign.send()

    assert outcome.succeeded
    assert campaign.attempt().sync_run_id != foreign
    assert (campaign.attempt().number, len(campaign.sent_keys())) == (2, 1)


def test_the_list_of_syncs_is_asked_for_once_by_each_sender(campaign: Campaign, active: int) -> None:
    sender = campaign.sender()
    assert all(isinstance(sender.begin(), Pause) for _ in range(3))
    campaign.sandbox.census("POST", f"sync_runs/{active}/cancel")

    begin(sender)

    assert lists_of_syncs(campaign) == 1


def test_looks_count_on_from_census_s_time_which_comes_in_whole_seconds(campaign: Campaign) -> None:
    writers = campaign.sender().writers
    times = [writers.look().now]
    for _ in range(3):
        time.sleep(0.3)
        times.append(writers.look().now)

    assert all(later - former >= timedelta(seconds=0.29) for former, later in pairwise(times)), times
    assert times[-1] <= datetime.now(UTC), "never ahead of Census"


def test_the_quiet_that_a_task_waits_for_is_that_of_all_syncs(campaign: Campaign, active: int) -> None:
    trigger = CensusQuietTrigger(BACKFILL, 0, 0.1, "2099-01-01T00:00:00+00:00", "2020-01-01T00:00:00+00:00")

    with pytest.raises(TimeoutError):
        fire(trigger, seconds=1.5)
    asked = lists_of_syncs(campaign)
    campaign.sandbox.census("POST", f"sync_runs/{active}/cancel")

    assert fire(trigger).payload == {}
    assert asked == 1


def test_a_run_of_another_sync_that_never_ends_is_an_error_that_does_not_say_to_cancel_it(
    campaign: Campaign, active: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_RUN_LIMIT_SECONDS", "1")
    time.sleep(1.1)

    with pytest.raises(CensusBusyError, match="or ask the owner of that sync to cancel it, then clear this task") as busy:
        operator(campaign).execute(context(campaign))

    assert f"Census run {active} of sync {PROPERTIES} is queued since" in str(busy.value)
    assert (campaign.triggers, campaign.attempt().status) == (0, "not_sent")


def test_a_turn_does_not_come_while_a_run_of_another_sync_is_active(
    campaign: Campaign, active: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dag_runs, "RuntimeTaskInstance", Turns("success", "success"))

    with pytest.raises(TimeoutError):
        fire(turn(), seconds=1.5)
    asked = lists_of_syncs(campaign)
    campaign.sandbox.census("POST", f"sync_runs/{active}/cancel")

    assert isinstance(fire(turn()), TaskSuccessEvent)
    assert asked == 1


def test_without_the_list_of_syncs_nothing_is_sent(campaign: Campaign) -> None:
    campaign.sandbox.fault("list_syncs", "status", code=403)

    with pytest.raises(CensusAuthError, match="GET syncs with 403"):
        begin(campaign.sender())

    assert campaign.triggers == 0


def test_runs_of_a_neighbour_that_cannot_be_read_are_not_taken_for_none(campaign: Campaign) -> None:
    campaign.sandbox.fault("list_runs", "status", code=404, skip=1, times=1)

    with pytest.raises(CensusRefusedError, match=f"syncs/{PROPERTIES}/sync_runs with 404"):
        begin(campaign.sender())

    assert campaign.triggers == 0


class DeletedMeanwhile(CensusHook):
    """The hook of a workspace where a person deletes the regular sync right after the list of syncs was read."""

    lists = 0

    def list_syncs(self) -> list[SyncOutline]:
        self.lists += 1
        return [sync for sync in super().list_syncs() if self.lists == 1 or sync.id != PROPERTIES]

    def list_runs(self, sync_id: int) -> SyncRunPage:
        return super().list_runs(99 if sync_id == PROPERTIES else sync_id)


@pytest.mark.usefixtures("campaign")
def test_a_neighbour_that_was_deleted_since_the_list_was_read_is_a_neighbour_no_more() -> None:
    census = DeletedMeanwhile()
    writers = WriterRuns(census, BACKFILL, OBJECT)

    pages = [writers.look() for _ in range(3)]

    assert all(run.sync_id == BACKFILL for page in pages for run in page.runs)
    assert writers.neighbours == ()
    assert census.lists == 2
