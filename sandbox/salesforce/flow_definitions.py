"""The org's flows, as the Tooling API and FlowDefinitionView show them. Two of them follow the settings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.salesforce.flow import FLOW
from sandbox.salesforce.schema import OBJECT, OBJECT_LABEL
from sandbox.salesforce.users import ADMIN
from sandbox.settings import Settings

CHANGED = "2025-10-14T16:20:05.000Z"
"""The sandbox does not record when a setting changed, so this time never moves."""
API_VERSION = 59


@dataclass(frozen=True, slots=True)
class FlowDefinition:
    """
    A flow and its versions.

    ``is_active``: whether one version is active. It is the newest one, or the one before if the newest is only a ``draft``.
    """

    number: int
    developer_name: str
    label: str
    versions: int
    is_active: Callable[[Settings], bool]
    process_type: str = "AutoLaunchedFlow"
    trigger_type: str | None = "RecordAfterSave"
    object: tuple[str, str] | None = (OBJECT, OBJECT_LABEL)
    draft: bool = False

    @property
    def id(self) -> str:
        return f"3005Y0000{self.number:06d}AAQ"

    def version_id(self, version: int) -> str:
        return f"3015Y0{self.number:05d}{version:04d}AAQ"

    def active_version(self, settings: Settings) -> int | None:
        return self.versions - self.draft if self.is_active(settings) else None

    def status(self, version: int, settings: Settings) -> str:
        """Tooling API: Flow. A version that was active before is obsolete. The pages of Salesforce call it inactive."""
        if version == self.active_version(settings):
            return "Active"
        return "Draft" if self.draft and version == self.versions else "Obsolete"


def _never(_: Settings) -> bool:
    return False


def _always(_: Settings) -> bool:
    return True


FLOWS = (
    FlowDefinition(12, "Product_Property_After_Rollup_Flow", FLOW, 7, lambda settings: settings.flow_enabled),
    FlowDefinition(4, "Product_Property_After_Rollup_Flow_v1", f"{FLOW} (old)", 12, _never),
    FlowDefinition(
        15,
        "Product_Property_After_Field_Defaults",
        "Product Property | After | Field Defaults",
        2,
        lambda settings: bool(settings.automation_overwrites),
    ),
    FlowDefinition(
        19,
        "Product_Property_Weekly_Cleanup",
        "Product Property | Weekly Cleanup",
        1,
        _never,
        trigger_type="Scheduled",
        draft=True,
    ),
    FlowDefinition(
        7, "Product_After_Status_Flow", "Product | After | Status Flow", 4, _always, object=("Product__c", "Product"), draft=True
    ),
    FlowDefinition(
        9, "Property_Onboarding", "Property Onboarding", 3, _always, process_type="Flow", trigger_type=None, object=None
    ),
)


def definition_rows(settings: Settings) -> Iterator[dict[str, Any]]:
    """Tooling API: FlowDefinition."""
    for flow in FLOWS:
        active = flow.active_version(settings)
        yield {
            "Id": flow.id,
            "DeveloperName": flow.developer_name,
            "MasterLabel": flow.label,
            "ActiveVersionId": flow.version_id(active) if active else None,
            "LatestVersionId": flow.version_id(flow.versions),
            "ManageableState": "unmanaged",
            **_changed_by_the_admin(),
        }


def version_rows(settings: Settings) -> Iterator[dict[str, Any]]:
    """Tooling API: Flow, which is one version."""
    for flow in FLOWS:
        for version in range(1, flow.versions + 1):
            yield {
                "Id": flow.version_id(version),
                "DefinitionId": flow.id,
                "MasterLabel": flow.label,
                "VersionNumber": version,
                "Status": flow.status(version, settings),
                "ProcessType": flow.process_type,
                "ApiVersion": API_VERSION,
                "ManageableState": "unmanaged",
                **_changed_by_the_admin(),
            }


def view_rows(settings: Settings) -> Iterator[dict[str, Any]]:
    """Salesforce object reference: FlowDefinitionView. ``Id`` is the same for all rows, as in other views of setup data."""
    for flow in FLOWS:
        active = flow.active_version(settings)
        yield {
            "Id": "000000000000000AAA",
            "DurableId": flow.id,
            "ApiName": flow.developer_name,
            "Label": flow.label,
            "ProcessType": flow.process_type,
            "TriggerType": flow.trigger_type,
            "TriggerObjectOrEventId": flow.object[0] if flow.object else None,
            "TriggerObjectOrEventLabel": flow.object[1] if flow.object else None,
            "RecordTriggerType": "CreateAndUpdate" if flow.trigger_type == "RecordAfterSave" else None,
            "IsActive": active is not None,
            "IsOutOfDate": active is not None and active != flow.versions,
            "IsTemplate": False,
            "ActiveVersionId": flow.version_id(active) if active else None,
            "LatestVersionId": flow.version_id(flow.versions),
            "VersionNumber": active or flow.versions,
            "Builder": "Flow Builder",
            "ApiVersion": API_VERSION,
            "ManageableState": "unmanaged",
            "LastModifiedBy": ADMIN.name,
            "LastModifiedDate": CHANGED,
        }


def _changed_by_the_admin() -> dict[str, Any]:
    return {"CreatedById": ADMIN.id, "CreatedDate": CHANGED, "LastModifiedById": ADMIN.id, "LastModifiedDate": CHANGED}
