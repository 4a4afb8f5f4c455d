"""What the triggerer waits for. Each trigger looks at the outside world anew, so it may be moved or restarted at any time."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from feature_sync.census.errors import CensusError, CensusUnavailableError
from feature_sync.census.hook import CensusHook
from feature_sync.pacing import Pause, pause_before_next, turn_pause
from feature_sync.settings import load_settings

LEAST_DEFERRAL = 9.0
"""
Seconds that a trigger holds back the event which resumes a task. Airflow 3.3.2 may fail a task that comes back while the executor
has not yet reported the end of its first leg, which it does up to ``[workers] min_heartbeat_interval`` (5 s) late.
"""
FINISHED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})


class _CensusTrigger(BaseTrigger):
    """Asks Census every ``poll_seconds`` until `is_over` or ``deadline`` (ISO 8601 with offset), then resumes the task."""

    def __init__(self, poll_seconds: float, deadline: str) -> None:
        super().__init__()
        self.poll_seconds = poll_seconds
        self.deadline = deadline

    @abstractmethod
    def is_over(self, hook: CensusHook) -> bool:
        """Look once. May block: it runs in a thread."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event without content, because the task looks for itself what has happened."""
        hook = CensusHook()
        deadline = datetime.fromisoformat(self.deadline)
        begun = asyncio.get_running_loop().time()
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
        await asyncio.sleep(max(0.0, begun + LEAST_DEFERRAL - asyncio.get_running_loop().time()))
        yield TriggerEvent({})


class CensusRunTrigger(_CensusTrigger):
    """Waits until a Census run has ended."""

    def __init__(self, sync_run_id: int, poll_seconds: float, deadline: str) -> None:
        super().__init__(poll_seconds, deadline)
        self.sync_run_id = sync_run_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return _path(self), {"sync_run_id": self.sync_run_id, "poll_seconds": self.poll_seconds, "deadline": self.deadline}

    def is_over(self, hook: CensusHook) -> bool:
        return not hook.get_run(self.sync_run_id).is_active


class CensusQuietTrigger(_CensusTrigger):
    """
    Waits until no run of the sync is active and ``wait_seconds`` have passed since the last one ended.

    :param not_before: ISO 8601 time with offset before which the task is not resumed in any case.
    """

    def __init__(self, sync_id: int, wait_seconds: float, poll_seconds: float, deadline: str, not_before: str) -> None:
        super().__init__(poll_seconds, deadline)
        self.not_before = not_before
        self.sync_id = sync_id
        self.wait_seconds = wait_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        own = {"sync_id": self.sync_id, "wait_seconds": self.wait_seconds, "not_before": self.not_before}
        return _path(self), own | {"poll_seconds": self.poll_seconds, "deadline": self.deadline}

    def is_over(self, hook: CensusHook) -> bool:
        if datetime.now(UTC) < datetime.fromisoformat(self.not_before):
            return False
        return ask_for_pause(hook, self.sync_id, self.wait_seconds) is None


class BatchTurnTrigger(BaseTrigger):
    """
    Ends its task, without a worker, when a batch's turn has come: every lower batch has ended, no Census run is active, and
    ``wait_seconds`` have passed since the last one.

    :param dag_id: the DAG, as ``run_id`` and ``map_index`` that of the waiting task.
    :param send_task_id: the mapped task whose lower indexes must have ended.
    :param sync_id: the Census sync.
    :param poll_seconds: pause between two looks while the turn is near; it grows with the number of batches ahead.
    """

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

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("dag_id", "run_id", "map_index", "send_task_id", "sync_id", "wait_seconds", "poll_seconds")
        return _path(self), {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the task's success, or an event with an ``error`` that no waiting cures."""
        hook = CensusHook()
        begun = asyncio.get_running_loop().time()
        while True:
            seconds = self.poll_seconds
            try:
                ahead = await asyncio.to_thread(count_unfinished, self.dag_id, self.run_id, self.send_task_id, self.map_index)
                if ahead:
                    seconds = turn_pause(ahead, self.wait_seconds, self.poll_seconds)
                else:
                    pause = await asyncio.to_thread(ask_for_pause, hook, self.sync_id, self.wait_seconds)
                    if pause is None:
                        yield TaskSuccessEvent()
                        return
                    seconds = pause.seconds or self.poll_seconds
            except (CensusUnavailableError, AirflowRuntimeError) as error:
                self.log.warning("%s; looking again in %.0f s", error, seconds)
            except CensusError as error:
                await asyncio.sleep(max(0.0, begun + LEAST_DEFERRAL - asyncio.get_running_loop().time()))
                yield TriggerEvent({"error": str(error)})
                return
            await asyncio.sleep(seconds)


def ask_for_pause(hook: CensusHook, sync_id: int, wait_seconds: float) -> Pause | None:
    """Ask Census whether the sync's next run may start; nothing when it may. See `pause_before_next`."""
    page = hook.list_runs(sync_id)
    return pause_before_next(page.runs, page.now, wait_seconds, load_settings().census_run_limit_seconds)


def count_unfinished(dag_id: str, run_id: str, task_id: str, below: int) -> int:
    """How many of a mapped task's instances with an index lower than ``below`` have not ended. Tasks and triggers may ask."""
    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id], task_ids=[task_id]).get(run_id, {})
    return sum(states.get(f"{task_id}_{index}") not in FINISHED for index in range(below))


def _path(trigger: BaseTrigger) -> str:
    return f"{type(trigger).__module__}.{type(trigger).__qualname__}"
