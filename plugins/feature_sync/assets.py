"""What other DAGs can be scheduled on."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

VALIDATED_FEATURES = Asset("validated_product_features")
"""Product features in Salesforce that were just found equal to the warehouse."""


def tell_outlets(context: Mapping[str, Any], properties_checked: int) -> None:
    """Say in the asset's event of how many properties it speaks: of a backfill's, or of all after a reconciliation."""
    for outlet in context["task"].outlets:
        context["outlet_events"][outlet].extra = {"properties_checked": properties_checked}
