"""What a person reads before anything is sent."""

import json
from dataclasses import replace

import pytest

from feature_sync.backfill.payload_guards import ProductChange
from feature_sync.backfill.preview import Preview, approval_body, approval_subject, product_changes
from feature_sync.census.neighbours import ScheduledNeighbour
from feature_sync.config.fields import load_fields
from feature_sync.config.wording import duration

FIELDS = load_fields()
FRAUD = ProductChange("fraud_detection", "Fraud Detection", enabled_now=1_226, enabled_after=12, to_enable=3, to_disable=1_217)
RENT = ProductChange("verification_of_rent", "Verification of Rent", enabled_now=0, enabled_after=0, to_enable=0, to_disable=0)
TABLE = """\
| product              |        now |      after |  to enable | to disable |
|:---------------------|-----------:|-----------:|-----------:|-----------:|
| Fraud Detection      |      1,226 |         12 |          3 |      1,217 |
| Verification of Rent |          0 |          0 |          0 |          0 |

- 1,296 records, 40 of them without a feature row
- 26 batches, about 1 h 22 min"""


def preview(records_not_undone: int = 0) -> Preview:
    return Preview(
        run_id="manual__1",
        records=1_296,
        records_unmatched=40,
        records_not_undone=records_not_undone,
        batches=26,
        estimated_seconds=4_920,
        products=(FRAUD, RENT),
    )


def test_the_table_has_a_row_for_each_product_and_the_totals_below() -> None:
    assert preview().as_table() == TABLE


def test_dates_that_change_have_a_column_if_they_were_counted() -> None:
    found = replace(preview(), products=(replace(FRAUD, dates_changed=1_240), replace(RENT, dates_changed=0)))

    head, _, fraud, rent, *_ = found.as_table().splitlines()
    assert head.endswith("| to disable |  new dates |")
    assert (fraud[-14:], rent[-14:]) == ("|      1,240 |", "|          0 |")


def test_records_that_an_undo_leaves_alone_are_reported_with_their_file() -> None:
    assert preview(records_not_undone=3).as_table() == (
        f"{TABLE}\n- 3 records of the undone run stay as they are: records_not_undone.csv"
    )


def test_other_syncs_that_may_start_during_the_run_are_named_in_the_table_and_in_the_file() -> None:
    hourly = ScheduledNeighbour(4712, "Product Property sync", "hourly at minute 0", "2025-11-21T13:00+00:00")

    shown = replace(preview(), neighbours=(hourly,))

    assert shown.as_log() == (
        f"{TABLE}\n- Census sync 4712 (Product Property sync), hourly at minute 0, next start 2025-11-21T13:00+00:00: writes the "
        "same object and may start during the run; batches wait for it"
    )
    assert shown.as_table() == TABLE, "a question must stay the same when it is asked again"
    assert json.loads(json.dumps(shown.as_json()))["neighbours"] == [
        {
            "sync_id": 4712,
            "label": "Product Property sync",
            "schedule": "hourly at minute 0",
            "next_start": "2025-11-21T13:00+00:00",
        }
    ]


def test_if_census_could_not_be_asked_the_preview_says_so() -> None:
    unknown = replace(preview(), neighbours=None)

    assert unknown.as_log().endswith("so some may start during the run")
    assert unknown.as_json()["neighbours"] is None


def test_the_file_has_the_products_with_the_names_of_the_contract() -> None:
    written = json.loads(json.dumps(preview(records_not_undone=3).as_json()))

    products = written.pop("products")
    assert written == {
        "run_id": "manual__1",
        "records": 1_296,
        "records_unmatched": 40,
        "records_not_undone": 3,
        "batches": 26,
        "estimated_seconds": 4_920,
        "purpose": "repair",
        "dry_run": False,
        "nothing_to_do": None,
        "neighbours": [],
        "records_without_property": 0,
        "records_with_key_mismatch": 0,
        "records_ambiguous": 0,
        "records_with_unknown_flag": 0,
        "records_true_through_sibling": 0,
        "records_accepted": 0,
        "regular_sync": [],
        "ages": {},
    }
    assert products[0] == {
        "product": "fraud_detection",
        "label": "Fraud Detection",
        "enabled_now": 1_226,
        "enabled_after": 12,
        "to_enable": 3,
        "to_disable": 1_217,
        "before_unknown": 0,
        "dates_changed": None,
    }


def test_records_that_are_left_out_are_counted_only_if_there_are_any() -> None:
    some = replace(preview(records_not_undone=0), records_ambiguous=1_234)

    assert (
        "- 1,234 records are left out: the feature table has unequal rows of the property, or one that misspells its id, see "
        "records_left_out.csv"
    ) in some.as_table()
    assert "left out" not in preview(records_not_undone=0).as_table()


def test_each_product_takes_its_own_counts_of_the_summary() -> None:
    kinds = ("now", "after", "to_enable", "to_disable", "unknown", "dates")
    summary = {
        f"{product.name}_{kind}": 10 * row + column
        for row, product in enumerate(FIELDS.products)
        for column, kind in enumerate(kinds)
    }

    found = product_changes(summary, FIELDS)

    assert [
        (each.product, each.label, each.enabled_now, each.enabled_after, each.to_enable, each.to_disable, each.dates_changed)
        for each in found
    ] == [
        (product.name, product.label, 10 * row, 10 * row + 1, 10 * row + 2, 10 * row + 3, 10 * row + 5)
        for row, product in enumerate(FIELDS.products)
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        pytest.param(0, "1 min", id="never-less-than-a-minute"),
        pytest.param(45, "1 min", id="less-than-a-minute"),
        pytest.param(120, "2 min", id="minutes"),
        pytest.param(3_560, "59 min", id="just-below-an-hour"),
        pytest.param(3_580, "1 h 0 min", id="rounded-to-an-hour"),
        pytest.param(4_920, "1 h 22 min", id="the-incident"),
        pytest.param(360_000, "100 h 0 min", id="days"),
    ],
)
def test_a_duration_is_given_in_hours_and_minutes(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_approval_lists_every_reason_above_the_table() -> None:
    body = approval_body(preview(), ["mass_disable: one.", "mass_disable: two."])

    assert body == (
        "This run changes products for more records than the guards allow:\n\n"
        f"- mass_disable: one.\n- mass_disable: two.\n\n{TABLE}\n\n"
        "**Approve**: 1,296 records are sent in 26 batches, about 1 h 22 min.\n\n"
        "**Reject**: nothing is sent, and the run fails.\n"
    )
    undo = approval_body(preview(), ["mass_disable: one."], "manual__1")
    assert undo.startswith("This run undoes run `manual__1`. It changes products")


def test_the_question_in_one_line_has_the_numbers_and_the_run_that_is_undone() -> None:
    def off(label: str, to_disable: int) -> ProductChange:
        return ProductChange(label, label, enabled_now=2_000, enabled_after=0, to_enable=0, to_disable=to_disable)

    def asked(*changes: ProductChange) -> str:
        return approval_subject(replace(preview(), products=changes), "manual__1")

    assert asked(off("Fraud", 1_226), off("Ids", 0)) == "Turn Fraud off for 1,226 records (undo of manual__1)?"
    assert asked(off("Ids", 1), off("Fraud", 1_226), off("Pets", 40)) == (
        "Turn Fraud off for 1,226 records, Pets off for 40 records, 1 other product off (undo of manual__1)?"
    )
    assert asked() == "Send 1,296 records that a guard would refuse (undo of manual__1)?"
    assert approval_subject(replace(preview(), products=(off("Ids", 1),))) == "Turn Ids off for 1 record?"
