"""``mismatches.csv``: every field that differs, with its cause. Some of the records are asked for in Salesforce itself."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from feature_sync.config.fields import FieldTable
from feature_sync.config.names import SALESFORCE_CONN_ID
from feature_sync.config.settings import Settings
from feature_sync.config.wording import count_of
from feature_sync.lists.people import FIRST, write_list
from feature_sync.salesforce.causes import Cause, KnownDifference, with_salesforce
from feature_sync.salesforce.errors import SalesforceError
from feature_sync.salesforce.models import SalesforceRecord
from feature_sync.salesforce.reader import new_reader
from feature_sync.storage.run_files import StoragePath
from feature_sync.storage.warehouse import Row

if TYPE_CHECKING:
    import pyarrow as pa

    from feature_sync.salesforce.hook import SalesforceReader

log = logging.getLogger(__name__)

MAX_ASKED = 2_000
"""Records that Salesforce is asked for: about ten requests, and as many as a person may look at."""
COUNTS = ("of_cause", "is_listed")
"""Columns of a bounded list that are no part of the file, see ``reconciliation/select_differences.sql``."""


@dataclass(frozen=True, slots=True)
class Causes:
    """
    How many differences have which cause. A difference is one that has a row in a full ``mismatches.csv``: a field of a record,
    or a record or property that cannot be compared. So the numbers add up to all of them.

    ``new``: those of them that nobody has accepted.
    ``note``: in a sentence, whether Salesforce itself was asked; empty if nothing differs.
    """

    counts: Mapping[Cause, int]
    new: Mapping[Cause, int]
    note: str = ""

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def total_new(self) -> int:
        return sum(self.new.values())

    @property
    def rows(self) -> list[tuple[Cause, int, int]]:
        """The causes that were found, with all and with new differences."""
        return [(cause, self.counts[cause], self.new.get(cause, 0)) for cause in Cause if self.counts.get(cause)]

    @property
    def sentence(self) -> str:
        """The causes of the new differences; empty if there are none."""
        named = [f"{new:,} {cause.description}" for cause, _, new in self.rows if new]
        if not named:
            return ""
        return f"Causes, field by field: of {count_of(self.total_new, 'difference')}, {'; '.join(named)}. {self.note}".rstrip()

    @property
    def table(self) -> list[str]:
        """For a log."""
        return [f"{cause.description:<60}{count:>12,}" for cause, count, _ in self.rows]

    def as_json(self) -> dict[str, int]:
        """Every cause, also those that were not found."""
        return {cause.value: self.counts.get(cause, 0) for cause in Cause}

    def new_as_json(self) -> dict[str, int]:
        return {cause.value: self.new.get(cause, 0) for cause in Cause}


NO_CAUSES = Causes({}, {})


def write_mismatches(
    path: StoragePath,
    tables: "Iterable[pa.Table]",
    settings: Settings,
    *,
    was_asked: bool = False,
    watch: "Callable[[Iterable[pa.Table]], Iterable[pa.Table]]" = iter,
) -> Causes:
    """
    Write ``mismatches.csv``, and the same as a spreadsheet, and count the causes. If there is a connection to Salesforce, it is
    asked for the first `MAX_ASKED` records. If it does not answer, the causes are those that the warehouse proves, and the note
    says so.

    :param tables: of ``backfill/select_mismatches.sql`` or ``reconciliation/select_differences.sql``.
    :param was_asked: the values in them are what Salesforce itself has said, so it is not asked again.
    :param watch: sees the rows as they go to the file, and returns them, such as `OpenRecords.watch`.
    """
    explained = _Explained(settings.fields, settings.salesforce_object, new_reader(), was_asked=was_asked)
    words = {"cause": {cause.value: cause.description for cause in Cause}}
    write_list(path, explained.read(tables), settings, words, watch=watch)
    return explained.causes


@dataclass(slots=True)
class _Explained:
    """The rows with what Salesforce says of them, and how many have which cause."""

    fields: FieldTable
    salesforce_object: str
    reader: "SalesforceReader"
    was_asked: bool = False
    found: Counter[tuple[Cause, bool]] = field(default_factory=Counter)
    moved: Counter[tuple[Cause, bool]] = field(default_factory=Counter)
    records: dict[str, SalesforceRecord | None] = field(default_factory=dict)
    """By upsert key; None if Salesforce does not show exactly one."""
    unreadable: frozenset[str] = frozenset()
    refusal: str = ""

    @property
    def causes(self) -> Causes:
        """After all rows were read."""
        counts: Counter[Cause] = Counter()
        new: Counter[Cause] = Counter()
        for source in (self.found, self.moved):
            for (cause, is_accepted), count in source.items():
                counts[cause] += count
                new[cause] += 0 if is_accepted else count
        return Causes(counts, new, self._note if counts.total() else "")

    def read(self, tables: "Iterable[pa.Table]") -> "Iterator[pa.Table]":
        """The rows of the file, with the causes counted on the way."""
        for table in tables:
            rows = table.to_pylist()
            self._count(rows)
            listed = [row for row in rows if row.get("is_listed", True)]
            self._ask({str(key) for row in listed if row["field"] and (key := row[self._key])})
            yield self._written(table, [self._as_said(row) if self.was_asked else self._explain(row) for row in listed])

    def _count(self, rows: list[Row]) -> None:
        for row in rows:
            group = Cause(row["cause"]), bool(row.get("is_accepted"))
            if "of_cause" in row:
                self.found[group] = row["of_cause"]
            else:
                self.found[group] += 1

    def _as_said(self, row: Row) -> Row:
        """The row, whose value in Salesforce is what Salesforce itself has said."""
        return row | {"asked_value": row["in_salesforce_value"]}

    def _explain(self, row: Row) -> Row:
        """The row, with the cause after Salesforce has answered, if it was asked."""
        record = self.records.get(row[self._key] or "")
        if record is None or row["salesforce_id"] != record.id:
            return row
        differing = next((each for each in self.fields.features if each.column == row["field"]), None)
        if differing is None:
            return row
        seen = {"changed_at": record.modified_at, "changed_by": record.modified_by}
        if differing.salesforce_name in self.unreadable:
            return row | seen
        known = KnownDifference(
            cause=Cause(row["cause"]),
            in_salesforce=row["in_salesforce_value"],
            expected=row["in_warehouse_value"],
            sent=row["sent_value"],
            before=row["before_value"],
            sent_outcome=row["sent_outcome"],
            sent_from=row["sent_from"],
            sent_until=row["sent_until"],
        )
        cause = with_salesforce(known, differing, record)
        self.moved[known.cause, bool(row.get("is_accepted"))] -= 1
        self.moved[cause, bool(row.get("is_accepted"))] += 1
        return row | seen | {"cause": cause.value, "asked_value": _text(record.values[differing.salesforce_name])}

    def _written(self, table: "pa.Table", rows: list[Row]) -> "pa.Table":
        import pyarrow as pa  # noqa: PLC0415 - slow

        fields = [each for each in table.schema if each.name not in (*COUNTS, *FIRST)]
        of_property = [each for each in table.schema if each.name in FIRST]
        schema = pa.schema([*fields, pa.field("asked_value", pa.string()), *of_property])
        return pa.Table.from_pylist(rows, schema=schema)

    def _ask(self, keys: Collection[str]) -> None:
        """Read the records that were not read yet, up to the limit."""
        wanted = sorted(set(keys) - set(self.records))[: MAX_ASKED - len(self.records)]
        if self.was_asked or not wanted or self.refusal:
            return
        names = [each.salesforce_name for each in self.fields.features]
        try:
            if not self.reader.is_configured():
                self.refusal = f"there is no connection {SALESFORCE_CONN_ID}"
                return
            read = self.reader.read_records(self.salesforce_object, self.fields.upsert_key.salesforce_name, wanted, names)
        except SalesforceError as error:
            self.refusal = str(error).rstrip(".")
            log.warning("Salesforce is not asked who changed the records that differ: %s", error)
            return
        self.unreadable = read.unreadable
        for key in wanted:
            found = read.records.get(key, ())
            self.records[key] = found[0] if len(found) == 1 else None

    @property
    def _key(self) -> str:
        return self.fields.upsert_key.column

    @property
    def _note(self) -> str:
        if self.was_asked:
            return "Salesforce itself was asked for all of them."
        if self.refusal:
            return f"Salesforce itself was not asked{' for all of them' if self.records else ''}: {self.refusal}."
        return f"Salesforce itself was asked for {count_of(len(self.records), 'record')}." if self.records else ""


def _text(value: Any) -> str | None:
    """A value of JSON as the warehouse casts it."""
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)
