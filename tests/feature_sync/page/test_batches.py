"""Where each batch is, and what became of the records."""

from typing import Any

import pytest

from feature_sync.page.batches import MARKED, UNTOLD, BatchState, group_reasons, read_batches, sum_records
from feature_sync.page.facts import Instance
from tests.feature_sync.page.runs import TURN, outcome, run


@pytest.mark.parametrize(
    ("task", "left", "state", "reason"),
    [
        (None, {}, BatchState.WAITING, ""),
        ("scheduled", {}, BatchState.WAITING, ""),
        ("running", {}, BatchState.SENDING, ""),
        ("deferred", {"waits_for": {"reason": "row records are missing"}}, BatchState.SENDING, "row records are missing"),
        ("up_for_retry", outcome("failed", 7), BatchState.SENDING, "Airflow tries it again by itself. said"),
        ("success", outcome("succeeded"), BatchState.ACCEPTED, "said"),
        ("success", outcome("accepted_by_counters"), BatchState.ACCEPTED, "said"),
        ("success", {"return_value": {"sync_run_id": 7}}, BatchState.ACCEPTED, ""),
        ("success", {}, BatchState.FAILED, MARKED),
        ("success", outcome("over_limit", 50), BatchState.REJECTED, "said"),
        ("failed", outcome("failed", 3), BatchState.REJECTED, "said"),
        ("failed", outcome("failed", None), BatchState.FAILED, "said"),
        ("failed", outcome("not_sent", None), BatchState.FAILED, "said"),
        ("failed", outcome("unconfirmed", 0), BatchState.FAILED, "said"),
        ("failed", {}, BatchState.FAILED, UNTOLD),
        ("failed", outcome("halted", None), BatchState.HELD_BACK, "said"),
        ("upstream_failed", {}, BatchState.HELD_BACK, "It was not sent: its task is upstream failed."),
    ],
)
def test_the_state_of_a_batch(task: str | None, left: dict[str, Any], state: BatchState, reason: str) -> None:
    [batch] = read_batches(run(task, left={0: left}))

    assert (batch.state, batch.reason) == (state, reason)


@pytest.mark.parametrize("task", [None, "scheduled"])
def test_what_an_earlier_try_left_says_nothing_about_a_batch_that_was_cleared(task: str | None) -> None:
    [batch] = read_batches(run(task, left={0: outcome("failed", 3, sync_run_id=28)}))

    assert (batch.state, batch.rejected, batch.census_run) == (BatchState.WAITING, None, None)


def test_a_batch_that_never_had_its_turn_in_a_run_that_is_over_was_held_back() -> None:
    [batch] = read_batches(run(None, state="failed"))

    assert (batch.state, batch.reason) == (BatchState.HELD_BACK, "It was not sent: the run ended before.")


def test_a_batch_whose_turn_was_stopped_was_held_back() -> None:
    [batch] = read_batches(run(None, tasks=(Instance(TURN, 0, "failed"),)))

    assert (batch.state, batch.reason) == (BatchState.HELD_BACK, "It was not sent: its turn is failed.")


class TestSums:
    def test_every_record_is_counted_once(self) -> None:
        left = {0: outcome("succeeded"), 1: outcome("failed", 3), 2: outcome("failed", None)}
        sums = sum_records(read_batches(run("success", "failed", "failed", "running", None, left=left)), 250)

        assert (sums.accepted, sums.rejected, sums.unknown, sums.left) == (97, 3, 50, 100)

    def test_what_a_probe_rejected_is_not_rejected_twice(self) -> None:
        left = {0: outcome("over_limit", 50), 1: outcome("succeeded")}
        sums = sum_records(read_batches(run("success", "success", left=left)), 50)

        assert (sums.accepted, sums.rejected, sums.left) == (50, 0, 0)

    def test_without_a_plan_nothing_is_claimed(self) -> None:
        sums = sum_records([], None)

        assert (sums.records, sums.left) == (0, 0)


def test_equal_reasons_of_several_batches_are_one() -> None:
    def said(reason: str, records: int, *keys: str) -> dict[str, Any]:
        return {"reason": reason, "records": records, "keys": [*keys]}

    left = {
        0: outcome("failed", 3, reasons=[said("locked", 2, "a", "b"), said("date", 1, "c")]),
        1: outcome("failed", 4, reasons=[said("locked", 4, "d")]),
    }

    assert group_reasons(read_batches(run("failed", "failed", left=left))) == [
        {"reason": "locked", "records": 6, "keys": ["a", "b", "d"], "batches": [1, 2]},
        {"reason": "date", "records": 1, "keys": ["c"], "batches": [1]},
    ]
