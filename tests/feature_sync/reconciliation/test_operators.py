"""When the weekly run starts a backfill, and what it makes of its end; tests/live has the real one."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.dagrun import RUN_ID_REGEX
from airflow.providers.common.compat.sdk import DagRunTriggerException
from airflow.providers.standard.triggers.external_task import DagStateTrigger
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.orchestration.deferral import MIN_DEFERRAL_SECONDS
from feature_sync.reconciliation.operators import POLL_SECONDS, HealingFailedError, HealingOperator
from feature_sync.reconciliation.verdict import Finding

FOUND = Finding(
    heals=True, question=None, run_config={"scope": "mismatched", "wait_seconds": 5}, reason="Within the limits.", mismatched=3
)
RUN_ID = "healing__0__scheduled__2026-11-23T06:00:00+00:00"


class Backfills:
    """The backfill runs that Airflow knows."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.differing = 3

    def state(self, dag_id: str, run_id: str) -> str | None:
        assert dag_id == BACKFILL_DAG_ID
        return self.states.get(run_id)


@pytest.fixture
def backfills(monkeypatch: pytest.MonkeyPatch) -> Backfills:
    backfills = Backfills()
    monkeypatch.setattr("feature_sync.reconciliation.operators.run_state", backfills.state)
    monkeypatch.setattr("feature_sync.reconciliation.operators.check_still_allowed", lambda _: backfills.differing)
    return backfills


def context(max_tries: int = 3, run_id: str = "scheduled__2026-11-23T06:00:00+00:00") -> Any:
    ti = SimpleNamespace(
        run_id=run_id,
        max_tries=max_tries,
        get_dag=lambda _: SimpleNamespace(is_paused=False),
        xcom_push=lambda **_: None,
    )
    return {"ti": ti, "task_instance": ti}


def operator(found: Finding = FOUND) -> HealingOperator:
    return HealingOperator(task_id="heal", found=found.as_xcom(), retries=3)


@pytest.mark.usefixtures("backfills")
def test_it_starts_a_backfill_of_what_differs_and_will_wait_without_a_slot() -> None:
    with pytest.raises(DagRunTriggerException) as started:
        operator().execute(context())

    run = started.value
    assert (run.trigger_dag_id, run.dag_run_id, run.conf) == (BACKFILL_DAG_ID, RUN_ID, FOUND.run_config)
    assert (run.wait_for_completion, run.deferrable, run.logical_date) == (True, True, None)
    assert run.poke_interval >= MIN_DEFERRAL_SECONDS


def started_by(run_id: str, max_tries: int = 3) -> str:
    with pytest.raises(DagRunTriggerException) as started:
        operator().execute(context(max_tries, run_id))
    return started.value.dag_run_id


@pytest.mark.usefixtures("backfills")
@pytest.mark.parametrize("run_id", ["weekly check/47 é", "x" * 250, "a..b", "100 %", "a#b?c"])
def test_a_run_id_that_the_backfill_could_not_have_gives_one_that_it_can_always_the_same(run_id: str) -> None:
    first, again, cleared = started_by(run_id), started_by(run_id), started_by(run_id, max_tries=4)

    assert first == again != cleared
    assert re.match(RUN_ID_REGEX, first), "Airflow allows these whatever a site's pattern is"
    assert first < "manual__1700", "no person's run may have this id"


def test_a_site_that_allows_no_such_id_gets_one_that_it_does(backfills: Backfills, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN", r"^repair-[0-9]+$")

    run_id = started_by("scheduled__2026-11-23T06:00:00+00:00")
    backfills.states[run_id] = "running"

    assert re.match(RUN_ID_REGEX, run_id)
    with pytest.raises(TaskDeferred) as waiting:
        operator().execute(context())
    assert isinstance(waiting.value.trigger, DagStateTrigger)
    assert waiting.value.trigger.run_ids == [run_id], "a retry has to find it"


@pytest.mark.usefixtures("backfills")
def test_records_that_may_not_be_healed_are_not_sent() -> None:
    with pytest.raises(AirflowSkipException, match="over the limit"):
        operator(replace(FOUND, heals=False, reason="over the limit")).execute(context())


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_retry_resumes_the_run_that_an_earlier_try_has_started(backfills: Backfills, state: str) -> None:
    backfills.states[RUN_ID] = state

    with pytest.raises(TaskDeferred) as waiting:
        operator().execute(context())

    trigger = waiting.value.trigger
    assert isinstance(trigger, DagStateTrigger)
    assert (trigger.run_ids, trigger.poll_interval) == ([RUN_ID], POLL_SECONDS)


def test_a_retry_after_its_end_starts_no_second_one(backfills: Backfills) -> None:
    backfills.states[RUN_ID] = "success"

    operator().execute(context())


def test_clearing_the_task_starts_another_run(backfills: Backfills) -> None:
    backfills.states[RUN_ID] = "failed"

    with pytest.raises(DagRunTriggerException) as started:
        operator().execute(context(max_tries=4))

    assert started.value.dag_run_id == RUN_ID.replace("__0__", "__1__")


def test_clearing_the_task_while_its_backfill_runs_resumes_that_run(backfills: Backfills) -> None:
    backfills.states[RUN_ID] = "running"

    with pytest.raises(TaskDeferred) as waiting:
        operator().execute(context(max_tries=4))

    trigger = waiting.value.trigger
    assert isinstance(trigger, DagStateTrigger)
    assert trigger.run_ids == [RUN_ID]


def test_nothing_is_started_when_nothing_differs_any_more(backfills: Backfills) -> None:
    backfills.differing = 0

    with pytest.raises(AirflowSkipException, match="Nothing differs any more"):
        operator().execute(context())


@pytest.mark.parametrize("state", ["failed", "running", None])
def test_a_backfill_that_did_not_succeed_is_a_failure_that_names_the_run(backfills: Backfills, state: str | None) -> None:
    if state:
        backfills.states[RUN_ID] = state

    with pytest.raises(HealingFailedError, match=rf"Run {RUN_ID[:10]}.* is {state}"):
        operator().execute_complete(context(), ("a trigger", {"run_ids": [RUN_ID]}))


def test_a_success_is_one(backfills: Backfills) -> None:
    backfills.states[RUN_ID] = "success"

    operator().execute_complete(context(), ("a trigger", {"run_ids": [RUN_ID]}))
