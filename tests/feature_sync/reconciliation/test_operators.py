"""When the weekly run starts a backfill, and what it makes of its end; tests/live has the real one."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.dagrun import RUN_ID_REGEX
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.orchestration.deferral import MIN_DEFERRAL_SECONDS
from feature_sync.orchestration.triggers import RunEndTrigger
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
        self.started: list[tuple[str, dict[str, Any]]] = []

    def start(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        assert dag_id == BACKFILL_DAG_ID
        self.started.append((run_id, conf))
        self.states[run_id] = "queued"

    def state(self, dag_id: str, run_id: str) -> str | None:
        assert dag_id == BACKFILL_DAG_ID
        return self.states.get(run_id)


@pytest.fixture
def backfills(monkeypatch: pytest.MonkeyPatch) -> Backfills:
    backfills = Backfills()
    monkeypatch.setattr("feature_sync.reconciliation.operators.run_state", backfills.state)
    monkeypatch.setattr("feature_sync.reconciliation.operators.start_run", backfills.start)
    monkeypatch.setattr("feature_sync.reconciliation.operators.check_still_allowed", lambda _: backfills.differing)
    return backfills


def context(max_tries: int = 3, run_id: str = "scheduled__2026-11-23T06:00:00+00:00") -> Any:
    left: dict[str, Any] = {}
    ti = SimpleNamespace(
        run_id=run_id,
        max_tries=max_tries,
        get_dag=lambda _: SimpleNamespace(is_paused=False),
        task_id="heal",
        xcom_push=lambda key, value: left.update({key: value}),
        xcom_pull=lambda task_ids, key: left[key] if task_ids == "heal" else None,
        id="0197b5a0-0000-7000-8000-000000000001",
    )
    return {"ti": ti, "task_instance": ti}


def waited_for(task: HealingOperator, given: Any) -> RunEndTrigger:
    with pytest.raises(TaskDeferred) as waiting:
        task.execute(given)
    assert isinstance(waiting.value.trigger, RunEndTrigger)
    return waiting.value.trigger


def operator(found: Finding = FOUND) -> HealingOperator:
    return HealingOperator(task_id="heal", found=found.as_xcom(), retries=3)


def test_it_starts_a_backfill_of_what_differs_and_waits_without_a_slot(backfills: Backfills) -> None:
    trigger = waited_for(operator(), context())

    assert backfills.started == [(RUN_ID, {**FOUND.run_config, "dry_run": False})]
    assert (trigger.run_id, trigger.dag_id, trigger.poll_seconds) == (RUN_ID, BACKFILL_DAG_ID, POLL_SECONDS)
    assert trigger.poll_seconds >= MIN_DEFERRAL_SECONDS


def started_by(run_id: str, max_tries: int = 3) -> str:
    return waited_for(operator(), context(max_tries, run_id)).run_id


@pytest.mark.parametrize("run_id", ["weekly check/47 é", "x" * 250, "a..b", "100 %", "a#b?c"])
def test_a_run_id_that_the_backfill_could_not_have_gives_one_that_it_can(backfills: Backfills, run_id: str) -> None:
    first, again = started_by(run_id), started_by(run_id)
    backfills.states[first] = "failed"
    cleared = started_by(run_id, max_tries=4)

    assert first == again != cleared
    assert re.match(RUN_ID_REGEX, first), "Airflow allows these whatever a site's pattern is"
    assert first < "manual__1700", "no person's run may have this id"


def test_a_site_that_allows_no_such_id_gets_one_that_it_does(backfills: Backfills, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN", r"^repair-[0-9]+$")

    run_id = started_by("scheduled__2026-11-23T06:00:00+00:00")
    backfills.states[run_id] = "running"

    assert re.match(RUN_ID_REGEX, run_id)
    assert waited_for(operator(), context()).run_id == run_id, "a retry has to find it"


@pytest.mark.usefixtures("backfills")
def test_records_that_may_not_be_healed_are_not_sent() -> None:
    with pytest.raises(AirflowSkipException, match="over the limit"):
        operator(replace(FOUND, heals=False, reason="over the limit")).execute(context())


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_retry_resumes_the_run_that_an_earlier_try_has_started(backfills: Backfills, state: str) -> None:
    backfills.states[RUN_ID] = state

    assert waited_for(operator(), context()).run_id == RUN_ID
    assert backfills.started == []


def test_a_retry_after_its_end_starts_no_second_one(backfills: Backfills) -> None:
    backfills.states[RUN_ID] = "success"

    operator().execute(context())


def test_clearing_the_task_starts_another_run(backfills: Backfills) -> None:
    backfills.states[RUN_ID] = "failed"

    waited_for(operator(), context(max_tries=4))

    assert [run_id for run_id, _ in backfills.started] == [RUN_ID.replace("__0__", "__1__")]


def test_clearing_the_task_while_its_backfill_runs_resumes_that_run(backfills: Backfills) -> None:
    backfills.states[RUN_ID] = "running"

    assert waited_for(operator(), context(max_tries=4)).run_id == RUN_ID
    assert backfills.started == []


def test_nothing_is_started_when_nothing_differs_any_more(backfills: Backfills) -> None:
    backfills.differing = 0

    with pytest.raises(AirflowSkipException, match="Nothing differs any more"):
        operator().execute(context())


@pytest.mark.parametrize("event", [{"run_id": RUN_ID}, {}], ids=["the-run-has-ended", "the-triggerer-does-not-answer"])
def test_a_task_that_is_resumed_looks_at_its_own_run_and_starts_none(backfills: Backfills, event: dict[str, str]) -> None:
    given = context()
    waited_for(operator(), given)

    with pytest.raises(TaskDeferred):
        operator().resume(given, event)
    backfills.states[RUN_ID] = "success"
    operator().resume(given, event)
    del backfills.states[RUN_ID]
    with pytest.raises(HealingFailedError, match="is gone: somebody deleted it"):
        operator().resume(given, event)
    assert len(backfills.started) == 1


@pytest.mark.parametrize(
    "event", [{"run_id": RUN_ID}, ("a trigger of Airflow", {"run_ids": [RUN_ID]})], ids=["ours", "before-upgrade"]
)
class TestTheEnd:
    @pytest.mark.parametrize("state", ["failed", "running"])
    def test_a_backfill_that_did_not_succeed_is_a_failure_that_names_the_run(
        self, backfills: Backfills, event: Any, state: str
    ) -> None:
        backfills.states[RUN_ID] = state

        with pytest.raises(HealingFailedError, match=rf"Run {RUN_ID[:10]}.* is {state}"):
            operator().execute_complete(context(), event)

    @pytest.mark.usefixtures("backfills")
    def test_a_backfill_that_is_gone_is_a_failure_that_says_so(self, event: Any) -> None:
        with pytest.raises(HealingFailedError, match=rf"Run {RUN_ID[:10]}.* is gone: somebody deleted it"):
            operator().execute_complete(context(), event)

    def test_a_success_is_one(self, backfills: Backfills, event: Any) -> None:
        backfills.states[RUN_ID] = "success"

        operator().execute_complete(context(), event)
