"""The task that sends the records again which the weekly comparison found wrong, by starting a backfill."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DagRunTriggerException
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.orchestration.dag_runs import UNFINISHED, generation_of, run_state, skip, start_run, usable_run_id
from feature_sync.orchestration.deferral import PatientOperator
from feature_sync.orchestration.progress import note_wait
from feature_sync.orchestration.triggers import RunEndTrigger
from feature_sync.reconciliation.comparison import check_still_allowed
from feature_sync.reconciliation.verdict import Finding

if TYPE_CHECKING:
    from airflow.sdk import Context

POLL_SECONDS = 30
"""Longer than a deferral that Airflow 3.3.2 may fail, see `feature_sync.orchestration.deferral.MIN_DEFERRAL_SECONDS`."""

STARTED = "trigger_run_id"
"""The XCom that names the backfill. Airflow's link to the run reads it too."""


class HealingFailedError(RuntimeError):
    """The backfill that should have corrected the records did not succeed, or somebody deleted it."""


class HealingOperator(PatientOperator, TriggerDagRunOperator):
    """
    Starts a backfill of the records that differ and waits for its end in the triggerer, without a worker slot.

    If an earlier try has started a run that has not ended, that run is resumed. If the task is cleared after that run has
    ended, it starts another one for the records that still differ. If somebody deletes the run, the task fails at the next look.

    :param found: the result of `feature_sync.reconciliation.comparison.compare`, as XCom (templated).
    :raises HealingFailedError: the backfill failed, or is gone.
    :raises HealingRefusedError: more records differ now than were approved, or than the limits allow.
    :raises DagIsPaused: the backfill DAG is paused, so its run would never start.
    """

    template_fields: Sequence[str] = ("found",)

    def __init__(self, *, found: Any, **kwargs: Any) -> None:
        super().__init__(
            trigger_dag_id=BACKFILL_DAG_ID,
            logical_date=None,
            wait_for_completion=True,
            deferrable=True,
            poke_interval=POLL_SECONDS,
            fail_when_dag_is_paused=True,
            **kwargs,
        )
        self.found = found

    def execute(self, context: "Context") -> None:
        """:raises AirflowSkipException: there is nothing to heal, or it is not allowed."""
        found = Finding.from_xcom(self.found)
        if not found.heals:
            skip(context, found.reason)
        ti = context["ti"]
        self.conf = dict(found.run_config)
        generation = generation_of(ti, self.retries)
        # If the task was cleared, an earlier run may still be going. It is resumed, and no second one is started beside it.
        former = [usable_run_id(f"healing__{number}__{ti.run_id}") for number in range(generation + 1)]
        states = {run_id: run_state(BACKFILL_DAG_ID, run_id) for run_id in former}
        self.trigger_run_id = next((run_id for run_id in former if states[run_id] in UNFINISHED), former[-1])
        state = states[self.trigger_run_id]
        if state is None:
            if not check_still_allowed(found):
                skip(context, "Nothing differs any more.")
            try:
                super().execute(context)
            except DagRunTriggerException as wanted:  # Airflow would start it, then wait with a trigger that misses its deletion
                start_run(wanted.trigger_dag_id, wanted.dag_run_id, wanted.conf or {})
        ti.xcom_push(key=STARTED, value=self.trigger_run_id)
        self._wait_or_judge(ti, self.trigger_run_id)

    def resume(self, context: "Context", event: Mapping[str, Any]) -> None:
        """
        Look again how the backfill is.

        :param event: of `RunEndTrigger`, or empty.
        """
        ti = context["ti"]
        self._wait_or_judge(ti, event.get("run_id") or ti.xcom_pull(task_ids=ti.task_id, key=STARTED))

    def execute_complete(self, context: "Context", event: Any) -> None:  # noqa: ARG002 - Airflow's signature
        """
        Continue a task that waited during an upgrade. Its state is asked for, not taken from the event.

        :param event: of Airflow's own trigger, which a former version used, or of `RunEndTrigger`.
        """
        self._refuse_failure(event["run_id"] if isinstance(event, Mapping) else event[1]["run_ids"][0])

    def _wait_or_judge(self, ti: Any, run_id: str) -> None:
        state = run_state(BACKFILL_DAG_ID, run_id)
        self.log.info("%s is %s", run_id, state)
        if state in UNFINISHED:
            note_wait(ti, f"backfill run {run_id} is {state}")
            self.wait_in_triggerer(RunEndTrigger(BACKFILL_DAG_ID, run_id, POLL_SECONDS))
        self._refuse_failure(run_id)

    def _refuse_failure(self, run_id: str) -> None:
        state = run_state(BACKFILL_DAG_ID, run_id)
        if state is None:
            raise HealingFailedError(
                f"Run {run_id} of {BACKFILL_DAG_ID}, which should have sent the differing records again, is gone: somebody "
                "deleted it, or its DAG. What it had sent before stays in Salesforce. Clear this task: it starts a new run for "
                "the records that still differ."
            )
        if state != "success":
            raise HealingFailedError(
                f"Run {run_id} of {BACKFILL_DAG_ID}, which should have sent the differing records again, is {state}. Look at its "
                "first red task and remove the cause. Then either clear that run's failed tasks, or clear this task, which "
                "starts a new run for the records that still differ."
            )
        self.log.info("%s has succeeded", run_id)
