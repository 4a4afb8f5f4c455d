"""Settings of a sync that change what it writes, or when: the sandbox does what they say."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.sandbox.client import BACKFILL, Sandbox, eventually

RESTORED = ("mappings", "source_attributes", "mode", "schedule_frequency", "instant_mode")
Change = Callable[..., None]


@pytest.fixture
def change(sandbox: Sandbox) -> Iterator[Change]:
    """Changes the sync of the batches, as a person in Census would; restored afterwards."""
    original = sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]

    def change(**values: Any) -> None:
        answer = sandbox.census("PATCH", f"syncs/{BACKFILL}", json=values)
        assert answer.ok, answer.text

    yield change
    change(**{name: original.get(name) for name in RESTORED})


def mappings(sandbox: Sandbox, **setting: Any) -> list[dict[str, Any]]:
    """The mappings of the sync, with a setting at each that is not the key."""
    found = sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]["mappings"]
    return [each if each["is_primary_identifier"] else each | setting for each in found]


def fraud(sandbox: Sandbox, key: str) -> tuple[Any, Any]:
    names = "Fraud_Detection_Enabled__c, Fraud_Detection_Start_Date__c"
    query = f"SELECT {names} FROM Product_Property__c WHERE Reverse_ETL_ID__c = '{key}'"
    [found] = sandbox.soql(query)["records"]
    row = {name.lower(): value for name, value in found.items()}
    return row["fraud_detection_enabled__c"], row["fraud_detection_start_date__c"]


def test_set_if_empty_leaves_a_field_that_has_a_value(sandbox: Sandbox, change: Change) -> None:
    [key] = sandbox.stage(1, flag="TRUE", day="DATE'2025-06-01'")
    sandbox.send()
    change(mappings=mappings(sandbox, preserve_values=True))
    sandbox.stage(1, flag="FALSE", day="DATE'2025-07-01'")

    run = sandbox.send()

    assert (run["status"], run["records_updated"]) == ("completed", 1)
    assert fraud(sandbox, key) == (True, "2025-06-01")


def test_set_if_empty_sets_an_empty_field(sandbox: Sandbox, change: Change) -> None:
    [key] = sandbox.stage(1, day="CAST(NULL AS DATE)")
    sandbox.send()
    change(mappings=mappings(sandbox, preserve_values=True))
    sandbox.stage(1, day="DATE'2025-07-01'")

    sandbox.send()

    assert fraud(sandbox, key)[1] == "2025-07-01"


def test_a_segment_keeps_records_from_being_sent(sandbox: Sandbox, change: Change) -> None:
    source = sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]["source_attributes"]
    change(source_attributes=source | {"filter_segment_id": 9})
    sandbox.stage(4)

    run = sandbox.send()

    assert (run["status"], run["source_record_count"], run["records_updated"]) == ("completed", 2, 2)


@pytest.mark.parametrize("live", [{"mode": {"type": "live"}}, {"schedule_frequency": "continuous"}], ids=["live", "continuous"])
def test_a_live_sync_starts_a_run_by_itself_when_its_source_changes(
    sandbox: Sandbox, change: Change, live: dict[str, Any]
) -> None:
    sandbox.stage(2, day="DATE'2025-08-01'")
    sandbox.send()
    before = sandbox.seq()
    change(**live)

    sandbox.stage(2, day="DATE'2025-08-02'" if "mode" in live else "DATE'2025-08-03'")

    [ended] = eventually(lambda: sandbox.journal("census.run.ended", before))
    assert (ended["ui_tag"], ended["updated"]) == ("Live", 2)
