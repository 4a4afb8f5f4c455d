"""The result of a run's probes: which batch size Salesforce's governor limits allow, and the size of the remaining batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_sync.sending.batches import Attempt, AttemptStatus


class ProbeError(RuntimeError):
    """Even the smallest probe is too large."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """
    Probe number ``over_limit`` exceeded a limit in its ``attempt``, so the rest is sent in batches of ``batch_size``.

    ``batch_size``: the size of the largest probe before it that worked.
    """

    over_limit: int
    attempt: int
    batch_size: int
    reason: str


def find_fallback(sizes: Sequence[int], attempts: Mapping[int, Attempt]) -> Fallback | None:
    """
    Decide whether the run has to fall back to smaller batches, and to which size.

    If Salesforce accepted some rows of a probe, the probe was within the limits, even if other rows were rejected for other
    reasons.

    :param sizes: sizes of the probes, in their order. Their batches are numbered from 1.
    :param attempts: the last attempt at each batch, by number.
    :returns: None if no probe exceeded a limit.
    :raises ProbeError: the first probe that was judged exceeded one, so no size has worked.
    """
    passed = None
    for number, size in enumerate(sizes, start=1):
        attempt = attempts.get(number)
        if attempt is None:
            continue
        if attempt.status is AttemptStatus.OVER_LIMIT:
            if passed is None:
                raise ProbeError(
                    f"Even the first probe, {size} records, exceeds a limit of Salesforce: {attempt.reason} Start a run with a "
                    "smaller batch_size."
                )
            return Fallback(number, attempt.number, passed, attempt.reason or "")
        if attempt.status.is_success or (attempt.records_rejected is not None and attempt.records_rejected < attempt.records):
            passed = size
    return None


def probe_report(
    sizes: Sequence[int], attempts: Mapping[int, Attempt], fallback: Fallback | None, batches: int
) -> dict[str, Any]:
    """
    The sizes that were tried and what happened, for ``probe.json``.

    :param batches: number of batches for the rest.
    """
    tried = []
    for number, size in enumerate(sizes, start=1):
        attempt = attempts.get(number)
        outcome = {
            "outcome": attempt.status.value if attempt else "not tried",
            "sync_run_id": attempt and attempt.sync_run_id,
            "reason": attempt and attempt.reason,
        }
        tried.append({"batch": number, "records": size, **outcome})
    return {
        "tried": tried,
        "fell_back_to": fallback and fallback.batch_size,
        "why": fallback and f"{sizes[fallback.over_limit - 1]} records at once: {fallback.reason}",
        "batches_after": batches,
    }
