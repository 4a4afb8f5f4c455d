"""``missing_records.csv``: the properties that belong in Salesforce and have no record there."""

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from feature_sync.config.wording import count_of
from feature_sync.lists.people import write_list
from feature_sync.storage.run_files import StoragePath
from feature_sync.storage.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

IN_ALL = "in_all"
"""A column of `select_missing_records.sql` that is no part of the file."""
CAUSES = {"no_record": "no record is known", "deleted_in_salesforce": "its record was deleted in Salesforce"}


def write_missing_records(path: StoragePath, warehouse: Warehouse, run_id: str, most: int) -> int:
    """
    Write the list of the properties that have no record in Salesforce, and the same as a spreadsheet. Those that nobody has
    accepted come first, and of these the ones with most products.

    :param run_id: the reconciliation that has found them.
    :param most: how many the list has at most. If there are more, the log says so.
    :returns: how many it has.
    """
    counted = _Counted(warehouse.stream("reconciliation/select_missing_records", {"most": most, "compared_by": run_id}))
    listed = write_list(path, counted.read(), warehouse.settings, {"cause": CAUSES})
    if counted.in_all > listed:
        log.warning("%s lists %s of %s.", path.name, f"{listed:,}", count_of(counted.in_all, "missing record"))
    return listed


class _Counted:
    """The rows of the list. ``in_all``: after they were read, how many there would be without the limit."""

    def __init__(self, tables: "Iterable[pa.Table]") -> None:
        self._tables = tables
        self.in_all = 0

    def read(self) -> "Iterator[pa.Table]":
        for table in self._tables:
            if table.num_rows:
                self.in_all = table[IN_ALL][0].as_py()
            yield table.drop_columns([IN_ALL])
