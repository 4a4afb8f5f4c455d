"""Assets that other DAGs can be scheduled on."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

VALIDATED_FEATURES = Asset("validated_product_features")
"""Product features in Salesforce that were just found equal to the warehouse."""


def describe_outlets(context: Mapping[str, Any], properties_checked: int) -> None:
    """Record in the asset event how many properties were checked: those of a backfill, or all of them in a reconciliation."""
    for outlet in context["task"].outlets:
        context["outlet_events"][outlet].extra = {"properties_checked": properties_checked}
