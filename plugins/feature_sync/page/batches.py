"""What became of each batch of a run, from what Airflow knows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from feature_sync.orchestration.progress import OUTCOME, SENT, WAITS
from feature_sync.page.facts import RESULT, Instance, RunFacts
from feature_sync.sending.batches import AttemptStatus


class BatchState(StrEnum):
    """Where a batch is. The order is that of the legend."""

    ACCEPTED = "accepted"
    SENDING = "sending"
    WAITING = "waiting"
    REJECTED = "rejected"
    FAILED = "failed"
    HELD_BACK = "held back"


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """
    One batch of a run.

    ``rejected``: records that are not accepted, or None if nobody knows yet. ``reasons``: why, each with ``reason``, ``records``
    and ``keys``. ``moves_on``: its rejected records go into smaller batches, because it was a probe that was too large.
    ``was_tried``: a try before this one has ended, for example because somebody cleared the batch. Nobody knows what it wrote.
    """

    task_id: str
    map_index: int
    number: int
    label: str
    records: int
    state: BatchState
    reason: str = ""
    rejected: int | None = None
    census_run: int | None = None
    try_number: int = 0
    ended_at: datetime | None = None
    reasons: Sequence[Mapping[str, Any]] = ()
    moves_on: bool = False
    was_tried: bool = False

    @property
    def accepted(self) -> int:
        """Records that are accepted for sure."""
        if self.state is BatchState.ACCEPTED:
            return self.records
        return 0 if self.rejected is None else max(0, self.records - self.rejected)


UNTOLD = "Its log says why."
MARKED = "Somebody marked it as a success, so nobody knows what became of it."


def read_batches(run: RunFacts) -> list[BatchProgress]:
    """The batches of a run, in the order in which they are sent. Empty as long as none is planned."""
    found = []
    for task_id, plan_task_id in run.mapped.items():
        sends, turns = run.of(task_id), run.turns_of(task_id)
        for index, planned in enumerate(run.note_of(plan_task_id, RESULT) or []):
            notes = run.notes.get((task_id, index), {})
            state, reason = _state(sends.get(index), turns.get(index), notes, run_has_ended=run.has_ended)
            found.append(_progress(sends.get(index) or Instance(task_id, index, None), planned, notes, state, reason))
    return found


def _progress(
    send: Instance, planned: Mapping[str, Any], notes: Mapping[str, Any], state: BatchState, reason: str
) -> BatchProgress:
    # What an earlier try has left says nothing about a batch that waits to be sent again.
    is_known = state not in (BatchState.WAITING, BatchState.SENDING)
    outcome = (notes.get(OUTCOME) or {}) if is_known else {}
    sent = (notes.get(SENT) or notes.get(RESULT) or {}) if state is not BatchState.WAITING else {}
    return BatchProgress(
        task_id=send.task_id,
        map_index=send.map_index,
        number=planned["number"],
        label=planned["label"],
        records=planned["records"],
        state=state,
        reason=reason,
        rejected=0 if state is BatchState.ACCEPTED else outcome.get("rejected"),
        census_run=outcome.get("sync_run_id") or sent.get("sync_run_id"),
        try_number=send.try_number,
        ended_at=send.ended_at if is_known else None,
        reasons=outcome.get("reasons") or (),
        moves_on=outcome.get("status") == AttemptStatus.OVER_LIMIT,
        was_tried=send.tries_ended > (1 if send.state in ("success", "failed", "skipped") else 0),
    )


def _state(
    send: Instance | None, turn: Instance | None, notes: Mapping[str, Any], *, run_has_ended: bool
) -> tuple[BatchState, str]:
    """The state of a batch, and the reason if it is none that speaks for itself."""
    state = send.state if send else None
    outcome = notes.get(OUTCOME) or {}
    said = outcome.get("reason") or ""
    match state:
        case "success" | "failed":
            return _judged(state, outcome, said, has_result=RESULT in notes)
        case "skipped" | "upstream_failed" | "removed":
            return BatchState.HELD_BACK, f"It was not sent: its task is {state.replace('_', ' ')}."
        case "up_for_retry":
            return BatchState.SENDING, f"Airflow tries it again by itself. {said}".strip()
        case None | "scheduled":
            stopped = turn.state if turn and turn.state in ("failed", "skipped", "upstream_failed") else None
            if stopped or run_has_ended:
                why = f"its turn is {stopped.replace('_', ' ')}" if stopped else "the run ended before"
                return BatchState.HELD_BACK, f"It was not sent: {why}."
            return BatchState.WAITING, ""
        case _:
            return BatchState.SENDING, (notes.get(WAITS) or {}).get("reason", "")


def _judged(state: str, outcome: Mapping[str, Any], said: str, *, has_result: bool) -> tuple[BatchState, str]:
    match state, outcome.get("status"):
        case "success", AttemptStatus.OVER_LIMIT.value:
            return BatchState.REJECTED, said
        case "success", None if not has_result:  # a run of an earlier version has a result and no outcome
            return BatchState.FAILED, MARKED
        case "success", _:
            return BatchState.ACCEPTED, said
        case _, AttemptStatus.HALTED.value:
            return BatchState.HELD_BACK, said
    return (BatchState.REJECTED if outcome.get("rejected") else BatchState.FAILED), said or UNTOLD


@dataclass(frozen=True, slots=True)
class Sums:
    """
    The records of a run. ``unknown``: those of batches that failed, and nobody knows which of their rows were accepted.
    ``left``: those still to be sent, or sent and not judged yet.
    """

    records: int
    accepted: int
    rejected: int
    unknown: int
    left: int


def sum_records(batches: Iterable[BatchProgress], planned: int | None) -> Sums:
    """
    Add up the records of all batches.

    :param planned: how many records the run has, if it is known. Otherwise, the records of the batches.
    """
    every = list(batches)
    accepted = sum(each.accepted for each in every)
    rejected = sum(each.rejected or 0 for each in every if not each.moves_on)
    unknown = sum(each.records for each in every if each.state is BatchState.FAILED and each.rejected is None)
    records = planned if planned is not None else sum(each.records for each in every)
    return Sums(records, accepted, rejected, unknown, max(0, records - accepted - rejected - unknown))


def group_reasons(batches: Iterable[BatchProgress]) -> list[dict[str, Any]]:
    """Why records were not accepted: each reason once, the most frequent first, with examples and the batches."""
    groups: dict[str, dict[str, Any]] = {}
    for batch in batches:
        for reason in batch.reasons:
            group = groups.setdefault(reason["reason"], {"reason": reason["reason"], "records": 0, "keys": [], "batches": []})
            group["records"] += reason["records"]
            group["keys"] = [*group["keys"], *(key for key in reason["keys"] if key)][:MAX_EXAMPLES]
            group["batches"].append(batch.number)
    return sorted(groups.values(), key=lambda group: -group["records"])


MAX_EXAMPLES = 5
"""Keys that are shown of one reason."""
