"""What a user may do with the object and its fields."""

from collections.abc import Iterator
from typing import Any

from sandbox.salesforce.schema import OBJECT, ObjectSchema, OrgField
from sandbox.salesforce.users import ADMIN, API_USER, CENSUS, PROFILES, Profile, User
from sandbox.settings import Settings


def visible_schema(schema: ObjectSchema, user: User, settings: Settings) -> ObjectSchema:
    """The fields that a user may read. The others do not exist for him."""
    return schema.without(settings.api_user_hidden_fields) if user is API_USER else schema


def may_edit_object(user: User) -> bool:
    return user is not API_USER


def may_edit(field: OrgField, user: User, settings: Settings) -> bool:
    """Whether a user may change a field, which is what describe calls ``updateable``."""
    if not field.updateable or not may_edit_object(user):
        return False
    refused = {name.lower() for name in settings.census_uneditable_fields} if user is CENSUS else set()
    return field.name.lower() not in refused


def may_view_setup(user: User, settings: Settings) -> bool:
    """Whether a user has the permission View Setup and Configuration, on which all that is not data depends."""
    return user is ADMIN or (user is API_USER and settings.api_user_views_setup)


def field_permission_rows(schema: ObjectSchema, settings: Settings) -> Iterator[dict[str, Any]]:
    """
    Salesforce object reference: FieldPermissions. A field that a profile may not read has no row.

    Standard fields such as Id and CreatedDate have no rows at all, because their rights cannot be changed.
    """
    for profile in PROFILES:
        user = _user_of(profile)
        for number, field in enumerate(visible_schema(schema, user, settings)):
            if field.custom:
                yield {
                    "Id": f"01k{profile.permission_set_id[6:15]}{number:03d}AAQ",
                    "ParentId": profile.permission_set_id,
                    "SobjectType": OBJECT,
                    "Field": f"{OBJECT}.{field.name}",
                    "PermissionsRead": True,
                    "PermissionsEdit": may_edit(field, user, settings),
                }


def object_permission_rows() -> Iterator[dict[str, Any]]:
    for profile in PROFILES:
        user = _user_of(profile)
        yield {
            "Id": f"110{profile.permission_set_id[3:]}",
            "ParentId": profile.permission_set_id,
            "SobjectType": OBJECT,
            "PermissionsRead": True,
            "PermissionsCreate": may_edit_object(user),
            "PermissionsEdit": may_edit_object(user),
            "PermissionsDelete": user is ADMIN,
            "PermissionsViewAllRecords": True,
            "PermissionsModifyAllRecords": user is ADMIN,
        }


def _user_of(profile: Profile) -> User:
    return next(user for user in (ADMIN, CENSUS, API_USER) if user.profile is profile)
