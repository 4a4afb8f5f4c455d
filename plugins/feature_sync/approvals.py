"""Asks a person before a run goes on, and keeps what was asked and answered in the run's files."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowSkipException

from feature_sync.run_files import read_json, run_files, write_json
from feature_sync.settings import load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class RunApprovalOperator(ApprovalOperator):
    """
    Asks in Airflow's UI ("Required actions"), unless there is nothing to ask; then it is skipped and says so.

    Who may answer, and how long an answer is waited for, are the settings ``approval_users`` and ``approval_limit_seconds``. A
    rejection fails the task, and so does silence. ``approvals.json`` in the run's folder keeps each answer.

    :param question: what is to be approved, in Markdown, or nothing (templated).
    :param not_needed: what the log says when there is nothing to ask.
    """

    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, "question")

    def __init__(self, *, question: Any, not_needed: str, **kwargs: Any) -> None:
        super().__init__(fail_on_reject=True, **kwargs)
        self.question = question
        self.not_needed = not_needed

    def execute(self, context: "Context") -> None:
        """:raises AirflowSkipException: there is nothing to ask."""
        if not self.question:
            raise AirflowSkipException(self.not_needed)
        settings = load_settings()
        self.body = self.question
        self.assigned_users = [{"id": user, "name": user} for user in settings.approval_users] or None
        self.response_timeout = timedelta(seconds=settings.approval_limit_seconds)
        super().execute(context)

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> Any:
        """
        Keep the answer, then go on or fail.

        :raises HITLRejectException: the answer was no.
        :raises HITLTimeoutError: nobody answered in time.
        """
        self._keep(context["ti"].run_id, event)
        super().execute_complete(context, event)
        return {"approved_by": _name(event.get("responded_by_user"))}

    def _keep(self, run_id: str, event: Mapping[str, Any]) -> None:
        files = run_files(load_settings(), run_id)
        answers = read_json(files.approvals)["approvals"] if files.approvals.exists() else []
        answer = "nobody answered in time" if "error" in event else ", ".join(event["chosen_options"])
        at = event.get("responded_at")
        entry = {
            "task": self.task_id,
            "subject": self.subject,
            "question": self.question,
            "answer": answer,
            "by": _name(event.get("responded_by_user")),
            "at": (at or datetime.now(UTC)).isoformat(),
        }
        self.log.info("%s: %s by %s", self.subject, answer, entry["by"])
        write_json(files.approvals, {"approvals": [*answers, entry]})


def _name(user: Any) -> str | None:
    return (user.get("name") or user.get("id")) if isinstance(user, Mapping) else None
