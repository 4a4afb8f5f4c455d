"""Which column of the regular sync's source feeds which field of Salesforce: mappings in, names for SQL out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from feature_sync.census.models import FieldMapping, Sync
from feature_sync.config.fields import FeatureField, FieldTable
from feature_sync.storage.warehouse import quoted

COMPARED_TYPES = {
    "string": "STRING",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "tinyint": "DOUBLE",
    "smallint": "DOUBLE",
    "int": "DOUBLE",
    "bigint": "DOUBLE",
    "float": "DOUBLE",
    "double": "DOUBLE",
    "decimal": "DOUBLE",
}
"""The types of the replica whose values are compared, and as what. Times are left out, because Salesforce keeps whole seconds."""


class UnknownKeyError(ValueError):
    """The source does not say which record a row belongs to. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class OtherColumn:
    """
    A mapped column that is not in the field table.

    ``column``: its name in the source. ``to``: the field of Salesforce. ``sends_null``: whether Census sends NULL.
    ``held``, ``type``: the replica's column of that field and how it is compared; None if there is none to compare.
    """

    column: str
    to: str
    held: str | None
    type: str | None
    sends_null: bool

    @property
    def sql(self) -> str:
        return quoted(self.column)


@dataclass(frozen=True, slots=True)
class MappedColumns:
    """
    What a sync takes from its source.

    ``key``, ``property_id``: the columns that name the record and the property, quoted.
    ``held_key``: the replica's column of the sync key, or None.
    ``features``: the quoted source column of each mapped field of the field table, by the field's own column.
    ``has_name``: whether the properties table has a column ``name``.
    ``missing``: mappings from a column that the source lacks.
    """

    key: str
    property_id: str
    held_key: str | None
    features: Mapping[str, str]
    others: tuple[OtherColumn, ...]
    has_name: bool
    missing: tuple[FieldMapping, ...] = ()

    @property
    def compared(self) -> tuple[OtherColumn, ...]:
        """The other columns that can be compared with the replica."""
        return tuple(each for each in self.others if each.held) if self.held_key else ()


def mapped_columns(
    sync: Sync, fields: FieldTable, source: Collection[str], replica: Mapping[str, str], properties: Collection[str]
) -> MappedColumns:
    """
    :param source: the columns of the source, in lower case. :param replica: the columns and types of the replica.
    :param properties: the columns of the properties table.
    :raises UnknownKeyError: the sync key is not a column of the source.
    """
    ours = {field.salesforce_name.lower(): field for field in fields}
    keys = [mapping for mapping in sync.mappings if mapping.is_primary_identifier]
    if len(keys) != 1 or not keys[0].column or keys[0].column.lower() not in source:
        found = ", ".join(mapping.column or f"a {mapping.source_type}" for mapping in keys) or "missing"
        raise UnknownKeyError(f"The sync key of Census sync {sync.id} must be one column of its source; it is {found}.")
    [key] = keys
    by_field: dict[str, str] = {}
    others, missing = [], []
    for mapping in sync.mappings:
        if mapping.column is None:
            continue
        if mapping.column.lower() not in source:
            missing.append(mapping)
        elif (field := ours.get(mapping.to.lower())) is not None:
            by_field.setdefault(field.column, quoted(mapping.column))
        elif mapping is not key and not mapping.attributes.get("lookup_object"):
            others.append(_other(mapping, replica))
    held_key = _replica_column(key.to)
    return MappedColumns(
        key=quoted(str(key.column)),
        property_id=by_field.get(fields.property_id.column, quoted(str(key.column))),
        held_key=held_key if held_key in replica else None,
        features={field.column: by_field[field.column] for field in fields.features if field.column in by_field},
        others=tuple(others),
        has_name="name" in properties,
        missing=tuple(missing),
    )


def other_mappings(sync: Sync, fields: FieldTable) -> list[FieldMapping]:
    """The mappings of columns to fields that are not in the field table."""
    ours = {field.salesforce_name.lower() for field in fields}
    return [mapping for mapping in sync.mappings if mapping.column and mapping.to.lower() not in ours]


def property_column(sync: Sync, fields: FieldTable) -> str | None:
    """The source column that names the property: that of the property's id, else that of the sync key."""
    for field in (fields.property_id, fields.upsert_key):
        if column := _column_of(sync, field):
            return column
    return next((mapping.column for mapping in sync.mappings if mapping.is_primary_identifier), None)


def _column_of(sync: Sync, field: FeatureField) -> str | None:
    return next((each.column for each in sync.mappings if each.to.lower() == field.salesforce_name.lower()), None)


def _other(mapping: FieldMapping, replica: Mapping[str, str]) -> OtherColumn:
    held = _replica_column(mapping.to)
    kind = COMPARED_TYPES.get(replica.get(held, ""))
    return OtherColumn(str(mapping.column), mapping.to, held if kind else None, kind, mapping.sync_null_values)


def _replica_column(field: str) -> str:
    """The replica's column of a Salesforce field: ``X__c`` is ``x_c``."""
    name = field.lower()
    return f"{name.removesuffix('__c')}_c" if name.endswith("__c") else name
