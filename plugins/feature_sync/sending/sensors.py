"""The task that keeps batches in order and apart."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowRuntimeError

from feature_sync.census.access import census_hook
from feature_sync.census.errors import CensusError, CensusUnavailableError
from feature_sync.config.settings import load_settings
from feature_sync.orchestration.deferral import PatientOperator
from feature_sync.orchestration.progress import note_wait
from feature_sync.sending.triggers import BatchTurn, BatchTurnTrigger, runs_to_look_at

if TYPE_CHECKING:
    from airflow.sdk import Context


class BatchTurnSensor(PatientOperator, BaseSensorOperator):
    """
    Waits until it is a batch's turn: the batches before it have ended, and Census has been quiet for almost long enough.

    The turn comes ``census_prepare_seconds`` before the end of the prescribed wait, because the batch has to be prepared. The
    sensor needs no worker slot while it waits, and none to end, because its trigger ends the task. It only keeps the order:
    `CensusBatchOperator`, which looks again before it acts, keeps the pace and lets no two Census runs overlap. So an error of
    Census is left to that task, which records it and asks the failure policy.

    Give it ``max_active_tis_per_dagrun=1``: then one batch of a run waits in the triggerer, and the batches behind it have not
    begun, whether they are ten or a thousand.

    :param batch: the batch, as `Batch.as_xcom` returns it (templated).
    :param send_task_id: the mapped task that sends the batches.
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
        turn = BatchTurn(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            turn_task_id=ti.task_id,
            send_task_id=self.send_task_id,
            wait_seconds=float(self.wait_seconds),
            writers=runs_to_look_at(census_hook(), settings.census_sync_id),
        )
        try:
            pause = turn.look()
        except (CensusUnavailableError, AirflowRuntimeError) as error:
            self.log.warning("%s; looking again in the triggerer", error)
        except CensusError as error:
            self.log.warning("%s; leaving the error to %s", error, self.send_task_id)
            return
        else:
            if pause is None:
                return
            self.log.info("Waiting: %s", pause.reason)
            note_wait(ti, pause.reason)
        self.wait_in_triggerer(
            BatchTurnTrigger(
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                map_index=ti.map_index or 0,
                send_task_id=self.send_task_id,
                turn_task_id=ti.task_id,
                sync_id=settings.census_sync_id,
                wait_seconds=turn.wait_seconds,
                poll_seconds=min(settings.census_poll_seconds, max(1.0, turn.wait_seconds / 10)),
            )
        )

    def resume(self, context: "Context", event: Mapping[str, Any]) -> None:  # noqa: ARG002 - Airflow's signature
        """Look again, because the triggerer has not ended the task in time."""
        self.execute(context)
