"""The rules of a run config. Hostile values: test_hostile_input.py."""

from typing import Any

import pytest

from feature_sync.config.problems import RunConfigError
from feature_sync.config.run_config import DEFAULTS, Scope, parse_run_config

INCIDENT = {"scope": "created_between", "created_from": "2025-11-21", "created_to": "2025-11-21"}
FORMER_RUN = "manual__2025-11-21T00:00:00.123456+00:00"


def problems_of(conf: dict[str, Any]) -> list[str]:
    with pytest.raises(RunConfigError) as refused:
        parse_run_config(conf)
    return refused.value.problems


def test_an_empty_config_takes_every_default() -> None:
    config = parse_run_config({})

    assert config.scope is Scope.MISMATCHED
    assert (config.batch_size, config.wait_seconds, config.unmatched) == (50, 150, "send_false")


def test_the_incident_is_a_usable_config() -> None:
    config = parse_run_config(INCIDENT)

    assert (str(config.created_from), str(config.created_to)) == ("2025-11-21", "2025-11-21")


def test_the_defaults_are_a_usable_config() -> None:
    assert parse_run_config(DEFAULTS).model_dump(exclude={"dry_run"}) == parse_run_config({}).model_dump(exclude={"dry_run"})


def test_a_run_that_does_not_say_sends_nothing() -> None:
    """Airflow fills in the defaults, whether a form, the REST API or the command line starts the run."""
    assert parse_run_config(DEFAULTS).dry_run
    assert not parse_run_config({**DEFAULTS, "dry_run": False}).dry_run


@pytest.mark.parametrize(
    ("conf", "complaint"),
    [
        pytest.param({"batchsize": 50}, "'batchsize' is not a parameter; known are scope", id="unknown-key"),
        pytest.param({"scope": "everything"}, "scope is 'everything'; allowed are created_between", id="unknown-scope"),
        pytest.param({"scope": ["all"]}, r"scope is ['all']", id="list-for-scope"),
        pytest.param({"strategy": "fast"}, "strategy is 'fast'", id="unknown-strategy"),
        pytest.param({"batch_size": 0}, "batch_size is 0; allowed is a whole number from 1 to 200", id="batch-size-0"),
        pytest.param({"batch_size": 201}, "batch_size is 201", id="batch-size-201"),
        pytest.param({"batch_size": "50"}, "batch_size is '50'", id="batch-size-text"),
        pytest.param({"batch_size": 50.0}, "batch_size is 50.0", id="batch-size-float"),
        pytest.param({"batch_size": True}, "batch_size is True", id="batch-size-bool"),
        pytest.param({"wait_seconds": -1}, "wait_seconds is -1", id="wait-negative"),
        pytest.param({"wait_seconds": 3601}, "wait_seconds is 3601", id="wait-too-long"),
        pytest.param({"wait_seconds": None}, "wait_seconds is None", id="wait-null"),
        pytest.param(INCIDENT | {"created_from": None}, "created_from is empty", id="no-from"),
        pytest.param(INCIDENT | {"created_to": None}, "created_to is empty", id="no-to"),
        pytest.param(
            INCIDENT | {"created_from": "2025-11-22"}, "created_from 2025-11-22 is after created_to", id="from-after-to"
        ),
        pytest.param(INCIDENT | {"created_from": "2025-02-29"}, "created_from is '2025-02-29'", id="no-such-day"),
        pytest.param(INCIDENT | {"created_from": "20251121"}, "created_from is '20251121'", id="other-iso-form"),
        pytest.param(INCIDENT | {"created_from": "٢٠٢٥-11-21"}, "created_from is ", id="unicode-digits"),
        pytest.param(INCIDENT | {"created_from": 20251121}, "created_from is 20251121", id="day-as-number"),
        pytest.param(
            {"scope": "all", "created_from": "2025-11-21"}, "created_from is set, but scope is all", id="day-without-use"
        ),
        pytest.param({"scope": "property_ids"}, "property_ids is empty", id="no-ids"),
        pytest.param({"scope": "property_ids", "property_ids": []}, "property_ids is empty", id="empty-ids"),
        pytest.param({"scope": "property_ids", "property_ids": "1,2"}, "allowed is a list of strings", id="ids-as-text"),
        pytest.param({"scope": "property_ids", "property_ids": [1]}, "allowed is a list of strings", id="ids-as-numbers"),
        pytest.param({"scope": "property_ids", "property_ids": ["1'; --"]}, "property_ids has", id="quote-in-id"),
        pytest.param({"scope": "property_ids", "property_ids": ["1,2"]}, "property_ids has '1,2'", id="comma-in-id"),
        pytest.param({"scope": "property_ids", "property_ids": ["  "]}, "property_ids has ''", id="blank-id"),
        pytest.param({"scope": "property_ids", "property_ids": ["7"] * 10_001}, "10,001 entries", id="too-many-ids"),
        pytest.param({"property_ids": ["7"]}, "property_ids is set, but scope is mismatched", id="ids-without-use"),
        pytest.param({"unmatched": "drop"}, "unmatched is 'drop'; allowed are send_false, skip.", id="unknown-unmatched"),
        pytest.param(
            {"on_batch_failure": "ignore"}, "on_batch_failure is 'ignore'; allowed are continue, stop.", id="on-failure"
        ),
        pytest.param(
            {"max_consecutive_failures": 0}, "max_consecutive_failures is 0; allowed is a whole number from 1", id="no-failures"
        ),
        pytest.param({"max_consecutive_failures": 1_001}, "max_consecutive_failures is 1001", id="endless-failures"),
        pytest.param({"dry_run": "yes"}, "dry_run is 'yes'; allowed are true and false.", id="dry-run-text"),
        pytest.param({"allow_mass_disable": 1}, "allow_mass_disable is 1; allowed are true and false.", id="disable-number"),
        pytest.param({"undo_run_id": "r" * 251}, "allowed is the id of a run, at most 250 characters, or nothing", id="run-id"),
        pytest.param({"undo_run_id": 7}, "undo_run_id is 7; allowed is the id of a run", id="run-id-as-number"),
        pytest.param(
            {"undo_run_id": FORMER_RUN, "scope": "all"},
            "scope is 'all', but undo_run_id is set, which says by itself what is sent; leave scope at 'mismatched'.",
            id="undo-with-a-scope",
        ),
        pytest.param(
            {"undo_run_id": FORMER_RUN, "unmatched": "skip"},
            "unmatched is 'skip', but undo_run_id is set",
            id="undo-without-the-unmatched",
        ),
        pytest.param(
            {"undo_run_id": FORMER_RUN, "property_ids": ["7"]}, "property_ids is set, but scope is mismatched", id="undo-with-ids"
        ),
        pytest.param(
            {"undo_run_id": FORMER_RUN, "created_to": "2025-11-21"},
            "created_to is set, but scope is mismatched",
            id="undo-with-a-day",
        ),
    ],
)
def test_a_wrong_parameter_is_refused_by_name_and_value(conf: dict[str, Any], complaint: str) -> None:
    assert any(complaint in problem for problem in problems_of(conf)), problems_of(conf)


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_run_to_undo_is_none(nothing: str | None) -> None:
    config = parse_run_config({"undo_run_id": nothing, "scope": "all"})

    assert config.undo_run_id is None
    assert config.description == "all records in Salesforce"


def test_a_run_may_be_undone_with_any_pace_and_for_looking_only() -> None:
    conf = {"batch_size": 7, "wait_seconds": 0, "dry_run": True, "allow_mass_disable": True}

    config = parse_run_config({"undo_run_id": FORMER_RUN} | conf)

    assert config.undo_run_id == FORMER_RUN
    assert (config.batch_size, config.wait_seconds, config.dry_run, config.allow_mass_disable) == (7, 0, True, True)
    assert config.description == f"records that still hold what run '{FORMER_RUN}' sent"


def test_all_problems_are_reported_at_once() -> None:
    assert len(problems_of({"batch_size": 0, "wait_seconds": -1, "scope": "x", "colour": "red"})) == 4


def test_a_huge_value_does_not_fill_the_message() -> None:
    [problem] = problems_of({"scope": "x" * 1_000_000})

    assert len(problem) < 300


def test_repeated_ids_count_once() -> None:
    config = parse_run_config({"scope": "property_ids", "property_ids": ["7", " 7", "8"]})

    assert config.property_ids == ("7", "8")
