"""The addresses that links, notes and pages have in common."""

import pytest

from feature_sync.config.addresses import airflow_run_url, census_run_url, run_file_url, run_page_url

RUN = "manual__2026-01-02T03:04:05+00:00"
QUOTED = "manual__2026-01-02T03%3A04%3A05%2B00%3A00"


@pytest.mark.parametrize("base", ["https://airflow.example.com", "https://airflow.example.com/"])
def test_our_page_of_a_run_lies_below_airflows_own_address(base: str) -> None:
    assert run_page_url(base, "product_feature_backfill", RUN) == (
        f"https://airflow.example.com/feature-sync/run?dag_id=product_feature_backfill&run_id={QUOTED}"
    )


def test_a_base_address_with_a_path_keeps_it() -> None:
    assert run_file_url("https://data.example.com/airflow/", "product_feature_backfill", RUN, "report.html") == (
        f"https://data.example.com/airflow/feature-sync/file?dag_id=product_feature_backfill&run_id={QUOTED}&name=report.html"
    )


def test_without_a_base_address_the_path_alone_is_left() -> None:
    assert run_page_url("", "census_dataset_deploy", "first") == "/feature-sync/run?dag_id=census_dataset_deploy&run_id=first"


def test_a_slash_in_a_run_id_does_not_begin_another_part_of_the_path() -> None:
    assert airflow_run_url("http://host", "some_dag", "a/../b") == "http://host/dags/some_dag/runs/a%2F..%2Fb"


def test_a_run_in_census_is_opened_by_the_pattern_of_the_site() -> None:
    pattern = "https://app.getcensus.com/workspaces/7/syncs/{sync_id}/sync-runs/{sync_run_id}"
    assert census_run_url(pattern, 4711, 28) == "https://app.getcensus.com/workspaces/7/syncs/4711/sync-runs/28"


def test_the_history_of_a_sync_needs_no_run() -> None:
    assert census_run_url("https://census/syncs/{sync_id}/sync-history", 4711) == "https://census/syncs/4711/sync-history"


@pytest.mark.parametrize("pattern", ["", "https://census/syncs/{sync_id}/sync-runs/{sync_run_id}"])
def test_there_is_no_address_without_what_it_needs(pattern: str) -> None:
    assert census_run_url(pattern, 4711) == ""
