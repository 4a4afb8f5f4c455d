"""Sending the records again that the weekly comparison found wrong, by a backfill run of its own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.triggers.external_task import DagStateTrigger

from feature_sync.dag_runs import UNFINISHED, run_state, series_of, skip
from feature_sync.drift import check_still_allowed
from feature_sync.settings import BACKFILL_DAG_ID

if TYPE_CHECKING:
    from airflow.sdk import Context

POLL_SECONDS = 30
"""Longer than a deferral that Airflow 3.3.2 may fail; see `feature_sync.census.triggers.LEAST_DEFERRAL`."""


class HealingFailedError(RuntimeError):
    """The backfill that was to heal did not succeed."""


class HealingOperator(TriggerDagRunOperator):
    """
    Starts a backfill of the records that differ and waits for its end in the triggerer, without a worker slot.

    A try takes up the run that a former one has started and that still runs. When the task was cleared after that run's end, it
    starts another one, whose scope is what still differs then.

    :param found: what `feature_sync.drift.compare` returned (templated).
    :raises HealingFailedError: the backfill failed.
    :raises HealingRefusedError: more differs now than was approved, or than the limits allow.
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
        if not self.found["heals"]:
            skip(self.found["reason"])
        ti = context["ti"]
        self.conf = self.found["run_config"]
        series = series_of(ti, self.retries)
        # Of a cleared task, a former run may still be under way: it is taken up, and no second one started beside it.
        former = [f"healing__{number}__{ti.run_id}" for number in range(series + 1)]
        states = {run_id: run_state(BACKFILL_DAG_ID, run_id) for run_id in former}
        self.trigger_run_id = next((run_id for run_id in former if states[run_id] in UNFINISHED), former[-1])
        state = states[self.trigger_run_id]
        if state is None:
            if not check_still_allowed(self.found):
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
        """Go on when the backfill has ended; its state is asked for, not taken from the event."""
        [run_id] = event[1]["run_ids"]
        self._refuse_failure(run_id)

    def _refuse_failure(self, run_id: str) -> None:
        state = run_state(BACKFILL_DAG_ID, run_id)
        if state != "success":
            raise HealingFailedError(
                f"Run {run_id} of {BACKFILL_DAG_ID}, which was to send the differing records again, is {state}. Look at its "
                "first red task and cure the cause. Then either clear that run's failed tasks, or clear this task, which starts "
                "a new run for what still differs."
            )
        self.log.info("%s has succeeded", run_id)
