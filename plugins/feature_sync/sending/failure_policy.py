"""When a batch is held back because others failed, so that one cause does not fail a hundred batches."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feature_sync.config.run_config import OnBatchFailure
from feature_sync.sending.batches import NOT_A_FAILURE, Attempt, AttemptStatus

_STOPS_ALL = {
    AttemptStatus.ORGANIZATION_LIMIT: "reached a limit of the whole Salesforce organisation",
    AttemptStatus.DIFFERS: "was read back from Salesforce, which holds something else than what was sent",
    AttemptStatus.UNCONFIRMED: "could not be read back from Salesforce",
}
"""What the batches after it would meet too. One such failure holds them back, whatever is chosen."""


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """
    After ``max_consecutive_failures`` failed batches in a row the remaining ones are held back, even with ``continue``. A batch
    of which Salesforce accepted most records does not count there: its cause is in the others, not in what batches share.

    :param on_batch_failure: ``stop`` holds back the remaining batches after the first failure. Records that are rejected once
        more after a person cleared their batch are no new failure, so a cleared run can go on.
    :param unrecorded: failures that the sync log could not take, because the warehouse did not answer.
    """

    on_batch_failure: OnBatchFailure
    max_consecutive_failures: int
    unrecorded: tuple[Attempt, ...] = ()

    @property
    def most_failures(self) -> int:
        """So many failed batches in a row hold back the remaining ones."""
        return 1 if self.on_batch_failure is OnBatchFailure.STOP else self.max_consecutive_failures

    def reason_to_halt(self, attempts: Iterable[Attempt], batch_number: int, generation: int) -> str:
        """
        Say why a batch must not be sent.

        Clearing a task means that a person has seen the earlier failures and wants the batch sent. So for a cleared task only
        failures of cleared tasks count, and only those after its own last attempt.

        :param attempts: the last attempt at this batch, and the newest of the last attempts at the others, at least
            `most_failures` of those that count.
        :param generation: as in `Attempt`; above 0 if the batch's task was cleared.
        :returns: the reason, or an empty text if the batch may be sent.
        """
        known = self._with_unrecorded(attempts)
        own = next((attempt for attempt in known if attempt.batch_number == batch_number), None)
        others = [attempt for attempt in known if attempt.batch_number != batch_number and attempt.status not in NOT_A_FAILURE]
        if generation:
            since = own.seen_at if own else None
            others = [one for one in others if one.generation and (since is None or (one.seen_at and one.seen_at > since))]
        failed: list[int] = []
        for attempt in sorted(others, key=lambda one: (one.seen_at is not None, one.seen_at), reverse=True):
            if attempt.status.is_success or self._tolerates(attempt):
                break
            if cause := _STOPS_ALL.get(attempt.status):
                return f"batch {attempt.batch_number:03d} {cause}"
            failed.append(attempt.batch_number)
        limit = self.most_failures
        if len(failed) < limit:
            return ""
        named = ", ".join(f"{number:03d}" for number in sorted(failed[:limit]))
        if limit == 1:
            setting = (
                "on_batch_failure is stop" if self.on_batch_failure is OnBatchFailure.STOP else "max_consecutive_failures is 1"
            )
            return f"batch {named} failed ({setting})"
        return f"batches {named} failed in a row (max_consecutive_failures is {self.max_consecutive_failures})"

    def _with_unrecorded(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """The last attempt at each batch, as far as the sync log or Airflow knows of it."""
        last = {attempt.batch_number: attempt for attempt in attempts}
        for failed in self.unrecorded:
            logged = last.get(failed.batch_number)
            if logged is None or logged.seen_at is None or (failed.seen_at is not None and failed.seen_at > logged.seen_at):
                last[failed.batch_number] = failed
        return list(last.values())

    def _tolerates(self, attempt: Attempt) -> bool:
        """Whether a failure shows that Census and Salesforce work."""
        if self.on_batch_failure is OnBatchFailure.STOP:
            return attempt.blames_records and attempt.generation > 0 and attempt.resends_rejections_of is not None
        return attempt.blames_records


def unrecorded_as_xcom(batch_number: int, generation: int, reason: str, at: datetime) -> dict[str, Any]:
    """A failure that the sync log could not take, as Airflow keeps it until the task is cleared."""
    return {"batch": batch_number, "generation": generation, "reason": reason, "at": at.isoformat()}


def unrecorded_from_xcom(run_id: str, value: Mapping[str, Any]) -> Attempt:
    """See `unrecorded_as_xcom`."""
    return Attempt(
        run_id=run_id,
        batch_number=value["batch"],
        number=0,
        status=AttemptStatus.NOT_SENT,
        records=0,
        generation=value["generation"],
        reason=value["reason"],
        seen_at=datetime.fromisoformat(value["at"]),
    )
