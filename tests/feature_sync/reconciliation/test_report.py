"""The page of a weekly run, and the curves in it."""

from datetime import timedelta
from typing import Any

import pandas as pd

from feature_sync.reconciliation.acceptances import NO_ACCEPTANCES, Acceptances
from feature_sync.reconciliation.drift import Drift
from feature_sync.reconciliation.history import history_table
from feature_sync.reconciliation.report import WeeklyPage
from feature_sync.reconciliation.verdict import Verdict
from feature_sync.replica.mismatches import NO_CAUSES
from feature_sync.report.facts import Origin
from tests.feature_sync.reconciliation.drifts import FIELDS, NOON, differing, found
from tests.feature_sync.report.pages import Tags

VERDICT = Verdict(heals=False, asks=False, reason="HEALING is <off>; nothing is sent.")
WEEK = timedelta(days=7)
FRAUD = FIELDS.products[0]


def history(*shares: float) -> pd.DataFrame:
    """The last of them is of this run, right before it ended."""
    return history_table(
        {
            "run_id": f"week {n}",
            "product": FRAUD.name,
            "checked_at": NOON - (len(shares) - 1 - n) * WEEK - timedelta(hours=1),
            "accuracy": share,
            "mismatched": round(1_000 * (1 - share)),
        }
        for n, share in enumerate(shares)
    )


def weekly(drift: Drift, shares: pd.DataFrame, **changes: Any) -> WeeklyPage:
    run_id = f"week {shares['run_id'].nunique() - 1}"
    values = {"acceptances": NO_ACCEPTANCES, "causes": NO_CAUSES, "problems": []} | changes
    return WeeklyPage(Origin("product_feature_reconciliation", run_id), drift, VERDICT, shares, **values)


def rendered(drift: Drift, shares: pd.DataFrame, **changes: Any) -> str:
    page = weekly(drift, shares, **changes)
    return page.render(page.draw())


def test_the_page_is_whole_and_needs_nothing_from_elsewhere() -> None:
    page = rendered(differing(12), history(0.9, 0.988), problems=["12 of 1,000 properties differ from the warehouse."])
    tags = Tags(page)

    assert tags.open == []
    assert tags.seen.count("svg") == 1, "all products in one"
    assert "http" not in page.replace("http-equiv", "")
    assert "12 properties have mismatched feature data, of 1,000 that were checked." in page
    assert 'class="verdict wrong"' in page
    assert "HEALING is &lt;off&gt;" in page
    assert "<li>12 of 1,000 properties differ from the warehouse.</li>" in page


def test_after_a_healing_each_curve_ends_at_what_the_table_says() -> None:
    healed = weekly(found(), history(1.0, 0.997), mismatched_before=3)
    page = healed.render(healed.draw())
    ends = {point.product: point for point in healed.points}

    assert {point.accuracy for point in ends.values()} == {1.0}
    assert all(point.is_after and point.at == NOON for point in ends.values())
    assert "The diamond: after the healing." in page
    assert '<td class="n">3</td>' in page, "how many differed before"
    assert "3 properties were corrected in this run." in page
    assert 'class="verdict right"' in page


def test_a_comparison_that_is_made_again_with_another_result_is_marked_and_no_healing() -> None:
    page = rendered(found(), history(1.0, 0.997))

    assert "The diamond: compared again." in page
    assert "before the healing" not in page


def test_without_a_change_since_the_drift_table_nothing_is_added() -> None:
    same = weekly(found(), history(0.9, 1.0))

    assert not any(point.is_after for point in same.points)
    assert "diamond" not in same.draw()


def test_the_first_reconciliation_has_no_curve_and_says_so() -> None:
    for page in (rendered(found(), history(0.5)), rendered(found(), history(0.5), mismatched_before=500)):
        assert "There is no history yet: this is the first comparison." in page
        assert "svg" not in Tags(page).seen


def test_the_comparison_at_the_start_says_that_the_run_goes_on() -> None:
    page = rendered(differing(12), history(0.988), problems=None)

    assert "The task <code>conclude</code> compares again and replaces it." in page
    assert "Wait for the end of the run." in page


def test_accepted_differences_are_shown_beside_new_ones_and_are_not_red() -> None:
    drift = found(properties_mismatched=3, properties_accepted=3, wrongly_false=3, wrongly_false_accepted=3)
    row = {
        **{"state": "ends_soon", "in_state": 1, "class": "wrongly_false", "salesforce_id": "a0X1", "property_id": "<7>"},
        **{"product": "idv_only", "reason": "a pilot", "accepted_by": "ada", "accepted_until": NOON.date(), "problem": None},
    }
    page = rendered(drift, history(), acceptances=Acceptances.from_rows([row]))

    assert 'class="verdict right"' in page
    assert "3 properties have mismatched feature data, of 1,000 that were checked; 3 properties are accepted." in page
    assert "3 differences: 0 new, 3 accepted. HEALING" in page
    assert '<td class="n">3</td><td class="n">0</td><td class="n">3</td><td>yes</td>' in page
    assert "property &lt;7&gt; record a0X1 (accepted by ada until 2026-11-23: a pilot)" in page
    assert "Every difference is accepted." in page
    assert Tags(page).open == []


def test_one_new_difference_beside_accepted_ones_is_red() -> None:
    page = rendered(found(key_mismatch=3, key_mismatch_accepted=2), history())

    assert 'class="verdict wrong"' in page
    assert "There are other new differences, see below." in page
    assert '<td class="n">3</td><td class="n bad">1</td><td class="n">2</td>' in page
