"""The row records of a Census run, what the reasons of the rejected ones mean, and the list of those that are still rejected."""

from collections import Counter
from collections.abc import Iterable

from feature_sync.census.errors import CensusForbiddenError, CensusProtocolError, CensusRefusedError
from feature_sync.census.hook import CensusHook
from feature_sync.census.models import RowRecord
from feature_sync.storage.csv_files import write_csv
from feature_sync.storage.run_files import run_files
from feature_sync.storage.warehouse import Warehouse

TEMPORARY_REJECTIONS = ("UNABLE_TO_LOCK_ROW",)
"""Words in Salesforce's reasons for a temporary rejection: another transaction held a lock."""
LIMIT_REJECTIONS = (
    "limit exceeded",  # a Flow that exceeds a limit of its transaction
    "limit_exceeded",
    "limitexception",  # System.LimitException, of Apex
    "too many soql queries",
    "too many dml",
    "too many query rows",
    "duplicate updates in one batch",
)
"""Words, in lower case, in Salesforce's reasons for a rejection that a smaller batch would avoid (governor limits)."""
MAX_REASONS = 3
"""Different reasons that a message quotes."""


def read_row_records(census: CensusHook, sync_run_id: int) -> tuple[tuple[RowRecord, ...], str]:
    """
    Read the row records of a run, once. That Census does not show them is an answer, not an error.

    It shows them for 14 days, with the permission to see them, and perhaps minutes after the run.

    :returns: the records, and Census's refusal or an empty text.
    """
    try:
        return tuple(census.list_records(sync_run_id)), ""
    except (CensusRefusedError, CensusForbiddenError, CensusProtocolError) as refused:
        return (), str(refused)


def are_over_limit(rejected: Iterable[RowRecord]) -> bool:
    """Whether Salesforce rejected rows because the batch was too large for its governor limits."""
    return any(word in row.reason.lower() for row in rejected for word in LIMIT_REJECTIONS)


def are_temporary(rejected: Iterable[RowRecord]) -> bool:
    """Whether sending these rows again later is likely to succeed. False if there are none."""
    rows = list(rejected)
    return bool(rows) and all(any(word in row.reason for word in TEMPORARY_REJECTIONS) for row in rows)


def summarize_reasons(rejected: Iterable[RowRecord]) -> str:
    """
    Say in one text why rows were not accepted.

    :returns: each different reason once, with the number of rows and the key of one of them.
    """
    rows = list(rejected)
    reasons = Counter(row.reason for row in rows)
    examples = {row.reason: row.identifier for row in reversed(rows)}
    parts = [f"{count:,} x {reason!r} (such as {examples[reason]})" for reason, count in reasons.most_common(MAX_REASONS)]
    if len(reasons) > MAX_REASONS:
        parts.append(f"and {len(reasons) - MAX_REASONS} other reasons")
    return "; ".join(parts)


def export_rejections(warehouse: Warehouse, run_id: str) -> int:
    """
    Write the rows of a run that are still rejected to ``rejected_records.csv``.

    :returns: how many there are.
    """
    files = run_files(warehouse.settings, run_id)
    return write_csv(files.rejected_records, warehouse.stream("sending/select_rejections", {"run_id": run_id}))
