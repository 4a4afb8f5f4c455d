"""Which payloads the weekly DAG removes, and what is left of a run whose payload is gone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.backfill.preconditions import check_preconditions
from feature_sync.backfill.retention import remove_old_payloads
from feature_sync.config.problems import RunConfigError
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Batch
from feature_sync.sending.sender import StagingError
from feature_sync.storage.warehouse import StatementError, Warehouse
from tests.sandbox.client import BATCH_TABLE, Sandbox
from tests.wire.campaign import Campaign

NOW = datetime(2030, 7, 1, 6, 0, tzinfo=UTC)
LIMIT = timedelta(days=90)
SECOND = timedelta(seconds=1)


def nothing_is_unfinished(_: str) -> bool:
    return False


def moment(age: timedelta) -> str:
    return f"CAST('{(NOW - age).isoformat()}' AS TIMESTAMP)"


def remove(is_unfinished: Callable[[str], bool] = nothing_is_unfinished) -> dict[str, Any]:
    return remove_old_payloads(is_unfinished, NOW)


class Runs:
    """Payloads of three records, with a time of freezing and attempts at their only batch as a test wants them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.settings = load_settings()
        for table in (self.settings.payload_table, self.settings.sync_log_table, self.settings.rejection_table):
            sandbox.sql(f"DELETE FROM {table}")

    def freeze(self, run_id: str, age: timedelta) -> str:
        rows = ", ".join(f"('{run_id}', {number}, 1, {moment(age)}, 'key-{number}')" for number in (1, 2, 3))
        columns = "run_id, record_number, batch_number, frozen_at, reverse_etl_id_c"
        self.sandbox.sql(f"INSERT INTO {self.settings.payload_table} ({columns}) VALUES {rows}")
        return run_id

    def attempt(self, run_id: str, age: timedelta, *, is_open: bool = False) -> None:
        """
        An attempt at the run's only batch.

        If it is open, it began at that age and never ended. Otherwise it began long before, ended at that age, and left a
        rejected row.
        """
        columns = "run_id, batch_number, attempt, status, records, opened_at, closed_at"
        status, opened, closed = ("sending", age, "NULL") if is_open else ("failed", age + LIMIT, moment(age))
        self.sandbox.sql(
            f"INSERT INTO {self.settings.sync_log_table} ({columns})"
            f" VALUES ('{run_id}', 1, 1, '{status}', 3, {moment(opened)}, {closed})"
        )
        if not is_open:
            self.sandbox.sql(f"INSERT INTO {self.settings.rejection_table} VALUES ('{run_id}', 1, 1, 'key-1', 'why')")

    def left(self, table: str) -> list[str]:
        return [row[0] for row in self.sandbox.sql(f"SELECT DISTINCT run_id FROM {table} ORDER BY run_id")]

    @property
    def payloads(self) -> list[str]:
        return self.left(self.settings.payload_table)


@pytest.fixture
def runs(sandbox: Sandbox) -> Runs:
    return Runs(sandbox)


def test_only_payloads_without_activity_for_longer_than_the_limit_are_removed(runs: Runs) -> None:
    runs.freeze("old", LIMIT + SECOND)
    runs.freeze("young", LIMIT)
    runs.attempt(runs.freeze("tried-long-ago", 3 * LIMIT), LIMIT + SECOND)
    runs.attempt(runs.freeze("tried-lately", 3 * LIMIT), LIMIT)
    runs.attempt(runs.freeze("never-ended-and-long-ago", 3 * LIMIT), LIMIT + SECOND, is_open=True)
    runs.attempt(runs.freeze("never-ended-and-lately", 3 * LIMIT), LIMIT, is_open=True)

    found = remove()

    assert found == {"removed": ["never-ended-and-long-ago", "old", "tried-long-ago"], "kept": []}
    assert runs.payloads == ["never-ended-and-lately", "tried-lately", "young"]
    assert remove() == {"removed": [], "kept": []}


def test_the_sync_log_stays_and_rejected_rows_go_with_their_payload(runs: Runs) -> None:
    runs.attempt(runs.freeze("gone", 3 * LIMIT), 2 * LIMIT)
    runs.attempt(runs.freeze("stays", 3 * LIMIT), SECOND)

    remove()

    assert runs.left(runs.settings.sync_log_table) == ["gone", "stays"]
    assert runs.left(runs.settings.rejection_table) == ["stays"]


def test_a_run_that_airflow_has_not_finished_stays_and_only_old_ones_are_asked_for(runs: Runs) -> None:
    for run_id in ("finished", "unfinished"):
        runs.attempt(runs.freeze(run_id, 3 * LIMIT), 2 * LIMIT)
    runs.freeze("young", SECOND)
    asked = []

    def is_unfinished(run_id: str) -> bool:
        asked.append(run_id)
        return run_id == "unfinished"

    found = remove(is_unfinished)

    assert found == {"removed": ["finished"], "kept": ["unfinished"]}
    assert asked == ["finished", "unfinished"]
    assert runs.payloads == ["unfinished", "young"]
    assert runs.left(runs.settings.rejection_table) == ["unfinished"]


def test_how_long_a_payload_is_kept_is_a_setting(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.freeze("of-30-days", timedelta(days=30))
    runs.freeze("older", timedelta(days=30) + SECOND)
    monkeypatch.setenv("FEATURE_SYNC_PAYLOAD_DAYS", "30")

    assert remove()["removed"] == ["older"]


def test_without_a_time_it_is_now(runs: Runs) -> None:
    run_id = runs.freeze("of-today", NOW - datetime.now(UTC))
    runs.freeze("old", NOW - datetime.now(UTC) + LIMIT + timedelta(minutes=1))

    assert remove_old_payloads(nothing_is_unfinished)["removed"] == ["old"]
    assert runs.payloads == [run_id]


@pytest.mark.parametrize("table", ["rejection_table", "payload_table"])
def test_a_removal_that_failed_halfway_is_completed_by_the_next_try(runs: Runs, table: str) -> None:
    runs.attempt(runs.freeze("old", 3 * LIMIT), 2 * LIMIT)
    runs.sandbox.fault("warehouse", "fail", contains=f"DELETE FROM {getattr(runs.settings, table)} WHERE run_id", times=1)

    with pytest.raises(StatementError, match=r"delete_\w+\.sql failed"):
        remove()

    assert remove()["removed"] == ["old"]
    assert (runs.payloads, runs.left(runs.settings.rejection_table)) == ([], [])


def test_a_batch_whose_payload_was_removed_says_so_and_triggers_nothing(runs: Runs) -> None:
    runs.freeze("old", 3 * LIMIT)
    before = runs.sandbox.seq()
    remove()

    with Warehouse(load_settings()) as warehouse:
        campaign = Campaign(runs.sandbox, warehouse, "old", [Batch(1, 1, 3, 3)], before)
        with pytest.raises(
            StagingError, match=r"batch 001: .* 0 of its 3 records .* Nothing was triggered\. .* removed, 90 days after"
        ):
            campaign.sender(wait_seconds=-2).begin()

    assert (campaign.triggers, campaign.runs) == (0, 0)
    assert [entry for entry in campaign.journal("warehouse.statement") if f"REPLACE TABLE {BATCH_TABLE}" in entry["sql"]] == []


def test_a_run_whose_payload_was_removed_cannot_be_undone(runs: Runs) -> None:
    runs.freeze("old", 3 * LIMIT)
    remove()

    with pytest.raises(RunConfigError, match=r"no payload of such a run\. Payloads are kept for 90 days; the newest are of none"):
        check_preconditions({"undo_run_id": "old"}, 1024)
