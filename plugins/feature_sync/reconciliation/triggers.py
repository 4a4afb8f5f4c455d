"""Waiting in the triggerer for the backfill that heals."""

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import TriggerEvent

from feature_sync.orchestration.dag_runs import is_unfinished
from feature_sync.orchestration.deferral import SafeTrigger


class RunEndTrigger(SafeTrigger):
    """
    Waits until a DAG run has ended.

    Airflow's own trigger for that answers with a tuple, and a site may allow Airflow to load no class at all (``[core]
    allowed_deserialization_classes``), not even that one.
    """

    arguments: ClassVar[tuple[str, ...]] = ("dag_id", "run_id", "poll_seconds")

    def __init__(self, dag_id: str, run_id: str, poll_seconds: float) -> None:
        super().__init__()
        self.dag_id = dag_id
        self.run_id = run_id
        self.poll_seconds = poll_seconds

    async def events(self) -> AsyncIterator[TriggerEvent]:
        """Yield the run's id. The task itself asks how the run has ended."""
        while True:
            try:
                if not await asyncio.to_thread(is_unfinished, self.dag_id, self.run_id):
                    break
            except AirflowRuntimeError as error:
                self.log.warning("%s; looking again in %.0f s", error, self.poll_seconds)
            await asyncio.sleep(self.poll_seconds)
        yield TriggerEvent({"run_id": self.run_id})
