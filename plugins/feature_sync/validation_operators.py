"""The sensor and the operator behind which stands `feature_sync.validation`: both wait for the copy without a worker slot."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseSensorOperator
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from feature_sync.census.triggers import LEAST_DEFERRAL
from feature_sync.dag_runs import has_succeeded, skip
from feature_sync.settings import Settings, load_settings
from feature_sync.validation import CopyStalledError, NothingToValidateError, check_copy, validate
from feature_sync.warehouse import StatementError

if TYPE_CHECKING:
    from airflow.sdk import Context


class SalesforceCopySensor(BaseSensorOperator):
    """
    Waits until every record of this run that was sent shows in the warehouse's copy of Salesforce; ends from its trigger.

    :param planned_by: the task without whose success nothing can have been sent.
    :param is_dry_run: whether the run sends nothing (templated).
    """

    template_fields: Sequence[str] = ("is_dry_run",)

    def __init__(self, *, planned_by: str, is_dry_run: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned_by = planned_by
        self.is_dry_run = is_dry_run

    def execute(self, context: "Context") -> None:
        """
        :raises AirflowSkipException: nothing was to be sent.
        :raises CopyStalledError: the copy did not catch up within ``copy_limit_seconds``.
        """
        ti = context["ti"]
        if not has_succeeded(ti.dag_id, ti.run_id, self.planned_by):
            skip(f"{self.planned_by} did not succeed, so there is nothing to wait for")
        _skip_dry_run(self.is_dry_run)
        settings = load_settings()
        run_id = ti.run_id
        state = check_copy(run_id, settings)
        self.log.info("%s of %s records sent are not yet in the copy", f"{state.records_stale:,}", f"{state.records_sent:,}")
        if not state.is_fresh:
            self.defer(trigger=_copy_trigger(run_id, settings, ends_task=True), method_name="fail")

    def fail(self, context: "Context", event: Mapping[str, Any]) -> None:  # noqa: ARG002 - Airflow's signature
        """The trigger resumes the task only for an error; a success never comes back to a worker."""
        raise CopyStalledError(event["error"])


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
        _skip_dry_run(self.is_dry_run)
        settings = load_settings()
        run_id = context["ti"].run_id
        if not check_copy(run_id, settings).is_fresh:
            self.defer(trigger=_copy_trigger(run_id, settings, ends_task=False), method_name="resume")
        return validate(run_id)

    def resume(self, context: "Context", event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on after the wait."""
        if error := event.get("error"):
            raise CopyStalledError(error)
        return self.execute(context)


def _skip_dry_run(dry_run: Any) -> None:
    if str(dry_run) == "True":
        skip("Dry run: nothing was sent, so there is nothing to look for.")


def _copy_trigger(run_id: str, settings: Settings, *, ends_task: bool) -> "SalesforceCopyTrigger":
    # check_copy has a limit of its own; this one ends the waiting when the warehouse does not answer at all.
    give_up_at = datetime.now(UTC) + timedelta(seconds=2 * settings.copy_limit_seconds)
    return SalesforceCopyTrigger(run_id, settings.copy_poll_seconds, give_up_at.isoformat(), ends_task)


class SalesforceCopyTrigger(BaseTrigger):
    """
    Fires when the copy is fresh.

    :param run_id: the DAG run whose records are waited for.
    :param poll_seconds: pause between two looks.
    :param give_up_at: ISO 8601 time with offset.
    :param ends_task: end the task from here; otherwise resume it.
    """

    def __init__(self, run_id: str, poll_seconds: float, give_up_at: str, ends_task: bool) -> None:
        super().__init__()
        self.run_id = run_id
        self.poll_seconds = poll_seconds
        self.give_up_at = give_up_at
        self.ends_task = ends_task

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("run_id", "poll_seconds", "give_up_at", "ends_task")
        return f"{__name__}.SalesforceCopyTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the task's success, or an event that may have an ``error``."""
        begun = asyncio.get_running_loop().time()
        give_up_at = datetime.fromisoformat(self.give_up_at)
        event: dict[str, str] = {}
        while True:
            await asyncio.sleep(self.poll_seconds)
            try:
                state = await asyncio.to_thread(check_copy, self.run_id, load_settings())
            except CopyStalledError as stalled:
                event = {"error": str(stalled)}
                break
            except StatementError as error:
                if datetime.now(UTC) > give_up_at:
                    event = {"error": f"The copy of Salesforce could not be read: {error}"}
                    break
                self.log.warning("%s; looking again in %.0f s", error, self.poll_seconds)
                continue
            if state.is_fresh:
                break
            self.log.info("%s of %s records sent are not yet in the copy", f"{state.records_stale:,}", f"{state.records_sent:,}")
        if self.ends_task and not event:
            yield TaskSuccessEvent()
            return
        await asyncio.sleep(max(0.0, begun + LEAST_DEFERRAL - asyncio.get_running_loop().time()))
        yield TriggerEvent(event)
