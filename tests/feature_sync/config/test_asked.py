"""What was asked for is what runs, or nothing runs."""

from typing import Any

import pytest

from feature_sync.config.asked import run_problems
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
    "dry_run": True,
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
