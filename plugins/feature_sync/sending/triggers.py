"""What a batch waits for in the triggerer."""

import asyncio
import itertools
from abc import abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from feature_sync.census.access import census_hook
from feature_sync.census.errors import CensusError, CensusUnavailableError
from feature_sync.census.neighbours import WriterRuns
from feature_sync.config.settings import load_settings
from feature_sync.orchestration.dag_runs import BUSY, FINISHED, count_tasks
from feature_sync.orchestration.deferral import SafeTrigger
from feature_sync.sending.pacing import Pause, pause_before_next, pause_of_next, seconds_to_next_look
from feature_sync.sending.rejections import read_row_records

if TYPE_CHECKING:
    from feature_sync.census.hook import CensusHook


class _CensusTrigger(SafeTrigger):
    """Asks Census every ``poll_seconds`` until `is_over` or ``deadline`` (ISO 8601 with offset), then resumes the task."""

    arguments: ClassVar[tuple[str, ...]] = ("poll_seconds", "deadline")

    def __init__(self, poll_seconds: float, deadline: str) -> None:
        super().__init__()
        self.poll_seconds = poll_seconds
        self.deadline = deadline

    @abstractmethod
    def is_over(self, hook: "CensusHook") -> bool:
        """Look once. May block, because it runs in a thread."""

    async def events(self) -> AsyncIterator[TriggerEvent]:
        """Yield one empty event. The task itself looks what has happened."""
        hook = census_hook()
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

    def is_over(self, hook: "CensusHook") -> bool:
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

    def is_over(self, hook: "CensusHook") -> bool:
        seen, _ = read_row_records(hook, self.sync_run_id)
        return len(seen) >= self.records


class CensusQuietTrigger(_CensusTrigger):
    """
    Waits until no run of a sync that writes our object is active, and ``wait_seconds`` have almost passed since the last one
    ended: ``census_prepare_seconds`` are left, in which the task prepares its batch.

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

    def is_over(self, hook: "CensusHook") -> bool:
        if datetime.now(UTC) < datetime.fromisoformat(self.not_before):
            return False
        self._writers = self._writers or runs_to_look_at(hook, self.sync_id)
        pause = ask_for_pause(self._writers, self.wait_seconds)
        return pause is None or pause.is_over_within(load_settings().census_prepare_seconds)


class BatchTurnTrigger(SafeTrigger):
    """
    Ends its task in the triggerer when a batch's turn has come, see `BatchTurn`, or when Census refuses to say so: then the task
    that sends the batch meets the error.

    :param dag_id: the DAG of the waiting task. ``run_id`` and ``map_index`` are that task's too.
    :param turn_task_id: the waiting task. Empty in a trigger that a former version stored.
    :param send_task_id: the mapped task that sends the batches.
    :param sync_id: the Census sync.
    :param poll_seconds: pause between two looks while somebody else's run is active.
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "dag_id",
        "run_id",
        "map_index",
        "turn_task_id",
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
        turn_task_id: str = "",
    ) -> None:
        super().__init__()
        self.dag_id = dag_id
        self.run_id = run_id
        self.map_index = map_index
        self.turn_task_id = turn_task_id
        self.send_task_id = send_task_id
        self.sync_id = sync_id
        self.wait_seconds = wait_seconds
        self.poll_seconds = poll_seconds

    async def events(self) -> AsyncIterator[TriggerEvent]:
        """Yield the task's success."""
        writers = runs_to_look_at(census_hook(), self.sync_id)
        turn = BatchTurn(self.dag_id, self.run_id, self.turn_task_id, self.send_task_id, self.wait_seconds, writers)
        said: object = None
        for looks in itertools.count():
            seconds = self.poll_seconds
            try:
                pause = await asyncio.to_thread(turn.look)
            except (CensusUnavailableError, AirflowRuntimeError) as error:
                self.log.warning("%s; looking again in %.0f s", error, seconds)
            except CensusError as error:
                self.log.warning("%s; leaving the error to %s", error, self.send_task_id)
                break
            else:
                if pause is None:
                    break
                if (cause := (pause.active_run and pause.active_run.id, pause.seconds > 0)) != said:
                    self.log.info("Waiting: %s", pause.reason)
                    said = cause
                prepare_seconds = load_settings().census_prepare_seconds
                seconds = seconds_to_next_look(pause, looks, self.wait_seconds, prepare_seconds, self.poll_seconds)
            await asyncio.sleep(seconds)
        yield TaskSuccessEvent()


@dataclass(frozen=True, slots=True)
class BatchTurn:
    """
    The look of a batch that is the next one of its run. Airflow lets only one sensor of a run begin at a time, in the order of
    the batches, so whoever looks knows that the batches behind it wait.

    A look asks Airflow for three numbers, or Census for the runs of each sync that writes our object. That costs the same however
    many batches a run has.

    :param turn_task_id: the mapped sensor. ``send_task_id``: the mapped task that sends.
    """

    dag_id: str
    run_id: str
    turn_task_id: str
    send_task_id: str
    wait_seconds: float
    writers: WriterRuns

    def look(self) -> Pause | None:
        """
        :returns: None if the batch may begin: no batch of this run is being sent, and Census will have been quiet for
            ``wait_seconds`` by the time that it is prepared.
        :raises CensusError: Census refused, or could not be asked.
        :raises AirflowRuntimeError: Airflow's API server did not answer.
        """
        if ahead := self.count_ahead():
            return pause_of_next(ahead, datetime.now(UTC), self.wait_seconds)
        pause = ask_for_pause(self.writers, self.wait_seconds)
        return None if pause is None or pause.is_over_within(load_settings().census_prepare_seconds) else pause

    def count_ahead(self) -> int:
        """Batches whose turn has come and that have not ended. One that was cleared counts too, whatever its number."""
        busy = self._count(self.send_task_id, BUSY)
        # Between the end of a sensor and the moment when Airflow schedules its batch, the batch has no state.
        begun = self._count(self.turn_task_id, FINISHED) - self._count(self.send_task_id, FINISHED)
        return max(busy, begun, 0)

    def _count(self, task_id: str, states: tuple[str, ...]) -> int:
        return count_tasks(self.dag_id, self.run_id, task_id, states)


def runs_to_look_at(hook: "CensusHook", sync_id: int) -> WriterRuns:
    """The runs of our sync and of all syncs that write the same object. Keep it: it asks for the list of syncs once."""
    return WriterRuns(hook, sync_id, load_settings().salesforce_object)


def ask_for_pause(writers: WriterRuns, wait_seconds: float) -> Pause | None:
    """Ask Census whether the next run may start; None if it may. See `pause_before_next`."""
    page = writers.look()
    return pause_before_next(page.runs, page.now, wait_seconds, load_settings().census_run_limit_seconds)
