"""Which syncs count as neighbours of ours, and when their schedule starts them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from feature_sync.census.models import SyncOutline
from feature_sync.census.neighbours import describe_schedule, find_neighbours, next_start, scheduled_between

OURS, OBJECT = 4711, "Product_Property__c"
NOW = datetime(2025, 11, 21, 12, 7, 30, tzinfo=UTC)  # a Friday
WRITES = {"connection_id": 47, "object": OBJECT}


def sync(number: int = 4712, **changes: Any) -> SyncOutline:
    return SyncOutline.model_validate({"id": number, "destination_attributes": WRITES, "paused": False} | changes)


def neighbours(*others: SyncOutline, ours: SyncOutline | None = None) -> list[int]:
    return [found.id for found in find_neighbours([ours or sync(OURS), *others], OURS, OBJECT)]


@pytest.mark.parametrize(
    "destination",
    [
        pytest.param(WRITES, id="the-same"),
        pytest.param({"connection_id": "47", "object": "product_PROPERTY__C"}, id="other-case-and-an-id-as-text"),
        pytest.param({"object": OBJECT}, id="connection-not-said"),
        pytest.param({"connection_id": None, "object": OBJECT}, id="connection-null"),
        pytest.param({"connection_id": 47}, id="object-not-said"),
        pytest.param({"connection_id": 47, "object": None}, id="object-null"),
        pytest.param({"connection_id": 47, "object": ""}, id="object-empty"),
        pytest.param({"connection_id": 47, "object": {"name": "Account"}}, id="object-of-an-unknown-form"),
        pytest.param({}, id="empty"),
        pytest.param(None, id="null"),
        pytest.param("Salesforce", id="a-text"),
    ],
)
def test_a_sync_that_writes_the_object_or_may_write_it_is_a_neighbour(destination: Any) -> None:
    assert neighbours(sync(destination_attributes=destination)) == [4712]


@pytest.mark.parametrize(
    "destination",
    [
        pytest.param({"connection_id": 47, "object": "Account"}, id="other-object"),
        pytest.param({"connection_id": 48, "object": OBJECT}, id="other-connection"),
        pytest.param({"object": "Account"}, id="other-object-of-an-unknown-connection"),
        pytest.param({"connection_id": 48}, id="unknown-object-of-another-connection"),
    ],
)
def test_a_sync_that_writes_elsewhere_is_not(destination: Any) -> None:
    assert neighbours(sync(destination_attributes=destination)) == []


@pytest.mark.parametrize("ours", [sync(OURS, destination_attributes=None), sync(1)], ids=["not-readable", "not-in-the-list"])
def test_when_our_own_connection_is_not_known_every_connection_may_be_ours(ours: SyncOutline) -> None:
    found = neighbours(sync(4713, destination_attributes={"connection_id": 48, "object": OBJECT}), ours=ours)

    assert 4713 in found
    assert OURS not in found


def test_a_paused_sync_is_a_neighbour_because_its_last_run_may_still_go_on() -> None:
    assert neighbours(sync(paused=True)) == [4712]


HOURLY = {"schedule_frequency": "hourly", "schedule_minute": 0}
TRIGGERED = {"type": "triggered", "triggers": {"schedule": {"frequency": "never"}}}


@pytest.mark.parametrize(
    ("schedule", "start"),
    [
        pytest.param({"schedule_frequency": "never"}, None, id="by-hand"),
        pytest.param({"schedule_frequency": "never", "mode": TRIGGERED}, None, id="by-hand-with-a-mode"),
        pytest.param(HOURLY | {"paused": True}, None, id="paused"),
        pytest.param({"schedule_frequency": "continuous"}, NOW, id="continuous"),
        pytest.param({"schedule_frequency": "quarter_hourly"}, "2025-11-21T12:15:00", id="quarter-hourly"),
        pytest.param(HOURLY, "2025-11-21T13:00:00", id="hourly"),
        pytest.param(HOURLY | {"schedule_minute": 8}, "2025-11-21T12:08:00", id="hourly-at-a-minute"),
        pytest.param(HOURLY | {"schedule_minute": None}, "2025-11-21T12:08:00", id="hourly-at-an-unknown-minute"),
        pytest.param(HOURLY | {"paused": None}, "2025-11-21T13:00:00", id="not-known-whether-paused"),
        pytest.param(
            {"schedule_frequency": "daily", "schedule_hour": 6, "schedule_minute": 30}, "2025-11-22T06:30:00", id="daily"
        ),
        pytest.param(
            {"schedule_frequency": "daily", "schedule_minute": 30}, "2025-11-21T12:30:00", id="daily-at-an-unknown-hour"
        ),
        pytest.param({"schedule_frequency": "daily", "schedule_hour": 25}, NOW, id="daily-at-an-hour-that-does-not-exist"),
        pytest.param(
            {"schedule_frequency": "weekly", "schedule_day": "Sunday", "schedule_hour": 6, "schedule_minute": 0},
            "2025-11-23T06:00:00",
            id="weekly",
        ),
        pytest.param(
            {"schedule_frequency": "weekly", "schedule_day": 3, "schedule_hour": 6, "schedule_minute": 0},
            "2025-11-22T06:00:00",
            id="weekly-on-a-day-that-cannot-be-read",
        ),
        pytest.param(
            {"schedule_frequency": "expression", "cron_expression": "40 */2 * * *"}, "2025-11-21T12:40:00", id="expression"
        ),
        pytest.param({"schedule_frequency": "expression", "cron_expression": "sometimes"}, NOW, id="wrong-expression"),
        pytest.param({"schedule_frequency": "expression"}, NOW, id="expression-missing"),
        pytest.param({"schedule_frequency": "fortnightly"}, NOW, id="unknown-frequency"),
        pytest.param({}, NOW, id="no-frequency"),
        pytest.param({"schedule_frequency": "never", "mode": {"type": "live"}}, NOW, id="live"),
        pytest.param(
            {"schedule_frequency": "never", "mode": {"type": "triggered", "triggers": {"dbt_cloud": {"job_id": "1"}}}},
            NOW,
            id="after-dbt",
        ),
        pytest.param({"schedule_frequency": "never", "mode": "odd"}, NOW, id="unknown-mode"),
        pytest.param(HOURLY | {"mode": {"type": "live"}}, NOW, id="hourly-and-live"),
    ],
)
def test_the_next_start_is_the_earliest_that_is_possible(schedule: dict[str, Any], start: str | datetime | None) -> None:
    wanted = datetime.fromisoformat(start).replace(tzinfo=UTC) if isinstance(start, str) else start

    assert next_start(sync(**schedule), NOW) == wanted


def test_only_the_syncs_that_may_start_in_time_are_named_the_next_one_first() -> None:
    syncs = [
        sync(1, label="daily", schedule_frequency="daily", schedule_hour=6, schedule_minute=0),
        sync(2, label="hourly", **HOURLY),
        sync(3, label="never", schedule_frequency="never"),
        sync(4, schedule_frequency="continuous"),
    ]

    found = scheduled_between(syncs, NOW, seconds=3_600)

    assert [str(one) for one in found] == [
        "Census sync 4 (no name), continuously, next start at any time",
        "Census sync 2 (hourly), hourly at minute 0, next start 2025-11-21T13:00+00:00",
    ]
    assert found[1].as_json() == {
        "sync_id": 2,
        "label": "hourly",
        "schedule": "hourly at minute 0",
        "next_start": "2025-11-21T13:00+00:00",
    }
    assert [one.sync_id for one in scheduled_between(syncs, NOW, seconds=60)] == [4]


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"schedule_frequency": "never"}, "started by hand or over the API"),
        ({"schedule_frequency": "daily", "schedule_hour": 6, "schedule_minute": 5}, "daily at 06:05 UTC"),
        ({"schedule_frequency": "daily", "schedule_hour": 6}, "daily at an unknown time"),
        ({"schedule_frequency": "weekly", "schedule_hour": 6, "schedule_minute": 5}, "weekly on an unknown day at 06:05 UTC"),
        ({"schedule_frequency": "expression", "cron_expression": "1 2 * * *"}, "on the schedule '1 2 * * *'"),
        ({"schedule_frequency": "odd"}, "on a schedule that we do not know ('odd')"),
        ({"schedule_frequency": "never", "mode": {"type": "live"}}, "started by something else than a clock"),
    ],
)
def test_a_schedule_in_words(schedule: dict[str, Any], words: str) -> None:
    assert describe_schedule(sync(**schedule)) == words
