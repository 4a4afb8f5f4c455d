"""What every batch meets: it has one cause for the alerts, and the failure policy holds back the rest."""

from collections.abc import Callable, Iterator

import pytest

from feature_sync.census.errors import CensusError
from feature_sync.sending.outcome import BatchFailedError, BatchHaltedError
from feature_sync.task_defaults.causes import causes_of
from tests.sandbox.client import BACKFILL, CENSUS_TOKEN, Sandbox
from tests.wire.batch_run import BatchRun


@pytest.fixture(autouse=True)
def _as_before(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.settings(census_token=CENSUS_TOKEN)
    sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"paused": False})


def revoke(sandbox: Sandbox) -> None:
    sandbox.settings(census_token="census-pat-of-another-day")


def pause(sandbox: Sandbox) -> None:
    sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"paused": True})


def delete(sandbox: Sandbox) -> None:
    """A request for a sync that is gone answers 404, whatever is asked."""
    for call in ("fetch_sync", "list_runs", "trigger"):
        sandbox.fault(call, "status", code=404)


@pytest.mark.parametrize("happens", [revoke, pause, delete], ids=["token-refused", "sync-paused", "sync-deleted"])
def test_it_is_one_cause_and_holds_back_the_rest(run: BatchRun, sandbox: Sandbox, happens: Callable[[Sandbox], None]) -> None:
    run.send(1)
    happens(sandbox)
    errors = []
    for number in (2, 3, 4):
        with pytest.raises(CensusError) as raised:
            run.send(number)
        errors.append(raised.value)
    for number in (5, 6):
        with pytest.raises(BatchHaltedError, match="batches 002, 003, 004 failed in a row"):
            run.send(number)

    assert len({causes_of(error) for error in errors}) == 1
    assert run.campaign.runs == 1
    assert run.left == {}, "the sync log has them"


def test_a_token_that_is_refused_while_a_run_is_looked_at_counts_too(
    run: BatchRun, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS", "30")
    sandbox.fault("fetch_run", "token_expired", times=1)
    errors = []
    with pytest.raises(CensusError) as raised:
        run.send(1, on_batch_failure="stop")
    errors.append(raised.value)
    assert run.campaign.attempt(1).is_open

    with pytest.raises(BatchHaltedError, match=r"batch 001 failed \(on_batch_failure is stop\)"):
        run.send(2, on_batch_failure="stop")
    assert run.send(1, generation=1, on_batch_failure="stop")["records"] == 4, "its run is found again"
    assert run.send(2, generation=1, on_batch_failure="stop")["records"] == 4
    assert run.campaign.runs == 2


def test_batches_that_are_rejected_for_one_reason_have_one_cause_and_for_another_reason_another(
    run: BatchRun, sandbox: Sandbox
) -> None:
    errors = []
    for number, reason in ((1, "NO_GOOD: record {}"), (2, "NO_GOOD: record {}"), (3, "TOO_LONG: name")):
        sandbox.fault("run", "reject_rows", message=reason.format(f"a0X00000000000{number}"), count=number, times=1)
        with pytest.raises(BatchFailedError) as raised:
            run.send(number, most=10)
        errors.append(causes_of(raised.value))

    assert errors[0] == errors[1]
    assert errors[0].isdisjoint(errors[2])
