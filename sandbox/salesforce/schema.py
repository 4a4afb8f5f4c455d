"""The object ``Product_Property__c``: its fields, and Salesforce's checks of their values."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

OBJECT = "Product_Property__c"
OBJECT_LABEL = "Product Property"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})")


class FieldType(StrEnum):
    """The types, by their names in describe (Salesforce REST API: sObject Describe)."""

    ID = "id"
    STRING = "string"
    REFERENCE = "reference"
    BOOLEAN = "boolean"
    INT = "int"
    DATE = "date"
    DATETIME = "datetime"


class InvalidValueError(ValueError):
    """Salesforce does not accept a value for a field. The message is Salesforce's own, code first."""


@dataclass(frozen=True, slots=True)
class OrgField:
    """
    One field of the object.

    ``is_key``: an external id, which finds records. ``is_unique``: no two records may share its value. ``relationship``: the name
    by which a query reaches the record that a reference points to, and ``refers_to``: the object of that record.
    """

    name: str
    label: str
    type: FieldType
    is_key: bool = False
    updateable: bool = True
    is_unique: bool = False
    relationship: str | None = None
    refers_to: str | None = None

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")


@dataclass(frozen=True, slots=True)
class ObjectSchema:
    """The object's fields, by their names in lower case. Salesforce ignores case when it compares names."""

    fields: Mapping[str, OrgField]

    @classmethod
    def of(cls, fields: Iterable[OrgField]) -> "ObjectSchema":
        return cls({field.name.lower(): field for field in fields})

    def get(self, name: str) -> OrgField | None:
        return self.fields.get(name.lower())

    def __getitem__(self, name: str) -> OrgField:
        return self.fields[name.lower()]

    def __iter__(self) -> Iterator[OrgField]:
        return iter(self.fields.values())

    def relationship(self, name: str) -> OrgField | None:
        """The reference of a relationship, such as ``LastModifiedById`` of ``LastModifiedBy``."""
        return next((field for field in self if field.relationship and field.relationship.lower() == name.lower()), None)

    def without(self, hidden: Iterable[str]) -> "ObjectSchema":
        """The schema as somebody sees it who has no right to read some fields."""
        names = {name.lower() for name in hidden}
        return ObjectSchema({name: field for name, field in self.fields.items() if name not in names})

    def create_table(self) -> str:
        """The SQL that creates the table of the records. Comparisons of text ignore case, as in SOQL."""
        types = {FieldType.BOOLEAN: "INTEGER NOT NULL", FieldType.STRING: "TEXT COLLATE NOCASE"}
        columns = ", ".join(f"{field.name} {types.get(field.type, 'TEXT')}" for field in self)
        keys = "".join(
            f"CREATE {'UNIQUE ' if field.is_unique else ''}INDEX IF NOT EXISTS org_record_{field.name.lower()} "
            f"ON org_record ({field.name}) WHERE NOT IsDeleted;"
            for field in self
            if field.is_key
        )
        return (
            f"CREATE TABLE IF NOT EXISTS org_record ({columns}, version INTEGER NOT NULL, PRIMARY KEY (Id));{keys}"
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
