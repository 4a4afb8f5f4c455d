"""One line that says what happens now, and why it waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from feature_sync.config.green import NO_VERDICT
from feature_sync.config.wording import count_of
from feature_sync.orchestration.progress import OUTCOME, WAITS
from feature_sync.page.batches import BatchProgress, BatchState
from feature_sync.page.facts import Instance, RunFacts

ASKS, FAILED, WAITS_NOW, WORKS, GOOD = "asks", "failed", "waits", "works", "good"
"""Kinds of a line: a person is needed, the run failed, it waits, it works, it has ended well."""


@dataclass(frozen=True, slots=True)
class Headline:
    """``text``: what happens. ``why``: the reason, if it waits or has failed."""

    kind: str
    text: str
    why: str = ""


def headline(run: RunFacts, batches: Sequence[BatchProgress], wait_seconds: float) -> Headline:
    """
    Say what happens now. What needs a person comes first.

    :param wait_seconds: the prescribed pause after a batch.
    """
    if run.has_ended:
        return _ended(run)
    if run.is_paused:
        return Headline(ASKS, "The DAG is paused.", "Nothing goes on until somebody unpauses it. A batch at Census ends there.")
    if run.questions:
        question = min(run.questions, key=lambda each: each.asked_at)
        return Headline(ASKS, f"A question waits for an answer: {question.subject}", f"Asked at {_clock(question.asked_at)} UTC.")
    if run.state == "queued":
        return Headline(WAITS_NOW, "The run is queued.", "Airflow starts it when a run before it has ended, or has room for it.")
    return _sending(run, batches, wait_seconds) or _working(run)


def _ended(run: RunFacts) -> Headline:
    if run.state == "success":
        ended = "A dry run: nothing was sent." if run.is_dry_run else "The run has ended well."
        return Headline(GOOD, _found(run) or ended)
    if NO_VERDICT in run.note:
        return Headline(FAILED, "The run has no verdict.", run.note[run.note.index(NO_VERDICT) + len(NO_VERDICT) :].strip())
    failed = sorted(run.in_state("failed"), key=lambda each: each.ended_at or run.now)
    if not failed:
        return Headline(FAILED, "The run failed.", "No task of it is red. Its note, or the log of the scheduler, may say why.")
    sends = [each for each in failed if each.task_id in run.mapped]
    first = failed[0]
    others = f" and {count_of(len(failed) - 1, 'other task')}" if len(failed) > 1 else ""
    why = (run.note_of(first.task_id, OUTCOME, first.map_index) or {}).get("reason") or f"The log of {first.name} says why."
    text = f"{count_of(len(sends), 'batch')} failed." if sends else f"{first.name}{others} failed."
    return Headline(FAILED, f"{text} {_found(run)}".strip(), why)


def _found(run: RunFacts) -> str:
    return f"{run.found['result']}." if run.found else ""


def _sending(run: RunFacts, batches: Sequence[BatchProgress], wait_seconds: float) -> Headline | None:
    sending = [each for each in batches if each.state is BatchState.SENDING]
    waiting = [each for each in batches if each.state is BatchState.WAITING]
    if sending:
        batch = sending[0]
        through = f" by Census run {batch.census_run}" if batch.census_run else ""
        kind = WAITS_NOW if batch.reason else WORKS
        return Headline(kind, f"{batch.label}: is being sent{through}.", batch.reason)
    if not waiting:
        return None
    batch = waiting[0]
    turn = next((each for each in run.turns_of(batch.task_id).values() if each.is_busy), None)
    if turn is None:
        return None
    done = [each for each in batches if each.ended_at]
    before = max(done, key=lambda each: each.ended_at or run.now, default=None)
    if before is not None and before.ended_at is not None:
        over_at = before.ended_at + timedelta(seconds=wait_seconds)
        if over_at > run.now:
            why = f"The pause of {wait_seconds:.0f} s after batch {before.number:03d} is over at {_clock(over_at)} UTC."
            return Headline(WAITS_NOW, f"{batch.label}: waits for its turn.", why)
    noted = run.note_of(turn.task_id, WAITS, turn.map_index) or {}
    why = noted.get("reason") or "Census is asked whether a sync that writes the same object is active"
    return Headline(WAITS_NOW, f"{batch.label}: waits for its turn.", f"{why}.")


def _working(run: RunFacts) -> Headline:
    busy = sorted(run.in_state("running", "deferred", "awaiting_input", "up_for_retry", "queued"), key=_order)
    if not busy:
        return Headline(WORKS, "Airflow is about to start the next task.")
    first = busy[0]
    noted = run.note_of(first.task_id, WAITS, first.map_index) or {}
    reason = noted.get("reason", "")
    match first.state:
        case "deferred" | "awaiting_input":
            return Headline(WAITS_NOW, f"{first.name}: waits.", f"{reason}." if reason else "")
        case "up_for_retry":
            return Headline(
                WAITS_NOW, f"{first.name}: its last try failed.", "Airflow tries it again by itself. Its log says why."
            )
        case "queued":
            return Headline(WAITS_NOW, f"{first.name}: is queued.", "Airflow starts it when a worker is free.")
    return Headline(WORKS, f"{first.name}: is running since {_clock(first.started_at or run.now)} UTC.")


def _order(each: Instance) -> tuple[bool, str]:
    return each.state != "running", each.task_id


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}"
