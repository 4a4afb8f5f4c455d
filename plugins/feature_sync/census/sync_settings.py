"""What else a sync is set to: everything that Census shows of it in, settings that may change what is written, or when, out.

It is an allow-list. A setting passes if it only describes the sync, if `sync_checks` judges it, or if its value is known to be
harmless. Any other setting that has a value is a problem, also one that nobody here has heard of.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from feature_sync.census.models import FieldMapping, Sync, other_triggers

PASSING = frozenset(
    {
        # They describe the sync, or show how it was doing.
        *("id", "label", "name", "description", "resource_identifier", "workspace_id", "group_id", "organization_id", "tags"),
        *("created_at", "updated_at", "created_by", "updated_by", "created_by_id", "updated_by_id", "status", "url", "version"),
        *(
            "last_run",
            "last_run_at",
            "last_run_id",
            "last_run_status",
            "next_run_at",
            "next_scheduled_run_at",
            "last_sync_run_id",
        ),
        # `batch_sync_problems` and `trigger_problems` judge them.
        *("operation", "paused", "mappings", "schedule_frequency", "mode"),
        *("source_attributes", "destination_attributes", "advanced_configuration"),
        # Of a schedule that never starts a run, they have no effect.
        *("schedule_day", "schedule_hour", "schedule_minute", "cron_expression"),
        # They tell people of a run. None stops it.
        *("alert_attributes", "failed_run_notifications_enabled", "failed_record_notifications_enabled"),
        "failed_record_notifications_threshold_percent",
        # The order in which Census's page shows the mappings.
        "field_order",
    }
)
"""Attributes of a sync that pass with any value."""

HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "field_behavior": ("specific_properties",),
    "sync_behavior_family": ("activateRecords",),
    "source_attributes.object.type": ("table", "dataset", "model", "business_object_source"),
}
"""The only values, beside none, that are known to be harmless."""

PASSING_OF_PARTS: Mapping[str, frozenset[str]] = {
    "source_attributes": frozenset({"connection_id", "object"}),
    "source_attributes.object": frozenset(
        {
            *("id", "dataset_id", "dataset_id=", "source_object_id", "model_id", "source_id", "connection_id", "name", "label"),
            *("description", "resource_identifier", "table_catalog", "table_schema", "table_name", "query", "columns"),
            *("created_at", "updated_at", "cached_record_count", "group_id", "workspace_id"),
        }
    ),
    "destination_attributes": frozenset({"connection_id", "object", "object_name", "object_api_name", "label"}),
    # Both decide how Census talks to Salesforce, not what it writes.
    "advanced_configuration": frozenset({"bulk_id_lookup", "batch_size"}),
}
"""The same for what an attribute holds."""

PASSING_OF_MAPPING = frozenset(
    {
        # `mapping_problems` judges them.
        *("from", "to", "is_primary_identifier", "sync_null_values"),
        # They describe it. `field_type` and `follow_source_type` belong to a field that Census creates, see `generate_field`.
        *("id", "position", "field_type", "follow_source_type", "label", "created_at", "updated_at"),
    }
)

EFFECTS: Mapping[str, str] = {
    "preserve_values": "'Set If Empty': a wrong value in Salesforce would stay",
    "lookup_object": "the value would be replaced by the id of another record",
    "lookup_field": "the value would be replaced by the id of another record",
    "generate_field": "Census would create a field in Salesforce",
    "array_field": "the value would be written as a list",
    "operation": "the value would be merged with what Salesforce holds",
    "filter_segment_id": "records outside of this segment would never be sent",
    "source_attributes.object.type": "records outside of it would never be sent",
    "lead_union_insert_to": "records could be created in another object",
    "field_behavior": "fields that nobody mapped would be written too",
    "field_normalization": "names or values would be changed before they are written",
    "high_water_mark_attribute": "records that are not newer than the last run's would never be sent",
    "historical_sync_operation": "records that exist already could be left out",
    "mirror_strategy": "records that leave the batch table could be deleted or cleared in Salesforce",
    "instant_mode": "Census would start runs by itself",
}
"""What a setting with a value does. It cannot be declared harmless."""


def setting_problems(sync: Sync, declared_harmless: Collection[str]) -> list[str]:
    """
    Find settings that may change what the sync writes, or when.

    :param declared_harmless: names of settings that people have looked at. Only a setting whose effect is unknown can be one.
    :returns: a sentence for each, to be preceded by the sync's name.
    """
    harmless = {name.lower() for name in declared_harmless}
    found = [each for each in _surplus_of(sync.attributes) if _name(each[0]) in EFFECTS or each[0].lower() not in harmless]
    return trigger_problems(sync, harmless) + [f"it has the setting {_problem(path, repr(value))}" for path, value in found]


def trigger_problems(sync: Sync, declared_harmless: Collection[str]) -> list[str]:
    """Find what else than our trigger could start a run. A schedule of which nothing is said is unknown, not absent."""
    if sync.schedule is None:
        if "schedule_frequency" in declared_harmless:
            return []
        return [
            "Census does not say on which schedule it runs: neither schedule_frequency nor mode.triggers.schedule is there. Look "
            "at its schedule in Census. If it is manual, add schedule_frequency to the setting CENSUS_HARMLESS_SETTINGS."
        ]
    problems = [
        f"it runs on the schedule {schedule!r}; it must be manual, because each batch is triggered."
        for schedule in sorted(sync.schedules - {"never"})
    ]
    return problems + [
        f"{found} starts it too; it must be triggered by this package alone, so switch that off."
        for found in other_triggers(sync.attributes.get("mode"))
    ]


def mapping_setting_problems(mappings: Iterable[FieldMapping], declared_harmless: Collection[str]) -> list[str]:
    """The same for what Census shows of mappings. Mappings with the same setting share a sentence."""
    harmless = {name.lower() for name in declared_harmless}
    found: dict[tuple[str, str], list[str]] = {}
    for mapping in mappings:
        source = mapping.attributes.get("from")
        surplus = [*_of_part("", mapping.attributes, PASSING_OF_MAPPING)]
        surplus += _of_part("from.", source, frozenset({"type", "data"})) if isinstance(source, Mapping) else []
        for path, value in surplus:
            if path in EFFECTS or f"mappings.{path}".lower() not in harmless:
                found.setdefault((path, repr(value)), []).append(mapping.to)
    return [
        f"its mapping of {', '.join(names)} has the setting {_problem(path, value, 'mappings.')}"
        for (path, value), names in found.items()
    ]


def without_effects(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with every setting of known effect switched off, as Census takes it."""
    surplus = {path for path, _ in _of_part("", attributes, PASSING_OF_MAPPING) if path in EFFECTS}
    return {name: _off(value) if name in surplus else value for name, value in attributes.items()}


def _surplus_of(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each attribute that has a value and is not known to be harmless, by its path."""
    yield from _of_part("", attributes, PASSING)
    for path, passing in PASSING_OF_PARTS.items():
        part: Any = attributes
        for name in path.split("."):
            part = part.get(name) if isinstance(part, Mapping) else None
        if isinstance(part, Mapping):
            yield from _of_part(f"{path}.", part, passing)
        elif not _is_empty(part) and path == "advanced_configuration":
            yield path, part


def _of_part(prefix: str, part: Mapping[str, Any], passing: Collection[str]) -> Iterator[tuple[str, Any]]:
    for name, value in part.items():
        if name not in passing and not _is_empty(value) and value not in HARMLESS.get(f"{prefix}{name}", ()):
            yield f"{prefix}{name}", value


def _is_empty(value: Any) -> bool:
    """Whether a setting has no value, so that it is off. Zero is a value."""
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)


def _off(value: Any) -> Any:
    return False if isinstance(value, bool) else None


def _name(path: str) -> str:
    return path if path in EFFECTS else path.rpartition(".")[2]


def _problem(path: str, value: str, prefix: str = "") -> str:
    if effect := EFFECTS.get(_name(path)):
        return f"{path} = {value}: {effect}. Switch it off in Census."
    return (
        f"{path} = {value}. This package does not know whether that changes what is written, or when. Switch it off in Census. "
        f"If you are sure that it is harmless, add {prefix}{path} to the setting CENSUS_HARMLESS_SETTINGS instead."
    )
