"""The data of a comparison."""

import pytest

from feature_sync.reconciliation.drift import Drift, NothingComparedError
from tests.feature_sync.reconciliation.drifts import FIELDS, found, rows


def test_a_product_without_a_row_is_an_error() -> None:
    with pytest.raises(NothingComparedError, match="has no row for Verification of Rent, so nothing was compared"):
        Drift.from_rows(rows()[:-1], FIELDS)


def test_rows_in_any_order_give_the_products_in_the_order_of_the_field_table() -> None:
    drift = Drift.from_rows(reversed(rows()), FIELDS)

    assert [each.product for each in drift.products] == [product.name for product in FIELDS.products]


def test_a_preview_shows_what_healing_changes() -> None:
    change = found(enabled_in_salesforce=10, wrongly_false=3, wrongly_true=1).changes[0]

    assert (change.enabled_now, change.enabled_after, change.to_enable, change.to_disable) == (10, 12, 3, 1)
