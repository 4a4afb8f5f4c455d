"""When a backfill should have sent its batches by its own estimate, and what people are told if it has not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from feature_sync.config.green import RULES
from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.config.problems import RunConfigError
from feature_sync.config.settings import AlertLevel
from feature_sync.config.wording import count_of
from feature_sync.forecast.duration import estimate_seconds
from feature_sync.orchestration.questions import TIME, utc

TOLERANCE = 0.25
"""
By this share of its estimate a run may be late without a word. A batch takes 36 to 50 seconds where the estimate says 45, and
pauses may be a little longer than prescribed.
"""
SENDING: Mapping[str, str] = {plan: task_id for task_id, plan in RULES[BACKFILL_DAG_ID].planned.items()}
"""By the task that plans batches: the one that sends them."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """
    What a backfill expects of itself once it has planned batches.

    ``planned_by``: the task that has planned them. ``ends_at``: when the last one should have ended, by the run's own estimate.
    """

    run_id: str
    planned_by: str
    batches: int
    ends_at: datetime

    @property
    def sent_by(self) -> str:
        """The task that sends the batches."""
        return SENDING[self.planned_by]

    def as_conf(self) -> dict[str, Any]:
        """The config of the run of feature_sync_watch that looks after it, and the note that the planning task leaves."""
        return {
            "run_id": self.run_id,
            "planned_by": self.planned_by,
            "batches": self.batches,
            "ends_at": self.ends_at.isoformat(),
        }

    @classmethod
    def from_conf(cls, conf: Mapping[str, Any]) -> "Expectation":
        """:raises RunConfigError: it is not what `as_conf` has written."""
        match conf:
            case {"run_id": str(run_id), "planned_by": str(plan), "batches": int(batches), "ends_at": str(end), **others} if (
                plan in SENDING and not others
            ):
                return cls(run_id, plan, batches, utc(end))
        raise RunConfigError([f"No backfill has written the config {dict(conf)!r}. Start the watch without a config."])


def expect_end(run_id: str, planned_by: str, batches: int, wait_seconds: int, now: datetime) -> Expectation:
    """
    Estimate when batches that were planned just now will have ended.

    :param planned_by: the task that has planned them. :param wait_seconds: the prescribed pause.
    """
    return Expectation(run_id, planned_by, batches, now + timedelta(seconds=estimate_seconds(batches, wait_seconds)))


def look_at(expected: Expectation, now: datetime, run_limit_seconds: float) -> datetime:
    """
    When to look whether a run is late.

    :param now: when it was estimated.
    :param run_limit_seconds: the longest time that a Census run may take. It is the least tolerance: the estimate knows nothing
        of how large a batch is, and a batch that takes longer fails, and is alerted, by itself.
    """
    estimated = (expected.ends_at - now).total_seconds()
    return expected.ends_at + timedelta(seconds=max(TOLERANCE * estimated, run_limit_seconds))


def late_message(expected: Expectation, ended: int, failed: int, link: str) -> tuple[AlertLevel, str, str]:
    """
    What people are told of a run that is late.

    :param ended: batches that have ended. :param failed: those of them that failed. :param link: to the page of the run.
    :returns: level, title and text.
    """
    of_all = f"{ended:,} of {count_of(expected.batches, 'batch')}"
    has_failed = f" {failed:,} of them failed; alerts have said why." if failed else ""
    lines = [
        f"DAG: {BACKFILL_DAG_ID}",
        f"Run: {expected.run_id}",
        "",
        f"By its own estimate, its last batch should have ended at {expected.ends_at:{TIME}}.",
        f"{of_all} ended so far.{has_failed}",
        "Census or Salesforce may be slow, a batch may be tried again, another run or another sync may be sending, or the DAG "
        "may be paused.",
        "Open the page of the run. It says what the run waits for, and when it will end at its present pace.",
        "The run goes on. This is said once.",
        "",
        f"Progress: {link}",
    ]
    return AlertLevel.WARNING, f"Later than estimated: a backfill has ended {of_all}", "\n".join(lines)
