"""The operator behind which stands `feature_sync.validation`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from feature_sync.assets import tell_outlets
from feature_sync.copy_sensors import copy_trigger
from feature_sync.dag_runs import has_succeeded, skip_dry_run
from feature_sync.settings import load_settings
from feature_sync.validation import CopyStalledError, NothingToValidateError, check_copy, validate

if TYPE_CHECKING:
    from airflow.sdk import Context


class ValidationOperator(BaseOperator):
    """
    Compares Salesforce with what the run should have left there.

    It looks itself whether the copy is fresh, and waits if it is not: somebody may clear batches and this task, not the sensor.

    Its trigger rule lets it run whatever became of the tasks before it, so it looks itself whether the run came to its batches.

    :param planned_by: the task without whose success there is nothing to validate.
    :param is_dry_run: whether the run sends nothing (templated).
    :raises NothingToValidateError: the run did not come to its batches.
    :raises ValidationError: a batch did not succeed, a property differs, or nothing was checked.
    :raises CopyStalledError: the copy did not catch up within ``copy_limit_seconds``.
    """

    template_fields: Sequence[str] = ("is_dry_run",)

    def __init__(self, *, planned_by: str, is_dry_run: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned_by = planned_by
        self.is_dry_run = is_dry_run

    def execute(self, context: "Context") -> dict[str, Any]:
        """
        :returns: the result in words, and where the files lie.
        :raises AirflowSkipException: nothing was to be sent.
        """
        ti = context["ti"]
        if not has_succeeded(ti.dag_id, ti.run_id, self.planned_by):
            raise NothingToValidateError(
                f"There is nothing to validate, because {self.planned_by} did not succeed. Look at the first red task."
            )
        skip_dry_run(self.is_dry_run)
        settings = load_settings()
        run_id = context["ti"].run_id
        if not check_copy(run_id, settings).is_fresh:
            self.defer(trigger=copy_trigger(run_id, settings, ends_task=False), method_name="resume")
        result = validate(run_id)
        tell_outlets(context, result["properties_checked"])
        return result

    def resume(self, context: "Context", event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on after the wait."""
        if error := event.get("error"):
            raise CopyStalledError(error)
        return self.execute(context)
