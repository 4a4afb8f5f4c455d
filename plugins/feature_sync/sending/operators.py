"""The task that sends one batch through Census."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from feature_sync.census.access import census_hook
from feature_sync.census.errors import CensusBusyError, CensusNotFoundError
from feature_sync.census.models import SyncRun
from feature_sync.config.names import SALESFORCE_CONN_ID
from feature_sync.config.run_config import OnBatchFailure
from feature_sync.config.settings import Settings, load_settings
from feature_sync.orchestration.dag_runs import generation_of, skip, xcoms_of
from feature_sync.orchestration.deferral import PatientOperator
from feature_sync.orchestration.links import CensusRunLink, ProgressLink, RejectedRowsLink
from feature_sync.orchestration.progress import OUTCOME, SENT, note_progress, note_wait
from feature_sync.sending.adoption import Patience
from feature_sync.sending.batches import Attempt, AttemptStatus, Batch
from feature_sync.sending.failure_policy import FailurePolicy, unrecorded_as_xcom, unrecorded_from_xcom
from feature_sync.sending.outcome import (
    CLEAR_RUN,
    CLEAR_TASK,
    BatchFailedError,
    BatchHaltedError,
    BatchLockedError,
    BatchSkippedError,
    BatchUnconfirmedError,
    Outcome,
    count_row_results,
    failure_lines,
    halted_message,
)
from feature_sync.sending.pacing import Pause
from feature_sync.sending.rejections import export_rejections
from feature_sync.sending.sender import BatchSender
from feature_sync.sending.triggers import CensusQuietTrigger, CensusRecordsTrigger, CensusRunTrigger
from feature_sync.storage.run_files import run_files
from feature_sync.storage.warehouse import StatementError, Warehouse

if TYPE_CHECKING:
    from airflow.sdk import Context

    from feature_sync.census.hook import CensusHook

BATCH_NAME = "batch_name"
"""In the context of a task: another name of its batch, when it is known what became of it."""
UNRECORDED = "failed_unrecorded"
"""The XCom of a batch whose failure the sync log could not take. The failure policy of later batches reads it."""


LOOK_AGAIN_WHILE_SENDING = timedelta(minutes=1)
"""How long a batch relies on the triggerer alone. The batches behind it wait for it, so that is not long."""


@dataclass(frozen=True, slots=True)
class Tries:
    """
    How often Airflow tries a task, and what clearing it takes along.

    ``affected_tasks``: as Airflow's dialog counts them, or None if that depends on the run.
    """

    number: int
    most: int
    affected_tasks: int | None = None

    @property
    def left(self) -> bool:
        return self.number < self.most

    @property
    def next(self) -> str:
        return f"try {self.number + 1} of {self.most}"

    @property
    def affected(self) -> str:
        return f" ({self.affected_tasks} affected tasks)" if self.affected_tasks else ""


class CensusBatchOperator(PatientOperator):
    """
    Send one batch through Census and judge the outcome.

    Executing it again is always safe. If an earlier try started a run whose outcome nobody has recorded, that run is resumed, and
    no second one is started. After a recorded outcome the batch is sent again, which is what clearing the task means.

    The task polls Census itself for ``census_inline_poll_seconds``, then defers to the triggerer and holds no worker slot.
    Give it a pool of one slot that counts deferred tasks.

    :param batch: the batch, as `Batch.as_xcom` returns it (templated).
    :param wait_seconds: least time from the end of one Census run to the start of the next (templated).
    :param on_batch_failure: ``continue`` or ``stop`` (templated).
    :param max_consecutive_failures: after this many failures in a row the remaining batches are held back (templated).
    :param is_probe: the batch tests whether its size works (templated). If Salesforce says that it is too large, the task
        succeeds and says so; the probes after it are skipped.
    :param patience: how long it waits for Census.
    :raises BatchFailedError: not all of the batch was accepted. The message names the batch, the counts and the reasons.
    :raises BatchLockedError: the same, but some or all reasons are temporary.
    :raises BatchUnconfirmedError: the batch was to be read back, and Salesforce did not answer.
    :raises BatchHaltedError: the failure policy holds the batch back.
    :raises BatchSkippedError: Census skipped the run because another one was active.
    """

    template_fields: Sequence[str] = ("batch", "wait_seconds", "on_batch_failure", "max_consecutive_failures", "is_probe")
    ui_color = "#fdebd3"
    operator_extra_links = (CensusRunLink(), RejectedRowsLink(), ProgressLink())
    census_run: int | None = None

    def __init__(
        self,
        *,
        batch: Mapping[str, Any],
        wait_seconds: str | float,
        on_batch_failure: str,
        max_consecutive_failures: str | int,
        is_probe: str | bool = False,
        patience: Patience | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch = batch
        self.wait_seconds = wait_seconds
        self.on_batch_failure = on_batch_failure
        self.max_consecutive_failures = max_consecutive_failures
        self.is_probe = is_probe
        self.patience = patience or Patience()

    def execute(self, context: "Context") -> dict[str, Any]:
        """
        :returns: the attempt's number, its Census run and how many records it sent; ``over_limit`` or ``accepted_by_counters``
            with the reason, if that is the outcome.
        """
        ti = context["ti"]
        settings = load_settings()
        batch = Batch.from_xcom(self.batch)
        census = census_hook()
        inline_until = time.monotonic() + settings.census_inline_poll_seconds
        with Warehouse(settings) as warehouse:
            sender = BatchSender(
                warehouse=warehouse,
                census=census,
                sync_id=settings.census_sync_id,
                run_id=ti.run_id,
                batch=batch,
                wait_seconds=float(self.wait_seconds),
                policy=FailurePolicy(
                    OnBatchFailure(self.on_batch_failure), int(self.max_consecutive_failures), self._unrecorded_failures(ti)
                ),
                generation=generation_of(ti, self.retries),
                is_probe=str(self.is_probe) == "True",
                patience=self.patience,
            )
            if reason := sender.reason_to_skip():
                skip(context, reason)
            attempt = self._begin(ti, sender, settings, inline_until)
            if not attempt.is_to_be_judged:
                return _summary(attempt)
            inline_until = time.monotonic() + settings.census_inline_poll_seconds
            self.census_run = attempt.sync_run_id
            note_progress(ti, SENT, _summary(attempt))
            try:
                run = self._wait_for_end(census, attempt, settings, inline_until)
                while isinstance(outcome := sender.conclude(attempt, run), Pause):
                    self._wait_for_records(ti, outcome, run, settings, inline_until)
                    run = self._wait_for_end(census, attempt, settings, inline_until)
            except CensusNotFoundError as gone:
                raise sender.give_up(attempt, gone) from gone
            note_progress(
                ti, OUTCOME, {**_summary(attempt), **outcome.as_note(), "ended_at": run.ended_at and run.ended_at.isoformat()}
            )
            if outcome.rejected:
                self._list_rejections(warehouse, ti.run_id)
        if outcome.status is AttemptStatus.OVER_LIMIT:
            self.log.warning("%s is too large for Salesforce: %s", batch.label, outcome.reason)
            context[BATCH_NAME] = f"{batch.label}, too large"  # type: ignore[literal-required]  # Airflow renders the name again
            return {**_summary(attempt), "over_limit": outcome.reason}
        _refuse_failure(batch, attempt, outcome, run_files(settings, ti.run_id).rejected_records, self._tries(ti))
        if outcome.status is AttemptStatus.ACCEPTED_BY_COUNTERS:
            return {**_summary(attempt), "accepted_by_counters": outcome.reason}
        self.log.info("%s: all %s records accepted by Census run %s", batch.label, f"{attempt.records:,}", run.id)
        return _summary(attempt)

    def resume(self, context: "Context", event: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Continue after a deferral. What happened meanwhile is read from Census and the sync log, not from the event."""
        return self.execute(context)

    def _tries(self, ti: Any) -> Tries:
        following = self.get_flat_relatives(upstream=False) if self.has_dag() else ()
        is_counted = bool(following) and not any(each.is_mapped or each.get_closest_mapped_task_group() for each in following)
        return Tries(ti.try_number, ti.max_tries + 1, 1 + len(following) if is_counted else None)

    def _list_rejections(self, warehouse: Warehouse, run_id: str) -> None:
        """The outcome is recorded already. If the file fails, a retry would send the rejected records again."""
        try:
            export_rejections(warehouse, run_id)
        except Exception as error:
            self.log.warning("The list of rejected records could not be written (%s: %s)", type(error).__name__, error)

    def _begin(self, ti: Any, sender: BatchSender, settings: Settings, inline_until: float) -> Attempt:
        try:
            while isinstance(step := sender.begin(), Pause):
                self._wait_for_quiet(ti, step, settings, inline_until)
        except (BatchHaltedError, BatchFailedError) as error:  # the sender has recorded them
            _note_unsent(ti, error)
            raise
        except Exception as error:
            _note_unsent(ti, error)
            try:
                sender.note_not_sent(error)
            except StatementError as unanswered:
                self.log.warning("The reason could not be recorded in the sync log: %s", unanswered)
                self._note_in_airflow(ti, sender, error)
            raise
        return step

    def _note_in_airflow(self, ti: Any, sender: BatchSender, error: Exception) -> None:
        """
        Keep a failure that the sync log could not take, so that the failure policy of the batches after it knows of it.

        :raises BatchHaltedError: by the policy this batch is held back, so it is not tried again.
        """
        number = sender.batch.number
        if reason := sender.policy.reason_to_halt((), number, sender.generation):
            raise BatchHaltedError(halted_message(sender.batch, f"{reason}, and the warehouse still does not answer")) from error
        ti.xcom_push(key=UNRECORDED, value=unrecorded_as_xcom(number, sender.generation, str(error), datetime.now(UTC)))

    def _unrecorded_failures(self, ti: Any) -> tuple[Attempt, ...]:
        try:
            found = xcoms_of(ti.dag_id, ti.run_id, ti.task_id, UNRECORDED)
        except Exception as error:  # whatever Airflow's client raises; without an answer the sync log alone decides
            self.log.warning("Airflow does not say which failures the sync log lacks (%s)", type(error).__name__)
            return ()
        return tuple(unrecorded_from_xcom(ti.run_id, value) for value in found)

    def _wait_for_quiet(self, ti: Any, pause: Pause, settings: Settings, inline_until: float) -> None:
        self.log.info("Waiting: %s", pause.reason)
        limit = timedelta(seconds=settings.census_run_limit_seconds)
        if pause.active_run and datetime.now(UTC) - pause.active_run.created_at > limit:
            is_ours = pause.active_run.sync_id == settings.census_sync_id
            cure = "Cancel that run in Census" if is_ours else "Wait for its end, or ask the owner of that sync to cancel it"
            raise CensusBusyError(
                f"{pause.reason} since {pause.active_run.created_at:%Y-%m-%d %H:%M:%S} UTC, longer than {limit}. "
                f"Nothing was sent. {cure}, then clear this task."
            )
        if pause.seconds <= inline_until - time.monotonic():
            time.sleep(pause.seconds or settings.census_poll_seconds)
            return
        seconds_left = timedelta(seconds=max(0.0, pause.seconds - settings.census_prepare_seconds))
        note_wait(ti, pause.reason, datetime.now(UTC) + timedelta(seconds=pause.seconds) if pause.seconds else None)
        self.wait_in_triggerer(
            CensusQuietTrigger(
                sync_id=settings.census_sync_id,
                wait_seconds=float(self.wait_seconds),
                poll_seconds=settings.census_poll_seconds,
                not_before=(datetime.now(UTC) + seconds_left).isoformat(),
                deadline=(datetime.now(UTC) + limit + seconds_left).isoformat(),
            ),
            seconds_left + LOOK_AGAIN_WHILE_SENDING,
        )

    def _wait_for_end(self, census: "CensusHook", attempt: Attempt, settings: Settings, inline_until: float) -> SyncRun:
        assert attempt.sync_run_id is not None  # noqa: S101 - `BatchSender.begin` sets it; for the type checker
        while (run := census.get_run(attempt.sync_run_id)).is_active:
            deadline = run.created_at + timedelta(seconds=settings.census_run_limit_seconds)
            if datetime.now(UTC) > deadline:
                return self._cancel(census, run, settings)
            if time.monotonic() >= inline_until:
                trigger = CensusRunTrigger(run.id, settings.census_poll_seconds, deadline.isoformat())
                self.wait_in_triggerer(trigger, LOOK_AGAIN_WHILE_SENDING)
            time.sleep(settings.census_poll_seconds)
        return run

    def _wait_for_records(self, ti: Any, pause: Pause, run: SyncRun, settings: Settings, inline_until: float) -> None:
        self.log.info("Waiting: %s", pause.reason)
        if time.monotonic() < inline_until:
            time.sleep(min(pause.seconds, settings.census_poll_seconds))
            return
        deadline = datetime.now(UTC) + timedelta(seconds=pause.seconds)
        note_wait(ti, pause.reason, deadline)
        trigger = CensusRecordsTrigger(run.id, count_row_results(run), settings.census_poll_seconds, deadline.isoformat())
        self.wait_in_triggerer(trigger, LOOK_AGAIN_WHILE_SENDING)

    def _cancel(self, census: "CensusHook", run: SyncRun, settings: Settings) -> SyncRun:
        self.log.warning("Census run %s has been active for over %s s; canceling it", run.id, settings.census_run_limit_seconds)
        census.cancel_run(run.id)
        give_up = time.monotonic() + self.patience.cancel_seconds
        while (run := census.get_run(run.id)).is_active:
            if time.monotonic() > give_up:
                raise CensusBusyError(
                    f"Census run {run.id} is still {run.raw_status} {self.patience.cancel_seconds:.0f} s after it was told to "
                    "cancel."
                )
            time.sleep(settings.census_poll_seconds)
        return run


def _note_unsent(ti: Any, error: Exception) -> None:
    status = AttemptStatus.HALTED if isinstance(error, BatchHaltedError) else AttemptStatus.NOT_SENT
    note_progress(ti, OUTCOME, {"status": status.value, "reason": str(error)})


def _next_step(outcome: Outcome, tries: Tries) -> str:
    """What a person does about a batch that is no success, in the words of Airflow's dialogs, or that there is nothing to do."""
    if outcome.status is AttemptStatus.DIFFERS:
        return (
            "Every batch after it is held back. Find out what changed these fields, or why the write did not arrive. Then "
            f"{CLEAR_RUN}: the whole batch is sent again and read back, and then the batches that were held back are sent."
        )
    if outcome.status is AttemptStatus.UNCONFIRMED:
        by_itself = f"Airflow tries this task again by itself ({tries.next}). " if outcome.may_be_confirmed and tries.left else ""
        return (
            f"{by_itself}Every batch after it is held back. Nothing of it is sent again: when Salesforce answers, or after you "
            f"have removed the connection {SALESFORCE_CONN_ID}, {CLEAR_RUN}."
        )
    only = "Only the records that were not accepted are sent again."
    if outcome.is_temporary and outcome.status is AttemptStatus.FAILED:
        if tries.left:
            return f"nothing to do. Airflow tries this task again by itself ({tries.next}). {only}"
        return f"this was the last try. When the lock is gone, {CLEAR_TASK}{tries.affected}. {only}"
    return f"remove the cause, then {CLEAR_TASK}{tries.affected}. {only}"


def _refuse_failure(batch: Batch, attempt: Attempt, outcome: Outcome, listed_in: object, tries: Tries) -> None:
    if outcome.succeeded:
        return
    if outcome.status is AttemptStatus.NOT_SENT:
        raise BatchSkippedError(f"{batch.label} was not sent: {outcome.reason}")
    text = "\n".join([*failure_lines(batch, attempt, outcome, listed_in), f"Next: {_next_step(outcome, tries)}"])
    if outcome.status is AttemptStatus.UNCONFIRMED and outcome.may_be_confirmed:
        raise BatchUnconfirmedError(text, outcome.causes)
    if outcome.is_temporary and outcome.status is AttemptStatus.FAILED:
        raise BatchLockedError(text, outcome.causes)
    raise BatchFailedError(text, outcome.causes)


def _summary(attempt: Attempt) -> dict[str, Any]:
    summary = {"attempt": attempt.number, "sync_run_id": attempt.sync_run_id, "records": attempt.records}
    if attempt.status is AttemptStatus.ACCEPTED_BY_COUNTERS:  # an earlier try recorded it
        return {**summary, "accepted_by_counters": attempt.reason}
    return summary
