"""The page of the weekly run, beside the sandbox: the open records, who approved healing, and curves that end at the table."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from feature_sync.config.settings import load_settings
from feature_sync.orchestration.approvals import keep_answer
from feature_sync.reconciliation.comparison import DriftError, compare, conclude
from feature_sync.report.facts import Origin
from feature_sync.storage.evidence import Answer
from feature_sync.storage.run_files import run_files
from tests.wire.few import NOT_HEALED, Few

NOON = datetime(2025, 11, 24, 12, tzinfo=UTC)


def weekly_page(run_id: str) -> str:
    return run_files(load_settings(), run_id, "product_feature_reconciliation").report.read_text()


def answered(run_id: str, dag_id: str = "product_feature_backfill", by: str = "ada") -> None:
    keep_answer(Answer(run_id, dag_id, "approve_healing", "Send again?", NOON, "Approve", by, NOON))


def test_it_names_the_records_that_are_open_and_who_approved_the_healing(few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_HEALING", "ask")
    one = few.ids()[0]
    few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c = '{one}'")
    answered("weekly-page", "product_feature_reconciliation", "bob")
    answered("healing__0__weekly-page", by="carol")
    answered("healing__0__weekly-page-2", by="eve")

    found = compare("weekly-page")
    at_the_start = weekly_page("weekly-page")
    with pytest.raises(DriftError) as failed:
        conclude(
            "weekly-page", found, NOT_HEALED, Origin("product_feature_reconciliation", "weekly-page", NOON, None, "scheduled")
        )
    page = weekly_page("weekly-page")

    assert "This page is of the first comparison of the run." in at_the_start
    assert "This page is of the first comparison of the run." not in page
    assert f"<bdi>{one}</bdi></small></td>" in page
    assert "nobody, by the clock" in page
    assert [name for name in ("bob", "carol", "eve") if f"<bdi>{name}</bdi>" in page] == ["bob", "carol"]
    problem = str(failed.value).splitlines()[1]
    assert f"<li>{problem}</li>" in page


def test_after_a_healing_the_curves_end_at_what_the_table_says(few: Few) -> None:
    one = few.ids()[0]
    compare("an earlier week")
    few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE snappt_property_id_c = '{one}'")
    found = compare("healed-page")
    few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = TRUE WHERE snappt_property_id_c = '{one}'")

    conclude("healed-page", found, replace(NOT_HEALED, healing="success"))
    page = weekly_page("healed-page")

    assert "1 property was corrected in this run." in page
    assert "The diamond: after the healing." in page
    assert "Fraud Detection 100 % at the end" in page
    assert '<td class="n">1</td>' in page, "how many differed before"


@pytest.mark.usefixtures("few")
def test_the_verdict_is_the_same_if_the_page_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    path = run_files(load_settings(), "unwritten", "product_feature_reconciliation").report
    path.mkdir(parents=True)  # in its place

    assert conclude("unwritten", compare("unwritten"), NOT_HEALED)["properties_checked"] == 8
    assert "report.html could not be written" in caplog.text
