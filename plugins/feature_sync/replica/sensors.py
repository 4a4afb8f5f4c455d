"""Tasks that wait for the replica without a worker slot: for what one run sent, or for all of it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, TriggerRule

from feature_sync.config.settings import load_settings
from feature_sync.orchestration.dag_runs import has_succeeded, skip, skip_dry_run, task_states
from feature_sync.orchestration.deferral import PatientOperator
from feature_sync.orchestration.progress import note_wait
from feature_sync.replica.asking import why_replica
from feature_sync.replica.state import ReplicaStalledError, check_run_replica, check_whole_replica, is_whole_replica_current
from feature_sync.replica.triggers import WholeReplicaTrigger, run_replica_trigger
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReplicaSensor(PatientOperator, BaseSensorOperator):
    """A sensor whose trigger ends it, and resumes it only for an error."""

    def resume(self, context: "Context", event: Mapping[str, Any]) -> None:
        """
        Fail with the trigger's error, or look again if there is none.

        :raises ReplicaStalledError: the replica did not catch up in time.
        """
        if event:
            self.fail(context, event)
        self.execute(context)

    def fail(self, context: "Context", event: Mapping[str, Any]) -> None:  # noqa: ARG002 - Airflow's signature
        """:raises ReplicaStalledError: always, with the trigger's error."""
        raise ReplicaStalledError(event["error"], event.get("cause"))


class RunReplicaSensor(ReplicaSensor):
    """
    Waits until the replica shows every record that this run sent, unless Salesforce itself will be asked for all of them.

    :param planned_by: the task that must have succeeded, otherwise nothing can have been sent (templated).
    :param is_dry_run: whether the run sends nothing (templated).
    """

    template_fields: Sequence[str] = ("planned_by", "is_dry_run")

    def __init__(self, *, planned_by: str, is_dry_run: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned_by = planned_by
        self.is_dry_run = is_dry_run

    def execute(self, context: "Context") -> None:
        """
        :raises AirflowSkipException: nothing was to be sent.
        :raises ReplicaStalledError: the replica did not catch up within ``copy_limit_seconds``.
        """
        ti = context["ti"]
        if not has_succeeded(ti.dag_id, ti.run_id, self.planned_by):
            skip(context, f"{self.planned_by} did not succeed, so there is nothing to wait for")
        skip_dry_run(context, self.is_dry_run)
        settings = load_settings()
        with Warehouse(settings) as warehouse:
            reason = why_replica(warehouse, ti.run_id)
        if not reason:
            self.log.info("This run does not wait for the replica, because Salesforce itself is asked for all of its records")
            return
        self.log.info("This run needs the replica: %s", reason)
        state = check_run_replica(ti.run_id, settings)
        self.log.info("%s", state.progress)
        if not state.is_fresh:
            note_wait(ti, state.progress)
            self.wait_in_triggerer(run_replica_trigger(ti.run_id, settings, ends_task=True))


class WholeReplicaSensor(ReplicaSensor):
    """
    Waits until the replica shows what every run sent, and was replicated lately.

    :param refuse: what is called before anything else. It raises an error if the run makes no sense.
    """

    def __init__(self, *, refuse: Callable[[], None] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.refuse = refuse

    def execute(self, context: "Context") -> None:
        """:raises ReplicaStalledError: the replica did not catch up within ``copy_limit_seconds`` after the task's start."""
        if self.refuse:
            self.refuse()
        settings = load_settings()
        with Warehouse(settings) as warehouse:
            prepare_tables(warehouse)  # in a new workspace the weekly run may be the first one
        # A task that looks again after a deferral keeps its start.
        give_up_at = (context["ti"].start_date or datetime.now(UTC)) + timedelta(seconds=settings.copy_limit_seconds)
        state = check_whole_replica(settings, give_up_at)
        self.log.info("%s", state.progress)
        if not is_whole_replica_current(state, settings):
            note_wait(context["ti"], state.progress)
            trigger = WholeReplicaTrigger(settings.copy_poll_seconds, give_up_at.isoformat(), ends_task=True)
            self.wait_in_triggerer(trigger)


class HealedReplicaSensor(WholeReplicaSensor):
    """
    Waits until the replica shows what a healing sent, whether the healing succeeded or failed.

    Its failure sends no alert, because the task after it looks again after any outcome.

    :param after: the task that heals.
    """

    def __init__(self, *, after: str, **kwargs: Any) -> None:
        super().__init__(trigger_rule=TriggerRule.ALL_DONE, on_failure_callback=None, **kwargs)
        self.after = after

    def execute(self, context: "Context") -> None:
        """
        :raises AirflowSkipException: nothing was healed.
        :raises ReplicaStalledError: as in `WholeReplicaSensor`.
        """
        ti = context["ti"]
        if task_states(ti.dag_id, ti.run_id, state=self.after)["state"] not in ("success", "failed"):
            skip(context, f"{self.after} sent nothing, so there is nothing to wait for")
        super().execute(context)
