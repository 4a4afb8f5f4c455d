"""
How long Airflow's API server takes for the page of a run, by its number of batches.

``python -m benchmarks.page 26 1000`` starts an API server of its own with such runs in its database and asks it seven times each.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from feature_sync.config.names import BACKFILL_DAG_ID
from tests.wire.page.airflow import READER, ApiServer, large_run

ROUNDS = 7


def main() -> int:
    """Print for each number of batches the median, the least and the most, in milliseconds."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("batches", type=int, nargs="+")
    chosen = parser.parse_args()
    server = ApiServer(Path(tempfile.mkdtemp(prefix="page-")))
    try:
        server.start()
        token = server.token(READER)
        for batches in chosen.batches:
            server.insert(large_run(f"manual__{batches}", batches))
            taken = []
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                answer = server.get("/api/run", token=token, dag_id=BACKFILL_DAG_ID, run_id=f"manual__{batches}")
                taken.append(1000 * (time.perf_counter() - begun))
                if len(answer.json()["batches"]) != batches:
                    raise RuntimeError(f"The page has {len(answer.json()['batches'])} batches")
            sys.stdout.write(
                f"{batches:,} batches: median {statistics.median(taken):.0f} ms, {min(taken):.0f} to {max(taken):.0f} ms, "
                f"{len(answer.content) / 1024:.0f} kB\n"
            )
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
