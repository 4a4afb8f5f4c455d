"""Salesforce REST API: sObject Describe, reduced to the attributes that distinguish fields."""

from typing import Any

from sandbox.salesforce import permissions
from sandbox.salesforce.objects import SObject
from sandbox.salesforce.schema import OBJECT, FieldType, OrgField
from sandbox.salesforce.users import User
from sandbox.settings import Settings


def describe(version: str, of: SObject, user: User, settings: Settings) -> dict[str, Any]:
    """The object as this user sees it: ``updateable`` says what he may change, and what he may not read is missing."""
    return {
        "name": of.name,
        "label": of.label,
        "keyPrefix": of.key_prefix,
        "custom": of.name == OBJECT,
        "queryable": True,
        "updateable": of.name == OBJECT and permissions.may_edit_object(user),
        "urls": {"describe": f"/services/data/v{version}/sobjects/{of.name}/describe"},
        "fields": [_field(field, user, settings) for field in of.schema],
    }


def _field(field: OrgField, user: User, settings: Settings) -> dict[str, Any]:
    editable = permissions.may_edit(field, user, settings)
    return {
        "name": field.name,
        "label": field.label,
        "type": field.type.value,
        "length": {FieldType.ID: 18, FieldType.REFERENCE: 18, FieldType.STRING: 255}.get(field.type, 0),
        "custom": field.custom,
        "externalId": field.is_key,
        "unique": field.is_unique,
        "caseSensitive": False,
        "idLookup": field.is_key or field.type is FieldType.ID,
        "nillable": field.type is not FieldType.BOOLEAN and field.updateable,
        "createable": editable,
        "updateable": editable,
        "filterable": True,
        "sortable": True,
        "defaultValue": False if field.type is FieldType.BOOLEAN else None,
        "relationshipName": field.relationship,
        "referenceTo": [field.refers_to] if field.refers_to else [],
    }
