"""Asks a person before a run goes on, and keeps what was asked and answered in the run's files."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk import ObjectStoragePath
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.triggers.base import TriggerEvent

from feature_sync.census.triggers import LEAST_DEFERRAL
from feature_sync.dag_runs import series_of, skip
from feature_sync.run_files import read_json, run_files, write_json
from feature_sync.settings import load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

RETRY_DELAY = timedelta(seconds=5)
"""Nothing has to be given time: a retry only takes up the answer that there is, or goes on waiting for it."""


class QuestionChangedError(RuntimeError):
    """A cleared task would ask something else, but Airflow goes on showing what was asked first."""


class RunApprovalOperator(ApprovalOperator):
    """
    Asks in Airflow's UI ("Required actions"), unless there is nothing to ask; then it is skipped and says so.

    Who may answer, and how long an answer is waited for, are the settings ``approval_users`` and ``approval_limit_seconds``. A
    rejection fails the task, and so does silence. ``approvals.json`` in the run's folder keeps each question and its answer.

    It waits in the triggerer, not parked as ``awaiting_input``, because Airflow 3.3.2 loses an answer that comes at a bad moment:
    one given while the task is being parked is never looked at (on SQLite, which locks no rows); a task that is answered before
    the executor has reported the end of its first leg is failed, then would ask again. The trigger looks for the stored answer.

    :param question: what is to be approved, in Markdown, or nothing (templated).
    :param not_needed: what the log says when there is nothing to ask.
    :param on_approval: called with the run's id when the answer was yes.
    """

    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, "question")

    def __init__(
        self, *, question: Any, not_needed: str, on_approval: Callable[[str], None] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(fail_on_reject=True, retry_delay=RETRY_DELAY, **kwargs)
        self.question = question
        self.not_needed = not_needed
        self.on_approval = on_approval

    def execute(self, context: "Context") -> dict[str, Any] | None:
        """
        Ask, or when a former try has asked already, take up the answer.

        :returns: who approved, when a former try had the answer but was failed before Airflow knew of its end.
        :raises AirflowSkipException: there is nothing to ask.
        :raises QuestionChangedError: the task was cleared and the numbers are others now.
        """
        if not self.question:
            skip(self.not_needed)
        settings = load_settings()
        ti = context["ti"]
        file = _approvals_file(ti)
        entries = self._entries(file)
        if any(entry["question"] != self.question for entry in entries):
            # Airflow 3.3.2 (execution_api/routes/hitl.py, upsert_hitl_detail) keeps the text of the first try.
            raise QuestionChangedError(
                f"{self.task_id} has asked before in this run, and the numbers have changed since; Airflow would show the old "
                "ones. Start a new run."
            )
        self.body = self.question
        self.assigned_users = [{"id": user, "name": user} for user in settings.approval_users] or None
        self.response_timeout = timedelta(seconds=settings.approval_limit_seconds)
        series = series_of(ti, self.retries)
        asked = entries[-1] if entries and entries[-1]["series"] == series else None
        if asked and asked["answer"] is not None:
            self.log.info("%s was answered in a former try: %s by %s", self.subject, asked["answer"], asked["by"])
            if asked["answer"] != self.APPROVE:
                raise HITLRejectException(f"{self.subject} {asked['answer']}")
            return self._approved(ti.run_id, asked["by"])
        if asked is None:
            try:
                super().execute(context)  # writes the question, then would park the task
            except TaskAwaitingInput:
                self._keep(file, [*entries, {"series": series, "question": self.question, "answer": None}])
        self.defer(
            trigger=AnswerTrigger(
                ti_id=ti.id, options=self.options, params={}, timeout_datetime=datetime.now(UTC) + self.response_timeout
            ),
            method_name="execute_complete",
        )
        return None

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> Any:
        """
        Keep the answer, then go on or fail.

        :raises HITLRejectException: the answer was no.
        :raises HITLTimeoutError: nobody answered in time.
        """
        ti = context["ti"]
        file = _approvals_file(ti)
        by = event.get("responded_by_user") or {}
        answered = {
            "answer": "nobody answered in time" if "error" in event else ", ".join(event["chosen_options"]),
            "by": by.get("name") or by.get("id"),
            "at": (event.get("responded_at") or datetime.now(UTC)).isoformat(),
        }
        entries = self._entries(file)
        self._keep(file, [*entries[:-1], {**entries[-1], **answered}])
        self.log.info("%s %s by %s", self.subject, answered["answer"], answered["by"])
        super().execute_complete(context, event)
        return self._approved(ti.run_id, answered["by"])

    def _approved(self, run_id: str, by: str | None) -> dict[str, Any]:
        if self.on_approval:
            self.on_approval(run_id)
        return {"approved_by": by}

    def _entries(self, file: ObjectStoragePath) -> list[dict[str, Any]]:
        """What this task has asked in this run, and the answers."""
        return list(_read(file).get(self.task_id, []))

    def _keep(self, file: ObjectStoragePath, entries: Sequence[Mapping[str, Any]]) -> None:
        write_json(file, {**_read(file), self.task_id: list(entries)})


def _approvals_file(ti: Any) -> ObjectStoragePath:
    return run_files(load_settings(), ti.run_id, ti.dag_id).approvals


def _read(file: ObjectStoragePath) -> dict[str, Any]:
    return read_json(file) if file.exists() else {}


class AnswerTrigger(HITLTrigger):
    """Waits for the answer to a question; see `LEAST_DEFERRAL` for why it never fires at once."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.AnswerTrigger", super().serialize()[1]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the answer, or that nobody gave one in time."""
        await asyncio.sleep(LEAST_DEFERRAL)
        async for event in super().run():
            yield event
