from types import SimpleNamespace
from typing import Any

import pytest

from feature_sync.backfill.validation import Aim, Books, balance_books, is_explained, run_problems
from feature_sync.config.run_config import RunConfig
from feature_sync.orchestration.assets import VALIDATED_FEATURES, withhold_outlets
from feature_sync.sending.batches import Attempt, AttemptStatus, Batch

BATCHES = [Batch(1, 1, 50, 50), Batch(2, 51, 100, 50), Batch(3, 101, 146, 46)]
CLEAN = {"properties_checked": 146, "properties_mismatched": 0}


def attempt(batch: Batch, **changes: Any) -> Attempt:
    values = {
        "run_id": "r",
        "batch_number": batch.number,
        "number": 1,
        "status": AttemptStatus.SUCCEEDED,
        "records": batch.records,
        "previous_sync_run_id": 0,
        "records_updated": batch.records,
        "records_failed": 0,
        "records_invalid": 0,
    }
    return Attempt(**(values | changes))


def attempts(**changes: Any) -> dict[int, Attempt]:
    """All succeeded, but the second is changed."""
    return {batch.number: attempt(batch, **(changes if batch.number == 2 else {})) for batch in BATCHES}


def problems(log: dict[int, Attempt], facts: dict[str, int] | None = None) -> list[str]:
    return run_problems(BATCHES, log, balance_books(BATCHES, log), facts or CLEAN)


def test_a_run_that_did_its_job_has_no_problems() -> None:
    assert problems(attempts()) == []
    assert balance_books(BATCHES, attempts()) == Books(146, 146, 0, 0)


@pytest.mark.parametrize(
    ("changes", "books"),
    [
        pytest.param({"status": AttemptStatus.FAILED, "records_rejected": 50}, Books(146, 96, 50, 0), id="all"),
        pytest.param(
            {"status": AttemptStatus.FAILED, "records_rejected": 2},
            Books(146, 144, 2, 0),
            id="some",
        ),
        pytest.param(
            {"status": AttemptStatus.FAILED, "number": 2, "records": 2, "records_rejected": 1}, Books(146, 145, 1, 0), id="again"
        ),
        pytest.param(
            {"status": AttemptStatus.FAILED, "records_rejected": 3, "records_changed": 2},
            Books(146, 143, 3, 0, changed_since_freeze=2),
            id="left-out",
        ),
        pytest.param({"status": AttemptStatus.FAILED, "records_updated": 50}, Books(146, 96, 0, 50), id="rows-unknown"),
        pytest.param({"status": AttemptStatus.HALTED, "records_updated": None}, Books(146, 96, 0, 50), id="held-back"),
        pytest.param({"status": AttemptStatus.NOT_SENT, "records_updated": None}, Books(146, 96, 0, 50), id="skipped"),
        pytest.param({"status": AttemptStatus.SENDING, "records_updated": None}, Books(146, 96, 0, 50), id="outcome-unknown"),
    ],
)
def test_every_record_is_sent_rejected_or_not_sent(changes: dict[str, Any], books: Books) -> None:
    log = attempts(**changes)

    assert balance_books(BATCHES, log) == books
    assert books.balance
    assert any("batch 002: records 51-100 did not succeed" in problem for problem in problems(log))


def test_a_batch_that_was_accepted_by_counters_is_sent_and_counted_apart_and_no_problem() -> None:
    log = attempts(status=AttemptStatus.ACCEPTED_BY_COUNTERS, records_rejected=None, reason="no row record")

    assert balance_books(BATCHES, log) == Books(146, 146, 0, 0, accepted_by_counters=50)
    assert problems(log) == []


def test_only_the_records_of_the_attempt_that_was_accepted_by_counters_count_as_such() -> None:
    log = attempts(status=AttemptStatus.ACCEPTED_BY_COUNTERS, number=2, records=3, records_rejected=None)

    assert balance_books(BATCHES, log) == Books(146, 146, 0, 0, accepted_by_counters=3)


def test_a_batch_that_was_never_tried_is_a_problem() -> None:
    log = attempts()
    del log[2]

    assert "batch 002: records 51-100 did not succeed: it was never sent" in problems(log)


def test_a_difference_is_a_problem_even_when_every_batch_succeeded() -> None:
    assert problems(attempts(), CLEAN | {"properties_mismatched": 1}) == ["1 of 146 properties differ from the warehouse."]


@pytest.mark.parametrize("checked", [0, 145, 147])
def test_a_check_that_did_not_cover_the_scope_is_a_problem(checked: int) -> None:
    [problem] = problems(attempts(), {"properties_checked": checked, "properties_mismatched": 0})

    assert f"{checked:,} properties were checked, but 146 are in scope" in problem


def test_a_run_without_batches_is_a_problem() -> None:
    assert run_problems([], {}, balance_books([], {}), {"properties_checked": 0, "properties_mismatched": 0})


def test_an_undo_is_held_against_what_was_before_and_says_so() -> None:
    aim = Aim(RunConfig(undo_run_id="manual__1"))
    facts = {"properties_checked": 146, "properties_mismatched": 2}

    [problem] = run_problems(BATCHES, attempts(), Books(146, 146, 0, 0), facts, expected=aim.expected)

    assert problem == "2 of 146 properties differ from the values from before run manual__1."
    assert aim.result(146, 2) == "144 of 146 properties hold the values from before run manual__1 again"
    assert (aim.config.purpose, aim.key) == ("undo", "enabled_before_that_run")


def test_a_repair_is_held_against_the_warehouse() -> None:
    aim = Aim(RunConfig())
    assert (aim.config.purpose, aim.expected, aim.key) == ("repair", "the warehouse", "enabled_in_warehouse")


def test_an_undo_updates_no_asset() -> None:
    task = SimpleNamespace(outlets=[VALIDATED_FEATURES])

    withhold_outlets({"task": task})

    assert task.outlets == []


UNSENT = {"records_updated": None}


@pytest.mark.parametrize(
    ("changes", "differ", "explained"),
    [
        pytest.param({"status": AttemptStatus.NOT_SENT, **UNSENT}, 50, True, id="not-sent"),
        pytest.param({"status": AttemptStatus.HALTED, **UNSENT}, 50, True, id="held-back"),
        pytest.param({"status": AttemptStatus.SENDING, **UNSENT}, 50, True, id="nobody-knows"),
        pytest.param({"status": AttemptStatus.NOT_SENT, **UNSENT}, 51, False, id="one-more-differs"),
        pytest.param({"status": AttemptStatus.FAILED, "records_rejected": 50}, 50, False, id="rejected"),
        pytest.param({"status": AttemptStatus.FAILED, **UNSENT}, 50, False, id="failed-in-census"),
        pytest.param({"status": AttemptStatus.ORGANIZATION_LIMIT, "records_rejected": 50}, 50, False, id="a-limit"),
        pytest.param({"status": AttemptStatus.SUCCEEDED}, 1, False, id="all-sent-and-one-differs"),
    ],
)
def test_what_is_wrong_is_explained_only_if_it_is_that_batches_were_not_sent(
    changes: dict[str, Any], differ: int, explained: bool
) -> None:
    log = attempts(**changes)
    facts = CLEAN | {"properties_mismatched": differ}

    assert is_explained(BATCHES, log, balance_books(BATCHES, log), facts) is explained


def test_a_batch_that_was_never_tried_explains_its_records_and_no_others() -> None:
    log = {number: one for number, one in attempts().items() if number != 2}
    books = balance_books(BATCHES, log)

    assert is_explained(BATCHES, log, books, CLEAN | {"properties_mismatched": 50})
    assert not is_explained(BATCHES, log, books, CLEAN | {"properties_checked": 145, "properties_mismatched": 50})
