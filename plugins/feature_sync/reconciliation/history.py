"""How accurate each product was over time, as a pandas table: small, read by people, and drawn in the report."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from feature_sync.storage.warehouse import Row, Warehouse

if TYPE_CHECKING:
    import pandas as pd

HISTORY = timedelta(days=730)
COLUMNS = ["run_id", "product", "checked_at", "accuracy", "mismatched"]


def read_history(warehouse: Warehouse, now: datetime) -> "pd.DataFrame":
    """
    The reconciliations of the last two years, see `history_table`.

    :param now: the end of these two years.
    """
    since = (now - HISTORY).astimezone(UTC).isoformat()
    return history_table(warehouse.fetch_all("reconciliation/select_drift_history", {"since": since}))


def history_table(rows: Iterable[Row]) -> "pd.DataFrame":
    """
    One row for each product and reconciliation, the oldest first.

    ``accuracy`` is the share of the checked properties that agreed, 0 to 1. Reconciliations that checked nothing are left out.

    :param rows: of the drift table, the oldest first.
    """
    import pandas as pd  # noqa: PLC0415 - slow

    table = pd.DataFrame.from_records(list(rows), columns=COLUMNS)
    return table[table["accuracy"].notna()].reset_index(drop=True)
