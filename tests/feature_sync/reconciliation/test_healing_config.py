"""What HEALING_RUN_CONFIG asks for is what the healing run does, for every parameter, or no record is sent."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from feature_sync.config.asked import run_problems
from feature_sync.config.run_config import DEFAULTS, parse_run_config
from feature_sync.config.settings import PACE, BadSettingsError, load_settings
from feature_sync.reconciliation.operators import HealingOperator
from feature_sync.reconciliation.verdict import HEALS, Finding, Verdict, refuse_lost_parameters

CHANGED: dict[str, Any] = {"batch_size": 25, "wait_seconds": 5, "on_batch_failure": "stop", "max_consecutive_failures": 7}
ALLOWED = Verdict(heals=True, asks=False, reason="Within the limits.")
WRONG = {
    "batch_size": ["50", True, 2.5, None, [], 0, 201],
    "wait_seconds": ["5", False, 1.5, None, {}, -1, 3601],
    "on_batch_failure": ["halt", True, 1, None, ["stop"], ""],
    "max_consecutive_failures": ["3", True, 0.5, None, [3], 0, 1001],
}
every_pace = pytest.mark.parametrize("name", PACE)


def set_config(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FEATURE_SYNC_HEALING_RUN_CONFIG", text)


def started(monkeypatch: pytest.MonkeyPatch, run_config: dict[str, Any]) -> dict[str, Any]:
    """The config of the run that `heal` starts for a comparison with this one."""
    configs: dict[str, dict[str, Any]] = {}
    monkeypatch.setattr(
        "feature_sync.reconciliation.operators.run_state", lambda _, run_id: "queued" if run_id in configs else None
    )
    monkeypatch.setattr("feature_sync.reconciliation.operators.start_run", lambda _, run_id, conf: configs.update({run_id: conf}))
    monkeypatch.setattr("feature_sync.reconciliation.operators.check_still_allowed", lambda _: 3)
    found = Finding(heals=True, question=None, run_config=run_config, reason="Within the limits.", mismatched=3)
    ti = SimpleNamespace(
        run_id="scheduled__1", max_tries=3, get_dag=lambda _: SimpleNamespace(is_paused=False), xcom_push=lambda **_: None
    )
    with pytest.raises(TaskDeferred):
        HealingOperator(task_id="heal", found=json.loads(json.dumps(found.as_xcom())), retries=3).execute(
            {"ti": ti, "task_instance": ti}  # type: ignore[typeddict-item]
        )
    [conf] = configs.values()
    return conf


def test_each_parameter_of_the_pace_has_another_value_here() -> None:
    assert set(CHANGED) == set(WRONG) == set(PACE)
    assert [name for name in CHANGED if CHANGED[name] == DEFAULTS[name]] == []


@every_pace
def test_it_reaches_the_run_as_it_was_asked_for(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    set_config(monkeypatch, json.dumps({name: CHANGED[name]}))

    conf = started(monkeypatch, {**load_settings().healing_run_config, **HEALS})

    assert conf == {"scope": "mismatched", "dry_run": False, name: CHANGED[name]}
    merged = {**DEFAULTS, **conf}
    assert run_problems(merged, conf, "operator_triggered") == []
    assert getattr(parse_run_config(merged), name) == CHANGED[name]
    assert not parse_run_config(merged).dry_run


@every_pace
def test_the_run_refuses_it_on_a_site_that_does_not_let_it_through(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    set_config(monkeypatch, json.dumps({name: CHANGED[name]}))

    conf = started(monkeypatch, {**load_settings().healing_run_config, **HEALS})

    problems = run_problems(DEFAULTS, conf, "operator_triggered")
    assert {problem.partition(" ")[0] for problem in problems} == {name, "dry_run"}
    asked = f"{name} was asked for as {CHANGED[name]!r}, but the run would use {DEFAULTS[name]!r}."
    assert any(problem.startswith(asked) for problem in problems)
    assert all("[core] dag_run_conf_overrides_params is off" in problem for problem in problems)


@pytest.mark.parametrize(
    ("name", "value"), [*CHANGED.items(), ("allow_mass_disable", True), ("scope", "all"), ("dry_run", False)]
)
def test_on_such_a_site_the_weekly_run_starts_nothing_and_asks_nobody(name: str, value: Any) -> None:
    verdict = refuse_lost_parameters(ALLOWED, {"scope": "mismatched", name: value})

    assert not verdict.heals
    assert not verdict.asks
    assert f"would not use what is asked for: {name} as {value!r}." in verdict.reason
    assert "[core] dag_run_conf_overrides_params is off; it must be True" in verdict.reason


def test_on_such_a_site_no_healing_gets_through_because_the_default_is_a_dry_run() -> None:
    assert not refuse_lost_parameters(ALLOWED, HEALS).heals
    assert refuse_lost_parameters(ALLOWED, {"scope": "mismatched", "batch_size": 50}) is ALLOWED


def test_what_a_former_version_has_found_is_healed_and_no_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It said nothing of a dry run, because that was not the default."""
    assert started(monkeypatch, {"scope": "mismatched", "wait_seconds": 5}) == {**HEALS, "wait_seconds": 5}


@pytest.mark.parametrize("name", [name for name in DEFAULTS if name not in PACE] + ["dryrun", "Batch_Size", "batch_size "])
def test_nothing_but_the_pace_may_be_set_so_a_healing_is_no_dry_run_and_goes_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    set_config(monkeypatch, json.dumps({name: DEFAULTS.get(name, True)}))

    with pytest.raises(BadSettingsError, match=f"HEALING_RUN_CONFIG: .*has {name}; allowed are batch_size, wait_seconds"):
        load_settings()


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_value_of_a_wrong_type_or_beyond_its_limits_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    set_config(monkeypatch, json.dumps({name: value}))

    with pytest.raises(BadSettingsError, match=f"HEALING_RUN_CONFIG: .*{name} is .*; allowed"):
        load_settings()


@pytest.mark.parametrize(
    "text", ["[]", "5", "true", '"batch_size"', "batch_size=25", "{'batch_size': 25}", '[["batch_size", 25]]']
)
def test_what_is_no_object_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    set_config(monkeypatch, text)

    with pytest.raises(BadSettingsError, match=r"(?i)healing_run_config"):
        load_settings()
