"""The row records of a Census run, what the reasons of the rejected ones mean, and the lists of them."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from feature_sync.census.errors import CensusForbiddenError, CensusProtocolError, CensusRefusedError
from feature_sync.census.models import RowRecord
from feature_sync.config.wording import count_of
from feature_sync.lists.people import write_list
from feature_sync.storage.run_files import run_files
from feature_sync.storage.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

    from feature_sync.census.hook import CensusHook

# Salesforce's status codes are the same in every language; the texts beside them are not. So codes decide, and words only where a
# reason has no code that says enough. Source: "ExceptionCode" and "StatusCode" in the SOAP API Developer Guide, "Core Data
# Types Used in API Calls".
TEMPORARY_CODES = frozenset({"UNABLE_TO_LOCK_ROW"})
"""Codes of a temporary rejection: another transaction held a lock."""
ORGANIZATION_LIMIT_CODES = frozenset(
    {
        "REQUEST_LIMIT_EXCEEDED",  # API calls in 24 hours, or at once
        "STORAGE_LIMIT_EXCEEDED",
        "EXCEEDED_QUOTA",  # storage, in older versions of the API
        "LICENSE_LIMIT_EXCEEDED",
        "API_CURRENTLY_DISABLED",
        "API_DISABLED_FOR_ORG",
    }
)
"""Codes of a limit of the whole organisation. A smaller batch does not avoid it, and each further run makes it worse."""
ORGANIZATION_LIMIT_WORDS = ("totalrequests limit", "concurrentrequests", "exceededquota")
"""The same in words, in lower case: names that Salesforce's API does not translate."""
TRANSACTION_LIMIT_CODES = frozenset({"LIMIT_EXCEEDED"})
"""Codes of a rejection that a smaller batch would avoid (governor limits)."""
TRANSACTION_LIMIT_WORDS = (
    "limit exceeded",  # a Flow that exceeds a limit of its transaction
    "limitexception",  # System.LimitException, of Apex
    "too many soql queries",
    "too many dml",
    "too many query rows",
    "duplicate updates in one batch",
)
"""The same in words, in lower case, as an organisation in English sees them."""
FLOW_CODE = "CANNOT_EXECUTE_FLOW_TRIGGER"
"""A Flow failed. Why is only said in words, in the organisation's language."""
CHANGED_SINCE_FREEZE = "CHANGED_SINCE_FREEZE"
"""Our own code, of a record that was not sent because somebody had changed it. ``marked_records.sql`` looks for it."""
MAX_REASONS = 3
"""Different reasons that a message quotes."""
MAX_EXAMPLES = 3
"""Keys that are named as examples of a reason."""
MAX_REASON_LENGTH = 300
"""Characters that a message quotes of a reason."""
_CODE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
_ID = re.compile(
    r"\b(?:[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"  # a UUID
    r"|(?=\w*\d)[0-9a-zA-Z]{15}(?:[0-9a-zA-Z]{3})?"  # an id of Salesforce: 15 characters, or 18
    r"|\d+(?:-\d+)*(?:\s*\(-?\d+\))?)(?!\w)"  # any number, and an error id such as 1234-5 (-678)
)


def read_row_records(census: "CensusHook", sync_run_id: int) -> tuple[tuple[RowRecord, ...], str]:
    """
    Read the row records of a run, once. That Census does not show them is an answer, not an error.

    It shows them for 14 days, with the permission to see them, and perhaps minutes after the run.

    :returns: the records, and Census's refusal or an empty text.
    """
    try:
        return tuple(census.list_records(sync_run_id)), ""
    except (CensusRefusedError, CensusForbiddenError, CensusProtocolError) as refused:
        return (), str(refused)


def names_organization_limit(reason: str) -> bool:
    """Whether a reason says that a limit of the whole Salesforce organisation was reached."""
    return not ORGANIZATION_LIMIT_CODES.isdisjoint(_CODE.findall(reason)) or _has_words(reason, ORGANIZATION_LIMIT_WORDS)


def are_over_limit(rejected: Sequence[RowRecord], records: int) -> bool:
    """
    Whether Salesforce rejected rows because the batch was too large for its governor limits.

    A Flow that rejects every row alike, and names no other cause, counts too: in which words it says so depends on the
    organisation's language.

    :param records: how many records the batch sent.
    """
    if any(names_organization_limit(row.reason) for row in rejected):
        return False
    if any(_names_transaction_limit(row.reason) for row in rejected):
        return True
    kinds = {_kind(row) for row in rejected}
    return len(rejected) == records > 1 and len(kinds) == 1 and _CODE.findall(rejected[0].reason) == [FLOW_CODE]


def are_temporary(rejected: Iterable[RowRecord]) -> bool:
    """Whether sending these rows again later is likely to bring some of them through. False if there are none."""
    return any(not TEMPORARY_CODES.isdisjoint(_CODE.findall(row.reason)) for row in rejected)


@dataclass(frozen=True, slots=True)
class CountedReason:
    """
    Why rows were not accepted. Reasons that differ only in ids and numbers are one reason.

    ``records``: how many rows. ``keys``: those of the first few of them.
    """

    reason: str
    records: int
    keys: tuple[str | None, ...]


def count_reasons(rejected: Iterable[RowRecord]) -> list[CountedReason]:
    """Each reason once, the most frequent first."""
    groups = [list(rows) for _, rows in groupby(sorted(rejected, key=_kind), key=_kind)]
    groups.sort(key=len, reverse=True)
    return [CountedReason(_quoted(rows), len(rows), tuple(row.identifier for row in rows[:MAX_EXAMPLES])) for rows in groups]


def summarize_reasons(rejected: Iterable[RowRecord]) -> str:
    """
    Say in one text why rows were not accepted.

    Reasons that differ only in ids and numbers are one reason.

    :returns: each reason once, the most frequent first, with the number of rows and the key of one of them.
    """
    groups = count_reasons(rejected)
    parts = [f"{each.records:,} x {each.reason!r} (such as {each.keys[0]})" for each in groups[:MAX_REASONS]]
    if others := len(groups) - MAX_REASONS:
        parts += [f"and {count_of(others, 'other reason')}"] if others > 0 else []
    return "; ".join(parts)


def reasons_in_common(rejected: Iterable[RowRecord]) -> frozenset[str]:
    """The reasons of rows without what differs from row to row or from batch to batch."""
    kinds = {_kind(row) for row in rejected}
    return frozenset(CHANGED_SINCE_FREEZE if kind.startswith(CHANGED_SINCE_FREEZE) else kind for kind in kinds)


def without_ids(text: str) -> str:
    """A text without the ids and numbers in it."""
    return _ID.sub("...", text)


def _names_transaction_limit(reason: str) -> bool:
    return not TRANSACTION_LIMIT_CODES.isdisjoint(_CODE.findall(reason)) or _has_words(reason, TRANSACTION_LIMIT_WORDS)


def _has_words(reason: str, words: Iterable[str]) -> bool:
    return any(word in reason.lower() for word in words)


def _kind(row: RowRecord) -> str:
    """The reason of a row without what differs from row to row."""
    return without_ids(row.reason)


def _quoted(rows: Sequence[RowRecord]) -> str:
    text = rows[0].reason if len({row.reason for row in rows}) == 1 else _kind(rows[0])
    return text if len(text) <= MAX_REASON_LENGTH else f"{text[:MAX_REASON_LENGTH]}..."


def export_rejections(
    warehouse: Warehouse, run_id: str, watch: "Callable[[Iterable[pa.Table]], Iterable[pa.Table]]" = iter
) -> int:
    """
    Write the rows of a run that are still rejected to ``rejected_records.csv``, and those that were rejected first and accepted
    later to ``rejected_then_accepted.csv``; each as a spreadsheet too.

    :param watch: sees the rows that are still rejected as they go to the file, and returns them, such as `OpenRecords.watch`.
    :returns: how many are still rejected.
    """
    settings = warehouse.settings
    files = run_files(settings, run_id)
    still = warehouse.stream("sending/select_rejections", {"run_id": run_id})
    rejected = write_list(files.rejected_records, still, settings, watch=watch)
    accepted = warehouse.stream("sending/select_accepted_after_rejection", {"run_id": run_id})
    write_list(files.rejected_then_accepted, accepted, settings)
    return rejected
