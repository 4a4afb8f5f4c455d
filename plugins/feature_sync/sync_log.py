"""The sync log in the warehouse: one row for each attempt at a batch, what became of it, and which records it left rejected."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from feature_sync.census.models import RowRecord, SyncRun
from feature_sync.outcome import AttemptStatus
from feature_sync.warehouse import Parameters, Row, Warehouse

ROW_SEPARATOR = chr(30)
CELL_SEPARATOR = chr(31)


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One attempt at one batch of a run.

    ``series``: which series of tries it belongs to: 0 until the task is cleared, then the number of tries there were before.
    ``records``: how many records it sends. ``resends_attempt``: the attempt whose rejected records these are; empty for all
    records of the batch.
    ``previous_sync_run_id``: the newest Census run that existed when the trigger was about to be sent; a run of ours has a
    greater id. Empty when no trigger was to be sent.
    ``sync_run_id``: empty until Census has answered the trigger.
    ``records_updated``, ``records_failed``, ``records_invalid``: Census's counters.
    ``records_rejected``: rows that Census's records show as not accepted; empty when that is not known for sure.
    ``seen_at``: when it ended, or while it is open began, by the warehouse's clock.
    """

    run_id: str
    batch_number: int
    number: int
    status: AttemptStatus
    records: int
    series: int = 0
    resends_attempt: int | None = None
    previous_sync_run_id: int | None = None
    sync_run_id: int | None = None
    records_updated: int | None = None
    records_failed: int | None = None
    records_invalid: int | None = None
    records_rejected: int | None = None
    reason: str | None = None
    seen_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.status is AttemptStatus.SENDING

    @property
    def next_resends(self) -> int | None:
        """Whose rejected records the next attempt sends; nothing means the whole batch."""
        if self.status is AttemptStatus.SUCCEEDED:
            return None
        return self.number if self.records_rejected else self.resends_attempt


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
                "series": attempt.series,
                "status": attempt.status.value,
                "records": attempt.records,
                "resends_attempt": attempt.resends_attempt,
                "previous_sync_run_id": attempt.previous_sync_run_id,
                "sync_run_id": attempt.sync_run_id,
                "records_updated": attempt.records_updated,
                "records_failed": attempt.records_failed,
                "records_invalid": attempt.records_invalid,
                "records_rejected": attempt.records_rejected,
                "reason": attempt.reason,
                "run_started_at": _iso(run.created_at) if run else None,
                "run_ended_at": _iso(run.ended_at) if run else None,
            },
        )
        return attempt

    def record_rejections(self, attempt: Attempt, rejected: Iterable[RowRecord]) -> None:
        """Write the keys and reasons of rows that an attempt did not bring into Salesforce."""
        lines = [CELL_SEPARATOR.join((_cell(row.identifier or ""), _cell(row.reason))) for row in rejected]
        if lines:
            self._warehouse.execute(
                "record_rejections",
                {
                    "run_id": attempt.run_id,
                    "batch_number": attempt.batch_number,
                    "attempt": attempt.number,
                    "rejections": ROW_SEPARATOR.join(lines),
                },
            )

    def _select(self, run_id: str, batch_number: int | None) -> list[Attempt]:
        rows = self._warehouse.fetch_all("select_last_attempts", {"run_id": run_id, "batch_number": batch_number})
        return [_parse(run_id, row) for row in rows]


def _cell(text: str) -> str:
    return text.replace(ROW_SEPARATOR, " ").replace(CELL_SEPARATOR, " ")


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _parse(run_id: str, row: Row) -> Attempt:
    values = {name: value for name, value in row.items() if name not in ("attempt", "status")}
    return Attempt(run_id=run_id, number=row["attempt"], status=AttemptStatus(row["status"]), **values)
