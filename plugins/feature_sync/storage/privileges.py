"""What we may do in the warehouse, by what was granted. Nothing is tried out."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from feature_sync.storage.warehouse import Row, StatementError, Warehouse

log = logging.getLogger(__name__)

ALL, OWNERSHIP = "ALL PRIVILEGES", "OWNERSHIP"


class UnknownPrivilegesError(RuntimeError):
    """The information schema cannot be read, as in a catalog that is none of Unity Catalog's."""


@dataclass(frozen=True, slots=True)
class Privileges:
    """
    ``principal``: who we are in the warehouse.
    ``granted``: pairs of a name in lower case and a privilege. The name is that of a catalog, a schema or a table.
    """

    principal: str
    granted: frozenset[tuple[str, str]]

    def allow(self, privilege: str, name: str) -> bool:
        """
        Whether a privilege on something is granted. One on its schema or its catalog is enough.

        Who owns something may do everything with it, but not with what is below it.
        """
        parts = name.lower().split(".")
        above = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
        if any((each, kind) in self.granted for each in above for kind in (privilege, ALL)):
            return True
        return (name.lower(), OWNERSHIP) in self.granted

    def lacking(self, table: str, *privileges: str) -> list[str]:
        """The statements that grant what is lacking to use a table, also that of the catalog and of the schema around it."""
        catalog, schema, _ = table.split(".")
        needed = [("USE CATALOG", "CATALOG", catalog), ("USE SCHEMA", "SCHEMA", f"{catalog}.{schema}")]
        needed += [(each, "TABLE", table) for each in privileges]
        return self._statements(needed)

    def lacking_to_create(self, table: str) -> list[str]:
        """The same to create a table."""
        catalog, schema, _ = table.split(".")
        within = f"{catalog}.{schema}"
        return self._statements(
            [("USE CATALOG", "CATALOG", catalog), ("USE SCHEMA", "SCHEMA", within), ("CREATE TABLE", "SCHEMA", within)]
        )

    def _statements(self, needed: Iterable[tuple[str, str, str]]) -> list[str]:
        return [
            f"GRANT {privilege} ON {kind} {name} TO `{self.principal}`;"
            for privilege, kind, name in needed
            if not self.allow(privilege, name)
        ]


def parse_privileges(rows: Iterable[Row]) -> Privileges:
    """:param rows: of ``tables/select_privileges.sql``."""
    known = list(rows)
    # Some of Databricks' interfaces write USE_SCHEMA for USE SCHEMA.
    granted = frozenset((row["name"], row["privilege"].upper().replace("_", " ")) for row in known if row["name"])
    return Privileges(known[0]["principal"] if known else "unknown", granted)


def read_privileges(warehouse: Warehouse, tables: Sequence[str]) -> Privileges:
    """
    Ask the information schema of all catalogs; if that may not be read, the one of each table's catalog.

    :raises UnknownPrivilegesError: none of them can be read.
    """
    names = {".".join(table.lower().split(".")[:count]) for table in tables for count in (1, 2, 3)}
    wanted = {"names": ",".join(sorted(names))}
    try:
        return parse_privileges(warehouse.fetch_all("tables/select_privileges", wanted, names={"catalog": "system"}))
    except StatementError as error:
        log.info("system.information_schema cannot be read: %s", error)
    rows: list[Row] = []
    for catalog in dict.fromkeys(table.partition(".")[0] for table in tables):
        try:
            rows += warehouse.fetch_all("tables/select_privileges", wanted, names={"catalog": catalog})
        except StatementError as error:
            raise UnknownPrivilegesError(f"The information schema of {catalog} cannot be read: {error}") from error
    return parse_privileges(rows)
