"""How a Census sync must be configured: the live sync in, problems out, each with what to do about it."""

from collections.abc import Collection

from feature_sync.census.models import Sync
from feature_sync.census.sync_settings import mapping_setting_problems, setting_problems
from feature_sync.config.fields import FieldTable


def batch_sync_problems(
    sync: Sync, fields: FieldTable, batch_table: str, salesforce_object: str, declared_harmless: Collection[str] = ()
) -> list[str]:
    """
    Compare the live configuration of the sync that sends the batches with what a run relies on.

    What Census does not say is a problem too, and named.

    :param declared_harmless: names of settings that people have looked at, see `setting_problems`.
    :returns: a sentence for each difference, with what was found. Empty if the sync is as it must be.
    """
    from feature_sync.census.sources import source_problem  # noqa: PLC0415 - slow

    where = f"Census sync {sync.id}"
    problems = []
    if sync.operation != "update":
        problems.append(
            f"{where}: its behavior is {sync.operation!r}; it must be 'update', so that no record is created or deleted."
        )
    if problem := object_problem(sync, salesforce_object):
        problems.append(f"{where}: {problem}")
    if found := source_problem(sync.source, batch_table, [field.column for field in fields]):
        problems.append(f"{where}: {found}; it must read all of the table {batch_table}, and nothing else.")
    if sync.paused:
        problems.append(f"{where}: it is paused; resume it in Census.")
    others = [*setting_problems(sync, declared_harmless), *mapping_problems(sync, fields, declared_harmless=declared_harmless)]
    return problems + [f"{where}: {problem}" for problem in others]


def object_problem(sync: Sync, salesforce_object: str) -> str | None:
    """Say that a sync writes another object, or that Census does not say which. To be preceded by the sync's name."""
    if sync.destination_object is None:
        found = sync.attributes.get("destination_attributes")
        return (
            "Census does not say which object it writes: destination_attributes has no name of an object. It is "
            f"{found!r}. Look at the sync's destination in Census, and report this answer to who maintains this package."
        )
    if sync.destination_object.lower() != salesforce_object.lower():
        return f"it writes to {sync.destination_object}; it must write to {salesforce_object}."
    return None


def mapping_problems(
    sync: Sync, fields: FieldTable, *, others_allowed: bool = False, declared_harmless: Collection[str] = ()
) -> list[str]:
    """
    Compare the mappings of a sync with the field table.

    :param others_allowed: whether it may also map fields that are not in the field table.
    :param declared_harmless: names of settings that people have looked at, see `setting_problems`.
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
            found = mapping.column or f"a {mapping.source_type or 'source of unknown type'}"
            problems.append(f"{mapping.to} is mapped from {found}; it must be mapped from {field.column}.")
        if not mapping.sync_null_values:
            problems.append(f"{mapping.to} does not sync null values, so a wrong date would stay; switch on 'sync null values'.")
    ours = [mapping for name, mapping in mapped.items() if name in wanted]
    problems += mapping_setting_problems(ours, declared_harmless)
    keys = [mapping.to for mapping in sync.mappings if mapping.is_primary_identifier]
    if [key.lower() for key in keys] != [fields.upsert_key.salesforce_name.lower()]:
        problems.append(f"its sync key is {', '.join(keys) or 'missing'}; it must be {fields.upsert_key.salesforce_name}.")
    return problems
