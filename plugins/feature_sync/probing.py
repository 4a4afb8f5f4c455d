"""What the probes of a run say: which size passes Salesforce's governor limits, and in what size the rest goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_sync.outcome import AttemptStatus
from feature_sync.sync_log import Attempt


class ProbeError(RuntimeError):
    """Even the smallest probe is too large."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """
    Probe ``over_limit`` went over a limit in its ``attempt``; what is left goes in batches of ``batch_size``.

    ``batch_size``: that of the largest probe before it that passed.
    """

    over_limit: int
    attempt: int
    batch_size: int
    reason: str


def find_fallback(sizes: Sequence[int], attempts: Mapping[int, Attempt]) -> Fallback | None:
    """
    Say whether the run has to fall back to smaller batches, and to which.

    A probe of which Salesforce accepted some rows has passed the limits, even if others were rejected for reasons of their own.

    :param sizes: of the probes, in their order; their batches are numbered from 1.
    :param attempts: the last attempt at each batch, by number.
    :returns: nothing when no probe went over a limit.
    :raises ProbeError: none passed before one did.
    """
    passed = None
    for number, size in enumerate(sizes, start=1):
        attempt = attempts.get(number)
        if attempt is None:
            continue
        if attempt.status is AttemptStatus.OVER_LIMIT:
            if passed is None:
                raise ProbeError(
                    f"Even the first probe, {size} records, goes over a limit of Salesforce: {attempt.reason} Start a run with a "
                    "smaller batch_size."
                )
            return Fallback(number, attempt.number, passed, attempt.reason or "")
        if attempt.status is AttemptStatus.SUCCEEDED or (
            attempt.records_rejected is not None and attempt.records_rejected < attempt.records
        ):
            passed = size
    return None


def probe_report(
    sizes: Sequence[int], attempts: Mapping[int, Attempt], fallback: Fallback | None, batches: int
) -> dict[str, Any]:
    """
    What was tried and what came of it, for ``probe.json``.

    :param batches: how many batches the rest goes in.
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
