"""Whether a Census run did what was asked of it. ``completed`` alone does not say so: rejected rows complete too."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from feature_sync.census.models import RowRecord, RunStatus, SyncRun

PASSING_REJECTIONS = ("UNABLE_TO_LOCK_ROW",)
"""Words in Salesforce's reasons for a rejection that passes by itself: another transaction held a lock."""


LIMIT_REJECTIONS = (
    "limit exceeded",  # a Flow that goes over a limit of its transaction
    "limit_exceeded",
    "limitexception",  # System.LimitException, of Apex
    "too many soql queries",
    "too many dml",
    "too many query rows",
    "duplicate updates in one batch",
)
"""Words, in lower case, in Salesforce's reasons for a rejection that a smaller batch would not meet (governor limits)."""


class BatchFailedError(RuntimeError):
    """A batch went through Census and was not accepted whole."""


class BatchLockedError(RuntimeError):
    """All that Salesforce rejected of a batch, it rejected for a reason that passes by itself."""


class BatchHaltedError(RuntimeError):
    """A batch was held back because others before it failed."""


class BatchSkippedError(RuntimeError):
    """Census skipped the run of a batch because another run was active; nothing was sent."""


class AttemptStatus(StrEnum):
    """
    What became of an attempt at a batch.

    ``SENDING``: not known yet. ``NOT_SENT``: nothing left the warehouse, because Census skipped the run or could not be asked for
    one. ``HALTED``: held back because other batches had failed. ``OVER_LIMIT``: a probe was larger than Salesforce's limits
    allow; what it left rejected goes into smaller batches.
    """

    SENDING = "sending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NOT_SENT = "not_sent"
    HALTED = "halted"
    OVER_LIMIT = "over_limit"


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    The verdict on one run; ``reason`` is empty for a success.

    ``rejected``: the rows that were not accepted; nothing when Census's records do not say so for sure.
    """

    status: AttemptStatus
    reason: str = ""
    rejected: tuple[RowRecord, ...] | None = None

    @property
    def succeeded(self) -> bool:
        return self.status is AttemptStatus.SUCCEEDED

    @property
    def is_over_limit(self) -> bool:
        """Whether Salesforce rejected rows because the batch was too large for its governor limits."""
        return any(word in row.reason.lower() for row in self.rejected or () for word in LIMIT_REJECTIONS)

    @property
    def may_pass(self) -> bool:
        """Whether sending the rejected rows again, later, is likely to succeed."""
        return bool(self.rejected) and all(any(word in row.reason for word in PASSING_REJECTIONS) for row in self.rejected or ())


def judge(run: SyncRun, staged: Collection[str], records: Collection[RowRecord]) -> Outcome:
    """
    Judge a run that has ended.

    It succeeded only if it is completed, not canceled, and every staged record was read, sent and accepted, by Census's counters
    and by its records of single rows. What is not known, such as an undocumented status or an empty counter, is a failure.

    :param staged: the upsert keys that were in the batch table.
    :param records: what Census says of each row; only read when the run is completed.
    """
    if run.status is RunStatus.SKIPPED:
        return Outcome(AttemptStatus.NOT_SENT, f"Census skipped run {run.id}: an earlier run of the sync was still active.")
    reason = _failure(run, len(staged))
    if not has_row_results(run):
        return Outcome(AttemptStatus.FAILED, reason)
    if disagreement := _disagreement(run, staged, records):
        return Outcome(AttemptStatus.FAILED, " ".join(part for part in (reason, disagreement) if part))
    rejected = tuple(record for record in records if not record.was_accepted)
    if rejected:
        reason = f"{reason} Reasons: {summarize_reasons(rejected)}."
    return Outcome(AttemptStatus.FAILED if reason else AttemptStatus.SUCCEEDED, reason, rejected)


def has_row_results(run: SyncRun) -> bool:
    """Whether Census can say of each row of a run what became of it."""
    counters = (run.records_processed, run.records_updated, run.records_failed, run.records_invalid)
    return run.status is RunStatus.COMPLETED and not run.was_canceled and None not in counters


def count_row_results(run: SyncRun) -> int:
    """How many row records a run should have, by its counters."""
    return (run.records_processed or 0) + (run.records_invalid or 0)


def _failure(run: SyncRun, expected: int) -> str:
    what = f"Census run {run.id}"
    if run.was_canceled:
        return f"{what} was canceled."
    match run.status:
        case RunStatus.COMPLETED:
            wrong = _wrong_counters(run, expected)
            return f"{what} completed, but {', '.join(wrong)}." if wrong else ""
        case RunStatus.FAILED:
            return f"{what} failed: {run.error or 'Census gives no reason'}."
        case RunStatus.UNKNOWN:
            return f"{what} has the status {run.raw_status!r}, which the API does not document."
        case status:
            return f"{what} is still {status}."


def _wrong_counters(run: SyncRun, expected: int) -> list[str]:
    wanted = {
        "source_record_count": expected,
        "records_processed": expected,
        "records_updated": expected,
        "records_failed": 0,
        "records_invalid": 0,
    }
    found = {name: getattr(run, name) for name in wanted}
    return [
        f"{name} is {'empty' if found[name] is None else found[name]} instead of {wanted[name]}"
        for name in wanted
        if found[name] != wanted[name]
    ]


def _disagreement(run: SyncRun, staged: Collection[str], records: Collection[RowRecord]) -> str:
    accepted = [record for record in records if record.was_accepted]
    counted = {
        "accepted": (run.records_updated, len(accepted)),
        "rejected": ((run.records_failed or 0) + (run.records_invalid or 0), len(records) - len(accepted)),
    }
    problems = [f"{told} {word} by its counters, {seen} by its records" for word, (told, seen) in counted.items() if told != seen]
    keys = {record.identifier for record in records if record.identifier is not None}
    if foreign := keys - set(staged):
        problems.append(f"{len(foreign)} records that were not staged, such as {min(foreign)}")
    if missing := set(staged) - keys:
        problems.append(f"no record of {len(missing)} that were staged, such as {min(missing)}")
    return f"Census's records of run {run.id} disagree: {'; '.join(problems)}." if problems else ""


def summarize_reasons(records: Iterable[RowRecord], most: int = 3) -> str:
    """
    Say in one text why rows were not accepted: each different message once, how many rows it hit, and the key of one of them.

    :param most: how many different messages are quoted.
    """
    rejected = list(records)
    messages = Counter(record.reason for record in rejected)
    examples = {record.reason: record.identifier for record in reversed(rejected)}
    parts = [f"{count:,} x {message!r} (such as {examples[message]})" for message, count in messages.most_common(most)]
    if len(messages) > most:
        parts.append(f"and {len(messages) - most} other messages")
    return "; ".join(parts)
