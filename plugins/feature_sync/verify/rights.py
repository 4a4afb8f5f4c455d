"""What our user of the warehouse may do with the tables, by what was granted to it."""

from collections.abc import Collection, Mapping

from feature_sync.checks.findings import Finding, not_checked, right, wrong
from feature_sync.config.settings import Settings
from feature_sync.storage.descriptions import Description
from feature_sync.storage.marks import OwnTable, own_tables
from feature_sync.storage.privileges import Privileges, UnknownPrivilegesError, read_privileges
from feature_sync.storage.source_tables import source_columns
from feature_sync.storage.warehouse import Warehouse

NAME = "rights in the warehouse"


def check_rights(warehouse: Warehouse, read: Collection[str], own: Mapping[OwnTable, Description | None]) -> list[Finding]:
    """
    Compare what was granted with what a run does. Nothing is tried out.

    :param read: the tables that could be read already.
    :param own: our tables as they are, or None for one that does not exist. One that could not be looked at is left out.
    """
    settings = warehouse.settings
    tables = [*source_columns(settings), *(each.name for each in own_tables(settings))]
    of_census = not_checked(
        NAME,
        f"Whether Census may read {settings.batch_table}, because nobody here knows its user in the warehouse. When the table "
        f"exists, run this with that user's name: GRANT SELECT ON TABLE {settings.batch_table} TO <the user>;",
    )
    try:
        privileges = read_privileges(warehouse, tables)
    except UnknownPrivilegesError as error:
        return [not_checked(NAME, f"What we may do with the tables. {error}"), of_census]
    return [*judge_rights(privileges, settings, read, own), of_census]


def judge_rights(
    privileges: Privileges, settings: Settings, read: Collection[str], own: Mapping[OwnTable, Description | None]
) -> list[Finding]:
    """Parameters as in `check_rights`."""
    return [*_of_sources(privileges, list(source_columns(settings)), read), *_of_own(privileges, own)]


def _of_sources(privileges: Privileges, tables: list[str], read: Collection[str]) -> list[Finding]:
    findings = []
    lacking = {table: statements for table in tables if (statements := privileges.lacking(table, "SELECT"))}
    if granted := [table for table in tables if table not in lacking]:
        findings.append(right(NAME, f"{privileges.principal} may read {', '.join(granted)}."))
    for table, statements in lacking.items():
        if table in read:
            text = f"{privileges.principal} could read {table}, although no grant is shown that allows it."
            findings.append(right(NAME, text))
        else:
            text = f"No grant lets {privileges.principal} read {table}. If there is such a table, ask its owner to run this:"
            findings.append(wrong(NAME, f"{text}{_lines(statements)}"))
    return findings


def _of_own(privileges: Privileges, own: Mapping[OwnTable, Description | None]) -> list[Finding]:
    lacking: dict[str, None] = {}
    for table, found in own.items():
        statements = (
            privileges.lacking_to_create(table.name) if found is None else privileges.lacking(table.name, "SELECT", "MODIFY")
        )
        lacking |= dict.fromkeys(statements)
    if lacking:
        return [
            wrong(
                NAME,
                f"No grant lets {privileges.principal} create, read and write our own tables. Ask the owner of the schema to run "
                f"this:{_lines(lacking)}",
            )
        ]
    new = [table.name for table, found in own.items() if found is None]
    known = [table.name for table, found in own.items() if found is not None]
    said = []
    if new:
        said.append(right(NAME, f"{privileges.principal} may create {', '.join(new)}. The first run does."))
    if known:
        said.append(right(NAME, f"{privileges.principal} may read and write {', '.join(known)}."))
    return said


def _lines(statements: Collection[str]) -> str:
    return "".join(f"\n    {statement}" for statement in statements)
