"""The task that keeps batches in order and apart."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from feature_sync.census.hook import CensusHook
from feature_sync.config.settings import load_settings
from feature_sync.orchestration.dag_runs import count_unfinished
from feature_sync.sending.triggers import BatchTurnTrigger, ask_for_pause, runs_to_look_at

if TYPE_CHECKING:
    from airflow.sdk import Context


class BatchTurnSensor(BaseSensorOperator):
    """
    Waits until it is a batch's turn: every lower batch has succeeded or failed, and Census has been quiet for long enough.

    It needs no worker slot while it waits, and none to end, because its trigger ends the task. It only keeps the order.
    `CensusBatchOperator`, which looks again before it acts, guarantees that no two Census runs overlap.

    :param batch: the batch, as `Batch.as_xcom` returns it (templated).
    :param send_task_id: the mapped task whose lower indexes must have ended.
    :param wait_seconds: least time from the end of one Census run to the start of the next (templated).
    """

    template_fields: Sequence[str] = ("batch", "wait_seconds")
    ui_color = "#e8f0fe"

    def __init__(self, *, batch: Mapping[str, Any], send_task_id: str, wait_seconds: str | float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch
        self.send_task_id = send_task_id
        self.wait_seconds = wait_seconds

    def execute(self, context: "Context") -> None:
        ti = context["ti"]
        settings = load_settings()
        wait_seconds = float(self.wait_seconds)
        map_index = ti.map_index or 0
        if not count_unfinished(ti.dag_id, ti.run_id, self.send_task_id, map_index):
            pause = ask_for_pause(runs_to_look_at(CensusHook(), settings.census_sync_id), wait_seconds)
            if pause is None:
                return
            self.log.info("%s", pause.reason)
        self.defer(
            trigger=BatchTurnTrigger(
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                map_index=map_index,
                send_task_id=self.send_task_id,
                sync_id=settings.census_sync_id,
                wait_seconds=wait_seconds,
                poll_seconds=min(settings.census_poll_seconds, max(1.0, wait_seconds / 10)),
            ),
            method_name="fail",
            timeout=timedelta(seconds=self.timeout),
        )

    def fail(self, context: "Context", event: Mapping[str, Any]) -> None:  # noqa: ARG002 - Airflow's signature
        """The trigger resumes the task only for an error. A success ends the task in the triggerer."""
        raise AirflowFailException(event["error"])
