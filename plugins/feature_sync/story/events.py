"""What happened to a record, as text. Rows in, events out; nothing here asks anybody."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feature_sync.config.fields import FieldTable
from feature_sync.config.wording import before_and_after, state_of
from feature_sync.sending.batches import AttemptStatus
from feature_sync.sending.rejections import CHANGED_SINCE_FREEZE

Row = Mapping[str, Any]
UNSENT = {AttemptStatus.NOT_SENT: "Census started no run for it", AttemptStatus.HALTED: "it was held back"}
"""Why nothing left the warehouse in an attempt."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a record. Times are UTC."""

    at: datetime
    run_id: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}  {self.text}"


def events_of(attempts: Sequence[Row], read_backs: Sequence[Row], answers: Iterable[Row], fields: FieldTable) -> list[Event]:
    """
    Put in the order of time what the warehouse said, what was sent, what people answered and what Salesforce held.

    :param attempts: of ``story/select_attempts.sql``. :param read_backs: of ``story/select_read_backs.sql``.
    :param answers: of ``story/select_answers.sql``.
    """
    frozen = {row["run_id"]: row for row in attempts}
    events = [
        *(Event(row["frozen_at"], run_id, _frozen(row, fields)) for run_id, row in frozen.items()),
        *(_attempt(row) for row in attempts if row["attempt"] is not None),
        *(Event(row["answered_at"], row["run_id"], _answered(row)) for row in answers),
        *(Event(row["read_at"], row["run_id"], _read_back(row, attempts, fields)) for row in read_backs),
    ]
    return sorted(events, key=lambda event: event.at)


def answer_in_short(attempts: Sequence[Row], read_backs: Sequence[Row], fields: FieldTable) -> str:
    """Why the record shows what it shows, as far as our tables know: what reached it last, and what was seen of it last."""
    tried = [row for row in attempts if row["attempt"] is not None and row["status"] not in UNSENT and not _is_left_out(row)]
    if not tried:
        return "No run of ours has sent this record, so what it shows is not from us."
    last = max(tried, key=lambda row: row["opened_at"])
    told = f"Run {last['run_id']} was the last to send it: {_outcome(last)}"
    seen = max(read_backs, key=lambda row: row["read_at"], default=None)
    if seen is None or seen["read_at"] < (last["run_ended_at"] or last["opened_at"]):
        return f"{told}. Nobody has asked Salesforce itself since."
    held = "it held what was sent" if not _differing(seen, last, fields) else "it held something else, see above"
    return f"{told}. When Salesforce itself was asked last, {held}."


_FROZE = {
    True: "was to restore the values from before another run.",
    False: "froze the warehouse's values.",
    None: "froze these values.",  # of a version that did not note whether it was an undo
}


def _frozen(row: Row, fields: FieldTable) -> str:
    changed = [
        product for product in fields.products if any(row[f"before_{each.column}"] != row[each.column] for each in product.fields)
    ]
    changes = "; ".join(f"{product.label} {before_and_after(product, row)}" for product in changed)
    same = "; ".join(f"{product.label} {state_of(product, row)}" for product in fields.products if product not in changed)
    sentences = [
        f"Run {row['run_id']} {_FROZE[row['is_undo']]}",
        f"Salesforce held → to be sent: {changes}." if changes else "Salesforce held the same values.",
    ]
    if same:
        sentences.append(f"The same on both sides: {same}.")
    if row["released_at"] is None and row["attempt"] is None:
        sentences.append("They were not released, so nothing was sent.")
    return " ".join(sentences)


def _attempt(row: Row) -> Event:
    label = f"batch {row['batch_number']:03d}, attempt {row['attempt']}"
    if row["status"] in UNSENT:
        return Event(
            row["opened_at"], row["run_id"], f"Nothing was sent of {label}: {UNSENT[row['status']]} (run {row['run_id']})."
        )
    if _is_left_out(row):
        return Event(row["opened_at"], row["run_id"], f"Left out of {label} (run {row['run_id']}): {row['rejection']}.")
    run = f", Census run {row['sync_run_id']}" if row["sync_run_id"] else ""
    return Event(row["run_started_at"] or row["opened_at"], row["run_id"], f"Sent in {label}{run}: {_outcome(row)}.")


def _is_left_out(row: Row) -> bool:
    """Whether the attempt did not send the record, because somebody had changed it since it was frozen."""
    return bool(row["is_rejected"]) and str(row["rejection"]).startswith(CHANGED_SINCE_FREEZE)


def _outcome(row: Row) -> str:
    if row["is_rejected"]:
        return f"rejected: {row['rejection']}"
    if row["status"] == AttemptStatus.SENDING:
        return "what became of it is not known yet"
    return "accepted by Census" if row["was_accepted"] else "what became of it is not known"


def _answered(row: Row) -> str:
    by = f", by {row['answered_by']}" if row["answered_by"] else ""
    why = f" Reason: {row['reason']}." if row["reason"] else ""
    starter = f", started by {row['started_by']}" if row["started_by"] else ""
    return f"{row['task_id']}: {row['answer']}{by} (run {row['run_id']}{starter}).{why}"


def _read_back(row: Row, attempts: Sequence[Row], fields: FieldTable) -> str:
    sent = [each for each in attempts if each["run_id"] == row["run_id"]]
    asked = f"Salesforce itself was asked ({row['purpose']}, run {row['run_id']})"
    name = row["modified_by"] or "a user whose name Salesforce does not show"
    by = f"last changed by {name} at {row['modified_at']:%Y-%m-%d %H:%M:%S}"
    differing = _differing(row, sent[-1], fields) if sent else [f"{each.label} {state_of(each, row)}" for each in fields.products]
    return f"{asked}: it held {'; '.join(differing) if differing else 'what the run sent'}, {by}."


def _differing(seen: Row, sent: Row, fields: FieldTable) -> list[str]:
    """The products of which Salesforce held something else than a run was to send. What nobody could read is no difference."""
    unreadable = set((seen["unreadable"] or "").split(","))
    found = []
    for product in fields.products:
        columns = [each.column for each in product.fields if each.column not in unreadable]
        if any(seen[column] != sent[column] for column in columns):
            held, wanted = state_of(product, seen), state_of(product, sent)
            found.append(f"{product.label} {held}{f' instead of {wanted}' if held != wanted else ', but another day'}")
    return found
