"""The records that are not as they should be: gathered from the rows of the run's own lists while these are written."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from feature_sync.config.fields import FieldTable
from feature_sync.salesforce.causes import Cause

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

MAX_SHOWN = 100
"""Records that a page names. The others are counted, and the lists beside the page have them."""
MAX_HELD = 30_000
"""Records that are looked at to find those that matter most. The weekly list has fewer."""
MAX_WORDS = 5
"""Different products, and different causes, that a record's line names."""
MAX_LINK = 300
"""Characters of a link. A longer one is none."""
LINKS = ("https://", "http://")

Row = Mapping[str, Any]


@dataclass(slots=True)
class OpenRecord:
    """
    One record that is not as it should be.

    ``id``: of its property, or of the record if the property is not known. ``products``: what the property has by the warehouse.
    ``differs``: the products, or the facts, that differ. ``why``: the causes, and Salesforce's reason if it rejected the record.
    """

    id: str
    name: str = ""
    company: str = ""
    products: str = ""
    product_count: int = 0
    link: str = ""
    differs: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    is_rejected: bool = False

    @property
    def weight(self) -> tuple[Any, ...]:
        """Sorts what matters most first: customers with more products, then rejected records, then those that differ in more."""
        return -self.product_count, not self.is_rejected, -len(self.differs), self.name.casefold(), self.id


@dataclass(frozen=True, slots=True)
class OpenList:
    """
    The records that matter most.

    :param total: how many records are open; at least those that are shown.
    :param details: the files that have all of them.
    """

    shown: tuple[OpenRecord, ...]
    total: int
    details: tuple[str, ...] = ()

    @property
    def more(self) -> int:
        return self.total - len(self.shown)


NOTHING_OPEN = OpenList((), 0)


class OpenRecords:
    """
    Watches the rows of ``mismatches.csv`` and ``rejected_records.csv`` on their way to the file.

    The columns ``property_id``, ``property_name``, ``company``, ``product_names``, ``number_of_products`` and ``salesforce_link``
    are used if the rows have them. Differences that a person has accepted are not open.

    :param describe: what a row says that is about a whole record and no field of it. None: nothing but its cause.
    """

    def __init__(self, fields: FieldTable, describe: Callable[[Row], str] | None = None) -> None:
        self._key = fields.upsert_key.column
        self._products = {each.column: product.label for product in fields.products for each in product.fields}
        self._label_of = {product.name: product.label for product in fields.products}
        self._describe = describe or (lambda _: "")
        self._records: dict[str, OpenRecord] = {}

    def watch(self, tables: "Iterable[pa.Table]") -> "Iterator[pa.Table]":
        """The same tables. Their rows are gathered on the way."""
        for table in tables:
            try:
                for row in table.to_pylist():
                    self.add(row)
            except Exception as error:  # the file that is being written matters more than the page
                log.warning("Some rows are not in the report (%s: %s)", type(error).__name__, error)
            yield table

    def add(self, row: Row) -> None:
        if row.get("is_accepted"):
            return
        id_ = str(row.get("property_id") or row.get(self._key) or row.get("salesforce_id") or "")
        if id_ not in self._records and len(self._records) >= MAX_HELD:
            return
        record = self._records.setdefault(id_, OpenRecord(id_))
        record.name = record.name or str(row.get("property_name") or "")
        record.company = record.company or str(row.get("company") or "")
        record.products = record.products or self._labels(str(row.get("product_names") or ""))
        record.product_count = record.product_count or int(row.get("number_of_products") or 0)
        url = str(row.get("salesforce_link") or "")
        if url.startswith(LINKS) and len(url) <= MAX_LINK:
            record.link = record.link or url
        if reason := "field" not in row and row.get("reason"):
            record.is_rejected = True
            record.why = [f"rejected: {reason}", *record.why][:MAX_WORDS]
        _note(record.differs, self._products.get(row.get("field") or "") or self._describe(row))
        if cause := row.get("cause"):
            _note(record.why, Cause(cause).description)

    def _labels(self, names: str) -> str:
        return ", ".join(self._label_of.get(name, name) for name in names.split(", ")) if names else ""

    def listed(self, total: int = 0, details: Iterable[str] = ()) -> OpenList:
        """
        What the page shows.

        :param total: how many records differ, if that is known better than by the rows. :param details: files that have all.
        """
        found = sorted(self._records.values(), key=lambda record: record.weight)
        return OpenList(tuple(found[:MAX_SHOWN]), max(total, len(found)), tuple(details))


def _note(words: list[str], word: str) -> None:
    if word and word not in words and len(words) < MAX_WORDS:
        words.append(word)
