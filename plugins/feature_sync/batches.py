"""A batch: records of a run's frozen payload that go through Census as one sync run. And the plans: which batches a run has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_sync.run_config import Strategy, count_batches

MAX_SIBLINGS = 12
"""
Records of a transaction beyond the first of each parent.

A rollup Flow updates the parent once for each; Salesforce's help, "Flow limits": "Maximum number of duplicate updates in one
batch (12 allowed)".
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """
    ``records`` records of a run's payload, from ``first`` to ``last``, both counted from 1 and inclusive.

    There may be gaps after a probe: records between ``first`` and ``last`` that Salesforce accepted before. ``siblings``: how
    many of them are not the first of their parent.
    """

    number: int
    first: int
    last: int
    records: int
    siblings: int = 0

    @property
    def label(self) -> str:
        """The name of the batch in Airflow's UI, logs and messages."""
        return f"batch {self.number:03d}: records {self.first}-{self.last}"

    @property
    def file_name(self) -> str:
        return f"feature_backfill_batch_{self.number:03d}_records_{self.first}-{self.last}.csv"

    def as_xcom(self) -> dict[str, Any]:
        return {"number": self.number, "first": self.first, "last": self.last, "records": self.records, "label": self.label}

    @classmethod
    def from_xcom(cls, value: Mapping[str, Any]) -> "Batch":
        return cls(value["number"], value["first"], value["last"], value["records"])


class PlanError(RuntimeError):
    """The frozen payload is not cut as it should be."""


def first_sizes(strategy: Strategy, records: int, batch_size: int) -> list[int]:
    """
    How many records each batch has at the start.

    - ``batched``: as many as ``batch_size``, the last one what is left;
    - ``full``: all in one;
    - ``probe``: ``batch_size``, twice that, all that is left; each shows whether a larger batch passes.
    """
    match strategy:
        case Strategy.FULL:
            sizes = [records]
        case Strategy.PROBE:
            sizes = [batch_size, 2 * batch_size, records]
        case Strategy.BATCHED:
            sizes = [batch_size] * count_batches(records, batch_size)
    cut: list[int] = []
    for size in sizes:
        cut.append(min(size, records - sum(cut)))
    return [size for size in cut if size > 0]


def check_plan(batches: Sequence[Batch], sizes: Sequence[int]) -> None:
    """
    Make sure that the batches in the warehouse are those planned, one after another.

    :param sizes: as `first_sizes` gives them.
    :raises PlanError: naming the first batch that is different.
    """
    first = 1
    for number, size in enumerate(sizes, start=1):
        expected = (number, first, first + size - 1, size)
        found = batches[number - 1] if number <= len(batches) else None
        if found is None or (found.number, found.first, found.last, found.records) != expected:
            raise PlanError(
                f"Batch {number:03d} should be records {first}-{first + size - 1}, but is {found.label if found else 'missing'}."
            )
        first += size
    if len(batches) > len(sizes):
        raise PlanError(f"{batches[len(sizes)].label} is one batch too many; {first - 1:,} records are planned.")
