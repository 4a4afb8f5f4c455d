"""Waiting in the triggerer for the end of another DAG run."""

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import TriggerEvent

from feature_sync.orchestration.dag_runs import UNFINISHED, run_state
from feature_sync.orchestration.deferral import SafeTrigger


class RunEndTrigger(SafeTrigger):
    """
    Waits until a DAG run has ended, or is gone because somebody deleted it or its DAG. Airflow's own `DagStateTrigger` (provider
    standard 1.21) waits for a deleted run for ever.

    :param dag_id: the DAG of the run that is waited for.
    :param poll_seconds: pause between two looks.
    """

    arguments: ClassVar[tuple[str, ...]] = ("dag_id", "run_id", "poll_seconds")

    def __init__(self, dag_id: str, run_id: str, poll_seconds: float) -> None:
        super().__init__()
        self.dag_id = dag_id
        self.run_id = run_id
        self.poll_seconds = poll_seconds

    async def events(self) -> AsyncIterator[TriggerEvent]:
        """Yield the run's id. The task itself looks what has become of it."""
        while True:
            try:
                if await asyncio.to_thread(run_state, self.dag_id, self.run_id) not in UNFINISHED:
                    break
            except AirflowRuntimeError as error:  # that nobody answers says nothing about the run
                self.log.warning("%s; looking again in %.0f s", error, self.poll_seconds)
            await asyncio.sleep(self.poll_seconds)
        yield TriggerEvent({"run_id": self.run_id})
