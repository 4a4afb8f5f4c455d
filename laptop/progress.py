"""The lines that a person sees during a run: one for every task, batch or failed try that is new since the last look."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from laptop.airflow_client import TaskInstance

NAME_WIDTH = 32
WAITING_TASK = "batch.wait_for_turn"
BATCH_TASK = "batch.send"
INDENT = " " * 10


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    failed: bool = False


@dataclass(slots=True)
class Progress:
    """
    Compares each look at a run with the lines that it has already returned.

    :param started: start of the run. Times are shown relative to it.
    :param error_of: returns the error of a task instance's try, by the try's number, or None if there is none.
    """

    started: datetime
    error_of: Callable[[TaskInstance, int], str | None]
    _told: set[tuple[str, int]] = field(default_factory=set)
    _tries_told: dict[tuple[str, int], int] = field(default_factory=dict)

    def look(self, tasks: Sequence[TaskInstance], now: datetime) -> list[Line]:
        """The new lines, oldest first."""
        lines = []
        for task in sorted(tasks, key=lambda one: (one.end or now, one.task_id, one.map_index)):
            lines += self._failed_tries(task, now)
            key = (task.task_id, task.map_index)
            if not task.finished or key in self._told:
                continue
            self._told.add(key)
            if task.task_id != WAITING_TASK or task.state != "success":
                lines.append(self._end(task, tasks, now))
                if task.state == "failed":
                    lines += self._error(task, task.try_number)
        return lines

    def status(self, tasks: Sequence[TaskInstance], now: datetime) -> str:
        """The tasks that are busy now, in one line."""
        busy = [task for task in tasks if task.state in ("running", "deferred", "up_for_retry", "up_for_reschedule")]
        # A batch that waits for its turn is shown only if no other task is busy.
        shown = [task for task in busy if task.task_id != WAITING_TASK] or busy[:1]
        return f"{clock(now - self.started)}  now: {', '.join(task.name for task in shown) or 'scheduling'}"

    def _failed_tries(self, task: TaskInstance, now: datetime) -> list[Line]:
        last_failed = task.try_number if task.state == "up_for_retry" else task.try_number - 1
        key = (task.task_id, task.map_index)
        lines = []
        for number in range(self._tries_told.get(key, 0) + 1, last_failed + 1):
            text = f"{self._at(task, now)}  {_short_name(task)} try {number} failed, will be tried again"
            lines += [Line(text, failed=True), *self._error(task, number)]
            self._tries_told[key] = number
        return lines

    def _end(self, task: TaskInstance, tasks: Sequence[TaskInstance], now: datetime) -> Line:
        ran = task.state in ("success", "failed") and task.seconds is not None
        took = f" {'in' if task.state == 'success' else 'after'} {task.seconds:.1f} s" if ran else ""
        verb = {"success": "sent" if task.task_id == BATCH_TASK else "done", "failed": "FAILED"}.get(
            task.state or "", (task.state or "").replace("_", " ")
        )
        text = f"{self._at(task, now)}  {_short_name(task)} {verb + took:<16}"
        if task.task_id == BATCH_TASK:
            text += f" {self._batches(tasks)}"
        return Line(text.rstrip(), failed=task.state in ("failed", "upstream_failed"))

    def _batches(self, tasks: Sequence[TaskInstance]) -> str:
        batches = [task for task in tasks if task.task_id == BATCH_TASK and task.map_index >= 0]
        done = [task for task in batches if (task.task_id, task.map_index) in self._told]
        text = f"{len(done):>3}/{len(batches)}"
        left = time_left(done, len(batches))
        return f"{text}  about {clock(left)} left" if left else text

    def _error(self, task: TaskInstance, try_number: int) -> list[Line]:
        text = self.error_of(task, try_number)
        return [Line(f"{INDENT}{line}", failed=True) for line in (text or "").splitlines() if line.strip()]

    def _at(self, task: TaskInstance, now: datetime) -> str:
        return f"{clock((task.end or now) - self.started):>6}"


def time_left(done: Sequence[TaskInstance], total: int) -> timedelta | None:
    """An estimate from the pace of the ended batches, pauses included. None if all or none have ended."""
    starts = [task.start for task in done if task.start]
    ends = [task.end for task in done if task.end]
    if not starts or not ends or len(done) >= total:
        return None
    return (max(ends) - min(starts)) / len(done) * (total - len(done))


def clock(duration: timedelta) -> str:
    """Minutes and seconds: ``0:07``, ``12:30``."""
    seconds = max(0, round(duration.total_seconds()))
    return f"{seconds // 60}:{seconds % 60:02}"


def _short_name(task: TaskInstance) -> str:
    name = task.label if task.task_id == BATCH_TASK and task.label else task.name
    return f"{name:<{NAME_WIDTH}}"
