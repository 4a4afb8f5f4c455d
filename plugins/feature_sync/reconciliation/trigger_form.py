"""The form of DAG feature_sync_accept. `feature_sync.reconciliation.accepting.parse_request` checks what comes from it."""

from airflow.sdk import Param

from feature_sync.reconciliation.accepting import MAX_REASON, MIN_REASON
from feature_sync.reconciliation.drift import DriftClass

ACCEPT_PARAMS = {
    "class": Param(
        None,
        type=["null", "string"],
        title="Class",
        description="The class of the differences, as mismatches.csv of the weekly run has it.",
        enum=[None, *(kind.value for kind in DriftClass)],
        values_display={kind.value: f"{kind.value}: {kind.description}" for kind in DriftClass},
    ),
    "ids": Param(
        None,
        type=["null", "array"],
        items={"type": "string"},
        title="Ids",
        description="Ids of properties, or of records in Salesforce; one a line. An id of a record accepts this record alone.",
    ),
    "products": Param(
        None,
        type=["null", "array"],
        items={"type": "string"},
        title="Products",
        description="Names of products as in mismatches.csv; one a line. Empty: all products that differ in this class now.",
    ),
    "reason": Param(
        None,
        type=["null", "string"],
        maxLength=MAX_REASON,
        title="Reason",
        description=f"Why this difference is known and may stay; at least {MIN_REASON} characters.",
    ),
    "accepted_until": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Accepted until",
        description="The last day in UTC on which it counts. Choose today to end what was accepted before.",
    ),
}
