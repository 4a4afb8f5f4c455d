"""What the warehouse says of a table: its columns, its kind, and the mark that makes it one of ours."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MARK = "feature_sync.table"
"""The table property that marks a table as ours."""

_DETAILS = "# Detailed Table Information"
_SYNONYMS = {"integer": "int", "long": "bigint", "varchar": "string", "char": "string", "numeric": "decimal", "bool": "boolean"}
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Description:
    """
    A table as it is.

    ``columns``: their types by name, see `parse_description`. ``mark``: the value of the property `MARK`, or None.
    """

    columns: Mapping[str, str]
    is_view: bool = False
    mark: str | None = None


def parse_description(rows: Rows) -> dict[str, str]:
    """
    Columns and types of a table, in lower case and without precision, from the rows of ``DESCRIBE TABLE``.

    The columns end at the first empty name or the first name that begins with ``#``. What follows describes partitions and the
    like (https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-aux-describe-table.html).
    """
    columns = {}
    for row in rows:
        name = (row["col_name"] or "").strip()
        if not name or name.startswith("#"):
            break
        kind = row["data_type"].lower().partition("(")[0].strip()
        columns[name.lower()] = _SYNONYMS.get(kind, kind)
    return columns


def read_description(rows: Rows) -> Description:
    """A table from the rows of ``DESCRIBE TABLE EXTENDED``. Without details it has no mark, so it is not ours."""
    names = [(row["col_name"] or "").strip() for row in rows]
    start = names.index(_DETAILS) + 1 if _DETAILS in names else len(names)
    details = {name: row["data_type"] or "" for name, row in zip(names[start:], rows[start:], strict=True)}
    # Written as [key=value,key=value]. Our value has neither a comma nor a bracket.
    mark = re.search(rf"[\[,]\s*{re.escape(MARK)}=([^,\]]*)", details.get("Table Properties", ""))
    return Description(parse_description(rows), "VIEW" in details.get("Type", "").upper(), mark[1].strip() if mark else None)
