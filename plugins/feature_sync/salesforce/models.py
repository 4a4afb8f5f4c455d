"""What Salesforce answers, as far as we use it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field

CALLS_PER_BATCH = 20
"""API calls that a batch may take: Census's own and our look at its records. Assumed on the safe side; Census documents none."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class FieldDescription(_Model):
    """
    A field of an object, as the user of the connection sees it. A field that this user may not see is not described at all.

    ``updateable``: whether this user may edit it. It says nothing about another user.
    ``calculated``, ``auto_number``: Salesforce itself works the value out, so nobody may edit it.
    """

    name: str
    label: str = ""
    type: str
    updateable: bool
    external_id: bool = Field(alias="externalId")
    unique: bool
    calculated: bool = False
    auto_number: bool = Field(default=False, alias="autoNumber")


class ObjectDescription(_Model):
    """An object and its fields. ``updateable``: whether the user of the connection may edit its records."""

    name: str
    updateable: bool
    fields: tuple[FieldDescription, ...]

    def find(self, name: str) -> FieldDescription | None:
        """A field by its API name. Salesforce ignores case."""
        return next((each for each in self.fields if each.name.lower() == name.lower()), None)


class FlowState(_Model):
    """
    A Flow, by the Tooling API's FlowDefinition.

    ``active_version_id``: None if no version is active. ``active_version``: its number, if Salesforce says it.
    """

    developer_name: str = Field(alias="DeveloperName")
    active_version_id: str | None = Field(alias="ActiveVersionId")
    active_version: int | None = Field(default=None, validation_alias=AliasPath("ActiveVersion", "VersionNumber"))

    @property
    def is_active(self) -> bool:
        return self.active_version_id is not None

    def __str__(self) -> str:
        if not self.is_active:
            return f"{self.developer_name} has no active version"
        return f"version {self.active_version or self.active_version_id} of {self.developer_name} is active"


class ApiLimit(_Model):
    """The API calls that the organisation may make in 24 hours, and how many are left."""

    max: int = Field(alias="Max")
    remaining: int = Field(alias="Remaining")


@dataclass(frozen=True, slots=True)
class SalesforceRecord:
    """
    A record as Salesforce holds it.

    ``values``: by the API names that were asked for, as JSON has them: a day is "2025-11-21", a time
    "2025-11-21T00:00:00.000+0000".
    """

    id: str
    key: str
    values: Mapping[str, Any]
    modified_at: datetime
    modified_by: str | None


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """
    What was found under some keys.

    ``records``: for each key that was asked for, the records that have it: none, one or several.
    ``unreadable``: the fields that the user of the connection does not see. No record has a value of them.
    """

    records: Mapping[str, tuple[SalesforceRecord, ...]]
    unreadable: frozenset[str] = field(default_factory=frozenset)
