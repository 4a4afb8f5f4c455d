"""Lets a trigger fire as the triggerer would, but sooner."""

import asyncio
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TriggerEvent

from feature_sync.orchestration.deferral import SafeTrigger

MIN_DEFERRAL_SECONDS = 0.2


def rebuilt(trigger: SafeTrigger) -> SafeTrigger:
    """A copy made of what the database keeps of a trigger. It need not wait as long as a real one."""
    _, arguments = trigger.serialize()
    copy = type(trigger)(**arguments)
    copy.min_deferral_seconds = MIN_DEFERRAL_SECONDS
    return copy


def fire(trigger: SafeTrigger, seconds: float = 60) -> TriggerEvent:
    """
    The first event of a trigger's copy.

    :raises TimeoutError: it did not fire in time.
    """

    async def first() -> TriggerEvent:
        return await asyncio.wait_for(anext(aiter(rebuilt(trigger).run())), seconds)

    return asyncio.run(first())


def deferred(task: BaseOperator, context: Any) -> SafeTrigger:
    """The trigger that a task waits for."""
    with pytest.raises(TaskDeferred) as waiting:
        task.execute(context)
    assert isinstance(waiting.value.trigger, SafeTrigger)
    return waiting.value.trigger
