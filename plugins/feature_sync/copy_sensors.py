"""Waiting for the warehouse's copy of Salesforce, without a worker slot: for what one run sent, or for all of it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from feature_sync.census.triggers import LEAST_DEFERRAL
from feature_sync.dag_runs import has_succeeded, skip, skip_dry_run
from feature_sync.schema import prepare_tables
from feature_sync.settings import Settings, load_settings
from feature_sync.validation import CopyStalledError, CopyState, check_copy, check_whole_copy, is_whole_copy_current
from feature_sync.warehouse import StatementError, Warehouse

if TYPE_CHECKING:
    from airflow.sdk import Context


class RunCopySensor(BaseSensorOperator):
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
        skip_dry_run(self.is_dry_run)
        settings = load_settings()
        run_id = ti.run_id
        state = check_copy(run_id, settings)
        self.log.info("%s", _progress(state))
        if not state.is_fresh:
            self.defer(trigger=copy_trigger(run_id, settings, ends_task=True), method_name="fail")

    def fail(self, context: "Context", event: Mapping[str, Any]) -> None:  # noqa: ARG002 - Airflow's signature
        """The trigger resumes the task only for an error; a success never comes back to a worker."""
        raise CopyStalledError(event["error"])


class WholeCopySensor(BaseSensorOperator):
    """
    Waits until the copy of Salesforce shows what every run sent, and was replicated lately; ends from its trigger.

    :raises CopyStalledError: it does not within ``copy_limit_seconds``.
    """

    def execute(self, context: "Context") -> None:  # noqa: ARG002 - Airflow's signature
        settings = load_settings()
        with Warehouse(settings) as warehouse:
            prepare_tables(warehouse)  # in a new workspace the weekly run may be the first
        give_up_at = datetime.now(UTC) + timedelta(seconds=settings.copy_limit_seconds)
        state = check_whole_copy(settings, give_up_at)
        self.log.info("%s", _progress(state))
        if not is_whole_copy_current(state, settings):
            trigger = WholeCopyTrigger(settings.copy_poll_seconds, give_up_at.isoformat(), ends_task=True)
            self.defer(trigger=trigger, method_name="fail")

    def fail(self, context: "Context", event: Mapping[str, Any]) -> None:  # noqa: ARG002 - Airflow's signature
        """The trigger resumes the task only for an error; a success never comes back to a worker."""
        raise CopyStalledError(event["error"])


def copy_trigger(run_id: str, settings: Settings, *, ends_task: bool) -> "RunCopyTrigger":
    """What a task that waits for a run's records is deferred to."""
    # check_copy has a limit of its own; this one ends the waiting when the warehouse does not answer at all.
    give_up_at = datetime.now(UTC) + timedelta(seconds=2 * settings.copy_limit_seconds)
    return RunCopyTrigger(run_id, settings.copy_poll_seconds, give_up_at.isoformat(), ends_task)


class CopyTrigger(BaseTrigger, ABC):
    """
    Fires when the copy of Salesforce is as it must be.

    :param poll_seconds: pause between two looks.
    :param give_up_at: ISO 8601 time with offset.
    :param ends_task: end the task from here; otherwise resume it.
    """

    names: tuple[str, ...] = ("poll_seconds", "give_up_at", "ends_task")

    def __init__(self, poll_seconds: float, give_up_at: str, ends_task: bool) -> None:
        super().__init__()
        self.poll_seconds = poll_seconds
        self.give_up_at = give_up_at
        self.ends_task = ends_task

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in self.names}

    @abstractmethod
    def look(self, settings: Settings) -> tuple[CopyState, bool]:
        """
        :returns: how far the copy is, and whether that is enough.
        :raises CopyStalledError: it took too long.
        """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the task's success, or an event that may have an ``error``."""
        begun = asyncio.get_running_loop().time()
        event: dict[str, str] = {}
        while True:
            await asyncio.sleep(self.poll_seconds)
            try:
                state, is_enough = await asyncio.to_thread(self.look, load_settings())
            except CopyStalledError as stalled:
                event = {"error": str(stalled)}
                break
            except StatementError as error:
                if datetime.now(UTC) > datetime.fromisoformat(self.give_up_at):
                    event = {"error": f"The copy of Salesforce could not be read: {error}"}
                    break
                self.log.warning("%s; looking again in %.0f s", error, self.poll_seconds)
                continue
            if is_enough:
                break
            self.log.info("%s", _progress(state))
        if self.ends_task and not event:
            yield TaskSuccessEvent()
            return
        await asyncio.sleep(max(0.0, begun + LEAST_DEFERRAL - asyncio.get_running_loop().time()))
        yield TriggerEvent(event)


class RunCopyTrigger(CopyTrigger):
    """
    Fires when the copy shows what one run sent.

    :param run_id: the DAG run whose records are waited for.
    """

    names = ("run_id", *CopyTrigger.names)

    def __init__(self, run_id: str, poll_seconds: float, give_up_at: str, ends_task: bool) -> None:
        super().__init__(poll_seconds, give_up_at, ends_task)
        self.run_id = run_id

    def look(self, settings: Settings) -> tuple[CopyState, bool]:
        state = check_copy(self.run_id, settings)
        return state, state.is_fresh


class WholeCopyTrigger(CopyTrigger):
    """Fires when the copy shows what every run sent, and was replicated lately."""

    def look(self, settings: Settings) -> tuple[CopyState, bool]:
        state = check_whole_copy(settings, datetime.fromisoformat(self.give_up_at))
        return state, is_whole_copy_current(state, settings)


def _progress(state: CopyState) -> str:
    return (
        f"{state.records_stale:,} of {state.records_sent:,} records sent are not yet in the copy; its newest row was replicated "
        f"at {state.synced_at}"
    )
