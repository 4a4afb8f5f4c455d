"""The page about a run: what each of its readers finds, and that nothing in it can do harm."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.log import mask_secret

from feature_sync.config.run_config import parse_run_config
from feature_sync.report import page as page_module
from feature_sync.report.facts import MAX_PROBLEMS, Answered, Origin, Tone
from feature_sync.report.open_records import MAX_SHOWN, OpenRecords
from feature_sync.report.page import MAX_BYTES, asked_in_short, drawn, render_backfill, shown, try_to_write
from feature_sync.report.runs import dry_run_report
from tests.feature_sync.report.pages import FIELDS, NOON, ORIGIN, Tags, evidence, sent

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; alert(1) //",
    "\u202eexe.gnp\u2066",
    "</style></svg></table>",
    "{{ 7 * 7 }}",
    "nul\x00 and \ud800",
    "é東京🏠" * 2_500,
    "`" * 10_000,
)


def test_the_readers_come_in_their_order_and_the_numbers_are_before_and_after() -> None:
    page = render_backfill(sent())

    order = ["1. The verdict", "2. What you have to do", "3. What is open", "4. The record"]
    assert sorted(order, key=page.index) == order
    assert '<p class="verdict right"><strong>Right.</strong> All 12 properties of this run hold what they should' in page
    assert '<td class="n">1</td><td class="n">12</td><td class="n">12</td><td class="n">0</td>' in page
    assert Tags(page).seen.count("svg") == 1
    assert "Nothing.</p>" in page
    assert "Nobody was asked before this page was written." in page
    assert "<bdi>ada</bdi> (manual)" in page


def test_a_red_run_says_what_its_error_says() -> None:
    report = sent(
        evidence=evidence(properties_mismatched=2),
        problems=["2 of 12 properties differ from the warehouse.", "Clear their `send` tasks with downstream tasks."],
    )
    page = render_backfill(report)

    assert '<p class="verdict wrong"><strong>Not right.</strong> 2 of 12 properties differ from the warehouse.' in page
    assert "<li>Clear their <code>send</code> tasks with downstream tasks.</li>" in page


def test_problems_of_thousands_of_batches_are_counted() -> None:
    page = render_backfill(sent(problems=[f"batch {number} did not succeed" for number in range(10_000)]))

    assert page.count("did not succeed</li>") == MAX_PROBLEMS
    assert "And 9,980 more" in page
    assert len(page.encode()) < MAX_BYTES


def test_an_undo_is_not_held_against_the_warehouse() -> None:
    products = [
        {"label": each.label, "enabled_in_salesforce": 3, "enabled_before_that_run": 3, "mismatched": 0}
        for each in FIELDS.products
    ]
    conf = {"undo_run_id": "manual__first"}
    page = render_backfill(sent(conf, evidence=evidence(products=products), expected="the values from before run manual__first"))

    assert "Undo of product features" in page
    assert ">before that run</th>" in page
    assert "they agree with the values from before run manual__first." in page
    assert "in the warehouse" not in page


def test_a_run_that_had_nothing_to_do_shows_no_empty_tables() -> None:
    page = render_backfill(sent(evidence=evidence(nothing_to_do="All 10,000 records agree."), problems=["0 were checked"]))

    assert "<strong>Right.</strong> Nothing to do. All 10,000 records agree." in page
    assert "0 were checked" not in page
    assert "numbers" not in Tags(page).attributes


def test_a_dry_run_shows_what_would_change_and_how_to_do_it() -> None:
    summary = {"records": 1_296} | {f"{product.name}_{when}": 7 for product in FIELDS.products for when in ("now", "after")}
    report = dry_run_report(
        summary,
        {"records_without_property": 3, "regular_sync": ["It sends constants."]},
        config=parse_run_config({"dry_run": True, "scope": "property_ids", "property_ids": [str(n) for n in range(5_000)]}),
        origin=ORIGIN,
        written_at=NOON,
        fields=FIELDS,
        batches=26,
        seconds=4_920,
        askable=(),
    )
    page = render_backfill(report)

    assert report.tone is Tone.NEUTRAL
    assert "Nothing was sent. 1,296 records would be sent in 26 batches, about 82 min." in page
    assert "without dry_run" in page
    assert "3 records are left out" in page
    assert "It sends constants." in page
    assert "property_ids 5,000 entries" in page
    assert ">after it</th>" not in page


def test_approvals_are_shown_with_who_and_when_and_those_of_the_healed_run_too() -> None:
    question = "# Turn off?\n\nIt is for <b>12</b> records.\n\n| product | now |\n|---|---|\n| Fraud | 7 |"
    answer = Answered("weekly <1>", "approve_healing", question, NOON, "Approve", "Ann O'Hara", NOON + timedelta(minutes=10))
    page = render_backfill(sent(answers=[answer, replace(answer, run_id=ORIGIN.run_id, answered_by=None)], askable=("ada",)))

    assert "<code>approve_healing</code> of run <bdi>weekly &lt;1&gt;</bdi>" in page
    assert "Turn off? It is for &lt;b&gt;12&lt;/b&gt; records." in page
    assert "<bdi>Ann O&#39;Hara</bdi></td><td>2026-11-23 12:10 UTC" in page
    assert "Airflow does not say who" in page
    assert "Who may answer: ada." in page


def test_a_table_of_approvals_that_cannot_be_read_is_not_nobody_was_asked() -> None:
    page = render_backfill(sent(answers=None, before=None))

    assert "could not be read" in page
    assert "Nobody was asked" not in page
    assert '<td class="n">\u2013</td><td class="n">12</td>' in page


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_value_becomes_markup_and_the_page_stays_small(text: str) -> None:
    records = OpenRecords(FIELDS)
    names = ("property_name", "company", "product_names", "salesforce_link", "salesforce_id", "reason")
    for number in range(MAX_SHOWN + 1):
        records.add({**dict.fromkeys(names, text), "property_id": f"{number}{text}", "number_of_products": 3})
    product = {"label": text, "enabled_in_salesforce": 1, "enabled_in_warehouse": 2, "mismatched": 1}
    page = render_backfill(
        sent(
            evidence=evidence(
                compared_with={"note": text}, regular_sync=[text], causes_note=text, products=[product] * len(FIELDS.products)
            ),
            problems=[text],
            open_records=records.listed(12),
            answers=[Answered(text, text, text, NOON, text, text, NOON)],
            askable=(text,),
            origin=Origin("product_feature_backfill", text, NOON, text, text),
        )
    )
    tags = Tags(page)

    assert tags.open == []
    assert not {"script", "img"} & set(tags.seen)
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert "\u202e" not in page
    assert "7 * 7" in page or "7 * 7" not in text
    assert len(page.encode()) < MAX_BYTES


def test_the_page_needs_nothing_from_elsewhere_and_forbids_it() -> None:
    page = render_backfill(sent())

    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert "http" not in page.replace("http-equiv", "")
    assert not [word for word in ("url(", "@import", "src=", "<script", "<link") if word in page]


def test_a_secret_is_masked() -> None:
    mask_secret("dapi-of-the-warehouse")

    assert "dapi-of" not in render_backfill(sent(problems=["token dapi-of-the-warehouse refused"]))


def test_a_page_that_cannot_be_drawn_or_written_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def fails(*_: Any) -> str:
        raise OSError("no room")

    assert drawn(fails) == ""
    try_to_write(ObjectStoragePath(str(tmp_path / "report.html")), fails)
    monkeypatch.setattr(page_module, "write_text", fails)
    try_to_write(ObjectStoragePath(str(tmp_path / "report.html")), lambda: "page")

    assert caplog.text.count("no room") == 3
    assert list(tmp_path.iterdir()) == []


def test_a_question_is_shown_without_its_tables() -> None:
    assert asked_in_short("## Head\n\n- one\n\n| a |\n|---|\n") == "Head - one"


def test_a_text_is_cut_where_it_is_too_long() -> None:
    assert shown("x" * 10, 10) == "x" * 10
    assert shown("x" * 11, 10) == "x" * 9 + "…"
