"""What people have accepted: the entries that somebody has to look at, in sentences."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from feature_sync.config.wording import count_of
from feature_sync.storage.warehouse import Row, Warehouse

MAX_NAMED = 20
"""Entries of each state that are read and named. The counts include all."""


class AcceptanceState(StrEnum):
    """
    Why a person has to look at an acceptance.

    ``REFUSED``: the entry is not complete, or not allowed; it does not count. ``ENDED``: its end date has passed and the
    difference is still there, so it is new again. ``ENDS_SOON``: the same will happen within ACCEPTED_WARNING_DAYS.
    ``NOT_NEEDED``: the difference is gone.
    """

    REFUSED = "refused"
    ENDED = "ended"
    ENDS_SOON = "ends_soon"
    NOT_NEEDED = "not_needed"


_HEADINGS = {
    AcceptanceState.REFUSED: (
        "entry",
        "in the table of accepted differences does not count",
        "in the table of accepted differences do not count",
    ),
    AcceptanceState.ENDED: ("acceptance", "has ended, so its difference is new", "have ended, so their differences are new"),
    AcceptanceState.ENDS_SOON: ("acceptance", "ends soon", "end soon"),
    AcceptanceState.NOT_NEEDED: ("acceptance", "is no longer needed", "are no longer needed"),
}
"""Noun, and what follows after one and after several."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """
    An entry of the table of accepted differences, as a message names it. The reference takes the columns' sentences from here.

    Columns that no message needs: ``run_id``: the run of feature_sync_accept that wrote it, or None.
    ``accepted_at``: when it was accepted; the newest complete entry of a difference counts.

    ``class``: the class of the difference.
    ``salesforce_id``: the record, or None if the class is about a property without a record.
    ``product``: its name in the field table. None: all products, or the class is not about a product.
    ``reason``: why the difference may stay. ``accepted_by``: the person. ``accepted_until``: the last day, in UTC, on which it
    counts.

    ``class_``: the class as it is written there. ``problem``: why the entry does not count, or None.
    """

    class_: str | None
    salesforce_id: str | None
    property_id: str | None
    product: str | None
    reason: str | None
    accepted_by: str | None
    accepted_until: str | None
    problem: str | None

    def __str__(self) -> str:
        named = [f"{label} {value}" for label, value in (("property", self.property_id), ("record", self.salesforce_id)) if value]
        what = " ".join([self.class_ or "no class", *([self.product] if self.product else []), *named])
        by = f"accepted by {self.accepted_by or 'nobody'} until {self.accepted_until or 'no date'}"
        return f"{what} ({by}: {self.problem or self.reason})"


@dataclass(frozen=True, slots=True)
class Acceptances:
    """
    The entries that a person has to look at.

    :param counts: how many there are of each state.
    :param named: at most `MAX_NAMED` of each state.
    """

    counts: Mapping[AcceptanceState, int]
    named: Mapping[AcceptanceState, tuple[Acceptance, ...]]

    @classmethod
    def from_rows(cls, rows: Iterable[Row]) -> "Acceptances":
        """:param rows: of ``reconciliation/select_acceptances.sql``."""
        counts: dict[AcceptanceState, int] = {}
        named: dict[AcceptanceState, tuple[Acceptance, ...]] = {}
        for row in rows:
            state = AcceptanceState(row["state"])
            counts[state] = row["in_state"]
            until = row["accepted_until"]
            texts = {name: row[name] for name in ("salesforce_id", "property_id", "product", "reason", "accepted_by", "problem")}
            entry = Acceptance(class_=row["class"], accepted_until=until and until.isoformat(), **texts)
            named[state] = (*named.get(state, ()), entry)
        return cls(counts, named)

    @property
    def sentences(self) -> list[str]:
        """One for each state that has entries, the most urgent first."""
        return [self._sentence(state) for state in AcceptanceState if self.counts.get(state)]

    def _sentence(self, state: AcceptanceState) -> str:
        count, named = self.counts[state], self.named[state]
        noun, one, many = _HEADINGS[state]
        head = count_of(count, noun, one, many)
        rest = f"; and {count - len(named):,} more" if count > len(named) else ""
        return f"{head}: {'; '.join(str(each) for each in named)}{rest}."

    def as_json(self) -> dict[str, Any]:
        return {
            state.value: {
                "count": self.counts.get(state, 0),
                "named": [_without_nothing(each) for each in self.named.get(state, ())],
            }
            for state in AcceptanceState
        }


NO_ACCEPTANCES = Acceptances({}, {})


def read_acceptances(warehouse: Warehouse, run_id: str) -> Acceptances:
    """
    Read the entries that a person has to look at.

    :param run_id: the reconciliation whose differences say which entries are still needed.
    :raises StatementError: the warehouse refused the statement.
    """
    return Acceptances.from_rows(
        warehouse.fetch_all("reconciliation/select_acceptances", {"most": MAX_NAMED, "compared_by": run_id})
    )


def _without_nothing(entry: Acceptance) -> dict[str, str]:
    return {name.rstrip("_"): value for name, value in asdict(entry).items() if value is not None}
