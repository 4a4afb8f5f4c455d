"""Whether records, properties and feature rows belong together: keys, duplicates, twins."""

from collections.abc import Mapping
from dataclasses import dataclass

from feature_sync.checks.findings import Finding, judged, not_checked, right, wrong
from feature_sync.config.settings import Settings
from feature_sync.config.wording import count_of
from feature_sync.reconciliation.drift import UNHEALABLE, Drift, DriftClass
from feature_sync.reconciliation.verdict import class_cures, name_unmatched, with_accepted
from feature_sync.storage.source_tables import describe_source
from feature_sync.storage.warehouse import Row, Warehouse

KEYS, DUPLICATES, TWINS, DIFFERENCES = "keys", "duplicates", "twins", "differences"
USUAL_TWIN_COLUMN = "sfdc_id"
"""The column of the properties table that siblings share, as far as is known. `verify/count_twins.sql` has it too."""


@dataclass(frozen=True, slots=True)
class Counts:
    """
    ``records``: in Salesforce. ``differing``: those that a backfill would send.
    ``found``: what no backfill can correct, by class: the beginning of a sentence with the number.
    """

    records: int
    differing: int
    found: Mapping[DriftClass, str]


def check_keys(warehouse: Warehouse, seen: list[Counts], *, knows_accepted: bool) -> list[Finding]:
    """
    Count the records that no run can send, because nobody can say what they should hold.

    :param seen: gets what was counted.
    :param knows_accepted: whether there is a table of the differences that people have accepted. They are not wrong.
    """
    if knows_accepted:
        drift = Drift.from_rows(warehouse.fetch_all("reconciliation/compare_systems"), warehouse.settings.fields)
        found = {kind: with_accepted(drift, kind) for kind in UNHEALABLE if drift.new(kind)}
        counts = Counts(drift.properties_checked, drift.properties_new, found)
    else:
        counts = counts_of(warehouse.fetch_one("verify/count_keys"))
    has_unmatched = DriftClass.UNMATCHED_FEATURES in counts.found
    examples = warehouse.fetch_all("reconciliation/select_unmatched_features") if has_unmatched else []
    seen.append(counts)
    return key_findings(counts, warehouse.settings, name_unmatched(examples))


def counts_of(row: Row) -> Counts:
    """:param row: of ``verify/count_keys.sql``."""
    found = {kind: kind.found(row[kind]) for kind in UNHEALABLE if row.get(kind)}
    return Counts(row["records"], row["records_that_differ"], found)


def key_findings(counts: Counts, settings: Settings, unmatched: str) -> list[Finding]:
    """:param unmatched: examples of what the feature table names and the properties table lacks."""
    if not counts.records:
        return [wrong(KEYS, f"No record of {settings.salesforce_table} can be compared. Look at the replication of Salesforce.")]
    cures = class_cures("", unmatched)
    del cures[DriftClass.UNKNOWN_STATUS]  # a check of its own names them
    problems = [
        wrong(TWINS if kind is DriftClass.TRUE_THROUGH_SIBLING else KEYS, f"{counts.found[kind]}. {cure}")
        for kind, cure in cures.items()
        if kind in counts.found
    ]
    records = count_of(counts.records, "record")
    if not any(each.name == KEYS for each in problems):
        problems.append(right(KEYS, f"Each of {records} in Salesforce belongs to one property, and no two share a key."))
    differ = count_of(counts.differing, "record", "differs", "differ")
    sent = "If there are any, start product_feature_backfill with scope=mismatched and Dry run."
    return [*problems, right(DIFFERENCES, f"{differ} from the warehouse, of {records} in Salesforce. {sent}")]


def check_duplicates(warehouse: Warehouse) -> list[Finding]:
    found = warehouse.fetch_one("verify/count_repeated_ids")
    table = warehouse.settings.properties_table
    repeated = count_of(found["properties"], "property", "is", "are")
    problems = [
        f"{repeated} in {table} more than once, such as {found['example']}. Nobody can say which row is right. If the "
        "replication marks deleted rows, set PROPERTIES_DELETED_COLUMN. Otherwise correct the table."
    ]
    return judged(DUPLICATES, problems if found["properties"] else [], f"No property is in {table} more than once.")


def check_twins(warehouse: Warehouse) -> list[Finding]:
    """Whether several properties share one object in Salesforce, and whether the settings know it."""
    settings = warehouse.settings
    column = settings.twin_column or USUAL_TWIN_COLUMN
    if column.lower() not in describe_source(warehouse, settings.properties_table).columns:
        text = f"Whether several properties share an object, because TWIN_COLUMN is empty and there is no column {column}."
        return [not_checked(TWINS, text)]
    return [twin_finding(warehouse.fetch_one("verify/count_twins"), settings, column)]


def twin_finding(counts: Row, settings: Settings, column: str) -> Finding:
    """:param counts: of ``verify/count_twins.sql``."""
    if not counts["objects"]:
        return right(TWINS, f"No two properties share a value of {column}.")
    shared = (
        f"{count_of(counts['properties'], 'property')} of {settings.properties_table} share "
        f"{count_of(counts['objects'], 'value')} of {column}"
    )
    if settings.twin_column:
        return right(TWINS, f"{shared}. TWINS is {settings.twins}.")
    return wrong(
        TWINS,
        f"{shared}, and TWIN_COLUMN is empty, so a backfill would turn off what a property has through another one. Set "
        f"TWIN_COLUMN={column}, and ask the business whether the product of a sibling counts: then TWINS=any_active_sibling.",
    )
