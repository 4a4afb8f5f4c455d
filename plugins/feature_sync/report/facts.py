"""What the page about a run says. Each DAG fills it in from what its own task has read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from feature_sync.report.open_records import NOTHING_OPEN, OpenList

Row = Mapping[str, Any]
MAX_PROBLEMS = 20
"""Sentences about what to do that a page shows. A run of 10,000 batches may have one for each."""


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Where a run comes from, as far as Airflow tells the task.

    ``triggered_by``: the user who started it; None if Airflow does not say, as for a run by the clock.
    ``run_type``: Airflow's word for how it was started. ``conf``: what it was started with, without the defaults.
    """

    dag_id: str
    run_id: str
    started_at: datetime | None = None
    triggered_by: str | None = None
    run_type: str | None = None
    conf: Mapping[str, Any] = field(default_factory=dict)


class Tone(StrEnum):
    """How the verdict is shown. It is always said in words too."""

    RIGHT = "right"
    WRONG = "wrong"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class ProductNumbers:
    """
    How many records have a product in Salesforce.

    ``before``: before the run. ``after``: when the page was written. ``expected``: what it should be. None: that was not read.
    ``differing``: records of which the flag or a date differs.
    """

    label: str
    before: int | None
    after: int | None
    expected: int
    differing: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A question that people were asked, and what became of it. Times are UTC."""

    run_id: str
    task_id: str
    question: str
    asked_at: datetime
    answer: str
    answered_by: str | None
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class CauseCount:
    """How many differences have a cause, and how many of them nobody has accepted."""

    cause: str
    count: int
    new: int


@dataclass(frozen=True, slots=True)
class Report:
    """
    The page about a run, in the order of its readers.

    ``title``: what the page is. ``tone``, ``headline``, ``sentences``: the verdict, and what belongs to it.
    ``products``: the numbers of each product. ``expected``: what Salesforce should hold, as the head of a column.
    ``counts``: other numbers, by what they count.
    ``problems``: what is wrong and what to do, as the task's error says it. ``hints``: what a person should know although
    nothing is wrong. ``open_records``: the records that are not as they should be. ``causes``, ``causes_note``: why.
    ``answers``: what people were asked. None: the table was not read. ``askable``: who may answer.
    ``facts``: other facts of the run, by name. ``files``: names of files beside the page.
    """

    origin: Origin
    title: str
    written_at: datetime
    tone: Tone
    headline: str
    sentences: Sequence[str] = ()
    products: Sequence[ProductNumbers] = ()
    expected: str = "in the warehouse"
    counts: Mapping[str, int] = field(default_factory=dict)
    problems: Sequence[str] = ()
    hints: Sequence[str] = ()
    open_records: OpenList = NOTHING_OPEN
    causes: Sequence[CauseCount] = ()
    causes_note: str = ""
    answers: Sequence[Answered] | None = ()
    askable: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[str] = ()

    @property
    def shown_problems(self) -> Sequence[str]:
        return self.problems[:MAX_PROBLEMS]

    @property
    def more_problems(self) -> int:
        return len(self.problems) - len(self.shown_problems)


def cause_counts(rows: Iterable[tuple[Any, int, int]]) -> tuple[CauseCount, ...]:
    """:param rows: of ``feature_sync.replica.mismatches.Causes``."""
    return tuple(CauseCount(cause.description, count, new) for cause, count, new in rows)


def in_short(config: Mapping[str, Any]) -> dict[str, str]:
    """What a run was asked for, as text. Of a long list only the number of its items is said."""
    return {name: _short(value) for name, value in config.items() if value not in (None, "", [], ())}


def _short(value: Any) -> str:
    items = value.split() if isinstance(value, str) else value
    if isinstance(items, list | tuple) and len(items) > MAX_ITEMS:
        return f"{len(items):,} entries"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


MAX_ITEMS = 10
"""Items of a list that the page repeats."""
