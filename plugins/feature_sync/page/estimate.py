"""How long a run will still take, from what its batches have taken so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from feature_sync.page.batches import BatchProgress, BatchState
from feature_sync.sending.pacing import SECONDS_PER_BATCH

RECENT = 10
"""So many of the last batches tell how long one takes, so that a slower hour shows soon."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    ``seconds_left``: until the last batch has ended. ``per_batch``: seconds from the end of a batch to the end of the next one.
    ``measured_over``: how many batches that was measured over; 0 if no batch has followed another yet.
    """

    seconds_left: float
    ends_at: datetime
    per_batch: float
    measured_over: int


def estimate_end(batches: Sequence[BatchProgress], now: datetime, wait_seconds: float) -> Estimate | None:
    """
    Estimate when the last batch will have ended.

    :param wait_seconds: the prescribed pause. Until two batches have ended, it and a usual batch are what is known.
    :returns: None if no batch is left.
    """
    left = sum(each.state in (BatchState.WAITING, BatchState.SENDING) for each in batches)
    if not left:
        return None
    # A batch that was held back took no time, and one that was sent again later says nothing about the pace.
    ends = sorted(each.ended_at for each in batches if each.ended_at and each.state is not BatchState.HELD_BACK)
    steps = [(later - earlier).total_seconds() for earlier, later in pairwise(ends[-RECENT - 1 :])]
    per_batch = median(steps) if steps else SECONDS_PER_BATCH + wait_seconds
    since_last = (now - ends[-1]).total_seconds() if ends else 0.0
    # No pause precedes the first batch.
    is_over = min(max(0.0, since_last), per_batch) if ends else wait_seconds
    seconds = max(0.0, left * per_batch - is_over)
    return Estimate(seconds, now + timedelta(seconds=seconds), per_batch, len(steps))
