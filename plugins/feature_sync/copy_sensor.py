"""The sensor that waits until the warehouse's copy of Salesforce shows what was sent."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from feature_sync.settings import Settings, load_settings
from feature_sync.validation import CopyState, read_copy_state
from feature_sync.warehouse import StatementError

if TYPE_CHECKING:
    from airflow.sdk import Context


class CopyStalledError(RuntimeError):
    """The copy did not catch up in time."""


def check_copy(run_id: str, settings: Settings) -> CopyState:
    """
    Look once.

    :raises CopyStalledError: the copy is behind for longer than ``copy_limit_seconds``.
    """
    state = read_copy_state(run_id, settings)
    if not state.is_fresh and state.since_last_send.total_seconds() > settings.copy_limit_seconds:
        raise CopyStalledError(
            f"{settings.salesforce_table} does not show what was sent: {state.records_stale:,} of {state.records_sent:,} records "
            f"have not changed there. The last was sent {state.since_last_send} ago, the limit is {settings.copy_limit_seconds:,}"
            f" s; the newest row was replicated at {state.synced_at}. Nothing was validated. Either the replication of Salesforce "
            "into the warehouse stands still: see to it, then clear this task with its downstream tasks. Or Census reported "
            "records as updated that never reached Salesforce: look one up there, then clear the 'send' tasks of their batches."
        )
    return state


class SalesforceCopySensor(BaseSensorOperator):
    """Waits, without a worker slot, until every record of this run that was sent has been replicated into the warehouse again."""

    def execute(self, context: "Context") -> None:
        """:raises CopyStalledError: the copy did not catch up within ``copy_limit_seconds``."""
        settings = load_settings()
        run_id = context["ti"].run_id
        state = check_copy(run_id, settings)
        self.log.info("%s of %s records sent are not yet in the copy", f"{state.records_stale:,}", f"{state.records_sent:,}")
        if not state.is_fresh:
            self.defer(trigger=SalesforceCopyTrigger(run_id, settings.copy_poll_seconds), method_name="fail")

    def fail(self, context: "Context", event: Mapping[str, Any]) -> None:  # noqa: ARG002 - Airflow's signature
        """The trigger resumes the task only for an error; a success never comes back to a worker."""
        raise CopyStalledError(event["error"])


class SalesforceCopyTrigger(BaseTrigger):
    """
    Ends its task when the copy is fresh.

    :param run_id: the DAG run whose records are waited for.
    :param poll_seconds: pause between two looks.
    """

    def __init__(self, run_id: str, poll_seconds: float) -> None:
        super().__init__()
        self.run_id = run_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.SalesforceCopyTrigger", {"run_id": self.run_id, "poll_seconds": self.poll_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the task's success, or an event with an ``error``."""
        while True:
            await asyncio.sleep(self.poll_seconds)
            try:
                state = await asyncio.to_thread(check_copy, self.run_id, load_settings())
            except CopyStalledError as stalled:
                yield TriggerEvent({"error": str(stalled)})
                return
            except StatementError as error:
                self.log.warning("%s; looking again in %.0f s", error, self.poll_seconds)
                continue
            if state.is_fresh:
                yield TaskSuccessEvent()
                return
            self.log.info("%s of %s records sent are not yet in the copy", f"{state.records_stale:,}", f"{state.records_sent:,}")
