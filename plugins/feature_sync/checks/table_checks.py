"""The tables that a run reads: whether they are there, have the right columns, and are not too old."""

from feature_sync.checks.findings import Finding, is_right, judged, not_checked, right, wrong
from feature_sync.config.names import DATABRICKS_CONN_ID
from feature_sync.storage.candidates import describe_candidates, key_columns
from feature_sync.storage.freshness import read_freshness
from feature_sync.storage.source_tables import describe_source, source_columns, source_problems
from feature_sync.storage.warehouse import ConnectError, StatementError, Warehouse

CONNECTION, SOURCES, AGES = "connection to the warehouse", "tables that are read", "age of the tables"


def check_sources(warehouse: Warehouse) -> list[Finding]:
    """Look for the tables and their columns. If one is another table than it should be, name those that could be meant."""
    settings = warehouse.settings
    findings = []
    for table in source_columns(settings):
        try:
            found = describe_source(warehouse, table).columns
        except ConnectError as error:
            text = f"The warehouse cannot be reached ({DATABRICKS_CONN_ID}): {error}"
            unseen = "The tables that a run reads, because the warehouse cannot be reached."
            return [wrong(CONNECTION, text, is_temporary=error.is_temporary), not_checked(SOURCES, unseen)]
        except StatementError as error:
            findings.append(wrong(SOURCES, f"{table} cannot be read: {error}{describe_candidates(warehouse, table)}"))
            continue
        complaints = source_problems(settings, table, found)
        if complaints and not set(key_columns(settings, table)) <= set(found):  # so it is probably another table
            complaints[0] += describe_candidates(warehouse, table)
        findings += judged(SOURCES, complaints, f"{table} has every column that a run needs, in the right type.")
    return findings


def check_ages(warehouse: Warehouse, sources: list[Finding]) -> list[Finding]:
    """:param sources: as `check_sources` returns them. If a table cannot be read, they say so."""
    try:
        ages = read_freshness(warehouse)
    except StatementError as error:
        if is_right(sources):
            return [wrong(AGES, str(error), is_temporary=error.is_temporary)]
        return [not_checked(AGES, "How old the tables are, because one of them cannot be read.")]
    return [
        wrong(AGES, each.problem) if each.problem else right(AGES, f"{each.table}: its newest row is of {each}.") for each in ages
    ]
