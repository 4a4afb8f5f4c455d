"""Assets that other DAGs can be scheduled on."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

VALIDATED_FEATURES = Asset("validated_product_features")
"""Product features in Salesforce that were just found equal to the warehouse, but for differences that people have accepted."""


def describe_outlets(context: Mapping[str, Any], properties_checked: int, differences_accepted: int | None = None) -> None:
    """
    Record in the asset event how many properties were checked: those of a backfill, or all of them in a reconciliation.

    :param differences_accepted: how many differences a reconciliation let pass, because people have accepted them. None: nobody
        asked.
    """
    accepted = {} if differences_accepted is None else {"differences_new": 0, "differences_accepted": differences_accepted}
    for outlet in context["task"].outlets:
        context["outlet_events"][outlet].extra = {"properties_checked": properties_checked, **accepted}


def withhold_outlets(context: Mapping[str, Any]) -> None:
    """Update no asset when this task succeeds, because what it checked is not what the asset stands for."""
    context["task"].outlets = []
