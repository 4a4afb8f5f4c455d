"""What a batch waits for in the triggerer."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import ClassVar

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from feature_sync.census.errors import CensusError, CensusUnavailableError
from feature_sync.census.hook import CensusHook
from feature_sync.census.neighbours import WriterRuns
from feature_sync.config.settings import load_settings
from feature_sync.orchestration.dag_runs import count_unfinished
from feature_sync.orchestration.deferral import SafeTrigger
from feature_sync.sending.pacing import Pause, pause_before_next, turn_pause
from feature_sync.sending.rejections import read_row_records


class _CensusTrigger(SafeTrigger):
    """Asks Census every ``poll_seconds`` until `is_over` or ``deadline`` (ISO 8601 with offset), then resumes the task."""

    arguments: ClassVar[tuple[str, ...]] = ("poll_seconds", "deadline")

    def __init__(self, poll_seconds: float, deadline: str) -> None:
        super().__init__()
        self.poll_seconds = poll_seconds
        self.deadline = deadline

    @abstractmethod
    def is_over(self, hook: CensusHook) -> bool:
        """Look once. May block, because it runs in a thread."""

    async def events(self) -> AsyncIterator[TriggerEvent]:
        """Yield one empty event. The task itself looks what has happened."""
        hook = CensusHook()
        deadline = datetime.fromisoformat(self.deadline)
        while datetime.now(UTC) < deadline:
            try:
                if await asyncio.to_thread(self.is_over, hook):
                    break
            except CensusUnavailableError as error:
                self.log.warning("%s; looking again in %.0f s", error, self.poll_seconds)
            except CensusError as error:
                self.log.warning("%s; leaving the error to the task", error)
                break
            await asyncio.sleep(self.poll_seconds)
        yield TriggerEvent({})


class CensusRunTrigger(_CensusTrigger):
    """Waits until a Census run has ended."""

    arguments: ClassVar[tuple[str, ...]] = ("sync_run_id", *_CensusTrigger.arguments)

    def __init__(self, sync_run_id: int, poll_seconds: float, deadline: str) -> None:
        super().__init__(poll_seconds, deadline)
        self.sync_run_id = sync_run_id

    def is_over(self, hook: CensusHook) -> bool:
        return not hook.get_run(self.sync_run_id).is_active


class CensusRecordsTrigger(_CensusTrigger):
    """
    Waits until Census shows the row records of a run that has ended.

    :param records: how many there should be.
    """

    arguments: ClassVar[tuple[str, ...]] = ("sync_run_id", "records", *_CensusTrigger.arguments)

    def __init__(self, sync_run_id: int, records: int, poll_seconds: float, deadline: str) -> None:
        super().__init__(poll_seconds, deadline)
        self.sync_run_id = sync_run_id
        self.records = records

    def is_over(self, hook: CensusHook) -> bool:
        seen, _ = read_row_records(hook, self.sync_run_id)
        return len(seen) >= self.records


class CensusQuietTrigger(_CensusTrigger):
    """
    Waits until no run of a sync that writes our object is active, and ``wait_seconds`` have passed since the last one ended.

    :param sync_id: our own sync.
    :param not_before: ISO 8601 time with offset before which the task is never resumed.
    """

    arguments: ClassVar[tuple[str, ...]] = ("sync_id", "wait_seconds", "not_before", *_CensusTrigger.arguments)

    def __init__(self, sync_id: int, wait_seconds: float, poll_seconds: float, deadline: str, not_before: str) -> None:
        super().__init__(poll_seconds, deadline)
        self.not_before = not_before
        self.sync_id = sync_id
        self.wait_seconds = wait_seconds
        self._writers: WriterRuns | None = None

    def is_over(self, hook: CensusHook) -> bool:
        if datetime.now(UTC) < datetime.fromisoformat(self.not_before):
            return False
        self._writers = self._writers or runs_to_look_at(hook, self.sync_id)
        return ask_for_pause(self._writers, self.wait_seconds) is None


class BatchTurnTrigger(SafeTrigger):
    """
    Ends its task in the triggerer when a batch's turn has come: every lower batch has ended, no run of a sync that writes our
    object is active, and ``wait_seconds`` have passed since the last one.

    :param dag_id: the DAG of the waiting task. ``run_id`` and ``map_index`` are that task's too.
    :param send_task_id: the mapped task whose lower indexes must have ended.
    :param sync_id: the Census sync.
    :param poll_seconds: pause between two looks while the turn is near. The pause grows with the number of batches ahead.
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "dag_id",
        "run_id",
        "map_index",
        "send_task_id",
        "sync_id",
        "wait_seconds",
        "poll_seconds",
    )

    def __init__(
        self,
        *,
        dag_id: str,
        run_id: str,
        map_index: int,
        send_task_id: str,
        sync_id: int,
        wait_seconds: float,
        poll_seconds: float,
    ) -> None:
        super().__init__()
        self.dag_id = dag_id
        self.run_id = run_id
        self.map_index = map_index
        self.send_task_id = send_task_id
        self.sync_id = sync_id
        self.wait_seconds = wait_seconds
        self.poll_seconds = poll_seconds

    async def events(self) -> AsyncIterator[TriggerEvent]:
        """Yield the task's success, or an event with an ``error`` that waiting cannot solve."""
        writers = runs_to_look_at(CensusHook(), self.sync_id)
        while True:
            seconds = self.poll_seconds
            try:
                ahead = await asyncio.to_thread(self.count_ahead)
                if ahead:
                    seconds = turn_pause(ahead, self.wait_seconds, self.poll_seconds)
                else:
                    pause = await asyncio.to_thread(ask_for_pause, writers, self.wait_seconds)
                    if pause is None:
                        yield TaskSuccessEvent()
                        return
                    seconds = pause.seconds or self.poll_seconds
            except (CensusUnavailableError, AirflowRuntimeError) as error:
                self.log.warning("%s; looking again in %.0f s", error, seconds)
            except CensusError as error:
                yield TriggerEvent({"error": str(error)})
                return
            await asyncio.sleep(seconds)

    def count_ahead(self) -> int:
        """How many lower batches have not ended."""
        return count_unfinished(self.dag_id, self.run_id, self.send_task_id, self.map_index)


def runs_to_look_at(hook: CensusHook, sync_id: int) -> WriterRuns:
    """The runs of our sync and of all syncs that write the same object. Keep it: it asks for the list of syncs once."""
    return WriterRuns(hook, sync_id, load_settings().salesforce_object)


def ask_for_pause(writers: WriterRuns, wait_seconds: float) -> Pause | None:
    """Ask Census whether the next run may start; None if it may. See `pause_before_next`."""
    page = writers.look()
    return pause_before_next(page.runs, page.now, wait_seconds, load_settings().census_run_limit_seconds)
