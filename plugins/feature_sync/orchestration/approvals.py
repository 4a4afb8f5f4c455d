"""
Asks a person before a run continues.

Airflow keeps what was asked and answered as long as it keeps the run. The warehouse and the run's files keep it for people.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # Airflow's stub lacks it
from airflow.triggers.base import TriggerEvent

from feature_sync.config.settings import ReasonRule, load_settings
from feature_sync.orchestration import channel
from feature_sync.orchestration.dag_runs import ask_person, generation_of, skip, starter_of
from feature_sync.orchestration.deferral import SafeTrigger, class_path
from feature_sync.orchestration.questions import (
    ANSWERED,
    REASON,
    RULE,
    TIME,
    Question,
    due_stage,
    next_stage_at,
    reason_field,
    reason_of,
    reason_problem,
    starter_problem,
    utc,
)
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

SILENCE = "nobody answered in time"
"""What is kept as the answer if there was none."""

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

    People are told through the channel of the alerts: when it is asked, after half of the time and after nine tenths, and when
    somebody has approved. What they were told, and until when the task waits, is kept like the answer. So a retry neither tells
    them again nor gives more time. That a message cannot be sent changes nothing else.

    The task waits in the triggerer instead of being parked as ``awaiting_input``, because Airflow 3.3.2 loses an answer that
    comes at a bad moment. It never reads an answer that is given while the task is being parked (on SQLite, which locks no rows).
    And it fails a task that is answered before the executor has reported the end of its first leg; the task would then ask again.
    The trigger looks for the stored answer. It also ends at the time of the next reminder, as if the time were over; the task
    knows better, and waits again.

    :param subject: the question in one line, with its numbers (templated).
    :param question: what is to be approved, in Markdown, or None (templated). One paragraph begins with ``**Approve**``, one with
        ``**Reject**``.
    :param not_needed: what the log says when there is nothing to ask.
    :param urgent: what is at stake while nobody answers. Messages are a level louder then.
    :param outcome: called with the run's id when it is asked: what has happened before. It is no part of the question, which must
        stay the same when the task is cleared.
    :param approves: the numbers that the question is about, as JSON, if a later run relies on the approval (templated).
    :param before_asking: called with the run's id before a question is asked, also before it is asked again after a clear.
    :param on_approval: called with the run's id after a yes.
    """

    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, "question", "approves")

    def __init__(
        self,
        *,
        question: Any,
        not_needed: str,
        urgent: str = "",
        outcome: Callable[[str], str] | None = None,
        approves: str | None = None,
        before_asking: Callable[[str], None] | None = None,
        on_approval: Callable[[str], None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fail_on_reject=True, retry_delay=RETRY_DELAY, **kwargs)
        self.question = question
        self.not_needed = not_needed
        self.urgent = urgent
        self.outcome = outcome
        self.approves = approves
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
        ti = context["ti"]
        entries = self._entries(context)
        if any(entry["question"] != _digest(self.question) for entry in entries):
            self._refuse_other_numbers()
        self.body = self.question
        generation = generation_of(ti, self.retries)
        asked = entries[-1] if entries and entries[-1]["series"] == generation else None
        if asked and asked["answer"] is not None:
            self.log.info("%s was answered in an earlier try: %s by %s", self.subject, asked["answer"], asked["by"])
            return self._conclude(context, asked)
        if asked is None:
            if self.before_asking:
                self.before_asking(ti.run_id)
            asked = self._new_entry(context, generation)
            self._show(context, asked)
            self._keep(context, [*entries, asked])
        self._wait(context, asked)
        return None

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> Any:
        """
        Keep the answer, then continue or fail. Before the time is over, remind people and wait on.

        :raises HITLRejectException: the answer was no.
        :raises HITLTimeoutError: nobody answered in time.
        """
        # A task that waits since before an upgrade has no entry, or one without a deadline.
        entries = self._entries(context) or [_entry(generation_of(context["ti"], self.retries), self.question)]
        entry = entries[-1]
        is_silent = "error" in event
        if is_silent and entry.get("deadline") and datetime.now(UTC) < utc(entry["deadline"]):
            self._wait(context, entry)
        by = event.get("responded_by_user") or {}
        answered = {
            "answer": SILENCE if is_silent else ", ".join(event["chosen_options"]),
            "by": by.get("name") or by.get("id"),
            "at": (event.get("responded_at") or datetime.now(UTC)).isoformat(),
            "reason": reason_of(event.get("params_input")),
            "started_by": starter_of(context)[0],
        }
        if answered["answer"] == self.APPROVE and (why := self._why_not(context, entry, by, answered["reason"])):
            self._ask_again(context, entry, {**answered, "why_not": why})
        entry = {**entry, **answered}
        self._keep(context, [*entries[:-1], entry])
        self.log.info("%s %s by %s%s", self.subject, entry["answer"], entry["by"], _because(entry))
        return self._conclude(context, entry)

    def _conclude(self, context: "Context", entry: dict[str, Any]) -> dict[str, Any]:
        """Keep the answer in the warehouse, tell people, and continue or fail. :param entry: of an answered question."""
        ti = context["ti"]
        self._record(ti, entry)
        if entry["answer"] == SILENCE:
            raise HITLTimeoutError(f"Nobody answered in time: {self.subject} To ask again, clear this task with downstream.")
        if entry["answer"] != self.APPROVE:
            raise HITLRejectException(f"{entry['by'] or 'Somebody'} rejected: {self.subject}{_because(entry)}")
        self._tell(context, entry, ANSWERED)
        if self.on_approval:
            self.on_approval(ti.run_id)
        return {"approved_by": entry["by"]}

    def _wait(self, context: "Context", entry: dict[str, Any]) -> NoReturn:
        """Tell people if it is time to. Then wait for the answer, for the time to tell them again, or for the deadline."""
        asked_at, deadline = _times(entry)
        told = [one["stage"] for one in entry.get("told", ())]
        if channel.is_on() and (stage := due_stage(asked_at, deadline, told, datetime.now(UTC))):
            entry = self._tell(context, entry, stage)
        wake_at = next_stage_at(asked_at, deadline, datetime.now(UTC)) if channel.is_on() else None
        self.log.info("Waiting for an answer until %s: %s", f"{deadline:{TIME}}", self._link(context["ti"]))
        self.defer(
            trigger=AnswerTrigger(ti_id=context["ti"].id, options=self.options, params={}, timeout_datetime=wake_at or deadline),
            method_name="execute_complete",
        )

    def _tell(self, context: "Context", entry: dict[str, Any], stage: str) -> dict[str, Any]:
        """
        Send a message, and keep that it was sent. A stage that was told already is not told again.

        :returns: the entry as it is kept then.
        """
        told = entry.get("told", [])
        if any(one["stage"] == stage for one in told):
            return entry
        sent = False
        try:
            question = self._question(context, entry)
            message = question.answered_message(entry["by"], entry["reason"]) if stage == ANSWERED else question.message(stage)
            sent = channel.deliver(*message)
        except Exception:  # whatever it is, people are asked all the same
            self.log.exception("No message was sent")
        entry = {**entry, "told": [*told, {"stage": stage, "at": datetime.now(UTC).isoformat(), "sent": sent}]}
        self._keep(context, [*self._entries(context)[:-1], entry])
        return entry

    def _why_not(self, context: "Context", entry: Mapping[str, Any], by: Mapping[str, Any], reason: str | None) -> str | None:
        """Why an approval does not count, and how to go on, or None if it does."""
        settings = load_settings()
        question = self._question(context, entry)
        return starter_problem(question, by) or reason_problem(question.reason_rule, reason, settings)

    def _ask_again(self, context: "Context", entry: dict[str, Any], refused: Mapping[str, Any]) -> NoReturn:
        """Throw away an approval that does not count, say why, and wait on. The deadline stays."""
        self.log.warning("The approval by %s does not count: %s", refused["by"], refused["why_not"])
        self._show(context, entry)
        entry = {**entry, "refused": [*entry.get("refused", ()), dict(refused)]}
        self._keep(context, [*self._entries(context)[:-1], entry])
        try:
            why = f"The approval by {refused['by']} does not count. {refused['why_not']}"
            channel.deliver(*self._question(context, entry).refused_message(why))
        except Exception:
            self.log.exception("No message was sent")
        self._wait(context, entry)

    def _new_entry(self, context: "Context", generation: int) -> dict[str, Any]:
        settings = load_settings()
        entry = _entry(generation, self.question)
        limit = timedelta(seconds=settings.approval_limit_seconds)
        return {
            **entry,
            "deadline": (utc(entry["asked_at"]) + limit).isoformat(),
            "reason_rule": settings.approval_reason.value,
            "outcome": self.outcome(context["ti"].run_id) if self.outcome else "",
            "approves": self.approves,
            "told": [],
        }

    def _show(self, context: "Context", entry: Mapping[str, Any]) -> None:
        """
        Show the question, without an answer.

        :raises QuestionChangedError: Airflow would show another one, or without the field for the reason.
        """
        settings = load_settings()
        question = self._question(context, entry)
        form = reason_field(question.reason_rule, settings)
        ti = context["ti"]
        shown, fields = ask_person(ti.id, self.subject, question.body, self.options, settings.approval_users, form=form)
        if shown != self.question and not (shown or "").startswith(f"{self.question}{RULE}"):
            self._refuse_other_numbers()
        if form and REASON not in fields:
            raise QuestionChangedError(
                f"{self.task_id} has asked before in this run, when APPROVAL_REASON asked for none. Airflow would show the "
                "question without a field for it. Start a new run."
            )

    def _question(self, context: "Context", entry: Mapping[str, Any]) -> Question:
        ti = context["ti"]
        asked_at, deadline = _times(entry)
        started_by, starter_unknown = starter_of(context)
        return Question(
            subject=self.subject,
            text=self.question,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            started_by=started_by,
            starter_unknown=starter_unknown,
            asked_at=asked_at,
            deadline=deadline,
            outcome=entry.get("outcome", ""),
            urgent=self.urgent,
            # The form has the field if it was to have it when it was asked first.
            reason_rule=ReasonRule(entry.get("reason_rule", ReasonRule.NONE)),
            excludes_starter=load_settings().approval_excludes_starter,
            link=self._link(ti),
        )

    def _link(self, ti: Any) -> str:
        return channel.page("dags", ti.dag_id, "runs", ti.run_id, "tasks", self.task_id, "required_actions")

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
                reason=entry.get("reason"),
                started_by=entry.get("started_by"),
                approves=entry.get("approves"),
            )
        )

    def _refuse_other_numbers(self) -> NoReturn:
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
    """A question that nobody has answered. Times are UTC."""
    now = datetime.now(UTC).isoformat()
    return {
        "series": generation,
        "question": _digest(question),
        "asked_at": now,
        "answer": None,
        "by": None,
        "at": None,
        "reason": None,
    }


def _times(entry: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """When a question was asked, and when silence fails the run. An earlier version kept neither."""
    asked_at = utc(entry["asked_at"]) if entry.get("asked_at") else datetime.now(UTC)
    limit = timedelta(seconds=load_settings().approval_limit_seconds)
    return asked_at, utc(entry["deadline"]) if entry.get("deadline") else asked_at + limit


def _because(entry: Mapping[str, Any]) -> str:
    return f" ({entry['reason']})" if entry.get("reason") else ""


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()


class AnswerTrigger(SafeTrigger, HITLTrigger):
    """Waits for the answer to a question."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return class_path(type(self)), HITLTrigger.serialize(self)[1]

    def events(self) -> AsyncIterator[TriggerEvent]:
        """Yield the answer, or that nobody gave one in time."""
        return HITLTrigger.run(self)
