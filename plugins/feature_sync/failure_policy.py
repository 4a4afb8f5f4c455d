"""When a batch is held back because others failed, so that one cause does not fail a hundred batches."""

from collections.abc import Iterable
from dataclasses import dataclass

from feature_sync.outcome import AttemptStatus
from feature_sync.run_config import OnBatchFailure
from feature_sync.sync_log import Attempt


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """
    ``max_consecutive_failures`` batches that fail in a row hold back the rest, whatever ``on_batch_failure`` says.

    :param on_batch_failure: ``stop`` holds back the rest after the first failure.
    """

    on_batch_failure: OnBatchFailure
    max_consecutive_failures: int

    def reason_to_halt(self, attempts: Iterable[Attempt], batch_number: int, series: int) -> str:
        """
        Say why a batch must not be sent; empty when it may be.

        A batch that was cleared answers only for what happened since: a person who clears it has seen the failures before, and
        wants it sent. So it counts only attempts of cleared tasks, made after its own last one.

        :param attempts: the last attempt at each batch of the run.
        :param series: as in `Attempt`; above 0 when the batch's task was cleared.
        """
        known = list(attempts)
        own = next((attempt for attempt in known if attempt.batch_number == batch_number), None)
        says_nothing = (AttemptStatus.HALTED, AttemptStatus.OVER_LIMIT)
        others = [attempt for attempt in known if attempt.batch_number != batch_number and attempt.status not in says_nothing]
        if series:
            since = own.seen_at if own else None
            others = [one for one in others if one.series and (since is None or (one.seen_at and one.seen_at > since))]
        failed: list[int] = []
        for attempt in sorted(others, key=lambda one: (one.seen_at is not None, one.seen_at), reverse=True):
            if attempt.status is AttemptStatus.SUCCEEDED:
                break
            failed.append(attempt.batch_number)
        limit = 1 if self.on_batch_failure is OnBatchFailure.STOP else self.max_consecutive_failures
        if len(failed) < limit:
            return ""
        named = ", ".join(f"{number:03d}" for number in sorted(failed[:limit]))
        if limit == 1:
            setting = (
                "on_batch_failure is stop" if self.on_batch_failure is OnBatchFailure.STOP else "max_consecutive_failures is 1"
            )
            return f"batch {named} failed ({setting})"
        return f"batches {named} failed in a row (max_consecutive_failures is {self.max_consecutive_failures})"
