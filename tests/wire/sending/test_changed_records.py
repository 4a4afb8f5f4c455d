"""Records that somebody changes between the freeze and the write: they are not overwritten, but listed."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import freeze_payload, release_payload
from feature_sync.backfill.validation import SalesforceDiffersError, validate
from feature_sync.config.fields import load_fields
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import AttemptStatus, Batch
from feature_sync.sending.outcome import BatchFailedError
from feature_sync.storage.run_files import run_files
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox, eventually
from tests.wire.campaign import IMPATIENT, SIZE, Campaign, begin

FIELDS = load_fields()
REPLICA = "crm.salesforce.product_property_c"
IDV, IDV_ON = "idv_only_enabled_c", "Idv_Only_Enabled__c"


@pytest.fixture
def campaign(sandbox: Sandbox) -> Iterator[Campaign]:
    """Two batches of records that no other test changes for good: afterwards each has its first values again."""
    with Warehouse(load_settings()) as warehouse:
        campaign = Campaign.freeze(sandbox, warehouse, batches=2, patience=IMPATIENT)
        first = {key: held(campaign, key) for key in keys(campaign, 1) + keys(campaign, 2)}
        yield campaign
        for key, values in first.items():
            if held(campaign, key) != values:
                change(campaign, key, **values)


def keys(campaign: Campaign, number: int = 1) -> list[str]:
    rows = campaign.sandbox.sql(
        f"SELECT reverse_etl_id_c FROM {load_settings().payload_table} WHERE run_id = '{campaign.run_id}' "
        f"AND batch_number = {number} ORDER BY record_number"
    )
    return [row[0] for row in rows]


def held(campaign: Campaign, key: str) -> dict[str, Any]:
    """What the replica holds of a record, by the names of Salesforce's fields."""
    columns = ", ".join(field.column for field in FIELDS.features)
    [row] = campaign.sandbox.sql(f"SELECT {columns} FROM {REPLICA} WHERE reverse_etl_id_c = '{key}' AND NOT is_deleted")
    values = [value if value is None or isinstance(value, bool) else value.isoformat() for value in row]
    return dict(zip((field.salesforce_name for field in FIELDS.features), values, strict=True))


def change(campaign: Campaign, key: str, **values: Any) -> None:
    """Somebody changes a record in Salesforce, and the replica shows it."""
    answer = campaign.sandbox.salesforce("PATCH", f"sobjects/Product_Property__c/Reverse_ETL_ID__c/{key}", json=values)
    assert answer.ok, answer.text
    wanted = {name.lower(): value for name, value in values.items()}
    eventually(lambda: wanted.items() <= {name.lower(): value for name, value in held(campaign, key).items()}.items())


def sent_value(campaign: Campaign, key: str, column: str, prefix: str = "") -> Any:
    [row] = campaign.sandbox.sql(
        f"SELECT {prefix}{column} FROM {load_settings().payload_table} "
        f"WHERE run_id = '{campaign.run_id}' AND reverse_etl_id_c = '{key}'"
    )
    return row[0]


def sent(campaign: Campaign) -> list[list[str]]:
    """The keys that Census wrote, by transaction."""
    return [sorted(each["keys"]) for each in campaign.journal("salesforce.transaction") if each["source"] == "census"]


def rejected(campaign: Campaign) -> list[dict[str, str]]:
    path = Path(str(run_files(load_settings(), campaign.run_id).rejected_records))
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_record_that_somebody_changed_is_not_overwritten_but_listed(campaign: Campaign) -> None:
    changed, *others = keys(campaign)
    change(campaign, changed, **{IDV_ON: True})

    outcome = campaign.send()

    assert outcome.status is AttemptStatus.FAILED
    assert not outcome.is_temporary
    assert sent(campaign) == [sorted(others)]
    attempt = campaign.attempt()
    assert (attempt.records, attempt.records_rejected, attempt.records_changed) == (SIZE, 1, 1)
    assert attempt.replica_synced_at is not None
    assert held(campaign, changed)[IDV_ON.lower()] is True


def test_the_verdict_says_so_and_the_books_balance(campaign: Campaign) -> None:
    changed = keys(campaign)[0]
    change(campaign, changed, **{IDV_ON: True})
    campaign.send(1)
    assert campaign.send(2).succeeded

    with pytest.raises(SalesforceDiffersError, match=r"1 record was left as found, because somebody changed them"):
        validate({}, campaign.run_id)

    [row] = rejected(campaign)
    assert row["reverse_etl_id_c"] == changed
    assert row["reason"].startswith(f"CHANGED_SINCE_FREEZE: somebody changed {IDV} in Salesforce")


def test_a_cleared_batch_looks_again(campaign: Campaign) -> None:
    changed = keys(campaign)[0]
    change(campaign, changed, **{IDV_ON: True})
    campaign.send()
    with pytest.raises(BatchFailedError, match="nothing was sent: 1 record was left as found"):
        begin(campaign.sender(generation=1))
    assert campaign.runs == 1

    change(campaign, changed, **{IDV_ON: False})

    assert campaign.send(generation=2).succeeded
    assert sent(campaign)[-1] == [changed]


def test_a_batch_of_which_all_records_were_changed_starts_no_run(campaign: Campaign) -> None:
    for key in keys(campaign):
        change(campaign, key, **{IDV_ON: True})

    with pytest.raises(BatchFailedError, match="nothing was sent: 4 records were left as found"):
        begin(campaign.sender())

    assert (campaign.triggers, campaign.runs) == (0, 0)
    assert campaign.attempt().records_changed == SIZE


def test_a_change_to_the_value_that_is_sent_is_no_conflict_and_an_undo_keeps_it(campaign: Campaign) -> None:
    key = keys(campaign)[0]
    flag = next(field for field in FIELDS.features if sent_value(campaign, key, field.column) is True)
    assert sent_value(campaign, key, flag.column, "before_") is False
    change(campaign, key, **{flag.salesforce_name: True})

    outcome = campaign.send()

    assert outcome.succeeded
    assert sent_value(campaign, key, flag.column, "before_") is True


def test_what_another_run_of_ours_wrote_from_older_values_is_no_conflict_and_an_undo_restores_it(campaign: Campaign) -> None:
    key = keys(campaign)[0]
    settings = load_settings()
    flag = next(field for field in FIELDS.features if sent_value(campaign, key, field.column) is True)
    other = Campaign(campaign.sandbox, campaign.warehouse, f"{campaign.run_id}-other", [Batch(1, 1, 1, 1)], campaign.began_after)
    freeze_payload({"scope": "property_ids", "property_ids": [key], "batch_size": 1}, other.run_id)
    campaign.sandbox.sql(f"UPDATE {settings.payload_table} SET {IDV} = TRUE WHERE run_id = '{other.run_id}'")
    newer = f"UPDATE {settings.payload_table} SET frozen_at = current_timestamp() WHERE run_id = '{campaign.run_id}'"
    campaign.sandbox.sql(newer)
    release_payload(other.run_id)
    assert other.send(wait_seconds=-2).succeeded
    eventually(lambda: held(campaign, key)[IDV_ON.lower()] is True)

    outcome = campaign.send(wait_seconds=-2)

    assert outcome.succeeded
    assert sent_value(campaign, key, IDV, "before_") is True
    assert sent_value(campaign, key, flag.column, "before_") is True


def test_what_this_run_wrote_is_never_taken_for_the_value_from_before(campaign: Campaign) -> None:
    key = keys(campaign)[0]
    flag = next(field for field in FIELDS.features if sent_value(campaign, key, field.column) is True)
    campaign.send()
    eventually(lambda: held(campaign, key)[flag.salesforce_name] is True)

    assert campaign.send(generation=1, wait_seconds=-2).succeeded

    assert sent_value(campaign, key, flag.column, "before_") is False


def test_a_batch_without_changes_costs_no_statement_more(campaign: Campaign) -> None:
    before = campaign.sandbox.seq()

    begin(campaign.sender())

    statements = [entry["sql"] for entry in campaign.sandbox.journal("warehouse.statement", before)]
    assert len([sql for sql in statements if f"before_{IDV}" in sql]) == 1, "it is looked at once, and nothing is taken again"


def test_the_marks_follow_the_attempt_when_the_trigger_gets_no_answer(campaign: Campaign) -> None:
    *others, changed = keys(campaign)  # the first one has the product since an earlier test
    change(campaign, changed, **{IDV_ON: True})
    campaign.sandbox.fault("trigger", "status", code=503, times=1)

    outcome = campaign.send()

    assert campaign.attempt().number == 2
    assert outcome.rejected is not None
    assert [row.identifier for row in outcome.rejected] == [changed]
    assert sent(campaign) == [sorted(others)]


def test_a_record_that_has_another_key_now_is_left_out(campaign: Campaign) -> None:
    changed, *others = keys(campaign)
    campaign.sandbox.settings(replication_stalled=True)
    campaign.sandbox.sql(f"UPDATE {REPLICA} SET reverse_etl_id_c = 'another' WHERE reverse_etl_id_c = '{changed}'")
    try:
        outcome = campaign.send()
    finally:
        campaign.sandbox.sql(f"UPDATE {REPLICA} SET reverse_etl_id_c = '{changed}' WHERE reverse_etl_id_c = 'another'")
        campaign.sandbox.settings(replication_stalled=False)

    assert sent(campaign) == [sorted(others)]
    assert outcome.rejected is not None
    assert "has no longer such a record with this key" in outcome.rejected[0].reason
