"""A trigger resumes its task late enough for Airflow, and ends it at once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import BaseOperator, BaseSensorOperator
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferred
from airflow.triggers.base import BaseTaskEndEvent, TaskSuccessEvent, TriggerEvent

from feature_sync.config.paths import PROJECT
from feature_sync.orchestration.deferral import LOOK_AGAIN, MIN_DEFERRAL_SECONDS, PatientOperator, SafeTrigger


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


class Waiting(PatientOperator, BaseSensorOperator):
    """Waits for ever, and notes what it is resumed with."""

    def execute(self, context: Any) -> None:  # noqa: ARG002 - Airflow's signature
        self.wait_in_triggerer(Instant(TriggerEvent({})))

    def resume(self, context: Any, event: Mapping[str, Any]) -> Any:  # noqa: ARG002 - Airflow's signature
        return dict(event)


def resumed_after(reason: str) -> Any:
    """As Airflow's scheduler resumes a task whose trigger has not fired: see ``check_trigger_timeouts`` there."""
    return Waiting(task_id="waiting").resume_execution("__fail__", {"error": reason}, {})  # type: ignore[arg-type]


def test_a_task_relies_on_the_triggerer_for_a_while_only() -> None:
    with pytest.raises(TaskDeferred) as deferred:
        Waiting(task_id="waiting").execute({})

    assert deferred.value.timeout == LOOK_AGAIN
    assert timedelta(seconds=2 * MIN_DEFERRAL_SECONDS) < LOOK_AGAIN <= timedelta(minutes=10)


def test_a_triggerer_that_is_full_or_stands_still_fails_no_task() -> None:
    assert resumed_after("Trigger timeout") == {}


def test_a_trigger_that_broke_does() -> None:
    with pytest.raises(TaskDeferralError):
        resumed_after("Trigger failure")


def test_a_trigger_that_fires_resumes_the_task_with_its_event() -> None:
    waiting: BaseOperator = Waiting(task_id="waiting")

    assert waiting.resume_execution("resume", {"event": {"error": "it stalled"}}, {}) == {"error": "it stalled"}  # type: ignore[arg-type]


def test_no_task_of_ours_waits_in_another_way() -> None:
    waits = {
        path.relative_to(PROJECT / "plugins/feature_sync").as_posix()
        for path in (PROJECT / "plugins").rglob("*.py")
        if "self.defer(" in path.read_text() or "raise TaskDeferred" in path.read_text()
    }

    # A question is parked until somebody answers it: nobody but its own task waits for it.
    assert waits == {"orchestration/deferral.py", "orchestration/approvals.py"}
