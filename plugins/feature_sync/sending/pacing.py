"""How long to wait for Census.

The next run never starts while one is active, and never sooner than ``wait_seconds`` after the last one ended. The row records of
a run may still come as long as Census works on the run.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from feature_sync.census.models import RunStatus, SyncRun
from feature_sync.config.wording import count_of

SECONDS_PER_BATCH = 45
"""How long a Census run of 50 records from Databricks to Salesforce takes; 36 and 50 seconds were seen."""
MAX_PAUSE = 300.0
"""Seconds. A batch that waits looks at least this often."""
MAX_PAUSE_WHILE_SENDING = 30.0
"""Seconds. The same while the batch before it is being sent, because that may end at any time."""


@dataclass(frozen=True, slots=True)
class Pause:
    """
    Why no run may start now, or why the last one cannot be judged yet.

    :param seconds: time until a run may start, or may be judged. 0 while ``active_run`` has not ended, because its end is not
        known.
    :param active_run: the run that is active, if there is one.
    """

    reason: str
    seconds: float = 0
    active_run: SyncRun | None = None

    def is_over_within(self, seconds: float) -> bool:
        """Whether a run may start in so many seconds at the latest, as far as one can know."""
        return self.active_run is None and self.seconds <= seconds


def pause_before_next(runs: Iterable[SyncRun], now: datetime, wait_seconds: float, run_limit_seconds: float) -> Pause | None:
    """
    Decide whether a run may start now.

    Runs that others started, and those of other syncs that write the same object, count like our own, because the Flow in
    Salesforce does not care who wrote the records. Skipped runs
    and dry runs write nothing, so no pause has to follow them. A run with an undocumented status may be active, but not for ever:
    ``run_limit_seconds`` after its last change it counts as ended.

    :param runs: the newest runs of all these syncs, in any order.
    :param now: the time by Census's clock.
    :returns: None if a run may start.
    """
    seen = list(runs)
    for run in seen:
        unknown_since = run.updated_at or run.created_at
        if run.is_active or (run.may_be_active and now - unknown_since < timedelta(seconds=run_limit_seconds)):
            return Pause(f"Census run {run.id} of sync {run.sync_id} is {run.raw_status}", active_run=run)
    over = [run for run in seen if run.ended_at and run.status is not RunStatus.SKIPPED and not run.is_dry_run]
    if not over:
        return None
    last = max(over, key=lambda run: run.ended_at or run.created_at)
    assert last.ended_at is not None  # noqa: S101 - the filter above; for the type checker
    seconds = (last.ended_at + timedelta(seconds=wait_seconds) - now).total_seconds()
    if seconds <= 0:
        return None
    ended = f"Census run {last.id} of sync {last.sync_id} ended at {last.ended_at:%H:%M:%S} UTC"
    until = f"{now + timedelta(seconds=seconds):%H:%M:%S} UTC"
    return Pause(f"{ended}, and {wait_seconds:.0f} s pass after it; my turn about {until}, in {seconds:.0f} s", seconds)


def records_pause(run: SyncRun, now: datetime, limit_seconds: float, quiet_seconds: float) -> Pause | None:
    """
    Decide whether missing row records of a completed run may still come.

    Census changes ``updated_at`` for minutes after ``completed_at``; row records may come as late.

    :param now: the time by Census's clock.
    :param limit_seconds: longest wait since the run completed.
    :param quiet_seconds: once ``updated_at`` has stood still for so long, Census works on the run no more.
    :returns: None if they are not waited for any longer.
    """
    completed = run.completed_at or run.created_at
    changed = max(completed, run.updated_at or completed)
    give_up = min(completed + timedelta(seconds=limit_seconds), changed + timedelta(seconds=quiet_seconds))
    seconds = (give_up - now).total_seconds()
    if seconds <= 0:
        return None
    return Pause(
        f"row records of Census run {run.id} are missing; it completed at {completed:%H:%M:%S} UTC and was changed last at "
        f"{changed:%H:%M:%S} UTC. They are waited for {seconds:.0f} s more at most",
        seconds,
    )


def pause_of_next(ahead: int, now: datetime, wait_seconds: float) -> Pause:
    """
    Why the next batch of a run waits while the one before it is being sent.

    :param ahead: batches whose turn has come and that have not ended.
    """
    expected = now + timedelta(seconds=ahead * (SECONDS_PER_BATCH + wait_seconds))
    return Pause(
        f"{count_of(ahead, 'batch')} ahead in this run, my turn about {expected:%H:%M} UTC: a batch takes about "
        f"{SECONDS_PER_BATCH} s, and {wait_seconds:.0f} s pass after it",
    )


def seconds_to_next_look(pause: Pause, looks: int, wait_seconds: float, prepare_seconds: float, poll_seconds: float) -> float:
    """
    How many seconds a waiting batch may sleep before it looks again.

    While another batch is being sent it looks soon, because a batch that is held back ends at once, and then less and less
    often; but often enough that it does not miss its own turn, which is ``wait_seconds`` after that batch's end.

    :param looks: how often it has looked.
    :param prepare_seconds: how long before the end of the wait its turn comes.
    """
    if pause.active_run is not None:
        return poll_seconds
    if pause.seconds:
        return min(max(0.0, pause.seconds - prepare_seconds), MAX_PAUSE)
    at_most = max(poll_seconds, min((wait_seconds - prepare_seconds) / 2, MAX_PAUSE_WHILE_SENDING))
    return min(2.0 ** min(looks, 10), at_most)
