"""Sends one batch: look, stage, trigger, judge. It talks to the warehouse and to Census, and does not know Airflow.

It keeps no memory of what was sent. It reads that from the sync log, the batch table and Census, so whoever comes after a crash
finds the same answer:

- The sync log has no open attempt: the batch waits to be sent. After an attempt with rejected rows, only those are sent again.
- The sync log has an open attempt: the batch was staged, and a trigger was sent or about to be sent. If it started a run,
  that run's id is above ``previous_sync_run_id``, and the run is adopted. A second trigger is sent only if there is no such
  run.
"""

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from feature_sync.census.errors import CensusAuthError, CensusNotFoundError, CensusRefusedError, CensusTriggerUnansweredError
from feature_sync.census.models import RowRecord, SyncRun, SyncRunPage
from feature_sync.census.neighbours import WriterRuns
from feature_sync.config.names import SALESFORCE_CONN_ID
from feature_sync.salesforce.comparison import Comparison
from feature_sync.salesforce.errors import SalesforceError, SalesforceNotAllowedError
from feature_sync.salesforce.read_back import ReadBack, rows_of
from feature_sync.salesforce.reader import new_reader
from feature_sync.sending.adoption import Patience, RunFinder
from feature_sync.sending.batches import NOT_AS_SENT, Attempt, AttemptStatus, Batch
from feature_sync.sending.failure_policy import FailurePolicy
from feature_sync.sending.outcome import (
    BatchFailedError,
    BatchHaltedError,
    Outcome,
    are_rows_missing,
    halted_message,
    has_row_results,
    judge,
    left_out_reason,
)
from feature_sync.sending.pacing import Pause, pause_before_next, records_pause
from feature_sync.sending.rejections import CHANGED_SINCE_FREEZE, read_row_records
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.evidence import Purpose, try_to_record_read_backs
from feature_sync.storage.warehouse import Parameters, Row, Warehouse

if TYPE_CHECKING:
    from feature_sync.census.hook import CensusHook
    from feature_sync.salesforce.hook import SalesforceReader

log = logging.getLogger(__name__)

MAX_OVERSLEPT_SECONDS = 300
"""A batch that has slept so much longer than it had to wait is checked again, because the machine was suspended."""
MAX_LOGGED_DIFFERENCES = 200
"""A batch of 50 has at most 50 for each field; a whole run at once may have very many."""


class StagingError(RuntimeError):
    """The batch table does not hold exactly the batch that was to be staged."""


class NotTriggeredError(RuntimeError):
    """Census did not answer the trigger, and no run was started."""


@dataclass(frozen=True, slots=True)
class Staged:
    """
    The records of an attempt at a batch.

    ``keys``: of those that it sends. ``left_out``: those that it leaves as they are, with the reason.
    ``has_other_before``: Salesforce holds other values of them than when they were frozen.
    ``synced_at``: when the replica was last replicated, as far as it was asked.
    """

    keys: frozenset[str]
    left_out: tuple[RowRecord, ...] = ()
    has_other_before: bool = False
    synced_at: datetime | None = None

    @property
    def counts(self) -> dict[str, Any]:
        """What an attempt notes of it."""
        records = len(self.keys) + len(self.left_out)
        return {"records": records, "records_changed": len(self.left_out), "replica_synced_at": self.synced_at}

    @classmethod
    def from_rows(cls, rows: Sequence[Row]) -> "Staged":
        """:param rows: of ``sending/check_batch.sql`` or ``sending/select_batch_keys.sql``."""
        reasons = {row["upsert_key"]: _reason_to_leave_out(row) for row in rows}
        sent = [row for row in rows if not reasons[row["upsert_key"]]]
        return cls(
            keys=frozenset(row["upsert_key"] for row in sent),
            left_out=tuple(
                RowRecord(identifier=key, status="left_out", status_message=reason) for key, reason in reasons.items() if reason
            ),
            has_other_before=any(row.get("has_other_before") for row in sent),
            synced_at=next((row.get("synced_at") for row in rows), None),
        )


def _batch_values(run_id: str, batch: Batch, resends_rejections_of: int | None, attempt: int | None) -> Parameters:
    """What the statements bind that read the records of an attempt at a batch."""
    return {"run_id": run_id, "batch_number": batch.number, "resends_attempt": resends_rejections_of, "attempt": attempt}


def _reason_to_leave_out(row: Row) -> str:
    if row["left_out_reason"]:
        return row["left_out_reason"]
    if row.get("is_gone"):
        return f"{CHANGED_SINCE_FREEZE}: Salesforce has no longer such a record with this key"
    if changed := row.get("changed_fields"):
        return f"{CHANGED_SINCE_FREEZE}: somebody changed {changed} in Salesforce after the values were frozen"
    return ""


@dataclass(frozen=True, slots=True)
class BatchSender:
    """
    One batch of one run, and what it takes to send it.

    :param sync_id: the Census sync whose source is the batch table.
    :param wait_seconds: least time from the end of one Census run to the start of the next.
    :param generation: of the task's tries, see `Attempt`.
    :param is_probe: the batch tests whether its size works. Then exceeding a governor limit is an answer, not a failure.
    :param salesforce: is asked what it holds after a batch, if there is a connection.

    ``is_canary``: whether what the batch wrote is read back from Salesforce before the next one is sent. `begin` decides it.
    """

    warehouse: Warehouse
    census: "CensusHook"
    sync_id: int
    run_id: str
    batch: Batch
    wait_seconds: float
    policy: FailurePolicy
    generation: int = 0
    is_probe: bool = False
    patience: Patience = field(default_factory=Patience)
    salesforce: "SalesforceReader" = field(default_factory=new_reader)
    writers: WriterRuns = field(init=False)
    is_canary: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        """One look for the life of the sender, because it asks for the list of syncs once."""
        writers = WriterRuns(self.census, self.sync_id, self.warehouse.settings.salesforce_object)
        object.__setattr__(self, "writers", writers)

    def begin(self) -> Attempt | Pause:
        """
        Resume the run that an earlier try started, or start one if that is allowed now.

        :returns: the attempt, with the id of its run; or the attempt that has succeeded already, if an earlier try died after
            recording it; or the reason why no run may start yet.
        :raises BatchFailedError: Census does not know the run that an earlier try started.
        :raises BatchHaltedError: the failure policy holds the batch back.
        :raises StagingError: the warehouse did not stage the batch; nothing was triggered.
        :raises NotTriggeredError: Census did not answer and started nothing.
        :raises CensusError: Census refused, or could not be asked.
        """
        attempts = self._log.attempts_to_judge(self.run_id, self.batch.number, self.policy.most_failures, self.generation)
        object.__setattr__(self, "is_canary", self._is_canary(attempts.values()))
        last = attempts.get(self.batch.number)
        if last and last.status.is_success and last.generation == self.generation:
            log.info("%s: attempt %s has succeeded already (%s)", self.batch.label, last.number, last.status)
            return last
        if last and last.is_to_be_judged:
            page = self.census.list_runs(self.sync_id)
            try:
                run = self._finder.find(last, page)
            except CensusNotFoundError as gone:
                raise self.give_up(last, gone) from gone
            if run:
                log.info("%s: attempt %s is Census run %s (%s)", self.batch.label, last.number, run.id, run.raw_status)
                return self._log.record(replace(last, sync_run_id=run.id, generation=self.generation))
            if pause := self._finder.flight_pause(last, page):
                return pause
            reason = "An earlier try ended before Census started a run."
            last = self._log.record(replace(last, status=AttemptStatus.NOT_SENT, reason=reason))
        if reason := self.policy.reason_to_halt(attempts.values(), self.batch.number, self.generation):
            self._log.record(self._next_attempt(last, AttemptStatus.HALTED, reason=f"It was held back: {reason}."))
            raise BatchHaltedError(halted_message(self.batch, reason))
        if (pause := self._pause(self.writers.look())) and not pause.is_over_within(self.prepare_seconds):
            return pause
        staged = self._stage(last)
        if not staged.keys:
            raise self._nothing_to_send(last, staged)
        self.warehouse.prove(self.warehouse.settings.sync_log_table)  # while the wait goes on, and not between it and the trigger
        start = self._wait_for_start()
        if isinstance(start, Pause):
            return start
        newest = max((run.id for run in start.of(self.sync_id).runs), default=0)
        opened = self._next_attempt(last, AttemptStatus.SENDING, previous_sync_run_id=newest, **staged.counts)
        self._log.record(opened)
        self._check_staged(len(staged.keys))
        return self._trigger(opened, staged)

    def reason_to_skip(self) -> str:
        """Why a probe must not be sent, or not again. Empty if it must be sent."""
        if not self.is_probe:
            return ""
        attempts = self._log.last_attempts(self.run_id)
        for number, attempt in sorted(attempts.items()):
            is_over = attempt.status is AttemptStatus.OVER_LIMIT
            if is_over and number < self.batch.number:
                return (
                    f"{self.batch.label} is not tried at once: batch {number:03d}, {attempt.records:,} records, exceeded a limit"
                )
            if is_over and number == self.batch.number and not self._read_batch(attempt.next_resends_rejections_of).keys:
                return f"{self.batch.label} exceeded a limit before; its records are sent in smaller batches"
        return ""

    def conclude(self, attempt: Attempt, run: SyncRun) -> Outcome | Pause:
        """
        Judge a run that has ended. Record the attempt's final outcome, and the rows that stay rejected, in the warehouse.

        :param attempt: as `begin` returned it.
        :returns: the outcome, or a pause as long as Census may still show row records that are missing.
        """
        records, refusal = read_row_records(self.census, run.id) if has_row_results(run) else ((), "")
        if has_row_results(run) and are_rows_missing(run, records):
            page = self.census.see_run(run.id)
            [run] = page.runs
            limit = self.warehouse.settings.census_records_limit_seconds
            if pause := records_pause(run, page.now, limit, self.patience.records_quiet_seconds):
                return pause
        staged = self._read_batch(attempt.resends_rejections_of, attempt.number)
        outcome = judge(run, staged.keys, records, refusal)
        if self.is_probe and outcome.status is AttemptStatus.FAILED and outcome.is_over_limit(len(staged.keys)):
            outcome = replace(outcome, status=AttemptStatus.OVER_LIMIT)
        outcome, seen = self._read_back(attempt, outcome.with_left_out(staged.left_out), staged)
        self._log.record_rejections(attempt, outcome.rejected or ())
        self._log.record(
            replace(
                attempt,
                status=outcome.status,
                records_updated=run.records_updated,
                records_failed=run.records_failed,
                records_invalid=run.records_invalid,
                records_rejected=None if outcome.rejected is None else len(outcome.rejected),
                records_changed=len(staged.left_out),
                reason=outcome.reason or None,
                run_started_at=run.created_at,
                run_ended_at=run.ended_at,
            )
        )
        if seen:
            rows = rows_of(seen.found, self.warehouse.settings.fields)
            try_to_record_read_backs(self.warehouse, self.run_id, Purpose.CANARY, rows)
        if outcome.status is AttemptStatus.ACCEPTED_BY_COUNTERS:
            log.warning("%s was accepted by counters alone. %s", self.batch.label, outcome.reason)
        return outcome

    def give_up(self, attempt: Attempt, gone: CensusNotFoundError) -> BatchFailedError:
        """Record that nobody can say any more what became of an attempt, so that the batch can be sent again.

        :returns: the error to raise.
        """
        reason = f"Census does not know run {attempt.sync_run_id} any more ({gone}). Which records it wrote, nobody can say."
        self._log.record(replace(attempt, status=AttemptStatus.FAILED, reason=reason))
        return BatchFailedError(
            f"{self.batch.label} failed in attempt {attempt.number}: {reason}\n"
            "Clear this task with its downstream tasks: the whole batch is sent again. To send a record twice does no harm."
        )

    def note_not_sent(self, error: Exception) -> None:
        """Record why nothing was sent, unless a run may exist: then its outcome has to be found first."""
        last = self._log.last_attempt(self.run_id, self.batch.number)
        is_noted = last and (last.is_to_be_judged or (last.status is AttemptStatus.NOT_SENT and last.reason == str(error)))
        if not is_noted:
            self._log.record(self._next_attempt(last, AttemptStatus.NOT_SENT, reason=str(error)))

    def _is_canary(self, attempts: Iterable[Attempt]) -> bool:
        """
        The first batch, every k-th, one that comes after batches of which nothing was accepted, and one that was to be read back
        before and was not found as it was sent.

        :param attempts: the last ones at this batch and at others. After a clear, only those that followed it.
        """
        every, number = self.warehouse.settings.canary_every, self.batch.number
        if number == 1 or (every and number % every == 0):
            return True
        known = list(attempts)
        own = next((attempt.status for attempt in known if attempt.batch_number == number), None)
        return own in NOT_AS_SENT or not any(other.has_written for other in known if other.batch_number != number)

    def _read_back(self, attempt: Attempt, outcome: Outcome, staged: Staged) -> tuple[Outcome, Comparison | None]:
        """
        Look at what Salesforce itself holds of the accepted records, if the batch is a canary.

        :returns: the outcome after it, and what was seen, or None if nobody has looked.
        """
        accepted = outcome.accepted(staged.keys)
        if not self.is_canary or not accepted:
            return outcome, None
        read_back = ReadBack(
            self.salesforce, self.warehouse.settings, self.patience.read_back_seconds, self.patience.read_back_pause
        )
        try:
            if not self.salesforce.is_configured():
                log.info(
                    "%s: not read back: there is no connection %s. Whether Salesforce holds what was sent is checked by the task "
                    "`validate`, from the replica",
                    self.batch.label,
                    SALESFORCE_CONN_ID,
                )
                return outcome, None
            found = read_back.compare(self._sent_values(attempt, accepted))
        except SalesforceNotAllowedError as refused:
            log.warning("%s: not read back: %s", self.batch.label, refused)
            return outcome, None
        except SalesforceError as error:
            return outcome.unconfirmed(error), None
        if found.unreadable:
            log.warning(
                "%s: not read back: %s. The user of connection %s does not see these fields",
                self.batch.label,
                ", ".join(found.unreadable),
                SALESFORCE_CONN_ID,
            )
        for difference in found.differences[:MAX_LOGGED_DIFFERENCES]:
            log.error("%s: %s", self.batch.label, difference)
        if not found.differences:
            log.info("%s: %s records were read back from Salesforce and hold what was sent", self.batch.label, found.records)
        return outcome.with_differences(found), found

    def _sent_values(self, attempt: Attempt, accepted: Collection[str]) -> dict[str, Row]:
        """The values of the accepted records in the frozen payload, by upsert key."""
        key = self.warehouse.settings.fields.upsert_key.column
        rows = self.warehouse.fetch_all(
            "sending/select_sent_values",
            _batch_values(self.run_id, self.batch, attempt.resends_rejections_of, attempt.number),
        )
        return {row[key]: row for row in rows if row[key] in accepted}

    def _next_attempt(self, last: Attempt | None, status: AttemptStatus, **values: Any) -> Attempt:
        return Attempt(
            run_id=self.run_id,
            batch_number=self.batch.number,
            number=last.number + 1 if last else 1,
            status=status,
            generation=self.generation,
            resends_rejections_of=last.next_resends_rejections_of if last else None,
            **{"records": self.batch.records, **values},
        )

    @property
    def _log(self) -> SyncLog:
        return SyncLog(self.warehouse)

    @property
    def _finder(self) -> RunFinder:
        return RunFinder(self.census, self._log, self.sync_id, self.patience)

    def _pause(self, page: SyncRunPage) -> Pause | None:
        limit = self.warehouse.settings.census_run_limit_seconds
        return pause_before_next(page.runs, page.now, self.wait_seconds, limit)

    def _wait_for_start(self) -> SyncRunPage | Pause:
        """
        Let the rest of the prescribed wait pass, which is what the batch is prepared in.

        :returns: the last look, which says that a run may start now; or why the batch has to be prepared once more: somebody else
            has started a run, or this machine has slept so long that the records may have changed since they were checked.
        """
        page = prepared = self.writers.look()
        if (pause := self._pause(page)) and pause.is_over_within(self.prepare_seconds):
            log.info("%s: prepared. %s", self.batch.label, pause.reason)
            time.sleep(pause.seconds)
            page = self.writers.look()
        if pause := self._pause(page):
            return pause
        if (page.now - prepared.now).total_seconds() > self.prepare_seconds + MAX_OVERSLEPT_SECONDS:
            return Pause("the machine was suspended after the records of the batch were checked, so they are checked again")
        return page

    @property
    def prepare_seconds(self) -> float:
        return self.warehouse.settings.census_prepare_seconds

    def _read_batch(self, resends_rejections_of: int | None, attempt: int | None = None) -> Staged:
        """The records that an attempt sends, or was to send. ``attempt``: its number, if it may have left out records."""
        rows = self.warehouse.fetch_all(
            "sending/select_batch_keys", _batch_values(self.run_id, self.batch, resends_rejections_of, attempt)
        )
        return Staged.from_rows(rows)

    def _stage(self, last: Attempt | None) -> Staged:
        """
        Put the batch into the batch table, but for records that somebody has changed since they were frozen.

        What the replica holds of each record is read right before. What an undo restores is taken from there, if it has changed.
        """
        attempt = self._next_attempt(last, AttemptStatus.SENDING)
        resends_rejections_of = attempt.resends_rejections_of
        values = _batch_values(self.run_id, self.batch, resends_rejections_of, attempt.number)
        rows = self.warehouse.fetch_all("sending/check_batch", values)
        if not rows or (resends_rejections_of is None and len(rows) != self.batch.records):
            raise StagingError(
                f"{self.batch.label}: {len(rows):,} of its {self.batch.records:,} records are in the payload table and passed "
                "the checks. Nothing was triggered. If the payload was frozen again, clear `check_payload` with downstream "
                f"tasks. If it was removed, {self.warehouse.settings.payload_days} days after the run's last activity, start "
                "a new run."
            )
        staged = Staged.from_rows(rows)
        self._log.record_rejections(attempt, staged.left_out)
        if staged.left_out:
            log.warning("%s: %s", self.batch.label, left_out_reason(len(staged.left_out)))
        if not staged.keys:
            return staged
        if staged.has_other_before:
            self.warehouse.execute("sending/record_before_values", values)
        self.warehouse.execute("sending/stage_batch", values)
        log.info(
            "%s: staged %s records in %s. The replica, last replicated at %s, shows what they replace",
            self.batch.label,
            len(staged.keys),
            self.warehouse.settings.batch_table,
            staged.synced_at,
        )
        return staged

    def _nothing_to_send(self, last: Attempt | None, staged: Staged) -> BatchFailedError:
        """Record an attempt whose records were all left out.

        :returns: the error to raise.
        """
        reason = left_out_reason(len(staged.left_out))
        counts = {**staged.counts, "records_rejected": len(staged.left_out)}
        failed = self._log.record(self._next_attempt(last, AttemptStatus.FAILED, reason=reason, **counts))
        return BatchFailedError(f"{self.batch.label} failed in attempt {failed.number}, and nothing was sent: {reason}")

    def _check_staged(self, expected: int) -> None:
        staged = self.warehouse.fetch_one(
            "sending/check_staged_batch", {"run_id": self.run_id, "batch_number": self.batch.number}
        )
        if staged["records"] != expected or staged["records_of_batch"] != expected:
            raise StagingError(
                f"{self.batch.label}: {self.warehouse.settings.batch_table} holds {staged['records']:,} records, "
                f"{staged['records_of_batch']:,} of them from this batch; expected {expected:,}. Nothing was triggered."
            )

    def _trigger(self, attempt: Attempt, staged: Staged) -> Attempt:
        for _ in range(self.patience.triggers):
            try:
                sync_run_id = self.census.trigger_sync(self.sync_id)
            except (CensusAuthError, CensusRefusedError) as refused:
                self._log.record(replace(attempt, status=AttemptStatus.NOT_SENT, reason=str(refused)))
                raise
            except CensusTriggerUnansweredError as unanswered:
                log.warning("%s: %s. Looking for the run it may have started.", self.batch.label, unanswered)
                run = self._finder.look_for(attempt)
                if run is None and unanswered.may_arrive:
                    self._log.record(replace(attempt, reason=str(unanswered)))  # stays open: the next try waits for its run
                    raise NotTriggeredError(
                        f"{self.batch.label}: {unanswered}. No run has shown up yet; the next try looks again before it triggers."
                    ) from unanswered
                if run is None:
                    log.warning("%s: no run was started", self.batch.label)
                    # Each trigger is a new attempt, so its time counts if this process dies with the request on its way.
                    former = self._log.record(replace(attempt, status=AttemptStatus.NOT_SENT, reason=str(unanswered)))
                    attempt = self._next_attempt(
                        former, AttemptStatus.SENDING, previous_sync_run_id=attempt.previous_sync_run_id, **staged.counts
                    )
                    self._log.record_rejections(attempt, staged.left_out)
                    self._log.record(attempt)
                    continue
                sync_run_id = run.id
            log.info("%s: attempt %s is Census run %s", self.batch.label, attempt.number, sync_run_id)
            return self._log.record(replace(attempt, sync_run_id=sync_run_id))
        reason = f"Census did not answer {self.patience.triggers} triggers of sync {self.sync_id} and started no run."
        self._log.record(replace(attempt, reason=reason))  # stays open: if a run shows up after all, the next try adopts it
        raise NotTriggeredError(f"{self.batch.label}: {reason}")
