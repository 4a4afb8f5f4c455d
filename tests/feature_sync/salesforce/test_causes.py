"""What Salesforce's own answer adds to the cause of a difference, and what it cannot prove."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from feature_sync.config.fields import load_fields
from feature_sync.salesforce.causes import DECIDED_BY_SENDING, Cause, KnownDifference, with_salesforce
from feature_sync.salesforce.models import SalesforceRecord

FIELDS = load_fields(frozenset({"income_verification_start_date_c"}))
FLAG, DAY, _ = FIELDS.products[0].fields
_, MOMENT, _ = FIELDS.products[1].fields
BEGAN, ENDED = dt.datetime(2025, 11, 24, 10, tzinfo=dt.UTC), dt.datetime(2025, 11, 24, 10, 5, tzinfo=dt.UTC)
BEFORE, MEANWHILE, AFTER = BEGAN - dt.timedelta(hours=1), BEGAN + dt.timedelta(minutes=1), ENDED + dt.timedelta(hours=1)
LOST = KnownDifference(Cause.NOT_KNOWN, "false", "true", "true", "false", "accepted", BEGAN, ENDED)
"""A flag that was accepted, and that the replica shows as it was before."""
ON, OFF, ON_AGAIN = "2025-11-21", "2025-11-22", "2025-11-23"
DATES = KnownDifference(Cause.NOT_KNOWN, OFF, ON, ON, ON, "accepted", BEGAN, ENDED)


def cause(known: KnownDifference, held: Any, modified_at: dt.datetime = BEFORE, field: Any = FLAG) -> Cause:
    return with_salesforce(known, field, SalesforceRecord("a2P1", "k", {field.salesforce_name: held}, modified_at, "Ada"))


@pytest.mark.parametrize(
    ("known", "held", "modified_at", "field", "expected"),
    [
        pytest.param(LOST, True, AFTER, FLAG, Cause.ONLY_IN_REPLICA, id="salesforce-is-right"),
        pytest.param(LOST, False, BEFORE, FLAG, Cause.NOT_WRITTEN, id="untouched-since-before-the-run"),
        pytest.param(LOST, False, MEANWHILE, FLAG, Cause.NOT_KNOWN, id="touched-meanwhile-is-no-proof"),
        pytest.param(LOST, False, AFTER, FLAG, Cause.NOT_KNOWN, id="touched-later-is-no-proof-of-this-field"),
        pytest.param(replace(LOST, sent_from=None), False, BEFORE, FLAG, Cause.NOT_KNOWN, id="no-start-of-the-run"),
        pytest.param(replace(LOST, before=None), False, AFTER, FLAG, Cause.NOT_KNOWN, id="before-is-unknown"),
        pytest.param(replace(LOST, before="true"), False, MEANWHILE, FLAG, Cause.EDITED_IN_SALESFORCE, id="it-was-right-before"),
        pytest.param(replace(LOST, sent_outcome=None), False, BEFORE, FLAG, Cause.NOT_KNOWN, id="nobody-knows-the-outcome"),
        pytest.param(replace(LOST, expected=None), None, AFTER, FLAG, Cause.NOT_KNOWN, id="empty-flags-are-never-equal"),
        pytest.param(DATES, OFF, AFTER, DAY, Cause.EDITED_IN_SALESFORCE, id="neither-sent-nor-before"),
        pytest.param(DATES, ON_AGAIN, AFTER, DAY, Cause.EDITED_IN_SALESFORCE, id="another-value-than-the-replica-later"),
        pytest.param(DATES, ON_AGAIN, MEANWHILE, DAY, Cause.NOT_KNOWN, id="another-value-than-the-replica-meanwhile"),
        pytest.param(replace(DATES, sent=ON_AGAIN), ON_AGAIN, AFTER, DAY, Cause.NOT_KNOWN, id="what-was-sent-and-not-replicated"),
        pytest.param(replace(DATES, sent_outcome="rejected"), ON_AGAIN, AFTER, DAY, Cause.NOT_KNOWN, id="not-accepted"),
        pytest.param(replace(DATES, expected=None), None, AFTER, DAY, Cause.ONLY_IN_REPLICA, id="no-date-is-a-value"),
        pytest.param(
            replace(DATES, expected="2025-11-21 10:00:00+00"),
            "2025-11-21T10:00:00.000+0000",
            AFTER,
            MOMENT,
            Cause.ONLY_IN_REPLICA,
            id="the-same-moment",
        ),
    ],
)
def test_a_cause_that_the_warehouse_does_not_know(
    known: KnownDifference, held: Any, modified_at: dt.datetime, field: Any, expected: Cause
) -> None:
    assert cause(known, held, modified_at, field) is expected


@pytest.mark.parametrize("known", [each for each in Cause if each is not Cause.NOT_KNOWN])
def test_what_the_warehouse_has_proven_stays_if_salesforce_holds_what_the_replica_shows(known: Cause) -> None:
    assert cause(replace(LOST, cause=known), False, AFTER) is known


@pytest.mark.parametrize("known", Cause)
def test_what_the_replica_proves_does_not_count_if_salesforce_holds_something_else(known: Cause) -> None:
    other = cause(replace(DATES, cause=known), ON_AGAIN, MEANWHILE, DAY)

    assert other is (Cause.NOT_KNOWN if known in DECIDED_BY_SENDING else known)


@pytest.mark.parametrize("known", Cause)
def test_whatever_the_replica_shows_it_is_the_replica_alone_if_salesforce_is_right(known: Cause) -> None:
    assert cause(replace(LOST, cause=known), True) is Cause.ONLY_IN_REPLICA


def test_every_cause_has_words_and_stands_in_the_table() -> None:
    table = with_salesforce.__globals__["__doc__"]

    assert len({each.description for each in Cause}) == len(Cause)
    assert [each for each in Cause if f"\n| {each} | " not in table] == []
