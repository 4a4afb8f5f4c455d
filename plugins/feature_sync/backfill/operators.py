"""The task that gives a run its verdict."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule

from feature_sync.backfill.validation import NothingToValidateError, validate
from feature_sync.config.settings import load_settings
from feature_sync.orchestration.assets import describe_outlets, withhold_outlets
from feature_sync.orchestration.dag_runs import describe_run, has_succeeded, skip_dry_run
from feature_sync.orchestration.deferral import PatientOperator
from feature_sync.orchestration.links import DifferencesLink, ProgressLink, RejectedRowsLink, ReportLink
from feature_sync.orchestration.progress import note_found, note_wait
from feature_sync.replica.asking import why_replica
from feature_sync.replica.state import ReplicaStalledError, check_run_replica
from feature_sync.replica.triggers import run_replica_trigger
from feature_sync.storage.warehouse import Warehouse

if TYPE_CHECKING:
    from airflow.sdk import Context


def after_batches(plan_probes: str, plan_batches: str) -> dict[str, Any]:
    """
    The arguments of the tasks that run when all batches have ended, whatever their outcome.

    No other batch follows a pilot that was rejected, so then its own plan says whether there is something to look at. A run that
    has planned a batch is no dry run, whatever a new version of this package fills in for a run that did not say.

    :param plan_probes: the task that plans the probes, or the pilot. :param plan_batches: the one that plans the other batches.
    """
    has_planned = f"(ti.xcom_pull(task_ids='{plan_probes}') or ti.xcom_pull(task_ids='{plan_batches}'))"
    return {
        "planned_by": f"{{{{ '{plan_probes}' if params.strategy == 'pilot' else '{plan_batches}' }}}}",
        "is_dry_run": f"{{{{ params.dry_run and not {has_planned} }}}}",
        "trigger_rule": TriggerRule.ALL_DONE,
    }


class ValidationOperator(PatientOperator):
    """
    Compares Salesforce with what the run should have written.

    It checks itself whether the replica is needed and fresh, and waits if it is not, because a person may clear batches and this
    task without the sensor. Its trigger rule lets it run after any outcome of the tasks before it, so it also checks itself
    whether the run came to its batches. It updates its assets only if the result says that Salesforce and the warehouse agree.

    :param planned_by: the task that must have succeeded, otherwise there is nothing to validate (templated).
    :param is_dry_run: whether the run sends nothing (templated).
    :raises NothingToValidateError: the run did not come to its batches.
    :raises SalesforceDiffersError: a batch did not succeed, a property differs, or nothing was checked.
    :raises ReplicaStalledError: the replica did not catch up within ``copy_limit_seconds``.
    """

    template_fields: Sequence[str] = ("planned_by", "is_dry_run")
    operator_extra_links = (ReportLink(), DifferencesLink(), RejectedRowsLink(), ProgressLink())

    def __init__(self, *, planned_by: str, is_dry_run: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned_by = planned_by
        self.is_dry_run = is_dry_run

    def execute(self, context: "Context") -> dict[str, Any]:
        """
        :returns: `Validation.as_xcom`.
        :raises AirflowSkipException: nothing was to be sent.
        """
        ti = context["ti"]
        if not has_succeeded(ti.dag_id, ti.run_id, self.planned_by):
            raise NothingToValidateError(
                f"There is nothing to validate, because {self.planned_by} did not succeed. Look at the first red task."
            )
        skip_dry_run(context, self.is_dry_run)
        settings = load_settings()
        run_id = ti.run_id
        with Warehouse(settings) as warehouse:
            needs_replica = why_replica(warehouse, run_id)
        if needs_replica and not check_run_replica(run_id, settings).is_fresh:
            note_wait(ti, "the replica does not show yet what was sent")
            self.wait_in_triggerer(run_replica_trigger(run_id, settings, ends_task=False))
        result = validate(context["params"], run_id, describe_run(context), tell=lambda report: note_found(report, ti))
        if result.proves_equality:
            describe_outlets(context, result.properties_checked)
        else:
            withhold_outlets(context)
        return result.as_xcom()

    def resume(self, context: "Context", event: Mapping[str, Any]) -> dict[str, Any]:
        """Continue after the wait."""
        if error := event.get("error"):
            raise ReplicaStalledError(error, event.get("cause"))
        return self.execute(context)
