"""The sync log in the warehouse: one row for each attempt at a batch, and the rows that it left rejected."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from feature_sync.census.models import RowRecord
from feature_sync.sending.batches import Attempt
from feature_sync.storage.lines import as_lines
from feature_sync.storage.warehouse import Warehouse


class SyncLog:
    """Reads and writes attempts. Writing the same attempt twice leaves one row."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def last_attempt(self, run_id: str, batch_number: int) -> Attempt | None:
        attempts = self._select(run_id, batch_number)
        return attempts[0] if attempts else None

    def attempts_to_judge(self, run_id: str, batch_number: int, most: int, generation: int) -> dict[int, Attempt]:
        """
        The last attempt at a batch, and the ``most`` newest of the last attempts at other batches that can count as failures, by
        batch number. As many however many batches the run has.

        :param generation: of the batch's task. After it was cleared, only attempts of cleared tasks are read.
        """
        rows = self._warehouse.fetch_all(
            "sending/select_attempts_to_judge",
            {"run_id": run_id, "batch_number": batch_number, "most": most, "was_cleared": generation > 0},
        )
        return {row["batch_number"]: Attempt.from_row(row) for row in rows}

    def last_attempts(self, run_id: str) -> dict[int, Attempt]:
        """The last attempt at each batch of a run that was tried, by batch number."""
        return {attempt.batch_number: attempt for attempt in self._select(run_id, None)}

    def newest_possible_run_id(self, attempt: Attempt) -> int | None:
        """The newest Census run that ``attempt`` can have started, or None if no attempt followed it."""
        row = self._warehouse.fetch_one(
            "sending/find_newer_attempt",
            {"run_id": attempt.run_id, "batch_number": attempt.batch_number, "attempt": attempt.number},
        )
        return row["newest_possible_run_id"]

    def record(self, attempt: Attempt) -> Attempt:
        """
        Write what is known of an attempt.

        :returns: the same attempt.
        """
        row = {column: _bindable(value) for column, value in attempt.as_row().items()}
        self._warehouse.execute("sending/record_attempt", row)
        return attempt

    def record_rejections(self, attempt: Attempt, rejected: Iterable[RowRecord]) -> None:
        """Write the keys and reasons of the rows that Salesforce did not accept in an attempt."""
        lines = as_lines([(row.identifier or "", row.reason) for row in rejected])
        if lines:
            self._warehouse.execute(
                "sending/record_rejections",
                {
                    "run_id": attempt.run_id,
                    "batch_number": attempt.batch_number,
                    "attempt": attempt.number,
                    "rejections": lines,
                },
            )

    def _select(self, run_id: str, batch_number: int | None) -> list[Attempt]:
        rows = self._warehouse.fetch_all("sending/select_last_attempts", {"run_id": run_id, "batch_number": batch_number})
        return [Attempt.from_row(row) for row in rows]


def _bindable(value: Any) -> str | int | None:
    """Times are bound as text. A StrEnum is bound as its text, because the connector does not know its type."""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, str) else value
