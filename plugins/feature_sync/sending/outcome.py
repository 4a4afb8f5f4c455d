"""Whether a Census run did its job. ``completed`` alone does not say so: a run with rejected rows completes too."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from feature_sync.census.models import RowRecord, RunStatus, SyncRun
from feature_sync.config.names import SALESFORCE_CONN_ID
from feature_sync.config.wording import count_of
from feature_sync.salesforce.comparison import Comparison
from feature_sync.salesforce.errors import (
    SalesforceError,
    SalesforceLimitError,
    SalesforceProtocolError,
    SalesforceUnavailableError,
)
from feature_sync.sending.batches import Attempt, AttemptStatus, Batch
from feature_sync.sending.rejections import (
    CHANGED_SINCE_FREEZE,
    MAX_REASONS,
    are_over_limit,
    are_temporary,
    count_reasons,
    names_organization_limit,
    reasons_in_common,
    summarize_reasons,
    without_ids,
)

REASONS = " Reasons: "
"""What stands between Census's counters and the reasons of rejected rows."""


class _BatchError(RuntimeError):
    """:param causes: what a failed batch may have in common with others, see `Outcome.causes`."""

    def __init__(self, message: str, causes: Collection[str] = ()) -> None:
        super().__init__(message)
        self.alert_causes = frozenset(causes)


class BatchFailedError(_BatchError):
    """A batch went through Census, and not all of it was accepted."""


class BatchLockedError(_BatchError):
    """Salesforce rejected rows of a batch, some or all of them for a temporary reason."""


class BatchUnconfirmedError(_BatchError):
    """A batch was accepted, but could not be read back from Salesforce. That may be temporary."""


class BatchHaltedError(RuntimeError):
    """A batch was held back because batches before it failed."""


class BatchSkippedError(RuntimeError):
    """Census skipped the run of a batch because another run was active. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    The verdict on one run.

    ``reason``: why it is not a success, or only one by the counters; empty if it is one beyond doubt.
    ``rejected``: the rows that were not accepted, or None if Census's row records do not say so for sure.
    ``unanswered``: why Salesforce could not be asked, if that decided.
    """

    status: AttemptStatus
    reason: str = ""
    rejected: tuple[RowRecord, ...] | None = None
    unanswered: SalesforceError | None = None

    @property
    def succeeded(self) -> bool:
        return self.status.is_success

    def is_over_limit(self, records: int) -> bool:
        """Whether Salesforce rejected rows because a batch of this many records was too large for its governor limits."""
        return are_over_limit(self.rejected or (), records)

    def with_left_out(self, left_out: tuple[RowRecord, ...]) -> "Outcome":
        """
        The verdict on a batch of which some records were left out: it is no success, because they are not as they should be.

        If only the counters say that the others were accepted, that is believed here too.
        """
        if not left_out or self.status is AttemptStatus.NOT_SENT:
            return self
        known = () if self.status is AttemptStatus.ACCEPTED_BY_COUNTERS else self.rejected
        return Outcome(
            AttemptStatus.FAILED if self.succeeded else self.status,
            f"{self.reason} {left_out_reason(len(left_out))}".strip(),
            None if known is None else (*known, *left_out),
        )

    def accepted(self, staged: Collection[str]) -> frozenset[str]:
        """
        The keys of the records that Salesforce has accepted, as far as Census says. None if a limit was reached.

        :param staged: the upsert keys that were in the batch table.
        """
        if self.status is AttemptStatus.ACCEPTED_BY_COUNTERS:
            return frozenset(staged)
        if self.rejected is None or self.status not in (AttemptStatus.SUCCEEDED, AttemptStatus.FAILED):
            return frozenset()
        return frozenset(staged) - {row.identifier for row in self.rejected}

    def with_differences(self, found: Comparison) -> "Outcome":
        """The verdict after Salesforce was asked: it is no success if Salesforce holds something else than what was sent."""
        if not found.differences:
            return self
        told = (
            f"Salesforce does not hold what Census says it accepted: {len(found.keys):,} of {count_of(found.records, 'record')} "
            f"{'differs' if len(found.keys) == 1 else 'differ'}. {found.summary}"
        )
        return replace(self, status=AttemptStatus.DIFFERS, reason=f"{told} {self.reason}".strip())

    def unconfirmed(self, error: SalesforceError) -> "Outcome":
        """The verdict if Salesforce was to be asked, and could not be."""
        told = f"Census says what was accepted, but it could not be read back from Salesforce: {error}"
        return replace(self, status=AttemptStatus.UNCONFIRMED, reason=f"{told} {self.reason}".strip(), unanswered=error)

    @property
    def may_be_confirmed(self) -> bool:
        """Whether Salesforce may answer soon. Not if it refuses the login, because trying again may lock the user out."""
        return isinstance(self.unanswered, SalesforceUnavailableError | SalesforceProtocolError) and not isinstance(
            self.unanswered, SalesforceLimitError
        )

    @property
    def causes(self) -> frozenset[str]:
        """Why it is not a success, without what differs from batch to batch: one text for each reason of rejected rows."""
        if self.status is AttemptStatus.DIFFERS:
            return frozenset({"Salesforce does not hold what was sent"})
        if self.unanswered is not None:
            return frozenset({f"Salesforce cannot be asked ({SALESFORCE_CONN_ID}): {type(self.unanswered).__name__}"})
        return reasons_in_common(self.rejected or ()) or frozenset({without_ids(self.reason)})

    def as_note(self) -> dict[str, Any]:
        """The outcome for the page of the run. ``rejected`` is None if nobody knows how many rows were not accepted."""
        by_counters = self.status is AttemptStatus.ACCEPTED_BY_COUNTERS
        return {
            "status": self.status.value,
            "reason": self.reason,
            "rejected": 0 if by_counters else None if self.rejected is None else len(self.rejected),
            "reasons": [
                {"reason": each.reason, "records": each.records, "keys": [*each.keys]}
                for each in count_reasons(self.rejected or ())
            ],
        }

    @property
    def is_temporary(self) -> bool:
        """Whether sending the rejected rows again later is likely to bring some of them through."""
        return are_temporary(self.rejected or ())


CLEAR_TASK = "open this task, press Clear Task Instance and leave Downstream selected"
"""How a batch is sent again, in the words of Airflow's dialog."""
CLEAR_RUN = "open the run, press Clear Dag Run and choose Clear only failed tasks"
"""How all failed batches are sent again, in the words of Airflow's dialog."""


def halted_message(batch: Batch, reason: str) -> str:
    """Say that a batch was held back, and what to do about it."""
    return (
        f"{batch.label} was not sent, it was held back: {reason}.\n"
        f"Next: when the cause is gone, {CLEAR_RUN}. Exactly the batches that failed or were held back are sent."
    )


def failure_lines(batch: Batch, attempt: Attempt, outcome: "Outcome", listed_in: object) -> list[str]:
    """
    Say what became of a batch that is no success, in short lines with the reason first. What to do next is not among them.

    :param listed_in: the file with the rejected rows.
    """
    where = f"{batch.label}, attempt {attempt.number}"
    if not outcome.rejected or outcome.status in (AttemptStatus.DIFFERS, AttemptStatus.UNCONFIRMED):
        return [outcome.reason, f"Batch: {where}"]
    left_out = sum(CHANGED_SINCE_FREEZE in row.reason for row in outcome.rejected)
    said = "not accepted" if left_out else "rejected by Salesforce"
    accepted = max(0, attempt.records - len(outcome.rejected))
    run = f" (Census run {attempt.sync_run_id})" if attempt.sync_run_id else ""
    lines = [f"{len(outcome.rejected):,} of {count_of(attempt.records, 'record')} {said}, {accepted:,} accepted{run}"]
    reasons = count_reasons(outcome.rejected)
    for each in reasons[:MAX_REASONS]:
        more = f" and {each.records - len(each.keys):,} more" if each.records > len(each.keys) else ""
        lines += [f"  {each.records:,} x {each.reason}", f"      {', '.join(map(str, each.keys))}{more}"]
    if others := len(reasons) - MAX_REASONS:
        lines += [f"  and {count_of(others, 'other reason')}"] if others > 0 else []
    counters, _, _ = outcome.reason.partition(REASONS)
    lines += [f"Batch: {where}", f"Counters: {counters}", f"Rejected rows: {listed_in}"]
    return [*lines, left_out_reason(left_out)] if left_out else lines


def left_out_reason(records: int) -> str:
    """Say that records were left out, and what to do about them."""
    return (
        f"{count_of(records, 'record', 'was', 'were')} left as found, because somebody changed them in Salesforce after "
        "they were frozen, or another run has sent them; rejected_records.csv says which. Look at them. If the warehouse is "
        "right, start a new run for these records."
    )


def judge(run: SyncRun, staged: Collection[str], records: Collection[RowRecord], refusal: str = "") -> Outcome:
    """
    Judge a run that has ended.

    It succeeded only if it is completed, not canceled, and every staged record was read, sent and accepted. Both Census's
    counters and its row records must say so. Anything unknown, such as an undocumented status or an empty counter, is a
    failure. There is one exception: if row records are missing, but the counters are all right and no row record contradicts
    them, the batch is accepted by counters.

    :param staged: the upsert keys that were in the batch table.
    :param records: Census's row records, as far as they have come. They are only read if the run is completed.
    :param refusal: Census's words if it does not show the row records.
    """
    if run.status is RunStatus.SKIPPED:
        return Outcome(AttemptStatus.NOT_SENT, f"Census skipped run {run.id}: an earlier run of the sync was still active.")
    reason = _failure(run, len(staged))
    if not has_row_results(run):
        limit = names_organization_limit(run.error)
        return Outcome(AttemptStatus.ORGANIZATION_LIMIT if limit else AttemptStatus.FAILED, reason)
    if disagreement := _disagreement(run, staged, records):
        if not reason and are_rows_missing(run, records) and _are_accepted(records, staged):
            return Outcome(AttemptStatus.ACCEPTED_BY_COUNTERS, _accepted_by_counters(run, len(records), refusal))
        return Outcome(AttemptStatus.FAILED, " ".join(part for part in (reason, disagreement, refusal) if part))
    rejected = tuple(record for record in records if not record.was_accepted)
    if rejected:
        reason = f"{reason}{REASONS}{summarize_reasons(rejected)}."
    if any(names_organization_limit(record.reason) for record in rejected):
        return Outcome(AttemptStatus.ORGANIZATION_LIMIT, reason, rejected)
    return Outcome(AttemptStatus.FAILED if reason else AttemptStatus.SUCCEEDED, reason, rejected)


def has_row_results(run: SyncRun) -> bool:
    """Whether Census can tell the outcome of each row of a run."""
    counters = (run.records_processed, run.records_updated, run.records_failed, run.records_invalid)
    return run.status is RunStatus.COMPLETED and not run.was_canceled and None not in counters


def count_row_results(run: SyncRun) -> int:
    """How many row records a run should have according to its counters."""
    return (run.records_processed or 0) + (run.records_invalid or 0)


def are_rows_missing(run: SyncRun, records: Collection[RowRecord]) -> bool:
    """Whether fewer row records have come than the run's counters say."""
    return len(records) < count_row_results(run)


def _are_accepted(records: Collection[RowRecord], staged: Collection[str]) -> bool:
    """Whether all row records that have come are of accepted records that were staged."""
    return all(record.was_accepted and record.identifier in staged for record in records)


def _accepted_by_counters(run: SyncRun, seen: int, refusal: str) -> str:
    shown = f"the row records of {seen:,} of them" if seen else "no row record"
    return (
        f"Census run {run.id} counts all {run.records_updated:,} records as accepted, but shows {shown}"
        f"{f' ({refusal})' if refusal else ''}. The task `validate` compares each record with Salesforce."
    )


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
    problems = [
        f"{count} {word} by its counters, {seen} by its records" for word, (count, seen) in counted.items() if count != seen
    ]
    keys = {record.identifier for record in records if record.identifier is not None}
    if foreign := keys - set(staged):
        problems.append(f"{count_of(len(foreign), 'record', 'that was', 'that were')} not staged, such as {min(foreign)}")
    if missing := set(staged) - keys:
        problems.append(f"no record of {len(missing)} that were staged, such as {min(missing)}")
    return f"Census's records of run {run.id} disagree: {'; '.join(problems)}." if problems else ""
