"""The sync log in the warehouse: one row for each attempt at a batch, and what became of it."""

from dataclasses import dataclass
from datetime import datetime

from feature_sync.census.models import SyncRun
from feature_sync.outcome import AttemptStatus
from feature_sync.warehouse import Parameters, Row, Warehouse


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One attempt at one batch of a run. It is written when the batch is staged, before the trigger is sent.

    ``previous_sync_run_id`` is the newest Census run that existed then: a run of ours has a greater id.
    ``sync_run_id`` is empty until Census has answered the trigger.
    """

    run_id: str
    batch_number: int
    number: int
    status: AttemptStatus
    records: int
    previous_sync_run_id: int
    sync_run_id: int | None = None
    records_updated: int | None = None
    records_failed: int | None = None
    records_invalid: int | None = None
    reason: str | None = None

    @property
    def is_open(self) -> bool:
        return self.status is AttemptStatus.SENDING


class SyncLog:
    """Reads and writes attempts. Writing the same attempt twice leaves one row."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def last_attempt(self, run_id: str, batch_number: int) -> Attempt | None:
        attempts = self._select(run_id, batch_number)
        return attempts[0] if attempts else None

    def last_attempts(self, run_id: str) -> dict[int, Attempt]:
        """The last attempt at each batch of a run that was tried, by batch number."""
        return {attempt.batch_number: attempt for attempt in self._select(run_id, None)}

    def newest_possible_run_id(self, attempt: Attempt) -> int | None:
        """The newest Census run that ``attempt`` can have started; nothing when no other attempt followed it."""
        parameters: Parameters = {"run_id": attempt.run_id, "batch_number": attempt.batch_number, "attempt": attempt.number}
        return self._warehouse.fetch_one("find_newer_attempt", parameters)["newest_possible_run_id"]

    def record(self, attempt: Attempt, run: SyncRun | None = None) -> Attempt:
        """
        Write what is known of an attempt.

        :param run: its Census run, once that has ended; start and end are kept, by Census's clock.
        """
        self._warehouse.execute(
            "record_attempt",
            {
                "run_id": attempt.run_id,
                "batch_number": attempt.batch_number,
                "attempt": attempt.number,
                "status": attempt.status.value,
                "records": attempt.records,
                "previous_sync_run_id": attempt.previous_sync_run_id,
                "sync_run_id": attempt.sync_run_id,
                "records_updated": attempt.records_updated,
                "records_failed": attempt.records_failed,
                "records_invalid": attempt.records_invalid,
                "reason": attempt.reason,
                "run_started_at": _iso(run.created_at) if run else None,
                "run_ended_at": _iso(run.ended_at) if run else None,
            },
        )
        return attempt

    def _select(self, run_id: str, batch_number: int | None) -> list[Attempt]:
        rows = self._warehouse.fetch_all("select_last_attempts", {"run_id": run_id, "batch_number": batch_number})
        return [_parse(run_id, row) for row in rows]


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _parse(run_id: str, row: Row) -> Attempt:
    return Attempt(
        run_id=run_id,
        batch_number=row["batch_number"],
        number=row["attempt"],
        status=AttemptStatus(row["status"]),
        records=row["records"],
        previous_sync_run_id=row["previous_sync_run_id"],
        sync_run_id=row["sync_run_id"],
        records_updated=row["records_updated"],
        records_failed=row["records_failed"],
        records_invalid=row["records_invalid"],
        reason=row["reason"],
    )
