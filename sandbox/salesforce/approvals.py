"""Records that wait for an approval: each is locked until somebody has decided (an org may keep it
locked after that). One of another object always waits."""

from collections.abc import Iterator
from typing import Any

from sandbox.salesforce.schema import OBJECT
from sandbox.salesforce.users import ADMIN
from sandbox.settings import Settings

SUBMITTED = "2025-11-20T08:15:00.000Z"
DEFINITIONS = {"04a5Y000000001AQAQ": OBJECT, "04a5Y000000002AQAQ": "Product__c"}
OF_ANOTHER_OBJECT = "a1P5Y00000000001UAA"


def definition_rows() -> Iterator[dict[str, Any]]:
    """Salesforce object reference: ProcessDefinition."""
    for number, object_name in DEFINITIONS.items():
        yield {
            "Id": number,
            "Name": f"Changes of {object_name}",
            "DeveloperName": f"Changes_of_{object_name.removesuffix('__c')}",
            "Type": "Approval",
            "State": "Active",
            "TableEnumOrId": object_name,
            "LockType": "Total",
        }


def instance_rows(settings: Settings) -> Iterator[dict[str, Any]]:
    """Salesforce object reference: ProcessInstance. A decided one stays, with another status."""
    own, other = DEFINITIONS
    for number, record_id in enumerate(settings.records_in_approval, 1):
        yield _instance(number, own, record_id, "Pending")
        yield _instance(500 + number, own, record_id, "Rejected")
    yield _instance(999, other, OF_ANOTHER_OBJECT, "Pending")


def _instance(number: int, definition: str, record_id: str, status: str) -> dict[str, Any]:
    return {
        "Id": f"04g5Y000000{number:04d}AQA",
        "ProcessDefinitionId": definition,
        "TargetObjectId": record_id,
        "Status": status,
        "SubmittedById": ADMIN.id,
        "CreatedDate": SUBMITTED,
        "CompletedDate": None if status == "Pending" else SUBMITTED,
    }
