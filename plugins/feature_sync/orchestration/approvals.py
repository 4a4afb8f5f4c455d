"""
Asks a person before a run continues.

Airflow keeps what was asked and answered as long as it keeps the run. The warehouse and the run's files keep it for people.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # Airflow's stub lacks it
from airflow.triggers.base import TriggerEvent

from feature_sync.config.settings import load_settings
from feature_sync.orchestration.dag_runs import ask_person, generation_of, skip
from feature_sync.orchestration.deferral import SafeTrigger, class_path
from feature_sync.storage.evidence import Answer, record_answer
from feature_sync.storage.run_files import read_json, run_files, write_json
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse

if TYPE_CHECKING:
    from airflow.sdk import Context

ASKED = "asked"
"""
The key in Airflow's state store of the questions that a task has asked, oldest first.

It outlives a try, and every worker sees it, unlike a file on a worker's disk.
"""

RETRY_DELAY = timedelta(seconds=5)
"""A retry only picks up the answer, or continues to wait for it, so it need not give anything time."""


class QuestionChangedError(RuntimeError):
    """A cleared task would ask a new question, but Airflow continues to show the first one."""


class RunApprovalOperator(ApprovalOperator):
    """
    Asks a question in Airflow's UI ("Required actions"). If there is nothing to ask, it is skipped and says so.

    The setting ``approval_users`` says who may answer, ``approval_limit_seconds`` how long the task waits. A rejection fails the
    task, and so does silence. ``approvals.json`` in the run's folder and the approval table in the warehouse show each question
    and its answer. Nothing depends on what they hold, but a run goes on only after the answer is in the table.

    The task waits in the triggerer instead of being parked as ``awaiting_input``, because Airflow 3.3.2 loses an answer that
    comes at a bad moment. It never reads an answer that is given while the task is being parked (on SQLite, which locks no rows).
    And it fails a task that is answered before the executor has reported the end of its first leg; the task would then ask again.
    The trigger looks for the stored answer.

    :param question: what is to be approved, in Markdown, or None (templated).
    :param not_needed: what the log says when there is nothing to ask.
    :param before_asking: called with the run's id before a question is asked, also before it is asked again after a clear.
    :param on_approval: called with the run's id after a yes.
    """

    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, "question")

    def __init__(
        self,
        *,
        question: Any,
        not_needed: str,
        before_asking: Callable[[str], None] | None = None,
        on_approval: Callable[[str], None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fail_on_reject=True, retry_delay=RETRY_DELAY, **kwargs)
        self.question = question
        self.not_needed = not_needed
        self.before_asking = before_asking
        self.on_approval = on_approval

    def execute(self, context: "Context") -> dict[str, Any] | None:
        """
        Ask. If an earlier try has asked already, use its answer or continue to wait for it.

        :returns: who approved, if an earlier try had the answer but failed before Airflow knew that it had ended.
        :raises AirflowSkipException: there is nothing to ask.
        :raises QuestionChangedError: the task was cleared, and the numbers have changed since.
        """
        if not self.question:
            skip(context, self.not_needed)
        settings = load_settings()
        ti = context["ti"]
        entries = self._entries(context)
        if any(entry["question"] != _digest(self.question) for entry in entries):
            self._refuse_other_numbers()
        self.body = self.question
        self.response_timeout = timedelta(seconds=settings.approval_limit_seconds)
        generation = generation_of(ti, self.retries)
        asked = entries[-1] if entries and entries[-1]["series"] == generation else None
        if asked and asked["answer"] is not None:
            self.log.info("%s was answered in an earlier try: %s by %s", self.subject, asked["answer"], asked["by"])
            self._record(ti, asked)
            if asked["answer"] != self.APPROVE:
                raise HITLRejectException(f"{self.subject} {asked['answer']}")
            return self._approved(ti.run_id, asked["by"])
        if asked is None:
            if self.before_asking:
                self.before_asking(ti.run_id)
            shown = ask_person(ti.id, self.subject, self.question, self.options, settings.approval_users)
            if shown != self.question:
                self._refuse_other_numbers()
            self._keep(context, [*entries, _entry(generation, self.question)])
        self.defer(
            trigger=AnswerTrigger(
                ti_id=ti.id, options=self.options, params={}, timeout_datetime=datetime.now(UTC) + self.response_timeout
            ),
            method_name="execute_complete",
        )
        return None

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> Any:
        """
        Keep the answer, then continue or fail.

        :raises HITLRejectException: the answer was no.
        :raises HITLTimeoutError: nobody answered in time.
        """
        ti = context["ti"]
        by = event.get("responded_by_user") or {}
        answered = {
            "answer": "nobody answered in time" if "error" in event else ", ".join(event["chosen_options"]),
            "by": by.get("name") or by.get("id"),
            "at": (event.get("responded_at") or datetime.now(UTC)).isoformat(),
        }
        # A task that waits since before an upgrade has no entry.
        entries = self._entries(context) or [_entry(generation_of(ti, self.retries), self.question)]
        entry = {**entries[-1], **answered}
        self._keep(context, [*entries[:-1], entry])
        self.log.info("%s %s by %s", self.subject, answered["answer"], answered["by"])
        self._record(ti, entry)
        super().execute_complete(context, event)
        return self._approved(ti.run_id, answered["by"])

    def _approved(self, run_id: str, by: str | None) -> dict[str, Any]:
        if self.on_approval:
            self.on_approval(run_id)
        return {"approved_by": by}

    def _record(self, ti: Any, entry: Mapping[str, Any]) -> None:
        """:param entry: of an answered question."""
        answered_at = datetime.fromisoformat(entry["at"])
        keep_answer(
            Answer(
                run_id=ti.run_id,
                dag_id=ti.dag_id,
                task_id=self.task_id,
                question=self.question,
                # An entry of an earlier version does not say when it was asked.
                asked_at=datetime.fromisoformat(entry.get("asked_at") or entry["at"]),
                answer=entry["answer"],
                answered_by=entry["by"],
                answered_at=answered_at,
            )
        )

    def _refuse_other_numbers(self) -> None:
        # Airflow 3.3.2 (execution_api/routes/hitl.py, upsert_hitl_detail) keeps the text of the first try.
        raise QuestionChangedError(
            f"{self.task_id} has asked before in this run, and the numbers have changed since. Airflow would show the old "
            "ones. Start a new run."
        )

    def _entries(self, context: "Context") -> list[dict[str, Any]]:
        """The questions of this task in this run, by their digests, with their answers."""
        stored: Any = context["task_state_store"].get(ASKED)
        return list(stored or [])

    def _keep(self, context: "Context", entries: Sequence[Mapping[str, Any]]) -> None:
        context["task_state_store"].set(ASKED, [dict(entry) for entry in entries], retention=NEVER_EXPIRE)
        ti = context["ti"]
        file = run_files(load_settings(), ti.run_id, ti.dag_id).approvals
        # All questions of a task are the same text, otherwise it would have been refused.
        write_json(file, {**read_json(file), self.task_id: [{**entry, "question": self.question} for entry in entries]})


def keep_answer(answer: Answer) -> None:
    """Write an answer to the warehouse."""
    with Warehouse(load_settings()) as warehouse:
        prepare_tables(warehouse)  # a question may have waited while a version came that has more tables
        record_answer(warehouse, answer)


def _entry(generation: int, question: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"series": generation, "question": _digest(question), "asked_at": now, "answer": None, "by": None, "at": None}


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()


class AnswerTrigger(SafeTrigger, HITLTrigger):
    """Waits for the answer to a question."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return class_path(type(self)), HITLTrigger.serialize(self)[1]

    def events(self) -> AsyncIterator[TriggerEvent]:
        """Yield the answer, or that nobody gave one in time."""
        return HITLTrigger.run(self)
