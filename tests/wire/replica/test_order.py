"""A replication that brings changes in another order than they were made: only a record's own row is proof."""

from datetime import UTC, datetime

import pytest

from feature_sync.backfill.scope import count_scope
from feature_sync.config.problems import NotReadyError
from feature_sync.config.run_config import parse_run_config
from feature_sync.config.settings import load_settings
from feature_sync.replica.state import read_replica_state
from tests.sandbox.client import eventually
from tests.wire.campaign import SIZE, Campaign

REPLICA = "crm.salesforce.product_property_c"


def touch_another_record(campaign: Campaign, at: str) -> None:
    """The replica shows a change of a record that the run did not send."""
    campaign.sandbox.sql(
        f"UPDATE {REPLICA} SET system_modstamp = {at} WHERE id = (SELECT MIN(id) FROM {REPLICA} WHERE id NOT IN "
        f"(SELECT salesforce_id FROM {load_settings().payload_table} WHERE run_id = '{campaign.run_id}'))"
    )


def stale(campaign: Campaign) -> int:
    state = read_replica_state(campaign.run_id, load_settings())
    assert state.records_sent == SIZE
    return state.records_stale


def set_values(campaign: Campaign, prefix: str, where: str = "TRUE") -> None:
    """The replica shows the values that the payload has, or had before, of the run's records."""
    settings = load_settings()
    names = [field.column for field in settings.fields.features]
    assigned = ", ".join(f"{name} = (SELECT {prefix}{name} FROM found WHERE found.salesforce_id = id)" for name in names)
    source = f"SELECT * FROM {settings.payload_table} WHERE run_id = '{campaign.run_id}'"
    assigned = assigned.replace("FROM found WHERE found.", f"FROM ({source}) AS found WHERE found.")
    campaign.sandbox.sql(
        f"UPDATE {REPLICA} SET {assigned} WHERE id IN (SELECT salesforce_id FROM ({source}) AS found) AND {where}"
    )


def test_a_later_change_of_another_record_is_no_proof(sent: Campaign) -> None:
    assert stale(sent) == SIZE

    touch_another_record(sent, "current_timestamp() + INTERVAL 60 SECONDS")

    assert stale(sent) == SIZE


def test_an_undo_waits_for_a_late_record_and_does_not_take_it_for_as_before(sent: Campaign) -> None:
    touch_another_record(sent, "current_timestamp() + INTERVAL 60 SECONDS")

    with pytest.raises(NotReadyError, match=f"{SIZE} records that run .* sent are not yet in"):
        count_scope(sent.warehouse, parse_run_config({"undo_run_id": sent.run_id}), 1024)


def test_a_record_that_changed_while_the_run_was_on_is_no_proof_unless_it_holds_what_was_sent(sent: Campaign) -> None:
    started = sent.attempt().run_started_at
    assert started is not None
    sent.sandbox.sql(
        f"UPDATE {REPLICA} SET system_modstamp = TIMESTAMP'{started.isoformat()}' WHERE id IN "
        f"(SELECT salesforce_id FROM {load_settings().payload_table} WHERE run_id = '{sent.run_id}')"
    )
    assert stale(sent) == SIZE

    set_values(sent, "")

    assert stale(sent) == 0


def test_a_record_that_changed_after_the_run_is_proof_whatever_it_holds(sent: Campaign) -> None:
    sent.sandbox.sql(
        f"UPDATE {REPLICA} SET system_modstamp = current_timestamp() + INTERVAL 5 SECONDS WHERE id IN "
        f"(SELECT salesforce_id FROM {load_settings().payload_table} WHERE run_id = '{sent.run_id}' AND record_number = 1)"
    )

    assert stale(sent) == SIZE - 1


def test_a_record_that_the_replication_has_passed_long_ago_is_given_up(sent: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_COPY_LIMIT_SECONDS", "30")

    touch_another_record(sent, "current_timestamp() + INTERVAL 20 SECONDS")
    assert stale(sent) == SIZE
    touch_another_record(sent, "current_timestamp() + INTERVAL 60 SECONDS")
    assert stale(sent) == 0


def test_a_write_that_changed_nothing_need_not_be_waited_for(sent: Campaign) -> None:
    sent.sandbox.settings(replication_stalled=False)
    eventually(lambda: stale(sent) == 0)
    sent.sandbox.settings(replication_stalled=True)

    assert sent.send(generation=1, wait_seconds=-2).succeeded

    ended = sent.attempt().run_ended_at
    assert ended is not None
    assert ended <= datetime.now(UTC)
    assert stale(sent) == 0


def test_a_replication_that_brings_every_second_record_late_is_waited_for(sent: Campaign) -> None:
    sent.sandbox.settings(replication_out_of_order=True)

    sent.sandbox.control("POST", "replication", {})
    assert stale(sent) == SIZE / 2

    sent.sandbox.control("POST", "replication", {})
    assert stale(sent) == 0
