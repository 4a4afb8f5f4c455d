"""Deferring a task in Airflow 3.3.2 without losing it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from airflow.triggers.base import BaseTaskEndEvent, BaseTrigger, TriggerEvent

MIN_DEFERRAL_SECONDS = 9.0
"""
Shortest time that a trigger waits before it resumes its task.

Airflow 3.3.2 may fail a task that is resumed before the executor has reported the end of the task's first leg. That report comes
up to ``[workers] min_heartbeat_interval`` (5 s) late.
"""


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
