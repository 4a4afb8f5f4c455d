import pytest

from feature_sync.batches import Batch, PlanError, check_plan

PLAN = [Batch(1, 1, 50), Batch(2, 51, 100), Batch(3, 101, 146)]


def test_a_batch_is_named_by_its_number_and_records() -> None:
    batch = Batch(26, 1251, 1296)

    assert batch.records == 46
    assert batch.label == "batch 026: records 1251-1296"
    assert batch.file_name == "feature_backfill_batch_026_records_1251-1296.csv"
    assert Batch.from_xcom(batch.as_xcom()) == batch


def test_a_plan_that_covers_every_record_once_passes() -> None:
    check_plan(PLAN, 146, 50)


@pytest.mark.parametrize(
    ("plan", "records", "size"),
    [
        pytest.param(PLAN[1:], 146, 50, id="first-missing"),
        pytest.param([PLAN[0], PLAN[2]], 146, 50, id="gap"),
        pytest.param([PLAN[0], Batch(2, 50, 99), Batch(3, 100, 146)], 146, 50, id="overlap"),
        pytest.param([PLAN[1], PLAN[0], PLAN[2]], 146, 50, id="out-of-order"),
        pytest.param(PLAN, 147, 50, id="ends-too-early"),
        pytest.param(PLAN, 145, 50, id="ends-too-late"),
        pytest.param(PLAN, 146, 49, id="batch-too-large"),
        pytest.param([*PLAN, Batch(4, 147, 146)], 146, 50, id="empty-batch"),
        pytest.param([], 146, 50, id="no-batches"),
    ],
)
def test_a_plan_with_a_hole_is_refused(plan: list[Batch], records: int, size: int) -> None:
    with pytest.raises(PlanError):
        check_plan(plan, records, size)
