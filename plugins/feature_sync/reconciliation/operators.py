"""The task that sends the records again which the weekly comparison found wrong, by starting a backfill."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.triggers.external_task import DagStateTrigger

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.orchestration.dag_runs import UNFINISHED, generation_of, run_state, skip, usable_run_id
from feature_sync.reconciliation.comparison import check_still_allowed
from feature_sync.reconciliation.verdict import Finding

if TYPE_CHECKING:
    from airflow.sdk import Context

POLL_SECONDS = 30
"""Longer than a deferral that Airflow 3.3.2 may fail, see `feature_sync.orchestration.deferral.MIN_DEFERRAL_SECONDS`."""


class HealingFailedError(RuntimeError):
    """The backfill that should have corrected the records did not succeed."""


class HealingOperator(TriggerDagRunOperator):
    """
    Starts a backfill of the records that differ and waits for its end in the triggerer, without a worker slot.

    If an earlier try has started a run that has not ended, that run is resumed. If the task is cleared after that run has
    ended, it starts another one for the records that still differ.

    :param found: the result of `feature_sync.reconciliation.comparison.compare`, as XCom (templated).
    :raises HealingFailedError: the backfill failed.
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
            skip(found.reason)
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
                skip("Nothing differs any more.")
            super().execute(context)
        self.log.info("%s is %s", self.trigger_run_id, state)
        if state in UNFINISHED:
            self.defer(
                trigger=DagStateTrigger(
                    dag_id=BACKFILL_DAG_ID,
                    states=[*self.allowed_states, *self.failed_states],
                    run_ids=[self.trigger_run_id],
                    poll_interval=POLL_SECONDS,
                ),
                method_name="execute_complete",
            )
        self._refuse_failure(self.trigger_run_id)

    def execute_complete(self, context: "Context", event: tuple[str, dict[str, Any]]) -> None:  # noqa: ARG002 - Airflow's signature
        """Continue when the backfill has ended. Its state is asked for, not taken from the event."""
        [run_id] = event[1]["run_ids"]
        self._refuse_failure(run_id)

    def _refuse_failure(self, run_id: str) -> None:
        state = run_state(BACKFILL_DAG_ID, run_id)
        if state != "success":
            raise HealingFailedError(
                f"Run {run_id} of {BACKFILL_DAG_ID}, which should have sent the differing records again, is {state}. Look at its "
                "first red task and remove the cause. Then either clear that run's failed tasks, or clear this task, which "
                "starts a new run for the records that still differ."
            )
        self.log.info("%s has succeeded", run_id)
