"""How the regular sync in Census must be configured, and its mappings corrected."""

from collections.abc import Collection, Mapping
from typing import Any

from feature_sync.census.models import Sync
from feature_sync.census.sync_checks import mapping_problems, object_problem
from feature_sync.census.sync_settings import without_effects
from feature_sync.config.fields import FieldTable
from feature_sync.config.settings import Settings, SourceQuery
from feature_sync.deployment.mapped_columns import other_mappings

OPERATIONS = {SourceQuery.PROPERTY_SYNC: ("upsert", "update"), SourceQuery.FEATURE_SYNC: ("update",)}
"""What a sync may do in Salesforce. The feature sync has no fields from which a record could be created."""


def regular_sync_problems(sync: Sync, dataset_id: int, query: SourceQuery, salesforce_object: str) -> list[str]:
    """
    Find what a person has to correct in Census, because `corrected_mappings` cannot.

    :param dataset_id: the dataset that it must read. 0: it reads a table or a view.
    :returns: a sentence for each problem.
    """
    where = f"Census sync {sync.id}"
    problems = []
    if dataset_id and sync.source.dataset_id != dataset_id:
        found = sync.source.table or f"dataset {sync.source.dataset_id}"
        problems.append(
            f"{where}: it reads {found}, not dataset {dataset_id}. Check CENSUS_DATASET_ID and CENSUS_PROPERTY_SYNC_ID."
        )
    if problem := object_problem(sync, salesforce_object):
        problems.append(f"{where}: {problem}")
    if sync.operation not in OPERATIONS[query]:
        allowed = "' or '".join(OPERATIONS[query])
        problems.append(f"{where}: its behavior is {sync.operation!r}; with SOURCE_QUERY={query} it must be '{allowed}'.")
    return problems


def unknown_column_problems(sync: Sync, query: SourceQuery, columns: Collection[str], fields: FieldTable) -> list[str]:
    """
    Find mappings of other fields that would break, because the new query lacks their column.

    :param columns: of the new query, in lower case.
    """
    return [
        f"Census sync {sync.id}: it maps {mapping.to} from {mapping.column}, a column that neither the query in Census nor "
        f"include/sql/{query.statement}.sql has. Add the column to the query in Census, or remove the mapping."
        for mapping in other_mappings(sync, fields)
        if str(mapping.column).lower() not in columns
    ]


def regular_mapping_problems(sync: Sync, settings: Settings) -> list[str]:
    """Find problems with its mappings of the feature fields. It may map other fields too."""
    problems = mapping_problems(sync, settings.fields, others_allowed=True, declared_harmless=settings.census_harmless_settings)
    return [f"Census sync {sync.id}: {problem}" for problem in problems]


def corrected_mappings(sync: Sync, fields: FieldTable) -> list[Mapping[str, Any]]:
    """
    All mappings of a sync as Census takes them, with those of the field table corrected: also a setting such as 'Set If Empty'.

    Mappings of other fields stay as they are, except that they are no longer the sync key. If a field of ours is mapped
    twice, the first mapping stays.
    """
    wanted = {field.salesforce_name.lower(): field for field in fields}
    mappings: list[Mapping[str, Any]] = []
    for mapping in sync.mappings:
        name = mapping.to.lower()
        if (field := wanted.pop(name, None)) is not None:
            mappings.append(without_effects(mapping.attributes) | _of_column(field.column, is_key=field == fields.upsert_key))
        elif name not in {each.salesforce_name.lower() for each in fields}:
            mappings.append({**mapping.attributes, "is_primary_identifier": False})
    missing = wanted.values()
    return mappings + [
        {"to": field.salesforce_name} | _of_column(field.column, is_key=field == fields.upsert_key) for field in missing
    ]


def _of_column(column: str, *, is_key: bool) -> dict[str, Any]:
    return {"from": {"type": "column", "data": column}, "is_primary_identifier": is_key, "sync_null_values": True}
