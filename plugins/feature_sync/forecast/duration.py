"""How many batches and how much time a number of records takes.

The form, the preview, the questions, the watch and ``docs/scale.md`` all use it.
"""

import math
from dataclasses import dataclass

from feature_sync.config.run_config import MAX_BATCH_SIZE, Strategy
from feature_sync.salesforce.models import CALLS_PER_BATCH
from feature_sync.sending.pacing import SECONDS_PER_BATCH

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Forecast:
    """
    What sending some records takes, at most.

    ``runs``: DAG runs, because Airflow limits the batches of one. ``batches``: Census runs, over all of them. ``seconds``: from
    the first batch to the end of the last one, without tries that fail and without the time that people take to answer.
    ``api_calls``: calls of Salesforce's API, as the first task of a run assumes them: so many a batch, whatever its size.
    ``fits_flow``: whether the Flow takes batches of this size.
    """

    records: int
    runs: int
    batches: int
    seconds: int
    api_calls: int
    fits_flow: bool = True

    @property
    def days(self) -> float:
        return self.seconds / SECONDS_PER_DAY


def forecast(
    records: int,
    strategy: Strategy,
    batch_size: int,
    wait_seconds: int,
    *,
    seconds_per_batch: float = SECONDS_PER_BATCH,
    records_per_second: float | None = None,
    flow_limit: int | None = None,
    max_batches: int | None = None,
) -> Forecast:
    """
    Work out what sending takes. One batch is sent at a time, so more runs do not make it faster.

    :param seconds_per_batch: how long the Census run of a batch takes, whatever its size.
    :param records_per_second: how fast the records of a batch are written, on top of that. None: that is not known, and adds
        nothing. It matters for batches of thousands of records, which nobody has measured.
    :param flow_limit: the records that the Flow takes in one transaction; `MAX_BATCH_SIZE` if it is off. None: it is not known.
        Then ``probe`` is expected to fall back to ``batch_size``.
    :param max_batches: Airflow's ``[core] max_map_length``. None: everything is one run.
    :raises ValueError: the batch size is none that a run may have.
    """
    if not 1 <= batch_size <= MAX_BATCH_SIZE:
        raise ValueError(f"batch_size is {batch_size}; allowed is a whole number from 1 to {MAX_BATCH_SIZE}.")
    in_a_run = records if max_batches is None or strategy is Strategy.FULL else min(records, batch_size * max_batches)
    full_runs, rest = divmod(records, in_a_run) if records else (0, 0)
    batches = full_runs * _batches(strategy, in_a_run, batch_size, flow_limit) + _batches(strategy, rest, batch_size, flow_limit)
    largest = min(in_a_run, batch_size) if strategy is not Strategy.FULL else in_a_run
    writing = records / records_per_second if records_per_second else 0
    return Forecast(
        records=records,
        runs=full_runs + (1 if rest else 0),
        batches=batches,
        seconds=math.ceil(estimate_seconds(batches, wait_seconds, seconds_per_batch) + writing),
        api_calls=batches * CALLS_PER_BATCH,
        fits_flow=_fits(largest, flow_limit),
    )


def estimate_seconds(batches: int, wait_seconds: int, seconds_per_batch: float = SECONDS_PER_BATCH) -> float:
    """How long so many batches take, in seconds. No pause follows the last one."""
    return batches * seconds_per_batch + max(0, batches - 1) * wait_seconds


def count_batches(records: int, batch_size: int) -> int:
    """How many batches of at most ``batch_size`` hold ``records``."""
    return math.ceil(records / batch_size)


def most_batches(strategy: Strategy, records: int, batch_size: int) -> int:
    """How many batches a run can have at most: with ``probe`` that is if it falls back to ``batch_size``."""
    return min(1, records) if strategy is Strategy.FULL else count_batches(records, batch_size)


def _batches(strategy: Strategy, records: int, batch_size: int, flow_limit: int | None) -> int:
    """The batches of one run. With a known ``flow_limit``, ``probe`` falls back where its next batch exceeds it."""
    if strategy is not Strategy.PROBE or flow_limit is None:
        return most_batches(strategy, records, batch_size)
    sent, tried = 0, 0
    for size, worked in ((batch_size, batch_size), (2 * batch_size, batch_size), (records, 2 * batch_size)):
        probe = min(size, records - sent)
        if probe <= 0:
            break
        tried += 1
        if not _fits(probe, flow_limit):
            return tried + count_batches(records - sent, worked)
        sent += probe
    return tried


def _fits(batch: int, flow_limit: int | None) -> bool:
    """Whether the Flow takes a batch. Salesforce cuts a large one into transactions of `MAX_BATCH_SIZE` records."""
    return flow_limit is None or min(batch, MAX_BATCH_SIZE) <= flow_limit
