"""How records are cut into batches."""

import pytest

from feature_sync.backfill.plan import PlanError, batch_sizes, check_plan
from feature_sync.config.run_config import Strategy
from feature_sync.sending.batches import Batch

PLAN = [Batch(1, 1, 50, 50), Batch(2, 51, 100, 50), Batch(3, 101, 146, 46)]
SIZES = [50, 50, 46]


@pytest.mark.parametrize(
    ("strategy", "records", "sizes"),
    [
        pytest.param("batched", 1296, [50] * 25 + [46], id="the-incident"),
        pytest.param("batched", 50, [50], id="one-batch"),
        pytest.param("batched", 1, [1], id="one-record"),
        pytest.param("pilot", 1296, [50] * 25 + [46], id="a-pilot-and-the-rest"),
        pytest.param("pilot", 20, [20], id="a-pilot-alone"),
        pytest.param("full", 1296, [1296], id="all-at-once"),
        pytest.param("probe", 1296, [50, 100, 1146], id="probes"),
        pytest.param("probe", 151, [50, 100, 1], id="probes-and-one"),
        pytest.param("probe", 150, [50, 100], id="no-rest"),
        pytest.param("probe", 120, [50, 70], id="short-second-probe"),
        pytest.param("probe", 20, [20], id="short-first-probe"),
    ],
)
def test_how_a_strategy_cuts_the_records_at_first(strategy: str, records: int, sizes: list[int]) -> None:
    assert batch_sizes(Strategy(strategy), records, 50) == sizes


class Counted(int):
    """A number that counts how often it is added or subtracted."""

    operations = 0

    def __add__(self, other: int) -> "Counted":
        Counted.operations += 1
        return Counted(int(self) + int(other))

    def __sub__(self, other: int) -> "Counted":
        Counted.operations += 1
        return Counted(int(self) - int(other))

    __radd__ = __add__


def test_to_cut_many_records_is_no_work_for_each_pair_of_batches() -> None:
    assert batch_sizes(Strategy.BATCHED, Counted(50_001), Counted(50)) == [50] * 1_000 + [1]
    assert Counted.operations <= 2 * 1_001


def test_a_plan_that_covers_every_record_once_passes() -> None:
    check_plan(PLAN, SIZES)


@pytest.mark.parametrize(
    ("plan", "sizes"),
    [
        pytest.param(PLAN[1:], SIZES, id="first-missing"),
        pytest.param([PLAN[0], PLAN[2]], SIZES, id="gap"),
        pytest.param([PLAN[0], Batch(2, 50, 99, 50), Batch(3, 100, 146, 47)], SIZES, id="overlap"),
        pytest.param([PLAN[1], PLAN[0], PLAN[2]], SIZES, id="out-of-order"),
        pytest.param([PLAN[0], Batch(2, 51, 100, 49), PLAN[2]], SIZES, id="record-missing"),
        pytest.param(PLAN, [50, 50, 47], id="ends-too-early"),
        pytest.param(PLAN, [50, 50, 45], id="ends-too-late"),
        pytest.param(PLAN, [50, 50], id="one-too-many"),
        pytest.param([], SIZES, id="no-batches"),
    ],
)
def test_a_plan_that_is_not_as_planned_is_refused(plan: list[Batch], sizes: list[int]) -> None:
    with pytest.raises(PlanError):
        check_plan(plan, sizes)
