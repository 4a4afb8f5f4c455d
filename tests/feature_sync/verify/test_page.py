"""The page that a verification shows."""

from feature_sync.checks.findings import is_right, judged, not_checked, right, wrong
from feature_sync.verify.page import headline, render_page
from tests.feature_sync.verify.moments import NOON

FINDINGS = [
    right("pool", "It is there."),
    wrong("rights", "Run this:\n    GRANT SELECT;"),
    not_checked("alerts", "They are off."),
    wrong("keys", "Correct them."),
]


def test_what_is_wrong_comes_first_in_its_order_and_then_what_nobody_looked_at() -> None:
    assert render_page(FINDINGS, NOON) == (
        "# Verification of 2026-11-26 12:00 UTC\n\n"
        "**2 findings are wrong, 1 was not checked, 1 is right.** Nothing was written anywhere.\n\n"
        "## What is wrong, in the order to repair it\n\n"
        "1. **rights**: Run this:\n       GRANT SELECT;\n2. **keys**: Correct them.\n\n"
        "## What was not checked, and why\n\n- **alerts**: They are off.\n\n"
        "## What is right\n\n- **pool**: It is there.\n"
    )


def test_a_part_without_findings_is_left_out() -> None:
    page = render_page(FINDINGS[:1], NOON)

    assert "## What is wrong" not in page
    assert "## What was not checked" not in page


def test_one_finding_is_spoken_of_as_one() -> None:
    assert headline(FINDINGS[1:2]) == "1 finding is wrong, 0 were not checked, 0 are right."


def test_what_was_not_checked_is_not_wrong_and_never_right() -> None:
    assert is_right(FINDINGS[:1] + FINDINGS[2:3])
    assert not is_right(FINDINGS)
    assert headline(FINDINGS[2:3]).endswith("0 are right.")


def test_a_rule_without_a_complaint_says_what_was_found() -> None:
    assert judged("pool", [], "It is there.") == [right("pool", "It is there.")]
    assert judged("pool", ["one", "two"], "It is there.") == [wrong("pool", "one"), wrong("pool", "two")]
