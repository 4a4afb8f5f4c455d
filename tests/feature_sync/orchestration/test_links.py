"""The buttons on Airflow's page of a task."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from feature_sync.backfill.operators import ValidationOperator
from feature_sync.config.addresses import census_run_url, run_file_url, run_page_url
from feature_sync.sending.operators import CensusBatchOperator

KEY = SimpleNamespace(dag_id="product_feature_backfill", run_id="manual__2026-01-02T03:04:05+00:00")


@pytest.fixture(autouse=True)
def _site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/tools")
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_RUN_URL", "https://census.example.com/syncs/{sync_id}/sync-runs/{sync_run_id}")
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_SYNC_ID", "4711")


def links(of: Any, **attributes: Any) -> dict[str, str]:
    operator = SimpleNamespace(log=logging.getLogger("task"), **attributes)
    assert len({link.xcom_key for link in of.operator_extra_links}) == len(of.operator_extra_links)
    return {link.name: link.get_link(operator, ti_key=KEY) for link in of.operator_extra_links}


def test_a_batch_leads_to_its_census_run_its_rejected_rows_and_the_page_of_the_run() -> None:
    base = "https://airflow.example.com/tools"

    assert links(CensusBatchOperator, census_run=28) == {
        "Census run": census_run_url("https://census.example.com/syncs/{sync_id}/sync-runs/{sync_run_id}", 4711, 28),
        "Rejected rows": run_file_url(base, KEY.dag_id, KEY.run_id, "rejected_records.csv"),
        "Progress": run_page_url(base, KEY.dag_id, KEY.run_id),
    }


def test_a_batch_that_has_no_census_run_has_no_button_for_it() -> None:
    assert links(CensusBatchOperator)["Census run"] == ""


def test_the_verdict_leads_to_the_report_and_to_what_differs() -> None:
    found = links(ValidationOperator)

    assert set(found) == {"Report", "Differences", "Rejected rows", "Progress"}
    assert found["Report"].startswith("https://airflow.example.com/tools/feature-sync/")
    assert "report.html" in found["Report"]


def test_settings_that_cannot_be_read_are_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_SYNC_ID", "none")

    assert links(CensusBatchOperator, census_run=28)["Census run"] == ""


def test_an_address_without_the_sync_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from feature_sync.config.settings import BadSettingsError, load_settings  # noqa: PLC0415

    monkeypatch.setenv("FEATURE_SYNC_CENSUS_RUN_URL", "https://census.example.com/syncs")

    with pytest.raises(BadSettingsError, match="CENSUS_RUN_URL"):
        load_settings()
