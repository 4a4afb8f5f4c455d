"""Sends one batch: look, stage, trigger, judge. Speaks to the warehouse and to Census; knows nothing of Airflow.

Whether a batch was sent is never remembered here but read from the sync log, the batch table and Census, so that whoever
comes after a crash finds the same answer:

- no open attempt in the sync log: the batch waits to be sent (again). After an attempt of which Salesforce rejected some rows,
  only those are;
- an open attempt: the batch was staged and a trigger was about to be sent, or was. The run it started, if there is one, has an
  id above ``previous_sync_run_id`` and is adopted; a second trigger is sent only when there is none.
"""

import logging
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from feature_sync.batches import Batch
from feature_sync.census.errors import CensusAuthError, CensusRefusedError, CensusTriggerUnansweredError
from feature_sync.census.hook import CONNECT_TIMEOUT, READ_TIMEOUT, CensusHook
from feature_sync.census.models import UI_TAG_API, RowRecord, RunStatus, SyncRun, SyncRunPage
from feature_sync.failure_policy import FailurePolicy
from feature_sync.outcome import AttemptStatus, BatchHaltedError, Outcome, count_row_results, has_row_results, judge
from feature_sync.pacing import Pause, pause_before_next
from feature_sync.sync_log import Attempt, SyncLog
from feature_sync.warehouse import Parameters, Warehouse

log = logging.getLogger(__name__)

TRIGGERS = 3
"""How often a trigger whose answer is lost, and which started nothing, is sent in one go."""
LOOKUP_SECONDS = 10.0
"""How long a run is looked for whose trigger was not answered, before it counts as not started (assumed; not documented)."""
LOOKUP_PAUSE = 2.0
FLIGHT_SECONDS = CONNECT_TIMEOUT + READ_TIMEOUT + LOOKUP_SECONDS
"""How long after an attempt was opened its trigger may still start a run: a dead process's request may be on its way."""
RECORDS_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between looks for row records: they appear a moment after the run has ended (assumed; Census documents no limit)."""


class StagingError(RuntimeError):
    """The batch table does not hold exactly the batch that was to be staged."""


class NotTriggeredError(RuntimeError):
    """Census did not answer the trigger, and no run was started."""


@dataclass(frozen=True, slots=True)
class BatchSender:
    """
    One batch of one run, and what is needed to send it.

    :param sync_id: the Census sync whose source is the batch table.
    :param wait_seconds: least time from the end of one Census run to the start of the next.
    :param is_probe: the batch tries whether one of its size passes; going over a limit is then an answer, not a failure.
    :param series: 0, or when the batch's task was cleared how often it had been tried before; see `Attempt`.
    """

    warehouse: Warehouse
    census: CensusHook
    sync_id: int
    run_id: str
    batch: Batch
    wait_seconds: float
    policy: FailurePolicy
    series: int = 0
    is_probe: bool = False

    def begin(self) -> Attempt | Pause:
        """
        Take up the run that a former try started, or start one if that is allowed now.

        :returns: the attempt, with the id of its run; the attempt that has succeeded already, when a former try died after it had
            written that down; or why no run may start yet.
        :raises BatchHaltedError: the failure policy holds the batch back.
        :raises StagingError: the warehouse did not stage what it should; nothing was triggered.
        :raises NotTriggeredError: Census did not answer, and started nothing.
        :raises CensusError: Census refused, or could not be asked.
        """
        attempts = self._log.last_attempts(self.run_id)
        last = attempts.get(self.batch.number)
        if last and last.status is AttemptStatus.SUCCEEDED and last.series == self.series:
            log.info("%s: attempt %s has succeeded already", self.batch.label, last.number)
            return last
        if last and last.is_open:
            page = self.census.list_runs(self.sync_id)
            if run := self._find_run(last, page):
                log.info("%s: attempt %s is Census run %s (%s)", self.batch.label, last.number, run.id, run.raw_status)
                return self._log.record(replace(last, sync_run_id=run.id, series=self.series))
            if pause := _flight(last, page):
                return pause
            reason = "A former try ended before Census started a run."
            last = self._log.record(replace(last, status=AttemptStatus.NOT_SENT, reason=reason))
        if reason := self.policy.reason_to_halt(attempts.values(), self.batch.number, self.series):
            self._log.record(self._next_attempt(last, AttemptStatus.HALTED, reason=f"It was held back: {reason}."))
            raise BatchHaltedError(
                f"{self.batch.label} was not sent, it was held back: {reason}. When the cause is gone, clear the failed tasks of "
                "this run ('only failed', with downstream): exactly the batches that failed or were held back are sent."
            )
        if pause := self._pause(self.census.list_runs(self.sync_id)):
            return pause
        keys = self._stage(last)
        page = self.census.list_runs(self.sync_id)
        if pause := self._pause(page):  # somebody else started a run while we staged
            return pause
        newest = max((run.id for run in page.runs), default=0)
        opened = self._next_attempt(last, AttemptStatus.SENDING, records=len(keys), previous_sync_run_id=newest)
        self._log.record(opened)
        self._check_staged(len(keys))
        return self._trigger(opened)

    def reason_to_skip(self) -> str:
        """Why a probe is not to be sent, or not again; empty when it is."""
        if not self.is_probe:
            return ""
        attempts = self._log.last_attempts(self.run_id)
        for number, attempt in sorted(attempts.items()):
            over = attempt.status is AttemptStatus.OVER_LIMIT
            if over and number < self.batch.number:
                return (
                    f"{self.batch.label} is not tried at once: batch {number:03d}, {attempt.records:,} records, went over a limit"
                )
            if over and number == self.batch.number and not self._staged_keys(attempt.next_resends):
                return f"{self.batch.label} went over a limit before; its records go in smaller batches"
        return ""

    def conclude(self, attempt: Attempt, run: SyncRun) -> Outcome:
        """
        Judge a run that has ended and write the attempt's final outcome, and the rows it left rejected, to the warehouse.

        :param attempt: as `begin` gave it.
        """
        records = self._fetch_records(run) if has_row_results(run) else []
        outcome = judge(run, self._staged_keys(attempt.resends_attempt), records)
        if self.is_probe and outcome.is_over_limit:
            outcome = replace(outcome, status=AttemptStatus.OVER_LIMIT)
        self._log.record_rejections(attempt, outcome.rejected or ())
        self._log.record(
            replace(
                attempt,
                status=outcome.status,
                records_updated=run.records_updated,
                records_failed=run.records_failed,
                records_invalid=run.records_invalid,
                records_rejected=None if outcome.rejected is None else len(outcome.rejected),
                reason=outcome.reason or None,
            ),
            run,
        )
        return outcome

    def note_not_sent(self, error: Exception) -> None:
        """Write down why nothing was sent, unless a run may exist: then its outcome is still to be found out."""
        last = self._log.last_attempt(self.run_id, self.batch.number)
        noted = last and (last.is_open or (last.status is AttemptStatus.NOT_SENT and last.reason == str(error)))
        if not noted:
            self._log.record(self._next_attempt(last, AttemptStatus.NOT_SENT, reason=str(error)))

    def _next_attempt(self, last: Attempt | None, status: AttemptStatus, **values: Any) -> Attempt:
        return Attempt(
            run_id=self.run_id,
            batch_number=self.batch.number,
            number=last.number + 1 if last else 1,
            status=status,
            series=self.series,
            resends_attempt=last.next_resends if last else None,
            **{"records": self.batch.records, **values},
        )

    @property
    def _log(self) -> SyncLog:
        return SyncLog(self.warehouse)

    def _pause(self, page: SyncRunPage) -> Pause | None:
        limit = self.warehouse.settings.census_run_limit_seconds
        return pause_before_next(page.runs, page.now, self.wait_seconds, limit)

    def _staged_keys(self, resends_attempt: int | None) -> frozenset[str]:
        rows = self.warehouse.fetch_all("select_batch_keys", self._parameters(resends_attempt))
        return frozenset(row["upsert_key"] for row in rows)

    def _parameters(self, resends_attempt: int | None) -> Parameters:
        return {"run_id": self.run_id, "batch_number": self.batch.number, "resends_attempt": resends_attempt}

    def _stage(self, last: Attempt | None) -> frozenset[str]:
        resends_attempt = last.next_resends if last else None
        keys = self._staged_keys(resends_attempt)
        if not keys or (resends_attempt is None and len(keys) != self.batch.records):
            raise StagingError(
                f"{self.batch.label}: {len(keys):,} of {self.batch.records:,} of its records are in the payload table and passed "
                "the checks. Nothing was triggered. If the payload was frozen anew, clear check_payload with downstream tasks. "
                f"If it was removed, {self.warehouse.settings.payload_days} days after the run's last activity, start a new run."
            )
        self.warehouse.execute("stage_batch", self._parameters(resends_attempt))
        self._check_staged(len(keys))
        log.info("%s: staged %s records in %s", self.batch.label, len(keys), self.warehouse.settings.batch_table)
        return keys

    def _check_staged(self, expected: int) -> None:
        staged = self.warehouse.fetch_one("check_staged_batch", {"run_id": self.run_id, "batch_number": self.batch.number})
        if staged["records"] != expected or staged["records_of_batch"] != expected:
            raise StagingError(
                f"{self.batch.label}: {self.warehouse.settings.batch_table} holds {staged['records']:,} records, of which "
                f"{staged['records_of_batch']:,} are this batch's; expected {expected:,}. Nothing was triggered."
            )

    def _trigger(self, attempt: Attempt) -> Attempt:
        for _ in range(TRIGGERS):
            try:
                sync_run_id = self.census.trigger_sync(self.sync_id)
            except (CensusAuthError, CensusRefusedError) as refused:
                self._log.record(replace(attempt, status=AttemptStatus.NOT_SENT, reason=str(refused)))
                raise
            except CensusTriggerUnansweredError as unanswered:
                log.warning("%s: %s. Looking for the run it may have started.", self.batch.label, unanswered)
                run = self._look_for_run(attempt)
                if run is None and unanswered.may_arrive:
                    self._log.record(replace(attempt, reason=str(unanswered)))  # left open: the next try waits for its run
                    raise NotTriggeredError(
                        f"{self.batch.label}: {unanswered}. No run has shown up yet; the next try looks again before it triggers."
                    ) from unanswered
                if run is None:
                    log.warning("%s: no run was started", self.batch.label)
                    # Each trigger is an attempt of its own: its time counts should this process die with the request on its way.
                    former = self._log.record(replace(attempt, status=AttemptStatus.NOT_SENT, reason=str(unanswered)))
                    previous = attempt.previous_sync_run_id
                    values = {"records": attempt.records, "previous_sync_run_id": previous}
                    attempt = self._log.record(self._next_attempt(former, AttemptStatus.SENDING, **values))
                    continue
                sync_run_id = run.id
            log.info("%s: attempt %s is Census run %s", self.batch.label, attempt.number, sync_run_id)
            return self._log.record(replace(attempt, sync_run_id=sync_run_id))
        reason = f"Census did not answer {TRIGGERS} triggers of sync {self.sync_id} and started no run."
        self._log.record(replace(attempt, reason=reason))  # left open: should a run show up after all, the next try adopts it
        raise NotTriggeredError(f"{self.batch.label}: {reason}")

    def _look_for_run(self, attempt: Attempt) -> SyncRun | None:
        deadline = time.monotonic() + LOOKUP_SECONDS
        while True:
            run = self._find_run(attempt, self.census.list_runs(self.sync_id))
            if run or time.monotonic() >= deadline:
                return run
            time.sleep(LOOKUP_PAUSE)

    def _find_run(self, attempt: Attempt, page: SyncRunPage) -> SyncRun | None:
        """The run that an open attempt started: the one it knows by id, else the first that the API was asked for since."""
        if attempt.sync_run_id is not None:
            return self.census.get_run(attempt.sync_run_id)
        if attempt.previous_sync_run_id is None:
            return None
        oldest, newest = attempt.previous_sync_run_id, self._log.newest_possible_run_id(attempt)
        started = [
            run
            for run in page.runs
            if run.id > oldest
            and (newest is None or run.id <= newest)
            and run.ui_tag == UI_TAG_API
            and run.status is not RunStatus.SKIPPED
        ]
        return min(started, key=lambda run: run.id, default=None)

    def _fetch_records(self, run: SyncRun) -> list[RowRecord]:
        """All row records of a run; as many as there are after a bounded wait for those that Census has counted."""
        records: list[RowRecord] = []
        for pause in (0.0, *RECORDS_PAUSES):
            time.sleep(pause)
            records = list(self.census.list_records(run.id))
            if len(records) >= count_row_results(run):
                break
        return records


def _flight(attempt: Attempt, page: SyncRunPage) -> Pause | None:
    """Why an open attempt without a run cannot be given up yet: its trigger may still be on its way."""
    if attempt.previous_sync_run_id is None or attempt.seen_at is None:
        return None
    left = (attempt.seen_at + timedelta(seconds=FLIGHT_SECONDS) - page.now).total_seconds()
    if left <= 0:
        return None
    return Pause(f"a former try died while its trigger was on its way; {left:.0f} s until no run can come of it", left)
