"""What people hear of a weekly run that went well, over HTTP."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from feature_sync.config.settings import load_settings
from feature_sync.reconciliation.acceptances import NO_ACCEPTANCES
from feature_sync.reconciliation.digest import changes_since, send_digest
from feature_sync.reconciliation.history import COLUMNS
from tests.feature_sync.reconciliation.drifts import found
from tests.receiver import Receiver

LAST, NOW = datetime(2025, 11, 17, 6, tzinfo=UTC), datetime(2025, 11, 24, 6, tzinfo=UTC)


def history(*runs: tuple[str, datetime, int]) -> pd.DataFrame:
    products = [each.product for each in found().products]
    return pd.DataFrame(
        [(run, product, at, 1.0, differing) for run, at, differing in runs for product in products], columns=COLUMNS
    )


def test_it_has_the_numbers_and_what_changed(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_WEEKLY_DIGEST", "true")
    seen = found()

    assert send_digest(
        load_settings(), "week-2", seen, history(("week-1", LAST, 5), ("week-2", NOW, 2)), NO_ACCEPTANCES, healed=3
    )

    [message] = receiver.messages
    assert message["type"] == "success"
    assert message["title"] == f"The weekly run is green: {seen.properties_checked:,} properties were compared"
    assert "\nRun: week-2\n" in message["message"]
    assert "Sent again in this run: 3 records." in message["message"]
    label = seen.products[0].label
    assert f"the run of 2025-11-17:\n{label}: 2 properties differed, 5 the last time.\n" in message["message"]


def test_it_is_off_unless_it_is_wanted(receiver: Receiver) -> None:
    assert not send_digest(load_settings(), "week-2", found(), history(), NO_ACCEPTANCES, healed=None)
    assert receiver.messages == []


def test_only_the_run_before_counts_and_the_first_run_has_none() -> None:
    of_three = history(("week-0", LAST.replace(day=10), 9), ("week-1", LAST, 2), ("week-2", NOW, 2))

    assert changes_since("week-2", found(), of_three) == [
        "Found at first, compared with the run of 2025-11-17: each product has as many properties that differ."
    ]
    assert changes_since("week-2", found(), history(("week-2", NOW, 2))) == ["There is no earlier run to compare with."]
