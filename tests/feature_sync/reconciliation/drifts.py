"""Results of a comparison for tests."""

from datetime import UTC, datetime
from typing import Any

from feature_sync.config.fields import load_fields
from feature_sync.reconciliation.drift import Drift, DriftClass

FIELDS = load_fields()
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def rows(**changes: Any) -> list[dict[str, Any]]:
    """The rows of a comparison of 1,000 records that found nothing, with changes to the first product's."""
    nothing = dict.fromkeys(
        (
            *("enabled_in_salesforce", "enabled_in_warehouse", "mismatched", "wrongly_false", "wrongly_true", "date_differs"),
            *("properties_mismatched", "properties_unmatched", "missing_in_salesforce", "missing_in_warehouse", "key_mismatch"),
            *("ambiguous_features", "unknown_status", "true_through_sibling"),
            *("unmatched_features", "unknown_in_salesforce", "unknown_in_warehouse"),
            *("properties_accepted", "properties_held_back", "properties_to_send"),
            *(f"{kind}_accepted" for kind in DriftClass),
        ),
        0,
    )
    row = nothing | {"properties_checked": 1_000, "accuracy": 1.0, "checked_at": NOON, "copy_synced_at": NOON}
    return [row | {"product": product.name} | (changes if product is FIELDS.products[0] else {}) for product in FIELDS.products]


def found(**changes: Any) -> Drift:
    return Drift.from_rows(rows(**changes), FIELDS)


def differing(records: int) -> Drift:
    return found(properties_mismatched=records, properties_to_send=records, mismatched=records, wrongly_false=records)
