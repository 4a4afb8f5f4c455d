"""Deferring a task in Airflow 3.3.2 without losing it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferralTimeout
from airflow.triggers.base import BaseTaskEndEvent, BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from airflow.sdk import Context

MIN_DEFERRAL_SECONDS = 9.0
"""
Shortest time that a trigger waits before it resumes its task.

Airflow 3.3.2 may fail a task that is resumed before the executor has reported the end of the task's first leg. That report comes
up to ``[workers] min_heartbeat_interval`` (5 s) late.
"""

LOOK_AGAIN = timedelta(minutes=5)
"""How long a task relies on the triggerer alone."""


class PatientOperator(BaseOperator):
    """
    An operator that waits in the triggerer, and goes on without it if need be.

    A triggerer has a capacity, which triggers of other teams may take up, and it may stand still. So the wait there has an end:
    then the task looks itself, and waits again if it has to. Nothing fails because of a wait, however long it is.
    """

    def wait_in_triggerer(self, trigger: BaseTrigger, look_again: timedelta = LOOK_AGAIN) -> NoReturn:
        """
        Defer until the trigger fires, or until ``look_again`` has passed without a word from it. Both call `resume`.

        :raises TaskDeferred: always.
        """
        self.defer(trigger=trigger, method_name="resume", timeout=look_again)

    def resume(self, context: "Context", event: Mapping[str, Any]) -> Any:
        """
        Look again what has happened.

        :param event: of the trigger. Empty if it has not fired in time.
        """
        raise NotImplementedError

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: "Context") -> Any:
        """Airflow's entry after a deferral."""
        try:
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            self.log.info("The triggerer has not answered in time, so this task looks itself")
            return self.resume(context, {})


class SafeTrigger(BaseTrigger, ABC):
    """
    A trigger that resumes its task no sooner than ``min_deferral_seconds`` after it began. An event that ends the task in the
    triggerer is passed on at once.

    ``arguments``: names of the constructor's arguments, which are attributes too. Airflow stores their values and builds the
    trigger again from them, so a trigger may be moved or restarted at any time.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    min_deferral_seconds: float = MIN_DEFERRAL_SECONDS

    @abstractmethod
    def events(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the event."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return class_path(type(self)), {name: getattr(self, name) for name in self.arguments}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Pass on `events`, but none too early."""
        clock = asyncio.get_running_loop().time
        safe_at = clock() + self.min_deferral_seconds
        async for event in self.events():
            if not isinstance(event, BaseTaskEndEvent):
                await asyncio.sleep(max(0.0, safe_at - clock()))
            yield event


def class_path(trigger: type[BaseTrigger]) -> str:
    """The path by which the triggerer imports a trigger."""
    return f"{trigger.__module__}.{trigger.__qualname__}"
