"""How a Census sync must be configured: the live sync in, problems out, each with what to do about it."""

from feature_sync.census.models import Sync
from feature_sync.census.sources import source_problem
from feature_sync.config.fields import FieldTable


def batch_sync_problems(sync: Sync, fields: FieldTable, batch_table: str, salesforce_object: str) -> list[str]:
    """
    Compare the live configuration of the sync that sends the batches with what a run relies on.

    :returns: a sentence for each difference, with what was found. Empty if the sync is as it must be.
    """
    where = f"Census sync {sync.id}"
    problems = []
    if sync.operation != "update":
        problems.append(
            f"{where}: its behavior is {sync.operation!r}; it must be 'update', so that no record is created or deleted."
        )
    if sync.destination_object.lower() != salesforce_object.lower():
        problems.append(f"{where}: it writes to {sync.destination_object}; it must write to {salesforce_object}.")
    if found := source_problem(sync.source, batch_table, [field.column for field in fields]):
        problems.append(f"{where}: {found}; it must read all of the table {batch_table}, and nothing else.")
    if sync.paused:
        problems.append(f"{where}: it is paused; resume it in Census.")
    if sync.schedule_frequency != "never":
        problems.append(
            f"{where}: it runs on the schedule {sync.schedule_frequency!r}; it must be manual, because each batch is triggered."
        )
    return problems + [f"{where}: {problem}" for problem in mapping_problems(sync, fields)]


def mapping_problems(sync: Sync, fields: FieldTable, *, others_allowed: bool = False) -> list[str]:
    """
    Compare the mappings of a sync with the field table.

    :param others_allowed: whether it may also map fields that are not in the field table.
    :returns: a sentence for each problem, to be preceded by the sync's name.
    """
    wanted = {field.salesforce_name.lower(): field for field in fields}
    mapped = {mapping.to.lower(): mapping for mapping in sync.mappings}
    problems = []
    missing = [field for name, field in wanted.items() if name not in mapped]
    if len(missing) == len(wanted):
        problems.append(f"it does not map {', '.join(field.salesforce_name for field in missing)}.")
    else:
        cures = [(field.salesforce_name, fields.cure(field, "Salesforce has no such field")) for field in missing]
        problems += [f"it does not map {name}. {cure}" for name, cure in cures]
    surplus = [mapping.to for name, mapping in mapped.items() if name not in wanted]
    if surplus and not others_allowed:
        problems.append(f"it also maps {', '.join(surplus)}; remove them.")
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
            problems.append(f"{mapping.to} does not sync null values, so a wrong date would stay; switch on 'sync null values'.")
    keys = [mapping.to for mapping in sync.mappings if mapping.is_primary_identifier]
    if [key.lower() for key in keys] != [fields.upsert_key.salesforce_name.lower()]:
        problems.append(f"its sync key is {', '.join(keys) or 'missing'}; it must be {fields.upsert_key.salesforce_name}.")
    return problems
