"""How many batches and how much time records take. The expectations are worked out by hand."""

from typing import Any

import pytest

from feature_sync.backfill.plan import batch_sizes
from feature_sync.config.run_config import Strategy
from feature_sync.forecast.duration import Forecast, count_batches, estimate_seconds, forecast, most_batches

INCIDENT = 1_296


@pytest.mark.parametrize(
    ("records", "size", "batches"),
    [
        pytest.param(1_296, 50, 26, id="the-incident"),
        pytest.param(1_300, 50, 26, id="no-remainder"),
        pytest.param(1_301, 50, 27, id="one-more"),
        pytest.param(49, 50, 1, id="less-than-one"),
    ],
)
def test_count_batches(records: int, size: int, batches: int) -> None:
    assert count_batches(records, size) == batches


def test_the_last_batch_is_followed_by_no_wait() -> None:
    assert estimate_seconds(26, 150) == 26 * 45 + 25 * 150 == 4_920


def test_the_incident() -> None:
    expected = forecast(INCIDENT, Strategy.BATCHED, 50, 150)

    assert expected == Forecast(records=1_296, runs=1, batches=26, seconds=4_920, api_calls=520, fits_flow=True)


def test_a_million_records_at_the_pace_of_the_incident() -> None:
    expected = forecast(1_000_000, Strategy.BATCHED, 50, 150, max_batches=1024)

    # 20,000 batches of 45 s, 19,999 pauses of 150 s, and runs of 51,200 records: 19 whole ones and the rest
    assert (expected.batches, expected.seconds, expected.runs, expected.api_calls) == (20_000, 3_899_850, 20, 400_000)
    assert expected.days == pytest.approx(45.137, abs=0.001)


def test_nothing_takes_no_time() -> None:
    assert forecast(0, Strategy.BATCHED, 50, 150, max_batches=1024) == Forecast(0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("strategy", "records", "limit", "batches"),
    [
        pytest.param("batched", 1_296, None, 26, id="batched"),
        pytest.param("pilot", 1_296, None, 26, id="pilot"),
        pytest.param("full", 1_296, None, 1, id="full"),
        pytest.param("probe", 1_296, None, 26, id="probe-falls-back-as-far-as-it-can"),
        pytest.param("probe", 1_296, 200, 3, id="probe-whose-rest-goes-at-once"),
        pytest.param("probe", 1_296, 199, 3 + 12, id="probe-whose-rest-fails"),  # 50, 100, then 1,146 fail; 12 of 100
        pytest.param("probe", 1_296, 99, 2 + 25, id="probe-whose-second-fails"),  # 50, then 100 fail; 1,246 are 25 of 50
        pytest.param("probe", 150, 100, 2, id="probe-without-a-rest"),
        pytest.param("probe", 40, 50, 1, id="probe-of-one-batch"),
    ],
)
def test_batches_of_a_strategy(strategy: str, records: int, limit: int | None, batches: int) -> None:
    assert forecast(records, Strategy(strategy), 50, 0, flow_limit=limit).batches == batches


@pytest.mark.parametrize(
    ("strategy", "size", "limit", "fits"),
    [
        pytest.param("batched", 50, 50, True, id="as-large-as-the-limit"),
        pytest.param("batched", 51, 50, False, id="larger"),
        pytest.param("batched", 200, 200, True, id="the-flow-is-off"),
        pytest.param("batched", 200, None, True, id="the-limit-is-not-known"),
        pytest.param("full", 50, 50, False, id="full-is-cut-into-transactions-of-200"),
        pytest.param("full", 50, 200, True, id="full-with-a-flow-that-takes-200"),
        pytest.param("probe", 50, 50, True, id="a-probe-begins-with-batch-size"),
        pytest.param("probe", 60, 50, False, id="even-the-first-probe-is-too-large"),
    ],
)
def test_whether_the_flow_takes_the_batches(strategy: str, size: int, limit: int | None, fits: bool) -> None:
    assert forecast(10_000, Strategy(strategy), size, 0, flow_limit=limit).fits_flow is fits


@pytest.mark.parametrize(
    ("records", "strategy", "limits", "runs", "batches"),
    [
        pytest.param(51_200, "batched", {}, 1, 1_024, id="exactly-one-run"),
        pytest.param(51_201, "batched", {}, 2, 1_025, id="one-record-more"),
        pytest.param(51_201, "full", {}, 1, 1, id="full-is-one-batch"),
        pytest.param(51_201, "probe", {"flow_limit": 200}, 2, 3 + 1, id="each-run-probes-anew"),
    ],
)
def test_airflow_limits_the_batches_of_a_run(
    records: int, strategy: str, limits: dict[str, Any], runs: int, batches: int
) -> None:
    expected = forecast(records, Strategy(strategy), 50, 0, max_batches=1024, **limits)

    assert (expected.runs, expected.batches) == (runs, batches)


def test_several_runs_take_as_long_as_one() -> None:
    in_one = forecast(1_000_000, Strategy.BATCHED, 50, 150)

    assert in_one.runs == 1
    assert forecast(1_000_000, Strategy.BATCHED, 50, 150, max_batches=1024).seconds == in_one.seconds


def test_what_is_known_of_a_batch_counts() -> None:
    assert forecast(100, Strategy.BATCHED, 50, 10, seconds_per_batch=36).seconds == 2 * 36 + 10
    assert forecast(1_000_001, Strategy.FULL, 50, 150, records_per_second=1_000).seconds == 45 + 1_001


@pytest.mark.parametrize("size", [0, -1, 201])
def test_a_batch_size_that_no_run_may_have_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=rf"batch_size is {size}; allowed is a whole number from 1 to 200"):
        forecast(1, Strategy.BATCHED, size, 150)


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("records", [1, 49, 50, 51, 149, 150, 151, 1_296])
def test_it_counts_the_batches_that_the_plan_cuts(strategy: Strategy, records: int) -> None:
    planned = len(batch_sizes(strategy, records, 50))

    assert forecast(records, strategy, 50, 150, flow_limit=200).batches == planned
    assert strategy is Strategy.PROBE or most_batches(strategy, records, 50) == planned
