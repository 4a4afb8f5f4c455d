"""What must hold before anything is sent: facts in, problems out, each saying what is wrong and what to do."""

from collections.abc import Mapping
from typing import Any

from feature_sync.census.models import Sync
from feature_sync.fields import FieldTable


class GuardError(RuntimeError):
    """Checks that did not hold; nothing was sent. ``problems`` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("Nothing was sent, because:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = problems


def sync_problems(sync: Sync, fields: FieldTable, batch_table: str, salesforce_object: str) -> list[str]:
    """
    Compare the live configuration of the Census sync with what a run relies on.

    :returns: a sentence for each difference, with what was found; empty when the sync is as it must be.
    """
    where = f"Census sync {sync.id}"
    problems = []
    if sync.operation != "update":
        problems.append(
            f"{where}: its behavior is {sync.operation!r}; it must be 'update', so that no record is created or deleted."
        )
    if sync.destination_object.lower() != salesforce_object.lower():
        problems.append(f"{where}: it writes to {sync.destination_object}; it must write to {salesforce_object}.")
    if (sync.source.table or "").lower() != batch_table.lower():
        found = sync.source.table or f"a {sync.source.type or 'source'} that is no table"
        problems.append(f"{where}: it reads {found}; it must read the table {batch_table}.")
    if sync.paused:
        problems.append(f"{where}: it is paused; resume it in Census.")
    if sync.schedule_frequency != "never":
        problems.append(
            f"{where}: it runs on the schedule {sync.schedule_frequency!r}; it must be manual, because each batch is triggered."
        )
    return problems + [f"{where}: {problem}" for problem in _mapping_problems(sync, fields)]


def _mapping_problems(sync: Sync, fields: FieldTable) -> list[str]:
    wanted = {field.salesforce_name.lower(): field for field in fields}
    mapped = {mapping.to.lower(): mapping for mapping in sync.mappings}
    problems = []
    if missing := [field.salesforce_name for name, field in wanted.items() if name not in mapped]:
        problems.append(f"it does not map {', '.join(missing)}.")
    if surplus := [mapping.to for name, mapping in mapped.items() if name not in wanted]:
        problems.append(f"it also maps {', '.join(surplus)}; remove that.")
    if len(sync.mappings) != len(mapped):
        problems.append("it maps a field more than once.")
    for name, field in wanted.items():
        mapping = mapped.get(name)
        if mapping is None:
            continue
        if (mapping.column or "").lower() != field.column:
            found = mapping.column or f"a {mapping.source_type}"
            problems.append(f"{mapping.to} is mapped from {found}; it must be mapped from {field.column}.")
        if not mapping.sync_null_values:
            problems.append(f"{mapping.to} does not sync null values, so a wrong date would stay; switch 'sync null values' on.")
    keys = [mapping.to for mapping in sync.mappings if mapping.is_primary_identifier]
    if [key.lower() for key in keys] != [fields.upsert_key.salesforce_name.lower()]:
        problems.append(f"its sync key is {', '.join(keys) or 'missing'}; it must be {fields.upsert_key.salesforce_name}.")
    return problems


def payload_problems(facts: Mapping[str, Any], fields: FieldTable) -> list[str]:
    """
    Check the frozen payload.

    :param facts: the row of ``check_payload.sql``.
    """
    key = fields.upsert_key.column
    problems = []
    if not facts["records"]:
        problems.append("The payload is empty: the records in scope vanished while they were frozen. Start the run again.")
    if facts["empty_keys"]:
        problems.append(f"{facts['empty_keys']:,} records have no {key}; Census would not send them. Fill it in Salesforce.")
    if repeated := facts["records"] - facts["empty_keys"] - facts["distinct_keys"]:
        problems.append(
            f"{repeated:,} records repeat the {key} of another; Census would not send them. Make it unique in Salesforce."
        )
    if facts["empty_flags"]:
        problems.append(
            f"{facts['empty_flags']:,} records have a feature row with an empty flag; a Salesforce checkbox takes no null. "
            "Correct the feature table."
        )
    return problems
