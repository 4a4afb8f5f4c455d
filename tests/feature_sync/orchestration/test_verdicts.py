"""What the listener reads in Airflow's tables, and that it never leaves a run green because of an error of its own."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from airflow.callbacks.callback_requests import DagRunContext
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dagrun import DagRun, DagRunNote
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskmap import TaskMap
from airflow.models.xcom import XComModel
from airflow.utils.sqlalchemy import prohibit_commit
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync_plugin import Verdicts

START = datetime(2025, 11, 21, 12, tzinfo=UTC)
RUN_ID = "manual__1"


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


class Run:
    """A run in tables like Airflow's, which has just become green."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.dag_run = DagRun(dag_id=BACKFILL_DAG_ID, run_id=RUN_ID, run_type=DagRunType.MANUAL, state=DagRunState.RUNNING)
        session.add(self.dag_run)
        session.flush()

    def task(
        self,
        task_id: str,
        began: float | None,
        state: str = "success",
        *,
        index: int = -1,
        try_id: UUID | None = None,
        noted: tuple[str, ...] = ("began", "ended"),
        result: bool = True,
    ) -> None:
        """A task; ``noted`` by its try ``try_id``, or else by its current one."""
        current = uuid4()
        self._insert(
            TaskInstance,
            id=current,
            task_id=task_id,
            map_index=index,
            state=state,
            queued_dttm=None if began is None else at(began - 0.1),
            start_date=None if began is None else at(began),
            end_date=None if began is None else at(began + 1),
            max_tries=3,
            pool="default_pool",
            pool_slots=1,
        )
        keys = [f"{kind}_{try_id or current}" for kind in noted]
        for number, key in enumerate([*keys, *(["return_value"] if result else [])]):
            self._insert(
                XComModel,
                dag_run_id=self.dag_run.id,
                task_id=task_id,
                map_index=index,
                key=key,
                timestamp=at((began or 0) + number),
            )

    def planned(self, task_id: str, length: int) -> None:
        self._insert(TaskMap, task_id=task_id, map_index=-1, length=length)

    def found(self, task_id: str, key: str, **value: Any) -> None:
        self._insert(
            XComModel,
            dag_run_id=self.dag_run.id,
            task_id=task_id,
            map_index=-1,
            key=key,
            value=json.dumps(value),
            timestamp=at(9),
        )

    def becomes_red(self) -> str:
        """The note that the listener leaves."""
        self.dag_run.set_state(DagRunState.FAILED)
        with prohibit_commit(self.session) as guard:
            Verdicts().on_dag_run_failed(dag_run=self.dag_run, msg="")
            guard.commit()
        return self.dag_run.note or ""

    def becomes_green(self) -> tuple[str, str]:
        """The state and the note that the listener leaves. The transaction must still be good for more."""
        self.dag_run.set_state(DagRunState.SUCCESS)
        with prohibit_commit(self.session) as guard:  # as in the scheduler's loop
            Verdicts().on_dag_run_success(dag_run=self.dag_run, msg="")
            guard.commit()
        return str(self.dag_run.state), self.dag_run.note or ""

    def _insert(self, model: Any, **values: Any) -> None:
        self.session.execute(model.__table__.insert().values(dag_id=BACKFILL_DAG_ID, run_id=RUN_ID, **values))


@pytest.fixture(scope="module")
def tables() -> Any:
    import_all_models()
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    return engine


@pytest.fixture
def run(tables: Any) -> Iterator[Run]:
    with Session(tables, autoflush=False, expire_on_commit=False) as session:
        yield Run(session)
        session.rollback()
        for model in (DagRunNote, XComModel, TaskMap, TaskInstance, DagRun):
            session.execute(model.__table__.delete())
        session.commit()


def good(run: Run) -> None:
    run.task("plan_batches", 0)
    run.planned("plan_batches", 2)
    run.task("batch.send", 1, index=0)
    run.task("batch.send", 2, index=1)
    run.task("probe.send", None, "skipped", noted=(), result=False)


def test_a_run_whose_verdict_came_last_stays_green(run: Run) -> None:
    good(run)
    run.task("validate", 5)

    assert run.becomes_green() == ("success", "")


def test_a_result_of_an_earlier_try_is_no_verdict(run: Run) -> None:
    """The task was cleared, and marked as a success before it began: Airflow keeps its XComs and its dates."""
    good(run)
    run.task("validate", 5, try_id=uuid4())

    state, note = run.becomes_green()

    assert state == "failed"
    assert note.startswith("No verdict: validate did not succeed by itself")


def test_a_batch_that_was_sent_later_and_cleared_again_is_seen_by_what_its_earlier_try_noted(run: Run) -> None:
    good(run)
    run.task("batch.send", 8, "skipped", index=2, try_id=uuid4())
    run.task("validate", 5)

    state, note = run.becomes_green()

    assert state == "failed"
    assert "batch.send[2] ran after validate had begun" in note


def test_a_deleted_instance_is_missed(run: Run) -> None:
    good(run)
    run.task("validate", 5)
    run.planned("plan_probes", 1)

    assert "1 of the instances of probe.send were deleted" in run.becomes_green()[1]


def test_a_run_that_began_before_tasks_noted_anything_is_judged_by_its_results(run: Run) -> None:
    run.planned("plan_batches", 2)
    for index in range(2):
        run.task("batch.send", index, index=index, noted=())
    run.task("validate", 5)
    assert run.becomes_green() == ("success", "")


def test_without_notes_and_without_a_result_it_was_marked(run: Run) -> None:
    run.task("batch.send", 1, index=0, noted=(), result=False)
    run.task("validate", 5)

    assert run.becomes_green()[0] == "failed"


@pytest.mark.parametrize("conf", [{"dry_run": True}, {}, None])
def test_a_dry_run_needs_its_plan_alone(run: Run, conf: dict[str, Any] | None) -> None:
    run.dag_run.conf = conf
    run.task("plan_batches", 0)
    run.task("validate", 1, "skipped", noted=("ended",), result=False)

    assert run.becomes_green() == ("success", "")


def test_the_note_of_a_person_stays_and_ours_goes_when_the_run_has_its_verdict(run: Run) -> None:
    run.dag_run.note = ("Asked by Ada.", "ada")
    good(run)
    assert run.becomes_green()[1].startswith("Asked by Ada.\n\nNo verdict: validate has not come")

    run.task("validate", 5)
    assert run.becomes_green() == ("success", "Asked by Ada.")
    assert run.dag_run.dag_run_note.user_id == "ada"


def test_what_airflow_hands_to_the_alert_has_the_new_state_and_the_reason(run: Run) -> None:
    good(run)
    state, note = run.becomes_green()

    handed = DagRunContext(dag_run=run.dag_run).dag_run  # type: ignore[arg-type]

    assert handed is not None
    assert (handed.state, handed.note) == (state, note)


def test_if_the_tables_cannot_be_read_the_run_is_red_and_the_transaction_goes_on(run: Run) -> None:
    good(run)
    run.task("validate", 5)
    run.session.commit()
    run.session.execute(text("ALTER TABLE task_map RENAME TO task_map_of_another_airflow"))
    try:
        state, note = run.becomes_green()
    finally:
        run.session.execute(text("ALTER TABLE task_map_of_another_airflow RENAME TO task_map"))

    assert state == "failed"
    assert note.startswith("No verdict: how the tasks of this run ended cannot be read (OperationalError)")


class Broken(SimpleNamespace):
    """A run that is no object of the database: whatever is asked of it fails."""

    def set_state(self, state: DagRunState) -> None:
        self.state = state


def test_any_other_error_makes_it_red_too_and_does_not_reach_the_scheduler() -> None:
    dag_run = Broken(dag_id=BACKFILL_DAG_ID, run_id=RUN_ID, state=DagRunState.SUCCESS)

    Verdicts().on_dag_run_success(dag_run=dag_run, msg="")  # type: ignore[arg-type]

    assert dag_run.state == DagRunState.FAILED


def test_a_run_of_somebody_else_is_left_alone() -> None:
    dag_run = Broken(dag_id="somebody_elses", run_id=RUN_ID, state=DagRunState.SUCCESS)

    Verdicts().on_dag_run_success(dag_run=dag_run, msg="")  # type: ignore[arg-type]

    assert dag_run.state == DagRunState.SUCCESS


FOUND = {"properties_checked": 1_296, "properties_mismatched": 0, "records": {"sent": 1_296}}
LINE = "Verdict: 0 of 1,296 properties differ. 2 batches, 1,296 records sent."


def test_the_note_of_a_green_run_says_what_it_found_once(run: Run) -> None:
    run.dag_run.note = ("Asked by Ada.", "ada")
    good(run)
    run.task("validate", 5)
    run.found("validate", "found", **FOUND)

    assert run.becomes_green() == ("success", f"Asked by Ada.\n\n{LINE}")
    assert run.becomes_green() == ("success", f"Asked by Ada.\n\n{LINE}")


def test_the_note_of_a_red_run_says_what_it_found_too(run: Run) -> None:
    good(run)
    run.found("validate", "found", **FOUND | {"properties_mismatched": 3})

    assert run.becomes_red() == "Verdict: 3 of 1,296 properties differ. 2 batches, 1,296 records sent."


def test_a_run_without_a_verdict_keeps_the_reason_in_its_note(run: Run) -> None:
    good(run)
    run.found("validate", "found", **FOUND)
    state, note = run.becomes_green()

    assert (state, note.startswith("No verdict:")) == ("failed", True)
    assert run.becomes_red() == note


def test_a_dry_run_says_in_its_note_what_would_be_sent(run: Run) -> None:
    run.dag_run.conf = {"dry_run": True}
    run.task("plan_batches", 0)
    run.found("check_payload", "return_value", records=1_296)

    state, note = run.becomes_green()

    assert state == "success"
    assert note.startswith("Verdict: dry run, nothing was sent. 1,296 records would be sent; the log of check_payload")


def test_a_finding_that_cannot_be_read_leaves_the_run_as_it_is(run: Run) -> None:
    good(run)
    run.task("validate", 5)
    run.found("validate", "found", properties_checked=5)

    assert run.becomes_green() == ("success", "")
