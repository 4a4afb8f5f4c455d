"""The objects that a query may name. One has its records in a table; the others' rows follow from users, flows and settings."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.salesforce import approvals, flow_definitions, permissions, users
from sandbox.salesforce.schema import OBJECT, OBJECT_LABEL, FieldType, ObjectSchema, OrgField
from sandbox.settings import Settings

RECORDS_TABLE = "org_record"
_ID, _TEXT, _YES, _INT, _TIME = FieldType.ID, FieldType.STRING, FieldType.BOOLEAN, FieldType.INT, FieldType.DATETIME


@dataclass(frozen=True, slots=True)
class SObject:
    """An object as one user sees it. ``rows`` is None for the one whose records are in `RECORDS_TABLE`."""

    name: str
    label: str
    key_prefix: str | None
    schema: ObjectSchema
    rows: Callable[[], Iterable[Mapping[str, Any]]] | None = None


class Objects:
    """
    The objects that a user can query through one of the two APIs, the REST API or the Tooling API.

    As in Salesforce, a user without a right to an object is told that there is no such object.
    """

    def __init__(self, schema: ObjectSchema, user: users.User, settings: Settings, *, tooling: bool = False) -> None:
        self._objects = {each.name.lower(): each for each in _objects(schema, user, settings, tooling=tooling)}

    def get(self, name: str) -> SObject | None:
        return self._objects.get(name.lower())


def _objects(schema: ObjectSchema, user: users.User, settings: Settings, *, tooling: bool) -> list[SObject]:
    person = SObject("User", "User", "005", _USER, users.user_rows)
    profile = SObject("Profile", "Profile", "00e", _PROFILE, users.profile_rows)
    views_setup = permissions.may_view_setup(user, settings)
    if tooling:
        flows = [
            SObject(
                "FlowDefinition", "Flow Definition", "300", _FLOW_DEFINITION, lambda: flow_definitions.definition_rows(settings)
            ),
            SObject("Flow", "Flow", "301", _FLOW, lambda: flow_definitions.version_rows(settings)),
        ]
        return [person, profile, *flows] if views_setup else [person, profile]
    records = SObject(OBJECT, OBJECT_LABEL, "a2P", permissions.visible_schema(schema, user, settings))
    in_approval = [
        SObject("ProcessDefinition", "Process Definition", "04a", _PROCESS_DEFINITION, approvals.definition_rows),
        SObject("ProcessInstance", "Process Instance", "04g", _PROCESS_INSTANCE, lambda: approvals.instance_rows(settings)),
    ]
    if not views_setup:
        return [records, person, profile, *in_approval]
    return [
        records,
        person,
        profile,
        *in_approval,
        SObject("PermissionSet", "Permission Set", "0PS", _PERMISSION_SET, users.permission_set_rows),
        SObject("PermissionSetAssignment", "Permission Set Assignment", "0Pa", _ASSIGNMENT, users.assignment_rows),
        SObject(
            "FieldPermissions",
            "Field Permissions",
            "01k",
            _FIELD_PERMISSIONS,
            lambda: permissions.field_permission_rows(schema, settings),
        ),
        SObject("ObjectPermissions", "Object Permissions", "110", _OBJECT_PERMISSIONS, permissions.object_permission_rows),
        SObject("FlowDefinitionView", "Flow Definition View", None, _FLOW_VIEW, lambda: flow_definitions.view_rows(settings)),
    ]


def _schema(fields: Mapping[str, FieldType], **references: tuple[str, str]) -> ObjectSchema:
    """:param references: the field that points to another object, its relationship, and that object."""
    made = [OrgField("Id", "Record ID", _ID, updateable=False)]
    made += [OrgField(name, _label(name), kind, updateable=False) for name, kind in fields.items()]
    made += [
        OrgField(name, _label(name), FieldType.REFERENCE, updateable=False, relationship=relationship, refers_to=target)
        for name, (relationship, target) in references.items()
    ]
    return ObjectSchema.of(made)


def _label(name: str) -> str:
    return "".join(f" {letter}" if letter.isupper() else letter for letter in name).strip()


_CHANGES = {"CreatedDate": _TIME, "LastModifiedDate": _TIME}
_CHANGED_BY = {"CreatedById": ("CreatedBy", "User"), "LastModifiedById": ("LastModifiedBy", "User")}
_PARENT = {"ParentId": ("Parent", "PermissionSet")}

_USER = _schema(
    {
        **dict.fromkeys(("Name", "FirstName", "LastName", "Username", "Email", "Alias"), _TEXT),
        "IsActive": _YES,
        "UserType": _TEXT,
    },
    ProfileId=("Profile", "Profile"),
)
_PROFILE = _schema({"Name": _TEXT})
_PERMISSION_SET = _schema(
    {"Name": _TEXT, "Label": _TEXT, "IsOwnedByProfile": _YES, "IsCustom": _YES}, ProfileId=("Profile", "Profile")
)
_ASSIGNMENT = _schema({"IsActive": _YES}, AssigneeId=("Assignee", "User"), PermissionSetId=("PermissionSet", "PermissionSet"))
_FIELD_PERMISSIONS = _schema({"SobjectType": _TEXT, "Field": _TEXT, "PermissionsRead": _YES, "PermissionsEdit": _YES}, **_PARENT)
_OBJECT_PERMISSIONS = _schema(
    {
        "SobjectType": _TEXT,
        **{f"Permissions{right}": _YES for right in ("Read", "Create", "Edit", "Delete", "ViewAllRecords", "ModifyAllRecords")},
    },
    **_PARENT,
)
_PROCESS_DEFINITION = _schema(dict.fromkeys(("Name", "DeveloperName", "Type", "State", "TableEnumOrId", "LockType"), _TEXT))
_PROCESS_INSTANCE = _schema(
    {"Status": _TEXT, "TargetObjectId": _ID, "CreatedDate": _TIME, "CompletedDate": _TIME},
    ProcessDefinitionId=("ProcessDefinition", "ProcessDefinition"),
    SubmittedById=("SubmittedBy", "User"),
)
_FLOW_DEFINITION = _schema(
    {
        **dict.fromkeys(("DeveloperName", "MasterLabel", "Description", "NamespacePrefix", "ManageableState"), _TEXT),
        **_CHANGES,
    },
    ActiveVersionId=("ActiveVersion", "Flow"),
    LatestVersionId=("LatestVersion", "Flow"),
    **_CHANGED_BY,
)
_FLOW = _schema(
    {
        **dict.fromkeys(("MasterLabel", "Status", "ProcessType", "Description", "ManageableState"), _TEXT),
        "VersionNumber": _INT,
        "ApiVersion": _INT,
        **_CHANGES,
    },
    DefinitionId=("Definition", "FlowDefinition"),
    **_CHANGED_BY,
)
_FLOW_VIEW = _schema(
    {
        **dict.fromkeys(
            (
                *("DurableId", "ApiName", "Label", "Description", "NamespacePrefix", "ManageableState", "ProcessType", "Builder"),
                *("TriggerType", "TriggerObjectOrEventId", "TriggerObjectOrEventLabel", "RecordTriggerType", "LastModifiedBy"),
                *("ActiveVersionId", "LatestVersionId"),
            ),
            _TEXT,
        ),
        **dict.fromkeys(("IsActive", "IsOutOfDate", "IsTemplate"), _YES),
        "VersionNumber": _INT,
        "ApiVersion": _INT,
        "LastModifiedDate": _TIME,
    }
)
