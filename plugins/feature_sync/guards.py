"""What must be right around a run before anything is sent: facts in, problems out, each saying what is wrong and what to do."""

from dataclasses import dataclass

from feature_sync.census.models import Sync
from feature_sync.fields import FieldTable
from feature_sync.settings import CENSUS_POOL


class GuardError(RuntimeError):
    """Checks that did not hold; nothing was sent. ``problems`` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("Nothing was sent, because:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Pool:
    """An Airflow pool. ``include_deferred``: whether a task that waits in the triggerer keeps its slot."""

    slots: int
    include_deferred: bool


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
    return problems + [f"{where}: {problem}" for problem in mapping_problems(sync, fields)]


def mapping_problems(sync: Sync, fields: FieldTable, *, others_allowed: bool = False) -> list[str]:
    """
    What is wrong with the mappings of a sync.

    :param others_allowed: whether it may map more than the fields of the field table.
    """
    wanted = {field.salesforce_name.lower(): field for field in fields}
    mapped = {mapping.to.lower(): mapping for mapping in sync.mappings}
    problems = []
    if missing := [field.salesforce_name for name, field in wanted.items() if name not in mapped]:
        problems.append(f"it does not map {', '.join(missing)}.")
    surplus = [mapping.to for name, mapping in mapped.items() if name not in wanted]
    if surplus and not others_allowed:
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


def pool_problems(pool: Pool | None) -> list[str]:
    """What is wrong with the pool that keeps Census runs apart; ``None`` means that there is none."""
    cure = f'airflow pools set {CENSUS_POOL} 1 "One Census run at a time" --include-deferred'
    if pool is None:
        return [f"Pool {CENSUS_POOL} does not exist, so no batch would ever start. Create it: {cure}"]
    problems = []
    if pool.slots != 1:
        problems.append(f"Pool {CENSUS_POOL} has {pool.slots} slots; it must have 1, so that batches go one at a time: {cure}")
    if not pool.include_deferred:
        problems.append(
            f"Pool {CENSUS_POOL} does not count deferred tasks, so a batch that waits would let the next one in: {cure}"
        )
    return problems
