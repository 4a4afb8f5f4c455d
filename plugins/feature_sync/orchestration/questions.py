"""How a question to a person is worded, who may answer it and with what, and when people are reminded of it."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from feature_sync.config.settings import AlertLevel, ReasonRule, Settings

ASKED = "asked"
HALF = "half"
NEARLY = "nine tenths"
ANSWERED = "answered"
STAGES: Mapping[str, float] = {ASKED: 0.0, HALF: 0.5, NEARLY: 0.9}
"""When people hear of a question: after which share of the time that they have."""
REASON = "reason"
"""The field of the form into which a person types why."""
MAX_REASON = 1000
"""Characters of a reason that are kept."""
RULE = "\n\n---\n\n"
"""Between a question and what is said of its run."""
TIME = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True, slots=True)
class Question:
    """
    A question that a task asks in a run.

    ``text``: in Markdown. One paragraph begins with ``**Approve**``, one with ``**Reject**``: what becomes of each answer.
    ``started_by``: the name of the person who started the run, or None if nobody did or nobody knows.
    ``starter_unknown``: a person has started it, but Airflow does not say who.
    ``deadline``: when silence fails the run. ``outcome``: what has happened before it was asked, or empty.
    ``urgent``: what is at stake while nobody answers, or empty. Messages about it are louder then.
    ``link``: where it is answered.
    """

    subject: str
    text: str
    dag_id: str
    run_id: str
    started_by: str | None
    starter_unknown: bool
    asked_at: datetime
    deadline: datetime
    outcome: str
    urgent: str
    reason_rule: ReasonRule
    excludes_starter: bool
    link: str

    @property
    def body(self) -> str:
        """What Airflow shows. It keeps the first body of a task for ever, so this says of which moment it is."""
        lines = [
            f"Run `{self.run_id}` of {self.dag_id}, {self._starter}.",
            self.outcome and f"When this was asked first: {self.outcome}",
            f"Asked first at {self.asked_at:{TIME}}. Answer until {self.deadline:{TIME}}: if nobody does, the run fails. "
            "If the task is cleared, that time begins again, and the task's log says until when.",
            *self._conditions,
        ]
        return f"{self.text}{RULE}" + "\n\n".join(line for line in lines if line)

    def message(self, stage: str) -> tuple[AlertLevel, str, str]:
        """
        What people are told while nobody has answered.

        :param stage: one of `STAGES`.
        :returns: level, title and text.
        """
        left = time_left(self.deadline - self.asked_at - (self.deadline - self.asked_at) * STAGES[stage])
        title = self.subject if stage == ASKED else f"Still not answered: {self.subject}"
        level = AlertLevel.FAILURE if stage == NEARLY else AlertLevel.WARNING
        lines = [
            *self._head,
            "",
            self.urgent,
            self.outcome,
            *effects_of(self.text),
            f"Answer until {self.deadline:{TIME}} ({left}). If nobody does, the run fails.",
            *self._conditions,
            "",
            f"Answer here: {self.link}",
        ]
        return level.louder if self.urgent else level, title, _join(lines)

    def answered_message(self, by: str | None, reason: str | None) -> tuple[AlertLevel, str, str]:
        """
        What people are told after a yes. A no fails the run, and that is reported as each failure is.

        :param by: who answered. :param reason: what that person typed, or None.
        """
        lines = [*self._head, "", f"{by or 'Somebody'} approved it.", reason and f"Reason: {reason}", "", f"Task: {self.link}"]
        return AlertLevel.INFO, f"Approved by {by or 'somebody'}: {self.subject}", _join(lines)

    def refused_message(self, why: str) -> tuple[AlertLevel, str, str]:
        """:param why: what is wrong with an approval, and how to go on."""
        lines = [*self._head, "", self.urgent, why, f"Answer until {self.deadline:{TIME}}.", "", f"Answer here: {self.link}"]
        level = AlertLevel.WARNING.louder if self.urgent else AlertLevel.WARNING
        return level, f"Asked again, the approval does not count: {self.subject}", _join(lines)

    @property
    def _head(self) -> list[str]:
        return [f"DAG: {self.dag_id}", f"Run: {self.run_id}", f"Started by: {self.started_by or _NOBODY[self.starter_unknown]}"]

    @property
    def _starter(self) -> str:
        return f"started by {self.started_by}" if self.started_by else _STARTED[self.starter_unknown]

    @property
    def _conditions(self) -> list[str]:
        found = []
        if self.reason_rule is not ReasonRule.NONE:
            what = "a ticket in its reason" if self.reason_rule is ReasonRule.TICKET else "a reason"
            found.append(f"An approval without {what} does not count.")
        if self.excludes_starter and self.started_by:
            found.append(f"{self.started_by} has started the run, so somebody else has to approve it.")
        return found


_NOBODY = {False: "no person", True: "a person whose name Airflow does not know"}
_STARTED = {False: "started by no person", True: "started by a person whose name Airflow does not know"}


def effects_of(text: str) -> list[str]:
    """What a question says will become of each answer, without Markdown."""
    lines = [" ".join(part.split()) for part in text.split("\n\n")]
    return [line.replace("**", "").replace("`", "") for line in lines if line.startswith(("**Approve**", "**Reject**"))]


def due_stage(asked_at: datetime, deadline: datetime, told: Collection[str], now: datetime) -> str | None:
    """The last stage whose time has come, unless people have heard of it. One that was missed is not made up for."""
    come = [stage for stage, share in STAGES.items() if asked_at + (deadline - asked_at) * share <= now]
    return come[-1] if come and come[-1] not in told else None


def next_stage_at(asked_at: datetime, deadline: datetime, now: datetime) -> datetime | None:
    """When people are to hear of it next, or None if they have heard for the last time."""
    times = [asked_at + (deadline - asked_at) * share for share in STAGES.values()]
    return min((at for at in times if at > now), default=None)


def reason_of(params_input: Mapping[str, Any] | None) -> str | None:
    """What a person has typed as the reason, in one line, or None."""
    typed = (params_input or {}).get(REASON)
    text = " ".join(typed.split()) if isinstance(typed, str) else ""
    return text[:MAX_REASON] or None


def reason_problem(rule: ReasonRule, reason: str | None, settings: Settings) -> str | None:
    """What is wrong with the reason of an approval, and how to go on."""
    if rule is ReasonRule.NONE:
        return None
    if reason is None:
        return "It has no reason (APPROVAL_REASON). Answer again, and say why in the field Reason."
    if rule is ReasonRule.TICKET and not re.search(settings.approval_ticket_pattern, reason):
        return (
            f"Its reason names no ticket of the form {settings.approval_ticket_pattern} (APPROVAL_REASON). Answer again, and "
            "name one in the field Reason."
        )
    return None


def starter_problem(question: Question, by: Mapping[str, Any]) -> str | None:
    """
    Why the person who answered may not approve, and how to go on. What is not known counts against it.

    :param by: ``id`` and ``name`` of who answered, as far as Airflow says.
    """
    if not question.excludes_starter:
        return None
    if question.starter_unknown:
        return (
            "A person has started this run, and Airflow does not know who, so nobody can say that it was somebody else "
            "(APPROVAL_EXCLUDES_STARTER). Reject it, and start a new run in Airflow's UI or over its API."
        )
    if question.started_by is None:
        return None
    names = {str(by[key]).casefold() for key in ("id", "name") if by.get(key)}
    if not names:
        return "Airflow does not say who answered (APPROVAL_EXCLUDES_STARTER). Answer again, logged in."
    if question.started_by.casefold() in names:
        return (
            f"{question.started_by} has started this run and may not approve it (APPROVAL_EXCLUDES_STARTER). Somebody else has "
            "to approve it. Anybody may reject it."
        )
    return None


def reason_field(rule: ReasonRule, settings: Settings) -> dict[str, Any]:
    """The field of Airflow's form for the reason, as Airflow stores it. Empty if none is asked for."""
    if rule is ReasonRule.NONE:
        return {}
    also = f" It has to name a ticket of the form {settings.approval_ticket_pattern}." if rule is ReasonRule.TICKET else ""
    text = f"Why do you approve or reject?{also} An approval without it does not count."
    return {REASON: {"value": "", "description": text, "schema": {"type": "string", "title": "Reason", "maxLength": MAX_REASON}}}


def time_left(time: timedelta) -> str:
    """How much time is left, in words: "12 h left", "45 min left", "30 s left"."""
    seconds = max(0, round(time.total_seconds()))
    hours, minutes = divmod(seconds // 60, 60)
    if hours:
        return f"{hours} h left" if not minutes else f"{hours} h {minutes} min left"
    return f"{minutes} min left" if minutes else f"{seconds} s left"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _join(lines: Sequence[str | None]) -> str:
    """Lines without those that say nothing, but with one empty line where there is one."""
    kept: list[str] = []
    for line in lines:
        if line or (line == "" and kept and kept[-1]):
            kept.append(line or "")
    return "\n".join(kept)
