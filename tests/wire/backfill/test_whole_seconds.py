"""A Date/Time in Salesforce has whole seconds, so a part of a second in the feature table is no difference."""

from datetime import UTC, datetime

import pytest

from feature_sync.backfill.payload import freeze_payload
from tests.wire.few import Few

FIELD, SOURCE = "fraud_detection_start_date_c", "fraud_enabled_at"


@pytest.mark.parametrize(
    ("held", "differing"),
    [
        pytest.param("10:00:00", 0, id="the-same-second"),
        pytest.param("10:00:01", 8, id="the-next-second"),
        pytest.param("09:59:59", 8, id="the-second-before"),
    ],
)
def test_a_part_of_a_second_is_neither_compared_nor_sent(
    few: Few, monkeypatch: pytest.MonkeyPatch, held: str, differing: int
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_DATETIME_FIELDS", f'["{FIELD}"]')
    for table in ("PAYLOAD", "BATCH", "READ_BACK"):  # with the field as a point in time
        monkeypatch.setenv(f"FEATURE_SYNC_{table}_TABLE", f"crm.sfdc_dbx.{table.lower()}_{held.replace(':', '_')}")
    few.sql(f"UPDATE {{features}} SET {SOURCE} = TIMESTAMP'2025-11-21 10:00:00.654321'")
    held_at = f"TIMESTAMP'2025-11-21 {held}' AS {FIELD}"
    few.sql(f"CREATE OR REPLACE TABLE {{replica}} AS SELECT * EXCEPT ({FIELD}), {held_at} FROM {{replica}}")

    report, _ = few.compare()
    freeze_payload({"scope": "all"}, f"whole-{held}")

    assert report["differences"]["date_differs"] == differing
    assert {row[FIELD] for row in few.query("backfill/select_payload", {"run_id": f"whole-{held}"})} == {
        datetime(2025, 11, 21, 10, tzinfo=UTC)
    }
