"""A batch, and the attempts at sending it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Records of a run's frozen payload that go through Census as one sync run.

    ``first`` and ``last`` are record numbers, counted from 1 and inclusive. After a probe there may be gaps between them: records
    that Salesforce has accepted already. ``siblings``: how many of the records are not the first one of their parent.
    ``changes``: by product, how many more records have it after the batch than before; negative if fewer have it.
    """

    number: int
    first: int
    last: int
    records: int
    siblings: int = 0
    changes: Mapping[str, int] = field(default_factory=dict, compare=False)

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

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Batch":
        """:param row: of ``backfill/select_batches.sql``."""
        values = {name: row[name] for name in ("number", "first", "last", "records", "siblings")}
        changes = {name.removesuffix(_CHANGE): value for name, value in row.items() if name.endswith(_CHANGE)}
        return cls(**values, changes=changes)


_CHANGE = "_change"
"""How the columns of ``backfill/select_batches.sql`` end that say what a batch changes. They begin with the product's name."""


@dataclass(frozen=True, slots=True)
class PlannedChanges:
    """
    What each of the planned batches changes, for the page of the run. One note has all batches.

    ``by_batch``: by batch number, what `Batch.changes` holds.
    """

    by_batch: Mapping[int, Mapping[str, int]]

    @classmethod
    def of(cls, batches: Iterable[Batch]) -> "PlannedChanges":
        return cls({batch.number: batch.changes for batch in batches})

    def as_note(self) -> dict[str, Any]:
        """The names of the products once, then of each batch its number and its changes in the same order."""
        products = sorted({product for changes in self.by_batch.values() for product in changes})
        rows = [[number, *(changes[product] for product in products)] for number, changes in self.by_batch.items()]
        return {"products": products, "batches": rows}

    @classmethod
    def from_note(cls, note: Mapping[str, Any]) -> "PlannedChanges":
        return cls({number: dict(zip(note["products"], changes, strict=True)) for number, *changes in note["batches"]})


class AttemptStatus(StrEnum):
    """
    The outcome of an attempt at a batch.

    ``SENDING``: not known yet. ``ACCEPTED_BY_COUNTERS``: Census's counters say that every record was accepted, but its row
    records, which would say so of each one, never came. It counts as a success, and is reported. ``NOT_SENT``: nothing left the
    warehouse, because Census skipped the run or could not be asked for one. ``HALTED``: held back because other batches had
    failed. ``OVER_LIMIT``: a probe was larger than Salesforce's limits allow; its rejected records go into smaller batches.
    ``ORGANIZATION_LIMIT``: a limit of the whole Salesforce organisation was reached, such as its API calls a day. Every batch
    after it is held back.
    ``DIFFERS``: Census said that records were accepted, but Salesforce itself, when asked, held something else. Every batch
    after it is held back.
    ``UNCONFIRMED``: Salesforce was to be asked, and did not answer. Every batch after it is held back. The next try asks again,
    and sends nothing.
    """

    SENDING = "sending"
    SUCCEEDED = "succeeded"
    ACCEPTED_BY_COUNTERS = "accepted_by_counters"
    FAILED = "failed"
    NOT_SENT = "not_sent"
    HALTED = "halted"
    OVER_LIMIT = "over_limit"
    ORGANIZATION_LIMIT = "organization_limit"
    DIFFERS = "differs"
    UNCONFIRMED = "unconfirmed"

    @property
    def is_success(self) -> bool:
        """Whether every record was accepted, as far as Census says."""
        return self in (AttemptStatus.SUCCEEDED, AttemptStatus.ACCEPTED_BY_COUNTERS)


NOT_A_FAILURE = (AttemptStatus.HALTED, AttemptStatus.OVER_LIMIT)
"""Outcomes that the failure policy does not count."""
NOT_AS_SENT = (AttemptStatus.DIFFERS, AttemptStatus.UNCONFIRMED)
"""Outcomes of a batch that was to be read back and was not found as it was sent."""
_COLUMNS = {"number": "attempt", "generation": "series", "resends_rejections_of": "resends_attempt"}
"""Attributes of `Attempt` whose column in the sync log has another name."""
_OF_THE_QUERY = ("batch_records", "seen_at")
"""Attributes of `Attempt` that the sync log does not keep. The query that reads it works them out."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One attempt at one batch of a run. Except for ``batch_records`` and ``seen_at``, each attribute is a column of the sync log.

    ``generation``: 0 for a task's first tries. After a person clears the task, it is the number of tries made before, so old and
    new attempts can be told apart.
    ``records``: how many records it was to send.
    ``resends_rejections_of``: the attempt whose rejected records it sends again, or None for the whole batch.
    ``previous_sync_run_id``: the newest Census run when the trigger was about to be sent; a run of ours has a greater id.
    None if no trigger was to be sent.
    ``sync_run_id``: None until Census has answered the trigger.
    ``records_updated``, ``records_failed``, ``records_invalid``: Census's counters.
    ``records_rejected``: rows that were not accepted by Census's row records, or None if that is not known for sure. Those that
    were left out count among them.
    ``records_changed``: records that were left out, because somebody had changed them in Salesforce after they were frozen.
    ``replica_synced_at``: when the replica that this was read from had last been replicated, or None if it is empty.
    ``run_started_at``, ``run_ended_at``: start and end of the Census run, by Census's clock, once it has ended.
    ``batch_records``: how many records the largest attempt at the batch sent, if it is known.
    ``seen_at``: when the attempt ended, or began if it is still open, by the warehouse's clock.
    """

    run_id: str
    batch_number: int
    number: int
    status: AttemptStatus
    records: int
    generation: int = 0
    resends_rejections_of: int | None = None
    previous_sync_run_id: int | None = None
    sync_run_id: int | None = None
    records_updated: int | None = None
    records_failed: int | None = None
    records_invalid: int | None = None
    records_rejected: int | None = None
    records_changed: int | None = None
    replica_synced_at: datetime | None = None
    reason: str | None = None
    run_started_at: datetime | None = None
    run_ended_at: datetime | None = None
    batch_records: int | None = None
    seen_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether its outcome is not known yet."""
        return self.status is AttemptStatus.SENDING

    @property
    def is_to_be_judged(self) -> bool:
        """Whether the next try looks at its Census run, and in Salesforce, before anything is sent."""
        return self.is_open or self.status is AttemptStatus.UNCONFIRMED

    @property
    def has_written(self) -> bool:
        """Whether Salesforce has accepted some of its records, as far as Census says."""
        return self.status.is_success or (self.records_rejected is not None and self.records_rejected < self.records)

    @property
    def blames_records(self) -> bool:
        """
        Whether it failed because of some of its records, and of nothing that the other batches share.

        Salesforce accepted most of the batch, in this attempt or in one before it. If that is not known, the answer is no.
        """
        if self.status is not AttemptStatus.FAILED or self.records_rejected is None:
            return False
        return 0 < self.records_rejected * 2 < (self.batch_records or self.records)

    @property
    def next_resends_rejections_of(self) -> int | None:
        """The attempt whose rejected records the next attempt sends again, or None for the whole batch."""
        if self.status.is_success or self.status is AttemptStatus.DIFFERS:
            return None
        return self.number if self.records_rejected else self.resends_rejections_of

    def as_row(self) -> dict[str, Any]:
        """The attempt by the names of the sync log's columns."""
        return {column: getattr(self, name) for name, column in attempt_columns().items()}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Attempt":
        """:param row: of ``sending/select_last_attempts.sql``."""
        values = {name: row[column] for name, column in attempt_columns().items()}
        return cls(**values | {"status": AttemptStatus(row["status"])} | {name: row[name] for name in _OF_THE_QUERY})


def attempt_columns() -> dict[str, str]:
    """The attributes of `Attempt` that the sync log keeps, with their columns."""
    return {field.name: _COLUMNS.get(field.name, field.name) for field in fields(Attempt) if field.name not in _OF_THE_QUERY}
