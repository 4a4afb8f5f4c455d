"""A trigger resumes its task late enough for Airflow, and ends it at once."""

import asyncio
from collections.abc import AsyncIterator

from airflow.triggers.base import BaseTaskEndEvent, TaskSuccessEvent, TriggerEvent

from feature_sync.orchestration.deferral import MIN_DEFERRAL_SECONDS, SafeTrigger


class Instant(SafeTrigger):
    """Has its event at once."""

    def __init__(self, event: TriggerEvent, min_deferral_seconds: float = MIN_DEFERRAL_SECONDS) -> None:
        super().__init__()
        self.event = event
        self.min_deferral_seconds = min_deferral_seconds

    async def events(self) -> AsyncIterator[TriggerEvent]:
        yield self.event


async def seconds_until_event(trigger: Instant) -> float:
    clock = asyncio.get_running_loop().time
    begun = clock()
    assert await anext(aiter(trigger.run())) is trigger.event
    return clock() - begun


def test_a_task_is_not_resumed_sooner_than_the_trigger_may() -> None:
    assert asyncio.run(seconds_until_event(Instant(TriggerEvent({}), 0.2))) >= 0.2


def test_that_is_later_than_airflows_executor_reports_the_end_of_the_first_leg() -> None:
    assert SafeTrigger.min_deferral_seconds == MIN_DEFERRAL_SECONDS > 5


def test_a_task_that_ends_in_the_triggerer_does_not_wait_for_that() -> None:
    event = TaskSuccessEvent()
    patient = Instant(event, min_deferral_seconds=86_400)

    assert isinstance(event, BaseTaskEndEvent)
    asyncio.run(asyncio.wait_for(seconds_until_event(patient), 60))
