"""The table of earlier reconciliations."""

from datetime import timedelta
from typing import Any

from feature_sync.reconciliation.history import COLUMNS, history_table
from tests.feature_sync.reconciliation.drifts import NOON


def row(week: int, accuracy: float | None) -> dict[str, Any]:
    return {
        "run_id": f"week {week}",
        "product": "fraud_detection",
        "checked_at": NOON + week * timedelta(days=7),
        "accuracy": accuracy,
        "mismatched": 3,
    }


def test_each_reconciliation_of_a_product_is_a_row_in_the_order_of_time() -> None:
    table = history_table([row(1, 0.5), row(2, 1.0)])

    assert list(table.columns) == COLUMNS
    assert table["accuracy"].tolist() == [0.5, 1.0]
    assert table["run_id"].tolist() == ["week 1", "week 2"]


def test_a_reconciliation_that_checked_nothing_is_left_out() -> None:
    table = history_table([row(1, None), row(2, 0.9)])

    assert table["run_id"].tolist() == ["week 2"]
    assert list(table.index) == [0]


def test_without_reconciliations_it_is_empty_and_has_its_columns() -> None:
    table = history_table([])

    assert table.empty
    assert list(table.columns) == COLUMNS
