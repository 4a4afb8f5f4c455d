"""A run that is not what was asked for ends at its first task."""

import inspect
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk.api.datamodels._generated import DagRun, DagRunType
from airflow.sdk.exceptions import AirflowSkipException

from feature_sync.config.problems import RunConfigError
from feature_sync.orchestration import dag_runs
from feature_sync.orchestration.dag_runs import (
    asked_params,
    config_of_starter,
    healing_run_id,
    heals,
    is_unfinished,
    refuse_config,
    run_day,
    run_state,
    skip_if_refused,
    usable_run_id,
)


def start(monkeypatch: pytest.MonkeyPatch, params: dict[str, Any], conf: dict[str, Any] | None, run_type: str = "manual") -> None:
    """What Airflow tells a task of its run."""
    ti = SimpleNamespace(id="0197b5a0-0000-7000-8000-000000000001", xcom_push=lambda **_: None)
    context = {"params": params, "dag_run": SimpleNamespace(conf=conf, run_type=run_type), "ti": ti}
    monkeypatch.setattr(dag_runs, "get_current_context", lambda: context)


def test_the_params_are_those_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, {"dry_run": True, "batch_size": 50}, {"dry_run": True})

    assert asked_params() == {"dry_run": True, "batch_size": 50}


def test_a_dry_run_that_would_send_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, {"dry_run": False, "batch_size": 50}, {"dry_run": True})

    with pytest.raises(RunConfigError, match="dry_run was asked for as True, but the run would use False"):
        asked_params()


@pytest.mark.parametrize("conf", [None, {}])
def test_a_run_by_the_clock_asks_for_nothing(monkeypatch: pytest.MonkeyPatch, conf: dict[str, Any] | None) -> None:
    start(monkeypatch, {}, conf, "scheduled")

    refuse_config()


@pytest.mark.parametrize(("conf", "run_type"), [({"dry_run": True}, "manual"), (None, "backfill")])
def test_a_weekly_run_that_was_asked_for_something_is_refused(
    monkeypatch: pytest.MonkeyPatch, conf: dict[str, Any] | None, run_type: str
) -> None:
    start(monkeypatch, {}, conf, run_type)

    with pytest.raises(RunConfigError):
        refuse_config()


def test_a_task_may_give_a_config_to_a_dag_without_params(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, {}, {"run_id": "a"}, "operator_triggered")

    assert config_of_starter() == {"run_id": "a"}


@pytest.mark.parametrize(("conf", "run_type"), [({"run_id": "a"}, "manual"), (None, "backfill")])
def test_a_person_may_not_and_no_run_for_the_past_either(
    monkeypatch: pytest.MonkeyPatch, conf: dict[str, Any] | None, run_type: str
) -> None:
    start(monkeypatch, {}, conf, run_type)

    with pytest.raises(RunConfigError):
        config_of_starter()


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_day_of_a_run_is_utcs_whatever_the_zone_of_the_site(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    run_after = datetime(2025, 11, 21, 23, 30, tzinfo=UTC).astimezone(ZoneInfo(zone))
    monkeypatch.setattr(dag_runs, "get_current_context", lambda: {"dag_run": SimpleNamespace(run_after=run_after)})

    assert run_day() == date(2025, 11, 21)


@pytest.mark.parametrize("state", ["queued", "running", "success", "failed", None])
def test_the_state_of_a_run_is_asked_for_without_its_id_in_an_address(monkeypatch: pytest.MonkeyPatch, state: str | None) -> None:
    def count(*, dag_id: str, run_ids: list[str], states: list[str]) -> int:
        assert (dag_id, run_ids) == ("some_dag", ["a/b?c"])
        return int(state in states)

    monkeypatch.setattr(dag_runs.RuntimeTaskInstance, "get_dr_count", count)

    assert run_state("some_dag", "a/b?c") == state
    assert is_unfinished("some_dag", "a/b?c") is (state in {"queued", "running"})


@pytest.mark.parametrize("pattern", ["^[A-Za-z0-9_.~:+-]+$", "", "^healing.*"])
def test_a_run_id_that_the_site_allows_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    monkeypatch.setenv("AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN", pattern)

    assert usable_run_id("healing__0__scheduled__2026-11-23T06:00:00+00:00") == "healing__0__scheduled__2026-11-23T06:00:00+00:00"


def test_tasks_beside_the_one_that_refuses_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, {}, {"dry_run": True})

    with pytest.raises(AirflowSkipException, match="wait_for_copy says why"):
        skip_if_refused("wait_for_copy")


def test_they_run_in_a_run_that_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, {}, None, "scheduled")

    skip_if_refused("wait_for_copy")


@pytest.mark.parametrize("run_type", DagRunType)
def test_every_type_of_run_that_airflow_has_is_judged(monkeypatch: pytest.MonkeyPatch, run_type: DagRunType) -> None:
    """As Airflow really describes a run to a task."""
    now = datetime.now(UTC)
    run = DagRun(
        dag_id="dag",
        run_id="run",
        logical_date=now,
        data_interval_start=None,
        data_interval_end=None,
        run_after=now,
        start_date=now,
        end_date=None,
        run_type=run_type,
        state="running",
        consumed_asset_events=[],
        partition_key=None,
    )
    monkeypatch.setattr(dag_runs, "get_current_context", lambda: {"params": {}, "dag_run": run})

    if run_type.value in ("manual", "scheduled", "operator_triggered"):
        refuse_config()
        return
    with pytest.raises(RunConfigError) as refused:
        refuse_config()
    assert "is of type" not in str(refused.value), "each type that Airflow has has its own sentence"


def test_a_partition_reaches_the_judgement(monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(conf={}, run_type="manual", partition_key="a week")
    monkeypatch.setattr(dag_runs, "get_current_context", lambda: {"params": {}, "dag_run": run})

    with pytest.raises(RunConfigError, match="The partition 'a week' was asked for"):
        refuse_config()


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get_dr_count", {"dag_id": "dag", "run_ids": ["run"], "states": ["queued"]}),
        ("get_dagrun_state", {"dag_id": "dag", "run_id": "run"}),
        ("get_task_states", {"dag_id": "dag", "run_ids": ["run"], "task_ids": ["task"]}),
        ("get_ti_count", {"dag_id": "dag", "run_ids": ["run"], "task_ids": ["task"], "states": ["running"]}),
    ],
)
def test_airflows_private_task_runner_still_answers_what_tasks_and_triggers_ask(method: str, arguments: dict[str, Any]) -> None:
    """A trigger has no context, so only the class itself can be asked; Airflow's own providers do so too."""
    asked = inspect.getattr_static(dag_runs.RuntimeTaskInstance, method)

    assert isinstance(asked, staticmethod)
    inspect.signature(asked.__func__).bind(**arguments)


class TestHealing:
    WEEKLY = "scheduled__2025-11-24T06:00:00+00:00"

    def run(self, monkeypatch: pytest.MonkeyPatch, run_id: str, run_type: Any = DagRunType.OPERATOR_TRIGGERED) -> None:
        context = {"dag_run": SimpleNamespace(run_id=run_id, run_type=run_type)}
        monkeypatch.setattr(dag_runs, "get_current_context", lambda: context)

    @pytest.mark.parametrize("pattern", ["", "manual__.*"])
    @pytest.mark.parametrize("generation", [0, 7])
    def test_a_run_heals_the_weekly_run_that_has_started_it(
        self, monkeypatch: pytest.MonkeyPatch, pattern: str, generation: int
    ) -> None:
        monkeypatch.setenv("AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN", pattern)
        self.run(monkeypatch, healing_run_id(self.WEEKLY, generation))

        assert heals(self.WEEKLY)
        assert not heals(self.WEEKLY.replace("24", "17"))

    @pytest.mark.parametrize("run_type", [DagRunType.MANUAL, "manual", DagRunType.SCHEDULED, None])
    def test_a_person_who_gives_a_run_that_name_heals_nothing(self, monkeypatch: pytest.MonkeyPatch, run_type: Any) -> None:
        self.run(monkeypatch, healing_run_id(self.WEEKLY, 0), run_type)

        assert not heals(self.WEEKLY)
