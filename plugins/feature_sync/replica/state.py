"""How far the warehouse's copy of Salesforce has caught up."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from feature_sync.config.settings import Settings
from feature_sync.storage.warehouse import Warehouse


class ReplicaStalledError(RuntimeError):
    """
    The replica did not catch up in time.

    :param cause: what it has in common with errors of other tasks, if it could not be read.
    """

    def __init__(self, message: str, cause: str | None = None) -> None:
        super().__init__(message)
        self.alert_cause = cause


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """
    How far the replica has caught up with a run, or with all runs. Times are UTC, by the clocks of the warehouse and of Census.

    ``records_sent``: records that Census reported as updated.
    ``records_stale``: those of them that the replica does not show yet, as far as their own rows say.
    ``synced_at``: when a row was last replicated, or None if none ever was.
    ``since_last_send``: time from the end of the last Census run to now.
    """

    records_sent: int
    records_stale: int
    synced_at: datetime | None
    since_last_send: timedelta
    checked_at: datetime

    @property
    def is_fresh(self) -> bool:
        """Whether the replica shows everything that was sent."""
        return self.records_stale == 0

    @property
    def age(self) -> timedelta | None:
        """Time since a row was last replicated, or None if none ever was."""
        return None if self.synced_at is None else self.checked_at - self.synced_at

    def is_current(self, age_limit: timedelta) -> bool:
        """Whether the replica shows everything that was sent and was replicated within ``age_limit``."""
        return self.is_fresh and self.age is not None and self.age <= age_limit

    @property
    def progress(self) -> str:
        """One sentence for logs."""
        return (
            f"{self.records_stale:,} of {self.records_sent:,} records sent are not yet in the replica; its newest row was "
            f"replicated at {self.synced_at}"
        )


def read_replica_state(run_id: str | None, settings: Settings) -> ReplicaState:
    """
    Ask the warehouse once.

    :param run_id: the DAG run whose records are looked for, or None for those of every run.
    """
    with Warehouse(settings) as warehouse:
        row = warehouse.fetch_one("replica/check_replica", {"run_id": run_id})
    last_sent_at = row["last_sent_at"] or row["checked_at"]
    return ReplicaState(
        records_sent=row["records_sent"],
        records_stale=row["records_stale"],
        synced_at=row["synced_at"],
        since_last_send=row["checked_at"] - last_sent_at,
        checked_at=row["checked_at"],
    )


def check_run_replica(run_id: str, settings: Settings) -> ReplicaState:
    """
    Check whether the replica shows what a run sent.

    :raises ReplicaStalledError: it does not, although the last record was sent more than ``copy_limit_seconds`` ago.
    """
    state = read_replica_state(run_id, settings)
    if not state.is_fresh and state.since_last_send.total_seconds() > settings.copy_limit_seconds:
        raise ReplicaStalledError(
            f"{settings.salesforce_table} does not show what was sent: {state.records_stale:,} of {state.records_sent:,} records "
            f"are not shown yet. The last was sent {state.since_last_send} ago (limit {settings.copy_limit_seconds:,} s); the "
            f"newest row was replicated at {state.synced_at}. Nothing was validated, so it is not known whether they differ. "
            "There are three possible causes. The replication of Salesforce into the warehouse has stopped, or lacks these "
            "records: repair it, then clear this task with its downstream tasks. Census reported records as updated that never "
            "reached Salesforce: look one up there, then clear the `send` tasks of their batches. Or somebody changed them in "
            "Salesforce while they were being sent: look one up there, then start a new run for these records."
        )
    return state


def check_whole_replica(settings: Settings, give_up_at: datetime) -> ReplicaState:
    """
    Check whether the replica shows what every run sent, and was replicated within ``copy_age_limit_seconds``.

    :raises ReplicaStalledError: it does not, and ``give_up_at`` has passed.
    """
    state = read_replica_state(None, settings)
    if not is_whole_replica_current(state, settings) and datetime.now(UTC) > give_up_at:
        raise ReplicaStalledError(
            f"{settings.salesforce_table} is stale: its newest row was replicated at {state.synced_at}, "
            f"COPY_AGE_LIMIT_SECONDS allows {settings.copy_age_limit_seconds:,}; {state.records_stale:,} of "
            f"{state.records_sent:,} records that were sent do not show yet. Nothing was compared. Repair the replication of "
            "Salesforce into the warehouse, then clear this task with its downstream tasks."
        )
    return state


def is_whole_replica_current(state: ReplicaState, settings: Settings) -> bool:
    """Whether a state of all runs is good enough for the weekly comparison."""
    return state.is_current(timedelta(seconds=settings.copy_age_limit_seconds))
