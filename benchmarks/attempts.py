"""
What one batch costs beside many others: its statements, with few and with many attempts in the sync log.

``python -m benchmarks.attempts 20 2000 20000 200000``. The attempts are those of the run's other batches, and then those of
former runs, whose payloads are gone. A batch that costs the same beside all of them makes a run that takes twice as long with
twice as many batches, and not four times as long.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from benchmarks.large import LargeWorld, large_world

if TYPE_CHECKING:
    from feature_sync.storage.warehouse import Warehouse

RUN_ID = "attempts"
BATCH = 50
ROUNDS = 7
RUN_BATCHES = 20_000
"""Attempts of each former run."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attempts", type=int, nargs="+")
    parser.add_argument("--records", type=int, default=1_000_000, help="of the payload (default %(default)s)")
    arguments = parser.parse_args()
    with large_world(arguments.records) as world:
        for attempts, seconds in measure(world, sorted(arguments.attempts)):
            span = f"{min(seconds):.2f} to {max(seconds):.2f}"
            print(f"{attempts:,} attempts: {statistics.median(seconds):.2f} s ({span})", flush=True)
        world.hang_up()


def measure(world: LargeWorld, attempts: Sequence[int]) -> Iterator[tuple[int, list[float]]]:
    """
    For each number of attempts, the seconds that some batches of the run take.

    :param attempts: in ascending order.
    """
    from feature_sync.backfill import payload  # noqa: PLC0415 - the world has set the environment that it reads
    from feature_sync.config.settings import load_settings  # noqa: PLC0415
    from feature_sync.storage.tables import prepare_tables  # noqa: PLC0415
    from feature_sync.storage.warehouse import Warehouse  # noqa: PLC0415

    with Warehouse(load_settings()) as warehouse:
        prepare_tables(warehouse)
        records = payload.freeze_payload({"scope": "all"}, RUN_ID)["records"]
        payload.release_payload(RUN_ID)
        untried = iter(range(records // BATCH, 0, -1))
        tried_before = records // BATCH - (len(attempts) + 1) * ROUNDS
        there = 0
        for wanted in attempts:
            add_attempts(world, warehouse.settings.sync_log_table, range(there + 1, wanted + 1), tried_before)
            there = wanted
            seconds = []
            for number, _ in zip(untried, range(ROUNDS), strict=False):
                begun = time.perf_counter()
                _send(warehouse, number)
                seconds.append(time.perf_counter() - begun)
            yield wanted, seconds


def add_attempts(world: LargeWorld, table: str, numbers: range, of_this_run: int = 0, run_batches: int = RUN_BATCHES) -> None:
    """
    Add one accepted attempt for each number.

    :param of_this_run: the numbers up to it are batches of the run that is measured; the others of former runs.
    :param run_batches: how many batches a former run has.
    """
    values = {
        "run_id": f"CASE WHEN number <= {of_this_run} THEN '{RUN_ID}' "
        f"ELSE concat('former ', CAST(floor(number / {run_batches}) AS STRING)) END",
        "batch_number": f"CAST(CASE WHEN number <= {of_this_run} THEN number ELSE number % {run_batches} END AS INT)",
        "attempt": "1",
        "series": "0",
        "status": "'succeeded'",
        "sync_run_id": "number",
        "records": str(BATCH),
        "records_updated": str(BATCH),
        "records_failed": "0",
        "records_invalid": "0",
        "records_rejected": "0",
        "records_changed": "0",
        **dict.fromkeys(("opened_at", "run_started_at", "run_ended_at", "closed_at"), "current_timestamp() - INTERVAL '1' HOUR"),
    }
    world.sql(
        f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} "
        f"FROM (SELECT explode(sequence({numbers[0]}, {numbers[-1]})) AS number)"
    )


def _send(warehouse: "Warehouse", number: int) -> None:
    """The statements of a batch that goes well, as `feature_sync.sending.sender.BatchSender` asks them, without Census."""
    from feature_sync.sending.batches import Attempt, AttemptStatus  # noqa: PLC0415
    from feature_sync.sending.sync_log import SyncLog  # noqa: PLC0415

    log = SyncLog(warehouse)
    values: dict[str, str | int | None] = {"run_id": RUN_ID, "batch_number": number, "resends_attempt": None, "attempt": 1}
    log.attempts_to_judge(RUN_ID, number, 3, 0)
    records = len(warehouse.fetch_all("sending/check_batch", values))
    warehouse.execute("sending/stage_batch", values)
    attempt = log.record(Attempt(RUN_ID, number, 1, AttemptStatus.SENDING, previous_sync_run_id=1, records=records))
    staged = warehouse.fetch_one("sending/check_staged_batch", {"run_id": RUN_ID, "batch_number": number})
    if not staged["records"] == staged["records_of_batch"] == records == BATCH:
        raise RuntimeError(f"Batch {number} was not staged: {staged}")
    warehouse.fetch_all("sending/select_batch_keys", values)
    log.record(attempt)


if __name__ == "__main__":
    main()
