"""Which Census run did an open attempt start? Whoever comes after a crash or a lost answer adopts that run."""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from feature_sync.census.models import UI_TAG_API, RunStatus, SyncRun, SyncRunPage
from feature_sync.config.connections import CONNECT_TIMEOUT, READ_TIMEOUT
from feature_sync.sending.batches import Attempt
from feature_sync.sending.pacing import Pause
from feature_sync.sending.sync_log import SyncLog

if TYPE_CHECKING:
    from feature_sync.census.hook import CensusHook


@dataclass(frozen=True, slots=True)
class Patience:
    """
    How long the sender waits for Census. All times are seconds.

    ``triggers``: how often a trigger is sent in one go whose answer is lost and which started nothing.
    ``lookup_seconds``: how long we look for a run whose trigger was not answered, before we conclude that none was started
    (assumed; not documented). ``lookup_pause``: between two of these looks.
    ``flight_seconds``: how long after an attempt was opened its trigger may still start a run, because the request of a dead
    process may be on its way.
    ``records_quiet_seconds``: row records that are missing come no more once Census has not changed the run for so long. 221 s
    from the end of a run to its last change were seen; Census documents no limit.
    ``cancel_seconds``: how long a run that was told to cancel may take to end.
    ``read_back_seconds``: how long Salesforce is asked again if it does not hold what was sent. It shows a write at once, but an
    automation that runs after the write may write once more. ``read_back_pause``: between two of these looks.
    """

    triggers: int = 3
    lookup_seconds: float = 10.0
    lookup_pause: float = 2.0
    flight_seconds: float = CONNECT_TIMEOUT + READ_TIMEOUT + 10.0
    records_quiet_seconds: float = 240.0
    cancel_seconds: float = 60.0
    read_back_seconds: float = 15.0
    read_back_pause: float = 3.0


@dataclass(frozen=True, slots=True)
class RunFinder:
    """
    Finds the Census run that an open attempt started.

    :param sync_id: the Census sync.
    """

    census: "CensusHook"
    sync_log: SyncLog
    sync_id: int
    patience: Patience

    def find(self, attempt: Attempt, page: SyncRunPage) -> SyncRun | None:
        """
        The run that the attempt knows by its id, otherwise the first one that was started over the API since.

        :param page: the sync's newest runs.
        :returns: None if the attempt started no run, as far as ``page`` shows.
        """
        if attempt.sync_run_id is not None:
            return self.census.get_run(attempt.sync_run_id)
        if attempt.previous_sync_run_id is None:
            return None
        oldest, newest = attempt.previous_sync_run_id, self.sync_log.newest_possible_run_id(attempt)
        started = [
            run
            for run in page.runs
            if run.id > oldest
            and (newest is None or run.id <= newest)
            and run.ui_tag == UI_TAG_API
            and run.status is not RunStatus.SKIPPED
        ]
        return min(started, key=lambda run: run.id, default=None)

    def look_for(self, attempt: Attempt) -> SyncRun | None:
        """Look for ``lookup_seconds`` for the run of a trigger whose answer was lost."""
        deadline = time.monotonic() + self.patience.lookup_seconds
        while True:
            run = self.find(attempt, self.census.list_runs(self.sync_id))
            if run or time.monotonic() >= deadline:
                return run
            time.sleep(self.patience.lookup_pause)

    def flight_pause(self, attempt: Attempt, page: SyncRunPage) -> Pause | None:
        """Why an open attempt without a run cannot be given up yet: its trigger may still be on its way. None if it can."""
        if attempt.previous_sync_run_id is None or attempt.seen_at is None:
            return None
        left = (attempt.seen_at + timedelta(seconds=self.patience.flight_seconds) - page.now).total_seconds()
        if left <= 0:
            return None
        return Pause(f"an earlier try died while its trigger was on its way; its run may still start for {left:.0f} s", left)
