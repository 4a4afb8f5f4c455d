"""What Airflow knows of a run, as the page reads it. Nothing in here asks anybody."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from feature_sync.config.green import FOUND, RULES
from feature_sync.config.run_config import DEFAULTS
from feature_sync.orchestration.dag_runs import BUSY, ENDED

Notes = Mapping[tuple[str, int], Mapping[str, Any]]
"""By task and map index, which is -1 if the task is not mapped: what it has left, by key."""
RESULT = "return_value"
"""The key of what a task returned."""


@dataclass(frozen=True, slots=True)
class Instance:
    """
    One instance of a task. Times are UTC.

    ``label``: the name of a mapped instance; Airflow knows it once the instance has begun.
    """

    task_id: str
    map_index: int
    state: str | None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    label: str = ""
    try_number: int = 0

    @property
    def is_busy(self) -> bool:
        return self.state in BUSY

    @property
    def tries_ended(self) -> int:
        """How many of its tries are over. Airflow counts a try as soon as it schedules it."""
        return max(0, self.try_number - (self.is_busy and self.state != "up_for_retry"))

    @property
    def name(self) -> str:
        return self.label or (self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]")


@dataclass(frozen=True, slots=True)
class Question:
    """A question that waits for a person."""

    task_id: str
    map_index: int
    subject: str
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class RunFacts:
    """
    A run as Airflow's database has it.

    ``started_by``: the person who started it, if a person did. ``config``: what was asked for.
    """

    dag_id: str
    run_id: str
    run_type: str
    state: str
    now: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    started_by: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    is_paused: bool = False
    instances: Sequence[Instance] = ()
    notes: Notes = field(default_factory=dict)
    questions: Sequence[Question] = ()

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def mapped(self) -> Mapping[str, str]:
        """The tasks that send a batch each, with the task that plans how many there are."""
        return RULES[self.dag_id].planned if self.dag_id in RULES else {}

    @property
    def found(self) -> Mapping[str, Any]:
        """What the verdict of the run has found; empty as long as there is none."""
        return next((notes[FOUND] for notes in self.notes.values() if FOUND in notes), {})

    @property
    def is_dry_run(self) -> bool:
        """Whether it was asked to send nothing. A run that has planned batches sends them, whatever the default is today."""
        has_planned = any(self.note_of(plan, RESULT) for plan in self.mapped.values())
        return bool(self.mapped) and not has_planned and self.config.get("dry_run", DEFAULTS["dry_run"]) is True

    def of(self, task_id: str) -> dict[int, Instance]:
        """The instances of a task, by map index."""
        return {each.map_index: each for each in self.instances if each.task_id == task_id}

    def turns_of(self, send_task_id: str) -> dict[int, Instance]:
        """The tasks that wait for the turn of each batch, by map index."""
        return self.of(f"{send_task_id.rpartition('.')[0]}.wait_for_turn")

    def note_of(self, task_id: str, key: str, map_index: int = -1) -> Any:
        """What a task has left under a key, or None."""
        return self.notes.get((task_id, map_index), {}).get(key)

    def in_state(self, *states: str) -> Iterator[Instance]:
        """The instances that are in one of these states."""
        return (each for each in self.instances if each.state in states)
