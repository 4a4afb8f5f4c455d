"""What is kept in the warehouse as evidence: what Salesforce itself held when it was asked, and what people answered."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from feature_sync.config.problems import OwnTableError
from feature_sync.storage.lines import as_lines
from feature_sync.storage.warehouse import Row, StatementError, Warehouse, columns_of

log = logging.getLogger(__name__)

MAX_RECORDS = 500
"""Records in one statement: about 100 KB of text."""
OF_LOOK = ("run_id", "purpose", "read_at")
"""The columns that all records of one look share."""


class Purpose(StrEnum):
    """Why Salesforce was asked."""

    CANARY = "canary"
    PILOT = "pilot"
    VALIDATION = "validation"
    SAMPLE = "sample"


def record_read_backs(warehouse: Warehouse, run_id: str, purpose: Purpose, read_at: datetime, rows: Sequence[Row]) -> None:
    """
    Keep what Salesforce held.

    :param rows: of `feature_sync.salesforce.read_back.rows_of`: a row for each record, by column.
    """
    columns = [column.name for column in columns_of(warehouse.settings, "read_back") if column.name not in OF_LOOK]
    for start in range(0, len(rows), MAX_RECORDS):
        some = rows[start : start + MAX_RECORDS]
        records = as_lines([[_text(row.get(column)) for column in columns] for row in some])
        warehouse.execute(
            "tables/record_read_back",
            {"run_id": run_id, "purpose": purpose.value, "read_at": read_at.isoformat(), "records": records},
        )


def try_to_record_read_backs(warehouse: Warehouse, run_id: str, purpose: Purpose, rows: Sequence[Row]) -> None:
    """The same, of now. That it cannot be kept is a warning, because what Salesforce said has been judged already."""
    try:
        record_read_backs(warehouse, run_id, purpose, datetime.now(UTC), rows)
    except (StatementError, OwnTableError) as error:
        log.warning("What was read back from Salesforce is not kept: %s", error)


def _text(value: Any) -> str:
    """As the warehouse casts it back. Salesforce has no empty text, so an empty one is NULL."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case date():  # a time too
            return value.isoformat()
    return str(value)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    A question to a person, and what became of it.

    ``answer``: the option that was chosen, or that nobody answered in time. ``answered_by``: None if Airflow does not say who.
    ``reason``: what that person typed, or None. ``started_by``: who started the run, or None if no person did, or nobody knows.
    ``approves``: the numbers that the question was about, as JSON, if a later run relies on them.
    """

    run_id: str
    dag_id: str
    task_id: str
    question: str
    asked_at: datetime
    answer: str
    answered_by: str | None
    answered_at: datetime
    reason: str | None = None
    started_by: str | None = None
    approves: str | None = None


def record_answer(warehouse: Warehouse, answer: Answer) -> None:
    """Keep an answer. To keep it twice leaves one row."""
    warehouse.execute(
        "tables/record_approval",
        {
            "run_id": answer.run_id,
            "dag_id": answer.dag_id,
            "task_id": answer.task_id,
            "question": answer.question,
            "asked_at": answer.asked_at.isoformat(),
            "answer": answer.answer,
            "answered_by": answer.answered_by,
            "answered_at": answer.answered_at.isoformat(),
            "reason": answer.reason,
            "started_by": answer.started_by,
            "approves": answer.approves,
        },
    )


def read_approvals(warehouse: Warehouse, dag_id: str, task_id: str, days: int) -> list[Row]:
    """
    The answers to the questions of a task, the oldest first.

    :param days: how old an answer may be.
    """
    since = datetime.now(UTC) - timedelta(days=days)
    return warehouse.fetch_all("tables/select_approvals", {"dag_id": dag_id, "task_id": task_id, "since": since.isoformat()})
