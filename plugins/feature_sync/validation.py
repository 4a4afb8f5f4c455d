"""Whether Salesforce now holds what the run sent, read from the warehouse's copy of Salesforce and never from counters alone."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from feature_sync.batches import Batch
from feature_sync.csv_files import write_csv
from feature_sync.fields import FieldTable
from feature_sync.outcome import AttemptStatus
from feature_sync.run_files import run_files, write_json
from feature_sync.settings import Settings, load_settings
from feature_sync.sync_log import Attempt, SyncLog
from feature_sync.warehouse import Row, Warehouse

log = logging.getLogger(__name__)


class ValidationError(RuntimeError):
    """Salesforce is not as the run should have left it. The message has the numbers and what to do next."""


class NothingToValidateError(RuntimeError):
    """The run failed before it came to its batches."""


class CopyStalledError(RuntimeError):
    """The warehouse's copy of Salesforce did not catch up in time."""


@dataclass(frozen=True, slots=True)
class CopyState:
    """
    How far the warehouse's copy of Salesforce has caught up with a run, or with all. Times are the warehouse's and Census's, UTC.

    ``synced_at``: when a record was last replicated. ``records_stale``: sent, but not yet seen in the copy.
    ``since_last_send``: from the end of the last Census run to now.
    """

    records_sent: int
    records_stale: int
    synced_at: datetime | None
    since_last_send: timedelta
    checked_at: datetime

    @property
    def is_fresh(self) -> bool:
        return self.records_stale == 0

    @property
    def age(self) -> timedelta | None:
        """Since when no record was replicated; nothing when none ever was."""
        return None if self.synced_at is None else self.checked_at - self.synced_at

    def is_current(self, age_limit: timedelta) -> bool:
        """Whether it shows all that was sent, and was replicated lately."""
        return self.is_fresh and self.age is not None and self.age <= age_limit


@dataclass(frozen=True, slots=True)
class Books:
    """What became of every record in scope."""

    in_scope: int
    sent: int
    rejected: int
    not_sent: int

    @property
    def balance(self) -> bool:
        return self.sent + self.rejected + self.not_sent == self.in_scope


def read_copy_state(run_id: str | None, settings: Settings) -> CopyState:
    """
    Ask the warehouse once. See `CopyState`.

    :param run_id: of the DAG run whose records are looked for; nothing means those of every run.
    """
    with Warehouse(settings) as warehouse:
        row = warehouse.fetch_one("check_copy", {"run_id": run_id})
    last_sent_at = row["last_sent_at"] or row["checked_at"]
    return CopyState(
        row["records_sent"], row["records_stale"], row["synced_at"], row["checked_at"] - last_sent_at, row["checked_at"]
    )


def check_copy(run_id: str, settings: Settings) -> CopyState:
    """
    Look whether the copy shows what the run sent.

    :raises CopyStalledError: it does not, for longer than ``copy_limit_seconds``.
    """
    state = read_copy_state(run_id, settings)
    if not state.is_fresh and state.since_last_send.total_seconds() > settings.copy_limit_seconds:
        raise CopyStalledError(
            f"{settings.salesforce_table} does not show what was sent: {state.records_stale:,} of {state.records_sent:,} records "
            f"have not changed there. The last was sent {state.since_last_send} ago (limit {settings.copy_limit_seconds:,} s); "
            f"the newest row was replicated at {state.synced_at}. Nothing was validated. Either the replication of Salesforce "
            "into the warehouse stands still: see to it, then clear this task with its downstream tasks. Or Census reported "
            "records as updated that never reached Salesforce: look one up there, then clear the 'send' tasks of their batches."
        )
    return state


def check_whole_copy(settings: Settings, give_up_at: datetime) -> CopyState:
    """
    Look whether the copy shows what every run sent, and was replicated within ``copy_age_limit_seconds``.

    :raises CopyStalledError: it does not, and ``give_up_at`` has passed.
    """
    state = read_copy_state(None, settings)
    if not is_whole_copy_current(state, settings) and datetime.now(UTC) > give_up_at:
        raise CopyStalledError(
            f"{settings.salesforce_table} is stale: its newest row was replicated at {state.synced_at}, "
            f"COPY_AGE_LIMIT_SECONDS allows {settings.copy_age_limit_seconds:,}; {state.records_stale:,} of "
            f"{state.records_sent:,} records that were sent do not show yet. Nothing was compared. See to the replication of "
            "Salesforce into the warehouse, then clear this task with its downstream tasks."
        )
    return state


def is_whole_copy_current(state: CopyState, settings: Settings) -> bool:
    return state.is_current(timedelta(seconds=settings.copy_age_limit_seconds))


def export_rejections(warehouse: Warehouse, run_id: str) -> int:
    """Write the rows of a run that stay rejected to ``rejected_records.csv``. Gives how many there are."""
    files = run_files(warehouse.settings, run_id)
    return write_csv(files.rejected_records, warehouse.stream("select_rejections", {"run_id": run_id}))


def validate(run_id: str) -> dict[str, Any]:
    """
    Compare every record of the run with Salesforce; write ``validation.json``, ``mismatches.csv`` and ``rejected_records.csv``.

    :returns: the result in words, how many properties were checked, and where the files lie.
    :raises ValidationError: a batch did not succeed, a property differs, or nothing was checked. The files are written even so.
    """
    settings = load_settings()
    files = run_files(settings, run_id)
    with Warehouse(settings) as warehouse:
        planned = [Batch(**row) for row in warehouse.fetch_all("select_batches", {"run_id": run_id})]
        copy = warehouse.fetch_one("check_copy", {"run_id": run_id})
        facts = warehouse.fetch_one("validate_payload", {"run_id": run_id})
        attempts = SyncLog(warehouse).last_attempts(run_id)
        write_csv(files.mismatches, warehouse.stream("select_mismatches", {"run_id": run_id}))
        export_rejections(warehouse, run_id)
    books = balance_books(planned, attempts)
    report = _report(run_id, copy, facts, books, settings.fields)
    write_json(files.validation, report)
    log.info("%s\nRESULT: %s", _table(report), report["result"])
    if problems := find_problems(planned, attempts, books, facts):
        raise ValidationError(
            "\n".join([*problems, f"Details: {files.validation}, {files.mismatches.name}, {files.rejected_records.name}"])
        )
    return {
        "result": report["result"],
        "properties_checked": facts["properties_checked"],
        "validation": str(files.validation),
        "mismatches": str(files.mismatches),
    }


def balance_books(batches: Iterable[Batch], attempts: Mapping[int, Attempt]) -> Books:
    """
    Say of every record whether it was sent, rejected or not sent.

    What a former attempt brought into Salesforce counts as sent; an attempt whose rows are not known for sure counts as not sent.

    :param attempts: the last attempt at each batch, by batch number.
    """
    in_scope = sent = rejected = 0
    for batch in batches:
        in_scope += batch.records
        attempt = attempts.get(batch.number)
        if attempt is None:
            continue
        if attempt.status is AttemptStatus.OVER_LIMIT:
            left = records_left(batch, attempt)
            sent += batch.records - left
            rejected += left
            continue
        sent += batch.records - attempt.records
        if attempt.status is AttemptStatus.SUCCEEDED:
            sent += attempt.records
        elif attempt.records_rejected is not None:
            sent += attempt.records - attempt.records_rejected
            rejected += attempt.records_rejected
    return Books(in_scope, sent, rejected, in_scope - sent - rejected)


def records_left(batch: Batch, attempt: Attempt) -> int:
    """How many of the rows that a probe left rejected have not been moved into a smaller batch."""
    return (attempt.records_rejected or 0) - (attempt.records - batch.records)


def find_problems(batches: Iterable[Batch], attempts: Mapping[int, Attempt], books: Books, facts: Mapping[str, Any]) -> list[str]:
    """
    Decide whether the run did its job: one sentence for each thing that is wrong, the sums first.

    :param facts: the row of ``validate_payload.sql``.
    """
    failed = []
    for batch in batches:
        attempt = attempts.get(batch.number)
        if attempt and attempt.status is AttemptStatus.OVER_LIMIT and not records_left(batch, attempt):
            continue
        if attempt is None or attempt.status is not AttemptStatus.SUCCEEDED:
            reason = (attempt and attempt.reason) or ("its outcome is not known" if attempt else "it was never sent")
            failed.append(f"{batch.label} did not succeed: {reason}")
    problems = []
    if failed:
        problems.append(
            f"{len(failed)} batches did not succeed: of {books.in_scope:,} records {books.sent:,} were sent, "
            f"{books.rejected:,} rejected and {books.not_sent:,} not sent. Clear their 'send' tasks with downstream tasks: only "
            "what was not accepted is sent again, and this check runs anew."
        )
    if min(books.sent, books.rejected, books.not_sent) < 0 or not books.balance:
        problems.append(f"The books do not balance: {books}.")
    if facts["properties_checked"] != books.in_scope or not facts["properties_checked"]:
        problems.append(f"{facts['properties_checked']:,} properties were checked, but {books.in_scope:,} are in scope.")
    if facts["properties_mismatched"]:
        problems.append(
            f"{facts['properties_mismatched']:,} of {facts['properties_checked']:,} properties differ from the warehouse."
        )
    return problems + failed


def _report(run_id: str, copy: Row, facts: Row, books: Books, fields: FieldTable) -> dict[str, Any]:
    synced_at = copy["synced_at"]
    return {
        "run_id": run_id,
        "checked_at": copy["checked_at"].isoformat(),
        "mirror_synced_at": synced_at and synced_at.isoformat(),
        "properties_checked": facts["properties_checked"],
        "properties_mismatched": facts["properties_mismatched"],
        "result": f"{facts['properties_mismatched']:,} properties with mismatched feature data",
        "records": {"in_scope": books.in_scope, "sent": books.sent, "rejected": books.rejected, "not_sent": books.not_sent},
        "products": [
            {
                "product": product.name,
                "label": product.label,
                "enabled_in_salesforce": facts[f"{product.name}_in_salesforce"],
                "enabled_in_warehouse": facts[f"{product.name}_in_warehouse"],
                "mismatched": facts[f"{product.name}_mismatched"],
            }
            for product in fields.products
        ],
    }


def _table(report: Mapping[str, Any]) -> str:
    head = f"{'product':<24}{'in Salesforce':>15}{'in warehouse':>15}{'mismatched':>12}"
    rows = [
        f"{row['label']:<24}{row['enabled_in_salesforce']:>15,}{row['enabled_in_warehouse']:>15,}{row['mismatched']:>12,}"
        for row in report["products"]
    ]
    return "\n".join([head, *rows])
