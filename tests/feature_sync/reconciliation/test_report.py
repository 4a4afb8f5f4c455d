"""The page of a reconciliation, and the curves in it."""

from datetime import timedelta
from html.parser import HTMLParser

import pandas as pd
import pytest

from feature_sync.reconciliation.acceptances import NO_ACCEPTANCES, Acceptances
from feature_sync.reconciliation.history import history_table
from feature_sync.reconciliation.report import EDGE, HEIGHT, WIDTH, draw, render_report
from feature_sync.reconciliation.verdict import Verdict
from feature_sync.replica.mismatches import NO_CAUSES
from tests.feature_sync.reconciliation.drifts import FIELDS, NOON, differing, found

VERDICT = Verdict(heals=False, asks=False, reason="HEALING is <off>; nothing is sent.")
WEEK = timedelta(days=7)


def history(*shares: float) -> pd.DataFrame:
    product = FIELDS.products[0].name
    return history_table(
        {"run_id": f"week {n}", "product": product, "checked_at": NOON + n * WEEK, "accuracy": share, "mismatched": 0}
        for n, share in enumerate(shares)
    )


def test_a_curve_goes_from_left_to_right_and_from_its_lowest_to_all() -> None:
    curve = draw(history(0.9, 0.95, 1.0))

    assert curve.lowest == 0.9
    assert curve.points == (
        (EDGE, HEIGHT - EDGE),
        (pytest.approx(WIDTH / 2), pytest.approx(HEIGHT / 2)),
        (WIDTH - EDGE, EDGE),
    )


def test_a_product_that_was_always_right_is_a_line_at_the_top() -> None:
    assert {y for _, y in draw(history(1.0, 1.0)).points} == {EDGE}


def test_one_reconciliation_is_a_point_and_none_is_no_curve() -> None:
    assert len(draw(history(0.5)).points) == 1
    assert draw(history()).points == ()


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.seen.append(tag)
        if tag not in ("meta", "polyline", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("polyline", "circle"):
            assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_from_elsewhere() -> None:
    page = render_report(differing(12), VERDICT, history(0.9, 1.0), NO_ACCEPTANCES, NO_CAUSES, mismatched_before=None)
    tags = Tags(page)

    assert tags.open == []
    assert tags.seen.count("svg") == 1, "a product without history has no curve"
    assert "http" not in page
    assert "12 of 1,000 properties" in page
    assert 'class="verdict bad"' in page
    assert "HEALING is &lt;off&gt;" in page


def test_a_share_is_never_rounded_up_to_all() -> None:
    page = render_report(found(accuracy=0.999999), VERDICT, history(), NO_ACCEPTANCES, NO_CAUSES, mismatched_before=None)

    assert "<td>99.99 %</td>" in page


def test_it_says_what_was_corrected() -> None:
    page = render_report(found(), VERDICT, history(), NO_ACCEPTANCES, NO_CAUSES, mismatched_before=3)

    assert "3 were corrected" in page
    assert 'class="verdict"' in page


def test_accepted_differences_are_shown_beside_new_ones_and_are_not_red() -> None:
    drift = found(properties_mismatched=3, properties_accepted=3, wrongly_false=3, wrongly_false_accepted=3)
    row = {
        **{"state": "ends_soon", "in_state": 1, "class": "wrongly_false", "salesforce_id": "a0X1", "property_id": "<7>"},
        **{"product": "idv_only", "reason": "a pilot", "accepted_by": "ada", "accepted_until": NOON.date(), "problem": None},
    }
    page = render_report(drift, VERDICT, history(), Acceptances.from_rows([row]), NO_CAUSES, mismatched_before=None)

    assert 'class="verdict"' in page
    assert "3 of 1,000 properties\nhave mismatched feature data; 3 of them are accepted." in page
    assert "3 differences: 0 new, 3 accepted. HEALING" in page
    assert "<td>3</td><td>0</td><td>3</td><td>yes</td>" in page
    assert "property &lt;7&gt; record a0X1 (accepted by ada until 2026-11-23: a pilot)" in page
    assert Tags(page).open == []


def test_one_new_difference_beside_accepted_ones_is_red() -> None:
    page = render_report(
        found(key_mismatch=3, key_mismatch_accepted=2), VERDICT, history(), NO_ACCEPTANCES, NO_CAUSES, mismatched_before=None
    )

    assert 'class="verdict bad"' in page
    assert "There are other new differences, see below." in page
    assert '<td>3</td><td class="bad">1</td><td>2</td>' in page
