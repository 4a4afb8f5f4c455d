"""Whether a Census run did what was asked of it. ``completed`` alone does not say so: rejected rows complete too."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from feature_sync.census.models import RowRecord, RunStatus, SyncRun


class BatchFailedError(RuntimeError):
    """A batch went through Census and was not accepted whole."""


class BatchSkippedError(RuntimeError):
    """Census skipped the run of a batch because another run was active; nothing was sent."""


class AttemptStatus(StrEnum):
    """``SENDING`` until the outcome is known. ``NOT_SENT``: Census skipped the run, so nothing left the warehouse."""

    SENDING = "sending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one run; ``reason`` is empty for a success."""

    status: AttemptStatus
    reason: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status is AttemptStatus.SUCCEEDED


def judge(run: SyncRun, expected: int) -> Outcome:
    """
    Judge a run that has ended.

    It succeeded only if it is completed, not canceled, and all ``expected`` records were read, sent and accepted. What is not
    known, such as an undocumented status or an empty counter, is a failure.

    :param expected: how many records were staged.
    """
    if run.status is RunStatus.SKIPPED:
        return Outcome(AttemptStatus.NOT_SENT, f"Census skipped run {run.id}: an earlier run of the sync was still active.")
    if reason := _failure(run, expected):
        return Outcome(AttemptStatus.FAILED, reason)
    return Outcome(AttemptStatus.SUCCEEDED)


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


def summarize_reasons(records: Iterable[RowRecord], most: int = 3) -> str:
    """
    Say in one text why rows were not accepted: each different message once, how many rows it hit, and the key of one of them.

    :param most: how many different messages are quoted.
    """
    rejected = list(records)
    messages = Counter(" ".join((record.status_message or record.status).split()) for record in rejected)
    examples = {" ".join((record.status_message or record.status).split()): record.identifier for record in reversed(rejected)}
    parts = [f"{count:,} x {message!r} (such as {examples[message]})" for message, count in messages.most_common(most)]
    if len(messages) > most:
        parts.append(f"and {len(messages) - most} other messages")
    return "; ".join(parts)
