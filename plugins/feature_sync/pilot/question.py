"""The question about a pilot, in Markdown: what was sent, what Salesforce holds of it, and what an approval does."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_sync.config.fields import FieldTable
from feature_sync.config.wording import before_and_after, count_of
from feature_sync.pilot.choice import SENTINELS, Stratum, label_of
from feature_sync.pilot.rest import Rest

MAX_SENTINELS = 10
"""Sentinels that the table shows."""
MAX_OF_A_STRATUM = 2
"""Records of each other stratum that the table shows."""
MAX_NAME = 60
"""Characters of a property's name that the table shows."""

Row = Mapping[str, Any]
"""A row of ``pilot/select_pilot.sql``."""


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What is known of a pilot that Census has accepted.

    ``read_back``: records that were read from Salesforce. All of them hold what was sent, otherwise nobody is asked.
    ``not_read``: why none was read. Empty if they were.
    ``unreadable``: API names of fields that were not compared, because the user of the connection does not see them.
    ``shown``: records that the replica shows as they were sent.
    ``by_counters``: only Census's counters say that they were accepted.
    """

    records: int
    read_back: int
    shown: int
    not_read: str = ""
    unreadable: tuple[str, ...] = ()
    by_counters: bool = False

    @property
    def lines(self) -> list[str]:
        said = [f"{count_of(self.records, 'record', 'was', 'were')} sent, and Census says that all of them were accepted"]
        if self.by_counters:
            said.append("Only its counters say so: it has not shown what became of each record")
        if self.not_read:
            return [
                *said,
                f"**Not read back from Salesforce**: {self.not_read.rstrip('.')}. So look at some of these records there before "
                "you approve",
                f"The replica shows {self.shown:,} of {self.records:,} as they were sent. It lags, so few prove nothing",
            ]
        said.append(f"Read back from Salesforce: {self.read_back:,}; equal: {self.read_back:,}; different: 0")
        if self.unreadable:
            said.append(f"Not compared, because the connection may not see these fields: {', '.join(self.unreadable)}")
        return said


@dataclass(frozen=True, slots=True)
class Pilot:
    """
    The records of a pilot.

    ``rows``: once for each stratum, in the order of strata.
    """

    strata: Sequence[Stratum]
    rows: Sequence[Row]


def pilot_question(pilot: Pilot, seen: Seen, rest: Rest, fields: FieldTable) -> str:
    """The question to the person who approves. The same pilot is always the same question."""
    kinds = "; ".join(f"{plain(stratum.label)} {stratum.chosen:,} of {stratum.records:,}" for stratum in pilot.strata)
    facts = "\n".join(f"- {line}." for line in [*seen.lines, f"Records of each kind in it: {kinds}"])
    others = f"the other {count_of(rest.records, 'record', 'is', 'are')} sent in {count_of(rest.batches, 'batch')}"
    return (
        f"{facts}\n\n{_table(pilot, fields)}\n\n"
        f"**Approve**: {others}.\n\n**Reject**: nothing more is sent, and the run fails. What the pilot has changed stays; a run "
        "with undo_run_id takes it back.\n"
    )


def _table(pilot: Pilot, fields: FieldTable) -> str:
    """Some records of each kind: what Salesforce held of each product before, and what was sent."""
    products = {product.label for product in fields.products}
    kinds: dict[int, list[str]] = {}
    for row in pilot.rows:
        own = kinds.setdefault(row["record_number"], [])
        if (label := label_of(row["stratum"], fields)) not in products:  # these have a column each
            own.append(label)
    heads = ("property", "kind", *(product.label for product in fields.products))
    lines = [f"| {' | '.join(plain(head) for head in heads)} |", f"|{':--|' * len(heads)}"]
    for row in _shown(pilot.rows):
        property_id = row[fields.property_id.column] or "no property id"
        name = row["property_name"]
        title = f"{plain(name)} ({plain(property_id)})" if name else plain(property_id)
        cells = (title, ", ".join(kinds[row["record_number"]]), *(before_and_after(each, row) for each in fields.products))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(rows: Iterable[Row]) -> list[Row]:
    """The first records of each stratum, each once."""
    shown: dict[int, Row] = {}
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["stratum"]] = counts.get(row["stratum"], 0) + 1
        if counts[row["stratum"]] <= (MAX_SENTINELS if row["stratum"] == SENTINELS else MAX_OF_A_STRATUM):
            shown.setdefault(row["record_number"], row)
    return list(shown.values())


def plain(text: str) -> str:
    """Text from a table, shortened, as Markdown that shows nothing but that text."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    short = line if len(line) <= MAX_NAME else f"{line[: MAX_NAME - 1]}…"
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", short)
