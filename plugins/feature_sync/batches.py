"""A batch: a range of a run's frozen payload that goes through Census as one sync run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Batch:
    """Records ``first`` to ``last`` of a run's payload, both counted from 1 and inclusive."""

    number: int
    first: int
    last: int

    @property
    def records(self) -> int:
        return self.last - self.first + 1

    @property
    def label(self) -> str:
        """The name of the batch in Airflow's UI, logs and messages."""
        return f"batch {self.number:03d}: records {self.first}-{self.last}"

    @property
    def file_name(self) -> str:
        return f"feature_backfill_batch_{self.number:03d}_records_{self.first}-{self.last}.csv"

    def as_xcom(self) -> dict[str, Any]:
        return {"number": self.number, "first": self.first, "last": self.last, "label": self.label}

    @classmethod
    def from_xcom(cls, value: Mapping[str, Any]) -> "Batch":
        return cls(value["number"], value["first"], value["last"])


class PlanError(RuntimeError):
    """The frozen payload's batches do not cover its records one after another."""


def check_plan(batches: list[Batch], records: int, batch_size: int) -> None:
    """
    Make sure that the batches cover every record once, in order, and that none is too large.

    :raises PlanError: naming the first batch that breaks the rule.
    """
    expected_first = 1
    for number, batch in enumerate(batches, start=1):
        if batch.number != number or batch.first != expected_first or not 1 <= batch.records <= batch_size:
            raise PlanError(
                f"{batch.label} breaks the plan: expected batch {number:03d} from record {expected_first}, at most {batch_size}."
            )
        expected_first = batch.last + 1
    if expected_first != records + 1:
        raise PlanError(f"The batches end at record {expected_first - 1:,}, the payload has {records:,}.")
