"""Which syncs write our Salesforce object beside ours, what they run, and when their schedule starts them next."""

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from croniter import croniter

from feature_sync.census.errors import CensusRefusedError
from feature_sync.census.models import SyncOutline, SyncRunPage

if TYPE_CHECKING:
    from feature_sync.census.hook import CensusHook

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ANY_TIME = "at any time"


class WriterRuns:
    """
    The look "which runs are there": those of our sync and of every other one that writes the same object.

    Census is asked for the list of syncs once, and for the runs of each of them at every look. So whoever keeps this object for
    the life of a task or of a trigger asks little.

    Census says its time in whole seconds, rounded down. So a look also counts on from the time that an earlier look was told,
    by the clock of this process, and takes the later of the two. Neither is ever ahead of Census's own.
    """

    def __init__(self, census: "CensusHook", sync_id: int, salesforce_object: str) -> None:
        self._census = census
        self._sync_id = sync_id
        self._salesforce_object = salesforce_object
        self._heard: tuple[datetime, float] | None = None

    @cached_property
    def neighbours(self) -> tuple[SyncOutline, ...]:
        return find_neighbours(self._census.list_syncs(), self._sync_id, self._salesforce_object)

    def look(self) -> SyncRunPage:
        """The newest runs of all of them, newest first, and the earliest of Census's times, so that no wait is too short."""
        try:
            return self._look()
        except CensusRefusedError:
            known = self.neighbours
            del self.neighbours  # one of them may have been deleted since the list was read
            if self.neighbours == known:
                raise
            return self._look()

    def _look(self) -> SyncRunPage:
        pages = [self._census.list_runs(sync_id) for sync_id in (self._sync_id, *(sync.id for sync in self.neighbours))]
        runs = sorted((run for page in pages for run in page.runs), key=lambda run: run.id, reverse=True)
        return SyncRunPage(runs=tuple(runs), now=self._count_on(min(page.now for page in pages)))

    def _count_on(self, told: datetime) -> datetime:
        clock = time.monotonic()
        if self._heard is not None:
            now, heard_at = self._heard
            told = max(told, now + timedelta(seconds=clock - heard_at))
        self._heard = (told, clock)
        return told


@dataclass(frozen=True, slots=True)
class ScheduledNeighbour:
    """
    A sync that may start during a run.

    ``next_start``: ISO 8601 in UTC, or "at any time".
    """

    sync_id: int
    label: str
    schedule: str
    next_start: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"Census sync {self.sync_id} ({self.label}), {self.schedule}, next start {self.next_start}"


def find_neighbours(syncs: Iterable[SyncOutline], sync_id: int, salesforce_object: str) -> tuple[SyncOutline, ...]:
    """
    Choose the syncs that write the object that ours writes. What cannot be read counts as equal.

    :param syncs: all syncs that Census lists.
    :param sync_id: our own sync, which is never among those returned.
    """
    known = list(syncs)
    connection = next((sync.connection_id for sync in known if sync.id == sync_id), None)
    return tuple(
        sync
        for sync in known
        if sync.id != sync_id
        and (sync.destination_object is None or sync.destination_object.lower() == salesforce_object.lower())
        and (None in (sync.connection_id, connection) or sync.connection_id == connection)
    )


def scheduled_between(syncs: Iterable[SyncOutline], now: datetime, seconds: float) -> tuple[ScheduledNeighbour, ...]:
    """The syncs that their schedule may start within ``seconds`` from ``now``, the next one first."""
    starts = [(start, sync) for sync in syncs if (start := next_start(sync, now)) is not None]
    return tuple(
        ScheduledNeighbour(sync.id, sync.label or "no name", describe_schedule(sync), _when(start, now))
        for start, sync in sorted(starts, key=lambda pair: (pair[0], pair[1].id))
        if start <= now + timedelta(seconds=seconds)
    )


def next_start(sync: SyncOutline, now: datetime) -> datetime | None:
    """
    When the schedule starts a sync next. Census's schedules are in UTC.

    :returns: the earliest time that is possible; ``now`` if the schedule cannot be read, or if something else than a clock starts
        the sync. None if nothing starts it.
    """
    if sync.paused or (sync.frequency == "never" and not sync.has_other_triggers):
        return None
    expression = _cron(sync)
    if expression is None or sync.has_other_triggers or not croniter.is_valid(expression):
        return now
    return croniter(expression, now).get_next(datetime)


def describe_schedule(sync: SyncOutline) -> str:
    """The schedule of a sync in words, for people."""
    if sync.has_other_triggers:
        return "started by something else than a clock"
    minute = "an unknown minute" if sync.minute is None else f"minute {sync.minute}"
    time = "an unknown time" if None in (sync.hour, sync.minute) else f"{sync.hour:02d}:{sync.minute:02d} UTC"
    words = {
        "never": "started by hand or over the API",
        "quarter_hourly": "every 15 minutes",
        "hourly": f"hourly at {minute}",
        "daily": f"daily at {time}",
        "weekly": f"weekly on {sync.day or 'an unknown day'} at {time}",
        "expression": f"on the schedule {sync.cron_expression!r}",
        "continuous": "continuously",
    }
    return words.get(sync.frequency or "", f"on a schedule that we do not know ({sync.frequency!r})")


def _cron(sync: SyncOutline) -> str | None:
    """The schedule as a cron expression that starts no later than Census does, or None if it is not known."""
    minute = "*" if sync.minute is None else str(sync.minute)
    hour = "*" if sync.hour is None else str(sync.hour)
    day = (sync.day or "")[:3].lower()
    expressions = {
        "quarter_hourly": "*/15 * * * *",
        "hourly": f"{minute} * * * *",
        "daily": f"{minute} {hour} * * *",
        "weekly": f"{minute} {hour} * * {day if day in WEEKDAYS else '*'}",
        "expression": sync.cron_expression,
    }
    return expressions.get(sync.frequency or "")


def _when(start: datetime, now: datetime) -> str:
    return ANY_TIME if start == now else start.isoformat(timespec="minutes")
