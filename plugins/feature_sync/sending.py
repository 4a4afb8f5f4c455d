"""Sends one batch: look, stage, trigger, judge. Speaks to the warehouse and to Census; knows nothing of Airflow.

Whether a batch was sent is never remembered here but read from the sync log, the batch table and Census, so that whoever
comes after a crash finds the same answer:

- no open attempt in the sync log: the batch waits to be sent (again);
- an open attempt: the batch was staged and a trigger was about to be sent, or was. The run it started, if there is one, has an
  id above ``previous_sync_run_id`` and is adopted; a second trigger is sent only when there is none.
"""

import logging
import time
from dataclasses import dataclass, replace

from feature_sync.batches import Batch
from feature_sync.census.errors import CensusTriggerUnansweredError
from feature_sync.census.hook import CensusHook
from feature_sync.census.models import UI_TAG_API, RunStatus, SyncRun, SyncRunPage
from feature_sync.outcome import AttemptStatus, Outcome, judge, summarize_reasons
from feature_sync.pacing import Pause, pause_before_next
from feature_sync.sync_log import Attempt, SyncLog
from feature_sync.warehouse import Warehouse

log = logging.getLogger(__name__)

TRIGGERS = 3
"""How often a trigger whose answer is lost, and which started nothing, is sent in one go."""
LOOKUP_SECONDS = 10.0
"""How long a run is looked for whose trigger was not answered, before it counts as not started (assumed; not documented)."""
LOOKUP_PAUSE = 2.0
RECORDS_LOOKS = 4
"""How often row records are asked for: they appear a moment after the run has ended (assumed; Census documents no limit)."""
RECORDS_PAUSE = 2.0


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
    """

    warehouse: Warehouse
    census: CensusHook
    sync_id: int
    run_id: str
    batch: Batch
    wait_seconds: float

    def begin(self) -> Attempt | Pause:
        """
        Take up the run that a former try started, or start one if that is allowed now.

        :returns: the attempt, with the id of its run; or why no run may start yet.
        :raises StagingError: the warehouse did not stage what it should; nothing was triggered.
        :raises NotTriggeredError: Census did not answer, and started nothing.
        :raises CensusError: Census refused, or could not be asked.
        """
        attempt = self._log.last_attempt(self.run_id, self.batch.number)
        if attempt and attempt.is_open:
            run = self._find_run(attempt, self.census.list_runs(self.sync_id))
            if run:
                log.info(
                    "%s: found Census run %s of attempt %s, which is %s", self.batch.label, run.id, attempt.number, run.raw_status
                )
                return self._log.record(replace(attempt, sync_run_id=run.id))
        if pause := self._pause(self.census.list_runs(self.sync_id)):
            return pause
        self._stage()
        page = self.census.list_runs(self.sync_id)
        if pause := self._pause(page):  # somebody else started a run while we staged
            return pause
        number = attempt.number + (not attempt.is_open) if attempt else 1
        opened = self._log.record(
            Attempt(
                run_id=self.run_id,
                batch_number=self.batch.number,
                number=number,
                status=AttemptStatus.SENDING,
                records=self.batch.records,
                previous_sync_run_id=max((run.id for run in page.runs), default=0),
            )
        )
        self._check_staged()
        return self._trigger(opened)

    def conclude(self, attempt: Attempt, run: SyncRun) -> Outcome:
        """
        Judge a run that has ended and write the attempt's final outcome to the sync log.

        :param attempt: as `begin` gave it.
        """
        outcome = judge(run, attempt.records)
        if not outcome.succeeded and (run.records_failed or run.records_invalid):
            outcome = replace(outcome, reason=f"{outcome.reason} {self._row_reasons(run)}")
        self._log.record(
            replace(
                attempt,
                status=outcome.status,
                records_updated=run.records_updated,
                records_failed=run.records_failed,
                records_invalid=run.records_invalid,
                reason=outcome.reason or None,
            ),
            run,
        )
        return outcome

    @property
    def _log(self) -> SyncLog:
        return SyncLog(self.warehouse)

    def _pause(self, page: SyncRunPage) -> Pause | None:
        return pause_before_next(page.runs, page.now, self.wait_seconds)

    def _stage(self) -> None:
        self.warehouse.execute("stage_batch", {"run_id": self.run_id, "batch_number": self.batch.number})
        self._check_staged()
        log.info("%s: staged in %s", self.batch.label, self.warehouse.settings.batch_table)

    def _check_staged(self) -> None:
        staged = self.warehouse.fetch_one("check_staged_batch", {"run_id": self.run_id, "batch_number": self.batch.number})
        if staged["records"] != self.batch.records or staged["records_of_batch"] != self.batch.records:
            raise StagingError(
                f"{self.batch.label}: {self.warehouse.settings.batch_table} holds {staged['records']:,} records, of which "
                f"{staged['records_of_batch']:,} are this batch's; expected {self.batch.records:,}. Nothing was triggered."
            )

    def _trigger(self, attempt: Attempt) -> Attempt:
        for _ in range(TRIGGERS):
            try:
                sync_run_id = self.census.trigger_sync(self.sync_id)
            except CensusTriggerUnansweredError as unanswered:
                log.warning("%s: %s. Looking for the run it may have started.", self.batch.label, unanswered)
                run = self._look_for_run(attempt)
                if run is None:
                    log.warning("%s: no run was started", self.batch.label)
                    continue
                sync_run_id = run.id
            log.info("%s: attempt %s is Census run %s", self.batch.label, attempt.number, sync_run_id)
            return self._log.record(replace(attempt, sync_run_id=sync_run_id))
        raise NotTriggeredError(
            f"{self.batch.label}: Census did not answer {TRIGGERS} triggers of sync {self.sync_id} and started no run."
        )

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
        newest = self._log.newest_possible_run_id(attempt)
        started = [
            run
            for run in page.runs
            if run.id > attempt.previous_sync_run_id
            and (newest is None or run.id <= newest)
            and run.ui_tag == UI_TAG_API
            and run.status is not RunStatus.SKIPPED
        ]
        return min(started, key=lambda run: run.id, default=None)

    def _row_reasons(self, run: SyncRun) -> str:
        for look in range(RECORDS_LOOKS):
            if look:
                time.sleep(RECORDS_PAUSE)
            if records := [record for record in self.census.list_records(run.id) if record.status != "succeeded"]:
                return f"Reasons: {summarize_reasons(records)}."
        return "Census gives no reasons for single records."
