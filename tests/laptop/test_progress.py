"""What a person is told during a run."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from laptop.airflow_client import TaskInstance
from laptop.progress import Progress, clock, time_left

STARTED = datetime(2025, 11, 24, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return STARTED + timedelta(seconds=seconds)


def task(
    task_id: str, state: str | None, start: float = 0, end: float | None = None, *, index: int = -1, tries: int = 1
) -> TaskInstance:
    label = None if index < 0 else f"batch {index + 1:03}: records {index * 50 + 1}-{index * 50 + 50}"
    return TaskInstance(
        task_id=task_id,
        map_index=index,
        label=label,
        state=state,
        try_number=tries,
        max_tries=1,
        start=at(start),
        end=None if end is None else at(end),
        note=None,
    )


def send(index: int, state: str | None, start: float = 0, end: float | None = None, *, tries: int = 1) -> TaskInstance:
    return task("batch.send", state, start, end, index=index, tries=tries)


def progress(errors: dict[int, str] | None = None) -> Progress:
    return Progress(STARTED, lambda _task, number: (errors or {}).get(number))


def look(watched: Progress, tasks: Sequence[TaskInstance], seconds: float) -> list[str]:
    return [line.text for line in watched.look(tasks, at(seconds))]


def test_a_batch_is_told_once_with_its_count_and_the_time_left() -> None:
    watched = progress()
    tasks = [send(0, "success", 10, 16), send(1, "running", 19), send(2, None)]

    assert look(watched, tasks, 17) == ["  0:16  batch 001: records 1-50          sent in 6.0 s      1/3  about 0:12 left"]
    assert look(watched, tasks, 18) == []


def test_the_last_batch_has_no_time_left() -> None:
    lines = look(progress(), [send(0, "success", 0, 5), send(1, "success", 8, 12)], 12)

    assert lines[-1] == "  0:12  batch 002: records 51-100        sent in 4.0 s      2/2"


def test_batches_that_end_between_two_looks_are_told_in_their_order() -> None:
    lines = look(progress(), [send(1, "success", 8, 12), task("validate", "success", 13, 14), send(0, "success", 0, 5)], 20)

    assert [line[8:17] for line in lines] == ["batch 001", "batch 002", "validate "]


def test_turns_are_not_told_unless_they_fail() -> None:
    tasks = [task("batch.wait_for_turn", "success", 0, 5, index=0), task("batch.wait_for_turn", "failed", 0, 6, index=1)]

    lines = look(progress({1: "AirflowSensorTimeout: no turn"}), tasks, 7)

    assert lines == [
        "  0:06  batch.wait_for_turn batch 002: records 51-100 FAILED after 6.0 s",
        "          AirflowSensorTimeout: no turn",
    ]


def test_a_failure_shows_every_line_of_the_tasks_own_error() -> None:
    watched = progress({1: "SendError: Batch 1: Census rejected 12 of 50 records\nREQUIRED_FIELD_MISSING"})

    lines = watched.look([send(0, "failed", 0, 5)], at(6))

    assert [line.text.strip() for line in lines[1:]] == [
        "SendError: Batch 1: Census rejected 12 of 50 records",
        "REQUIRED_FIELD_MISSING",
    ]
    assert all(line.failed for line in lines)


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(send(0, "up_for_retry", 0, 5, tries=1), id="seen-waiting-for-the-retry"),
        pytest.param(send(0, "running", 6, tries=2), id="seen-when-the-retry-runs-already"),
    ],
)
def test_a_failed_try_is_told_once_although_the_batch_goes_on(later: TaskInstance) -> None:
    watched = progress({1: "TransientError: 503"})

    first = look(watched, [later], 7)
    again = look(watched, [send(0, "success", 8, 9, tries=2)], 10)

    assert "try 1 failed, will be tried again" in first[0]
    assert first[1].strip() == "TransientError: 503"
    assert len(again) == 1
    assert "sent in 1.0 s" in again[0]


def test_the_status_names_what_runs_before_what_waits() -> None:
    waiting = task("batch.wait_for_turn", "deferred", index=2)

    assert progress().status([waiting, send(1, "running")], at(61)) == "1:01  now: batch.send batch 002: records 51-100"
    assert progress().status([waiting], at(61)) == "1:01  now: batch.wait_for_turn batch 003: records 101-150"
    assert progress().status([], at(1)) == "0:01  now: scheduling"


def test_the_time_left_counts_the_pauses_between_batches() -> None:
    done = [send(0, "success", 0, 5), send(1, "success", 8, 13), send(2, "success", 16, 24)]

    assert time_left(done, 26) == timedelta(seconds=23 * 8)
    assert time_left([], 26) is None
    assert time_left(done, 3) is None


def test_the_clock_counts_minutes_beyond_an_hour() -> None:
    assert [clock(timedelta(seconds=seconds)) for seconds in (-1, 7.4, 59.6, 3725)] == ["0:00", "0:07", "1:00", "62:05"]
