"""Waiting in the triggerer until the replica has caught up."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from feature_sync.config.settings import Settings, load_settings
from feature_sync.orchestration.deferral import SafeTrigger
from feature_sync.replica.state import (
    ReplicaStalledError,
    ReplicaState,
    check_run_replica,
    check_whole_replica,
    is_whole_replica_current,
)
from feature_sync.storage.warehouse import AccessError, StatementError


class ReplicaTrigger(SafeTrigger):
    """
    Fires when the replica has caught up.

    :param poll_seconds: pause between two looks.
    :param give_up_at: ISO 8601 time with offset.
    :param ends_task: end the task in the triggerer; otherwise resume it.
    """

    arguments: ClassVar[tuple[str, ...]] = ("poll_seconds", "give_up_at", "ends_task")

    def __init__(self, poll_seconds: float, give_up_at: str, ends_task: bool) -> None:
        super().__init__()
        self.poll_seconds = poll_seconds
        self.give_up_at = give_up_at
        self.ends_task = ends_task

    @abstractmethod
    def look(self, settings: Settings) -> tuple[ReplicaState, bool]:
        """
        :returns: how far the replica is, and whether that is enough.
        :raises ReplicaStalledError: it took too long.
        """

    async def events(self) -> AsyncIterator[TriggerEvent]:
        """Yield the task's success, or an event that may have an ``error`` with its ``cause``, see `ReplicaStalledError`."""
        event: dict[str, str | None] = {}
        while True:
            await asyncio.sleep(self.poll_seconds)
            try:
                state, is_enough = await asyncio.to_thread(self.look, load_settings())
            except ReplicaStalledError as stalled:
                event = {"error": str(stalled)}
                break
            except StatementError as error:
                # Credentials that were just read again and refused do not get better by waiting.
                if isinstance(error, AccessError) or datetime.now(UTC) > datetime.fromisoformat(self.give_up_at):
                    event = {"error": f"The replica of Salesforce could not be read: {error}", "cause": error.alert_cause}
                    break
                self.log.warning("%s; looking again in %.0f s", error, self.poll_seconds)
                continue
            if is_enough:
                break
            self.log.info("%s", state.progress)
        yield TaskSuccessEvent() if self.ends_task and not event else TriggerEvent(event)


class RunReplicaTrigger(ReplicaTrigger):
    """
    Fires when the replica shows what one run sent.

    :param run_id: the DAG run whose records are waited for.
    """

    arguments: ClassVar[tuple[str, ...]] = ("run_id", *ReplicaTrigger.arguments)

    def __init__(self, run_id: str, poll_seconds: float, give_up_at: str, ends_task: bool) -> None:
        super().__init__(poll_seconds, give_up_at, ends_task)
        self.run_id = run_id

    def look(self, settings: Settings) -> tuple[ReplicaState, bool]:
        state = check_run_replica(self.run_id, settings)
        return state, state.is_fresh


class WholeReplicaTrigger(ReplicaTrigger):
    """Fires when the replica shows what every run sent, and was replicated lately."""

    def look(self, settings: Settings) -> tuple[ReplicaState, bool]:
        state = check_whole_replica(settings, datetime.fromisoformat(self.give_up_at))
        return state, is_whole_replica_current(state, settings)


def run_replica_trigger(run_id: str, settings: Settings, *, ends_task: bool) -> RunReplicaTrigger:
    """The trigger of a task that waits for a run's records."""
    # check_run_replica has a limit of its own. This one ends the wait when the warehouse does not answer at all.
    give_up_at = datetime.now(UTC) + timedelta(seconds=2 * settings.copy_limit_seconds)
    return RunReplicaTrigger(run_id, settings.copy_poll_seconds, give_up_at.isoformat(), ends_task)
