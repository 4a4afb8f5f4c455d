"""Our own tables in the warehouse: looked at, created and extended."""

from collections.abc import Iterable

from feature_sync.config.problems import OwnTableError
from feature_sync.storage.descriptions import Description, read_description
from feature_sync.storage.marks import OwnTable, former_table_problem, lacking_keys, mark_problem, own_tables
from feature_sync.storage.warehouse import Column, ConnectError, StatementError, Warehouse, columns_of


def describe(warehouse: Warehouse, table: str) -> Description:
    """
    A table as it is now.

    :raises StatementError: the table does not exist, or may not be read.
    """
    return read_description(warehouse.fetch_all("tables/describe_table", names={"table": table}))


def column_definitions(columns: Iterable[Column]) -> str:
    """The text between the parentheses of a ``CREATE TABLE`` or ``ADD COLUMNS``."""
    return ",\n".join(f"{column.name} {column.type}" for column in columns)


def look_at_own_tables(warehouse: Warehouse) -> tuple[dict[OwnTable, Description | None], list[str]]:
    """
    Look at our tables and change nothing.

    :returns: each table as it is, or None if it does not exist; and a sentence for each that must not be used.
    :raises ConnectError: the warehouse does not answer.
    """
    found: dict[OwnTable, Description | None] = {}
    problems = []
    for table in own_tables(warehouse.settings):
        try:
            found[table] = _look(warehouse, table.name)
            problems += _compare(warehouse, table, found[table])
        except ConnectError:
            raise
        except StatementError as error:
            problems.append(f"{table.name}: {error}")
    return found, problems


def prepare_tables(warehouse: Warehouse) -> None:
    """
    Create our tables where they do not exist, add the columns of a newer version or a new product, and prove that we may write.

    All tables are looked at and compared before any of them is changed.

    :raises OwnTableError: naming each table that is not provably ours, each that has a column of another type, as after a change
        of ``datetime_fields``, and each that may not be created, changed or written to.
    :raises ConnectError: the warehouse does not answer.
    """
    tables = own_tables(warehouse.settings)
    found, problems = look_at_own_tables(warehouse)
    if problems:
        raise OwnTableError(problems)
    for table in tables:
        try:
            _prepare(warehouse, table, found[table])
        except ConnectError:
            raise
        except StatementError as error:
            problems.append(f"{table.name}: {error}")
        except OwnTableError as error:  # somebody has made or replaced it since the look
            problems += error.problems
    if problems:
        raise OwnTableError(problems)


def _look(warehouse: Warehouse, name: str) -> Description | None:
    """The table as it is now, or None if there is none."""
    try:
        return describe(warehouse, name)
    except StatementError as error:
        if "[TABLE_OR_VIEW_NOT_FOUND]" not in str(error):
            raise
        return None


def _compare(warehouse: Warehouse, table: OwnTable, found: Description | None) -> list[str]:
    if found is None:
        former = _look(warehouse, table.former_name) if table.former_name else None
        is_ours = former and not former.is_view and not lacking_keys(table, former) and former.mark in (None, table.mark)
        return [former_table_problem(table)] if is_ours else []
    if problem := mark_problem(table, found):
        return [problem]
    wanted = {column.name.lower(): column.type.lower() for column in columns_of(warehouse.settings, table.definition)}
    mistyped = [name for name, kind in wanted.items() if found.columns.get(name, kind) != kind]
    if not mistyped:
        return []
    return [
        f"{table.name} was created with other types: "
        + ", ".join(f"{name} is {found.columns[name]}, now it must be {wanted[name]}" for name in mistyped)
        + ". Rename the table, and a new one is created. Earlier runs can then be neither retried nor undone."
    ]


def _prepare(warehouse: Warehouse, table: OwnTable, found: Description | None) -> None:
    columns = columns_of(warehouse.settings, table.definition)
    names = {"table": table.name}
    if found is None:
        made = names | {
            "columns": column_definitions(columns),
            "clustered_by": table.clustered_by,
            "mark": table.mark_property,
        }
        warehouse.execute("tables/create_table", names=made)
    else:
        warehouse.trust(table.name)
        if missing := [column for column in columns if column.name.lower() not in found.columns]:
            try:
                warehouse.execute("tables/add_columns", names=names | {"columns": column_definitions(missing)})
            except StatementError:
                # A statement whose answer was lost is sent again, and by then the columns exist.
                if not {column.name.lower() for column in missing} <= set(describe(warehouse, table.name).columns):
                    raise
    warehouse.execute("tables/prove_write", names=names)
