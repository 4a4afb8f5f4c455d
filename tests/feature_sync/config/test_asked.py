"""What was asked for is what runs, or nothing runs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.config.asked import BY_THE_CLOCK, lost_parameters, run_problems
from feature_sync.config.run_config import DEFAULTS

CHANGED: dict[str, Any] = {
    "scope": "all",
    "created_from": "2025-11-21",
    "created_to": "2025-11-21",
    "property_ids": ["1"],
    "strategy": "full",
    "batch_size": 7,
    "wait_seconds": 7,
    "on_batch_failure": "stop",
    "max_consecutive_failures": 7,
    "unmatched": "skip",
    "allow_mass_disable": True,
    "dry_run": False,
    "undo_run_id": "manual__1",
}


def test_each_parameter_has_another_value_here() -> None:
    assert set(CHANGED) == set(DEFAULTS)
    assert [name for name in CHANGED if CHANGED[name] == DEFAULTS[name]] == []


@pytest.mark.parametrize("name", CHANGED)
def test_a_parameter_that_the_site_does_not_let_through_is_refused(name: str) -> None:
    [problem] = run_problems(DEFAULTS, {name: CHANGED[name]}, "manual")

    assert problem == (
        f"{name} was asked for as {CHANGED[name]!r}, but the run would use {DEFAULTS[name]!r}. Airflow's option "
        "[core] dag_run_conf_overrides_params is off; it must be True."
    )


def test_what_was_let_through_is_no_problem() -> None:
    assert run_problems({**DEFAULTS, **CHANGED}, CHANGED, "manual") == []
    assert run_problems(DEFAULTS, {}, "scheduled") == []


def test_a_parameter_that_does_not_exist_is_named() -> None:
    [problem] = run_problems(DEFAULTS, {"dryrun": True}, "manual")

    assert problem.startswith("'dryrun' was asked for, but the run would not use it.")


def test_a_dag_without_parameters_takes_no_config() -> None:
    [problem] = run_problems({}, {"dry_run": True}, "manual")

    assert problem == "'dry_run' was asked for, but this DAG takes no parameters. Start it without a config."


def test_airflows_own_backfill_is_refused() -> None:
    [problem] = run_problems(DEFAULTS, {}, "backfill")

    assert problem.startswith("This run was made by Airflow's own backfill.")


@pytest.mark.parametrize("run_type", BY_THE_CLOCK)
def test_a_run_by_a_person_a_dag_or_the_clock_makes_sense(run_type: str) -> None:
    assert run_problems(DEFAULTS, {}, run_type) == []


@pytest.mark.parametrize("run_type", ["backfill", "asset_triggered", "asset_materialization", "of a later Airflow", ""])
def test_every_other_type_of_run_is_refused(run_type: str) -> None:
    assert len(run_problems(DEFAULTS, {}, run_type)) == 1


def test_a_partition_is_refused() -> None:
    [problem] = run_problems(DEFAULTS, {}, "manual", partition_key="2025-11-21")

    assert problem == "The partition '2025-11-21' was asked for, but this DAG has no partitions. Start it without one."


NOW = datetime(2025, 11, 24, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("run_type", "logical_date"),
    [
        pytest.param("manual", None, id="none"),
        pytest.param("manual", NOW - 23 * HOUR, id="a-form-that-was-open-over-night"),
        pytest.param("manual", NOW + HOUR, id="a-clock-that-is-fast"),
        pytest.param("scheduled", NOW, id="the-clock"),
        pytest.param("operator_triggered", NOW - 7 * DAY, id="the-week-of-the-dag-that-starts-it"),
    ],
)
def test_a_run_of_the_present_makes_sense(run_type: str, logical_date: datetime | None) -> None:
    assert run_problems(DEFAULTS, {}, run_type, logical_date=logical_date, run_after=NOW) == []


@pytest.mark.parametrize("run_type", ["manual", "operator_triggered"])
def test_a_run_of_the_future_would_start_at_once_so_it_is_refused(run_type: str) -> None:
    [problem] = run_problems(DEFAULTS, {}, run_type, logical_date=NOW + 2 * DAY, run_after=NOW)

    assert "2025-11-26 06:00, is in the future, but Airflow starts it at once" in problem


def test_a_run_of_a_past_day_would_look_at_the_present_so_it_is_refused() -> None:
    [problem] = run_problems(DEFAULTS, {}, "manual", logical_date=NOW - 3 * DAY, run_after=NOW)

    assert problem.startswith("This run was asked for 2025-11-21 06:00, but this DAG looks at the present state of Salesforce.")


@pytest.mark.parametrize(("used", "asked"), [(1, True), (0, False), (False, 0), (5, 5.0), ([], None), (None, [])], ids=repr)
def test_values_that_are_only_equal_in_python_are_not_what_was_asked_for(used: Any, asked: Any) -> None:
    assert len(run_problems({"name": used}, {"name": asked}, "manual")) == 1


def test_what_equals_the_default_is_not_lost() -> None:
    assert lost_parameters(DEFAULTS, DEFAULTS) == []
    assert lost_parameters({**DEFAULTS, **CHANGED, "another": 1}, DEFAULTS) == [*DEFAULTS, "another"]
