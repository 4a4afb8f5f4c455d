"""Lists for customer success and the Salesforce admin: the CSV file is the machine's, the spreadsheet beside it the people's."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from feature_sync.config.settings import Settings
from feature_sync.storage.run_files import StoragePath, remove

if TYPE_CHECKING:
    import pyarrow as pa

    from feature_sync.lists.spreadsheets import Spreadsheet

log = logging.getLogger(__name__)

LINK = "salesforce_link"
FIRST = ("property_name", "company", "status", "number_of_products", "product_names", LINK)
"""The columns that a person looks for. In the CSV file they are the last ones, and in the spreadsheet the first ones."""
SALESFORCE_ID = r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?"

Words = Mapping[str, Mapping[str, str]]
"""For some columns: the text that a person reads instead of a value."""


def write_list(
    path: StoragePath,
    tables: "Iterable[pa.Table]",
    settings: Settings,
    words: Words | None = None,
    *,
    watch: "Callable[[Iterable[pa.Table]], Iterable[pa.Table]]" = iter,
) -> int:
    """
    Write a CSV file, and beside it a spreadsheet with the same rows.

    If a table has a column ``salesforce_id``, its rows get a last one with the address of the record. It is empty if
    ``SALESFORCE_URL`` is, or if the id does not look like one of Salesforce.

    A spreadsheet that cannot be written changes nothing but itself: a warning says so, and a former one is removed.

    :param tables: of one schema, at least one.
    :param watch: sees the rows as they go to the file, and returns them.
    :param words: for the spreadsheet alone. The names of products become their labels in any case.
    :returns: the number of rows.
    :raises CsvError: there is not even an empty table.
    """
    from feature_sync.storage.csv_files import write_csv  # noqa: PLC0415 - slow

    labels = {product.name: product.label for product in settings.fields.products}
    copy = _Copy(path, words or {}, labels)
    try:
        rows = write_csv(path, copy.read(watch(with_links(table, settings.salesforce_url) for table in tables)))
        copy.save()
    finally:
        copy.close()
    return rows


def beside(path: StoragePath) -> StoragePath:
    """The spreadsheet of a CSV file."""
    return path.parent / f"{path.name.removesuffix('.csv')}.xlsx"


def with_links(table: "pa.Table", salesforce_url: str) -> "pa.Table":
    """The table with a last column that has the address of each record, if there is a column ``salesforce_id``."""
    if "salesforce_id" not in table.schema.names:
        return table
    import pyarrow as pa  # noqa: PLC0415 - slow

    links = [link_to(each, salesforce_url) for each in table["salesforce_id"].to_pylist()]
    return table.append_column(LINK, pa.array(links, pa.string()))


def link_to(record_id: str | None, salesforce_url: str) -> str | None:
    """The address of a record, or None if it is not known. An id is data: only one that looks like one of Salesforce counts."""
    if not salesforce_url or not record_id or not re.fullmatch(SALESFORCE_ID, record_id, flags=re.ASCII):
        return None
    return f"{salesforce_url}/{record_id}"


class _Copy:
    """The rows of a list on their way into its CSV file, and into a spreadsheet. No error of the spreadsheet gets out of here."""

    def __init__(self, path: StoragePath, words: Words, labels: Mapping[str, str]) -> None:
        self._path, self._csv_name = beside(path), path.name
        self._words, self._labels = words, labels
        self._sheet: Spreadsheet | None = None
        self._has_failed = False

    def read(self, tables: "Iterable[pa.Table]") -> "Iterator[pa.Table]":
        for table in tables:
            yield table
            try:
                self._add(table)
            except Exception as error:
                self._fail(error)

    def save(self) -> None:
        if self._sheet is None or self._has_failed:
            return
        try:
            self._sheet.save(self._path)
        except Exception as error:
            self._fail(error)
            return
        if self._sheet.rows_cut:
            log.warning(
                "%s lacks %s rows, because Excel opens no longer sheet. %s has all of them.",
                self._path.name,
                f"{self._sheet.rows_cut:,}",
                self._csv_name,
            )

    def close(self) -> None:
        if self._sheet is not None:
            try:
                self._sheet.close()
            except Exception as error:
                log.warning("A temporary file of %s could not be removed: %s", self._path.name, error)

    def _add(self, table: "pa.Table") -> None:
        if self._has_failed:
            return
        names = table.schema.names
        if self._sheet is None:
            columns = [*(name for name in FIRST if name in names), *(name for name in names if name not in FIRST)]
            links = [LINK] if LINK in names else []
            from feature_sync.lists.spreadsheets import Spreadsheet  # noqa: PLC0415 - slow

            self._sheet = Spreadsheet(columns, links=links, rest_is_in=self._csv_name)
        for row in table.to_pylist():
            self._sheet.add(self._in_words(row))

    def _in_words(self, row: dict[str, Any]) -> dict[str, Any]:
        said = {name: words.get(row[name], row[name]) for name, words in self._words.items() if name in row}
        if products := row.get("product_names"):
            said["product_names"] = ", ".join(self._labels.get(name, name) for name in products.split(", "))
        return row | said

    def _fail(self, error: Exception) -> None:
        self._has_failed = True
        log.warning(
            "%s could not be written (%s: %s). %s has the same rows.", self._path, type(error).__name__, error, self._csv_name
        )
        remove(self._path)
