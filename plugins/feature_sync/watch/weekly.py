"""Whether the weekly run has given its verdict, what people are told if it has not, and how often."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from croniter import croniter

from feature_sync.config.names import RECONCILIATION_DAG_ID
from feature_sync.config.settings import AlertLevel
from feature_sync.orchestration.questions import TIME, utc

REMIND_AFTER = timedelta(hours=23)
"""People are reminded once a day. It is an hour less, because no look is on the second, and the next one is hours later."""


class Week(StrEnum):
    """
    What is known of the last weekly run that should have ended.

    ``ENDED``: it has ended, green or red. If it was red, its own alert has said so.
    ``GOES_ON``: it has not ended. ``MISSING``: there is none.
    ``NOT_KNOWN``: there is none, but the watch was not there either, so perhaps there was nothing to run.
    """

    ENDED = "ended"
    GOES_ON = "goes on"
    MISSING = "is missing"
    NOT_KNOWN = "is not known"


@dataclass(frozen=True, slots=True)
class Memory:
    """
    What the watch keeps from look to look.

    ``schedule``: of the weekly DAG. ``since``: when the watch first saw this schedule.
    ``told_of``: the scheduled time of the run that people were told of last. ``told_at``: when that was.
    All times are in ISO 8601.
    """

    schedule: str
    since: str
    told_of: str | None = None
    told_at: str | None = None

    @property
    def as_text(self) -> str:
        return json.dumps(asdict(self))

    def is_due(self, tick: datetime, now: datetime) -> bool:
        """Whether people are to be told of this run now: for the first time, or again."""
        if self.told_of is None or self.told_at is None or utc(self.told_of) != tick:
            return True
        return now - utc(self.told_at) >= REMIND_AFTER

    def told(self, tick: datetime, now: datetime) -> "Memory":
        """The memory after people were told."""
        return replace(self, told_of=tick.isoformat(), told_at=now.isoformat())


def recall(text: str | None, schedule: str, now: datetime) -> Memory:
    """
    What was kept. It begins again if nothing was kept, if it cannot be read, or if the schedule is another one now: then nobody
    knows whether there was anything to run before.
    """
    try:
        kept = Memory(**json.loads(text or "null"))
        for time in (kept.since, kept.told_of or kept.since, kept.told_at or kept.since):
            utc(time)
    except (TypeError, ValueError):
        return Memory(schedule, now.isoformat())
    return kept if kept.schedule == schedule else Memory(schedule, now.isoformat())


def last_tick(schedule: str, now: datetime, hours: int) -> datetime:
    """
    The scheduled time of the last weekly run that should have ended by now.

    :param schedule: a cron expression, in UTC. Airflow reads it with the same library.
    :param hours: how long that run may take.
    """
    return croniter(schedule, now - timedelta(hours=hours)).get_prev(datetime)


def judge(tick: datetime, memory: Memory, *, ended: str | None, going: str | None) -> Week:
    """
    Say what is known of a weekly run.

    :param tick: its scheduled time.
    :param ended: a run that has ended, of this or a later time, or None. :param going: the same of a run that has not ended.
    """
    if ended:
        return Week.ENDED
    if going:
        return Week.GOES_ON
    return Week.MISSING if utc(memory.since) <= tick else Week.NOT_KNOWN


def goes_on_message(tick: datetime, hours: int, run_id: str, busy: Sequence[str], link: str) -> tuple[AlertLevel, str, str]:
    """
    What people are told of a weekly run that has not ended.

    :param busy: the tasks that it is at. :param link: to the run.
    :returns: level, title and text.
    """
    where = f"It is at {', '.join(busy)}." if busy else "None of its tasks has begun, or Airflow is not running them."
    lines = [
        f"DAG: {RECONCILIATION_DAG_ID}",
        f"Run: {run_id}",
        "",
        f"Its scheduled time was {tick:{TIME}}. It should have ended within {hours} h. {where}",
        "Until it ends, nobody knows whether Salesforce equals the warehouse.",
        'Open the run and read the log of that task. It may wait for an answer under "Required actions", for the replica, or for '
        "a backfill that sends records again. If the DAG is paused, unpause it.",
        _REMINDED,
        "",
        f"Run: {link}",
    ]
    return AlertLevel.WARNING, f"No verdict yet: the weekly run of {tick:{TIME}} goes on", "\n".join(lines)


def missing_message(tick: datetime, hours: int, others: int, link: str) -> tuple[AlertLevel, str, str]:
    """
    What people are told if there is no weekly run. It is as loud as a failure, because no run is there to report one.

    :param others: runs of the DAG that go on and are older, or have no date. :param link: to the DAG.
    :returns: level, title and text.
    """
    why = (
        "An earlier run of the DAG has not ended. Only one goes on at a time, so it holds this one back. Open it, and see what "
        "it waits for."
        if others
        else "Look in Airflow whether the DAG is paused, is missing, or has an import error, and whether the scheduler runs. "
        "Repair that, then start a run by hand. Its verdict counts."
    )
    lines = [
        f"DAG: {RECONCILIATION_DAG_ID}",
        "",
        f"A run should have started at {tick:{TIME}}. {hours} h later there is none.",
        "So nobody has compared Salesforce with the warehouse.",
        why,
        _REMINDED,
        "",
        f"DAG: {link}",
    ]
    return AlertLevel.FAILURE, f"No verdict: the weekly run of {tick:{TIME}} never started", "\n".join(lines)


_REMINDED = "You are reminded once a day, until a run has ended. WEEKLY_VERDICT_HOURS=0 ends these messages."
