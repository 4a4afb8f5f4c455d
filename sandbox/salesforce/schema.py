"""The object ``Product_Property__c``: its fields, and Salesforce's checks of their values."""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from feature_sync.config.fields import FieldKind, load_fields

OBJECT = "Product_Property__c"
OBJECT_LABEL = "Product Property"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})")


class FieldType(StrEnum):
    """The types, by their names in describe (Salesforce REST API: sObject Describe)."""

    ID = "id"
    STRING = "string"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"


class InvalidValueError(ValueError):
    """Salesforce does not accept a value for a field. The message is Salesforce's own, code first."""


@dataclass(frozen=True, slots=True)
class OrgField:
    """One field of the object."""

    name: str
    label: str
    type: FieldType
    is_key: bool = False
    updateable: bool = True

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")


def _load() -> dict[str, OrgField]:
    kinds = {
        FieldKind.TEXT: FieldType.STRING,
        FieldKind.CHECKBOX: FieldType.BOOLEAN,
        FieldKind.DATE: FieldType.DATE,
        FieldKind.DATETIME: FieldType.DATETIME,
    }
    table = load_fields()
    labels = {
        field.column: f"{product.label} {what}"
        for product in table.products
        for field, what in (
            (product.enabled, "Enabled"),
            (product.start, "Start Date"),
            (product.updated, "Updated Date"),
        )
        if field is not None
    }
    # The two keys have capitals that the rule x_c -> x__c cannot know. Salesforce ignores case when it compares names.
    spelled = {"snappt_property_id__c": "Snappt_Property_ID__c", "reverse_etl_id__c": "Reverse_ETL_ID__c"}
    fields = [
        OrgField("Id", "Record ID", FieldType.ID, updateable=False),
        OrgField("Name", "Property Name", FieldType.STRING),
        *(
            OrgField(
                spelled.get(field.salesforce_name, field.salesforce_name),
                labels.get(field.column, field.column.removesuffix("_c").replace("_", " ").title()),
                kinds[field.kind],
                is_key=field == table.upsert_key,
            )
            for field in table
        ),
        OrgField("CreatedDate", "Created Date", FieldType.DATETIME, updateable=False),
        OrgField("LastModifiedDate", "Last Modified Date", FieldType.DATETIME, updateable=False),
        OrgField("SystemModstamp", "System Modstamp", FieldType.DATETIME, updateable=False),
        OrgField("IsDeleted", "Deleted", FieldType.BOOLEAN, updateable=False),
    ]
    return {field.name.lower(): field for field in fields}


FIELDS = _load()
"""By the name in lower case."""
UPSERT_KEY = next(field for field in FIELDS.values() if field.is_key)
FEATURES = tuple(FIELDS[field.salesforce_name.lower()] for field in load_fields().features)


def create_table() -> str:
    """The SQL that creates the table of the records. Comparisons of text ignore case, as in SOQL."""
    types = {FieldType.BOOLEAN: "INTEGER NOT NULL", FieldType.STRING: "TEXT COLLATE NOCASE"}
    columns = ", ".join(f"{field.name} {types.get(field.type, 'TEXT')}" for field in FIELDS.values())
    return (
        f"CREATE TABLE IF NOT EXISTS org_record ({columns}, version INTEGER NOT NULL, PRIMARY KEY (Id));"
        f"CREATE UNIQUE INDEX IF NOT EXISTS org_record_key ON org_record ({UPSERT_KEY.name}) WHERE NOT IsDeleted;"
        "CREATE INDEX IF NOT EXISTS org_record_version ON org_record (version);"
    )


def check_value(field: OrgField, value: Any, *, null_is_false: bool) -> Any:
    """
    Return the value as the org stores it: checkboxes as 0 and 1, dates as ``YYYY-MM-DD``.

    A date must not have a time or an offset (Bulk API: valid date formats).

    :raises InvalidValueError: Salesforce would reject the row.
    """
    if value is None:
        if field.type is not FieldType.BOOLEAN:
            return None
        if null_is_false:
            return 0
        raise _wrong_type(field, "null")
    match field.type:
        case FieldType.BOOLEAN:
            if isinstance(value, str) and value.lower() in ("true", "false"):
                value = value.lower() == "true"
            if isinstance(value, bool):
                return int(value)
        case FieldType.DATE:
            if isinstance(value, str) and _DATE.fullmatch(value):
                try:
                    return date.fromisoformat(value).isoformat()
                except ValueError:
                    pass
        case FieldType.DATETIME:
            if isinstance(value, str) and _DATETIME.fullmatch(value):
                return value
        case _:
            return value if isinstance(value, str) else str(value)
    raise _wrong_type(field, value)


def _wrong_type(field: OrgField, value: Any) -> InvalidValueError:
    return InvalidValueError(f"INVALID_TYPE_ON_FIELD_IN_RECORD: {field.label}: value not of required type: {value}")
