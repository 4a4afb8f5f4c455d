"""What waiting costs: plans of a few and of a thousand batches on a real Airflow beside the sandbox.

``python -m benchmarks.waiting 26 260 1000`` prints, for each number of batches:

- how long after the plan the first batch was sent,
- how many triggers of the run waited at once at most, and how many task instances had begun,
- requests to Census a minute, and the memory of the triggerer,
- the dead time: from the end of the prescribed wait to the arrival of the next trigger at Census,
- the worker-slot seconds of a batch: how long its tasks ran and were not deferred, sampled.

A run that is not through after ``--seconds`` is stopped. ``make bench`` compares the same with the vendor's provider.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

from benchmarks.peers import VENDOR
from laptop.stack import PROJECT, Stack
from sandbox.tokens import CENSUS_WORKSPACE_KEY

DAG_ID = "product_feature_backfill"
VENDOR_DAG_ID = "vendor_chain"
ORG_RECORDS = 10_000
INCIDENT_RECORDS = 1_296
WAITING = ("deferred",)
SAMPLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Waited:
    """
    What was seen of a run. Times in seconds.

    ``planned_at``: when the first batch could have been sent. ``slot_seconds``: of the run, from then on. ``megabytes``: the most
    that the triggerer held. ``wait_seconds``: the prescribed pause.
    """

    state: str
    planned_at: datetime
    journal: Sequence[Mapping[str, Any]]
    deferred: int
    begun: int
    megabytes: float
    slot_seconds: float
    wait_seconds: float

    @property
    def triggers(self) -> list[datetime]:
        return [at(entry) for entry in self.journal if entry["kind"] == "census.run.started"]

    @property
    def first_seconds(self) -> float:
        """From the plan to the first trigger. Infinite if there was none."""
        return (self.triggers[0] - self.planned_at).total_seconds() if self.triggers else inf

    @property
    def dead_times(self) -> list[float]:
        """From the end of each pause but the last to the next trigger, in ascending order."""
        ends = [at(entry) for entry in self.journal if entry["kind"] == "census.run.ended"]
        pairs = zip(ends, self.triggers[1:], strict=False)
        return sorted((later - end).total_seconds() - self.wait_seconds for end, later in pairs)

    @property
    def late(self) -> float:
        """The 95th percentile of the dead times."""
        return self.dead_times[min(len(self.dead_times) - 1, int(0.95 * len(self.dead_times)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("batches", type=int, nargs="+")
    parser.add_argument("--seconds", type=float, default=240, help="longest time of a run (default %(default)s)")
    parser.add_argument("--wait-seconds", type=int, default=12, help="the run's wait_seconds (default %(default)s)")
    parser.add_argument("--statement-seconds", type=float, default=0, help="what each statement takes (default: no delay)")
    arguments = parser.parse_args()
    with waiting_stack() as stack:
        for batches in arguments.batches:
            found = measure(stack, batches, arguments.wait_seconds, arguments.statement_seconds, arguments.seconds)
            report(batches, found)


@contextmanager
def waiting_stack(vendor_batches: int = 0, wait_seconds: int = 0) -> Iterator[Stack]:
    """
    A running stack.

    :param vendor_batches: how many batches the chain of the vendor's operators has. 0: it is not there.
    :param wait_seconds: the pause in that chain.
    """
    with tempfile.TemporaryDirectory() as folder:
        dags = Path(folder) / "dags"
        shutil.copytree(PROJECT / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
        environment = {"FEATURE_SYNC_OUTPUT_PATH": f"{folder}/output"}
        if vendor_batches:
            shutil.copy(PROJECT / "benchmarks" / "dags" / "vendor_chain.py", dags)
            environment |= {
                "PYTHONPATH": os.pathsep.join(filter(None, [str(VENDOR), os.environ.get("PYTHONPATH")])),
                "BENCHMARK_BATCHES": str(vendor_batches),
                "BENCHMARK_WAIT_SECONDS": str(wait_seconds),
            }
        with Stack(Path(folder) / "stack", environment=environment, dags_folder=dags) as stack:
            for dag_id in (DAG_ID, VENDOR_DAG_ID) if vendor_batches else (DAG_ID,):
                stack.airflow.wait_for_dag(dag_id)
                stack.airflow.unpause(dag_id)
            if vendor_batches:
                # The vendor's provider calls v1 of the API, which takes the key of the workspace and not a person's token.
                connection = {"connection_id": "census_vendor", "conn_type": "http", "host": stack.sandbox.url}
                stack.airflow.request("POST", "connections", json=connection | {"password": CENSUS_WORKSPACE_KEY})
            yield stack


def measure(stack: Stack, batches: int, wait_seconds: int, statement_seconds: float = 0, limit_seconds: float = 600) -> Waited:
    """Start a run of so many batches, and look at it until it ends or the time is over."""
    is_small = batches <= INCIDENT_RECORDS // 5
    conf = {
        "dry_run": False,
        "wait_seconds": wait_seconds,
        "batch_size": -(-(INCIDENT_RECORDS if is_small else ORG_RECORDS) // batches),
    }
    scope = (
        {"scope": "created_between", "created_from": "2025-11-21", "created_to": "2025-11-21"} if is_small else {"scope": "all"}
    )
    if statement_seconds:
        stack.sandbox.faults.add("warehouse", "slow", seconds=statement_seconds, times=1_000_000)
    try:
        return _observe(stack, DAG_ID, conf | scope, wait_seconds, limit_seconds)
    finally:
        stack.sandbox.faults.clear()


def measure_vendor(stack: Stack, wait_seconds: int) -> Waited:
    """Start the vendor's chain. The batch that it sends again and again is the one that our last run has staged."""
    return _observe(stack, VENDOR_DAG_ID, {}, wait_seconds, 600)


def _observe(stack: Stack, dag_id: str, conf: Mapping[str, Any], wait_seconds: float, limit_seconds: float) -> Waited:
    journal = stack.sandbox.journal()
    after = journal[-1]["seq"] if journal else 0
    run_id = stack.airflow.trigger(dag_id, conf)
    deferred, megabytes, slot_seconds = 0, 0.0, 0.0
    last = time.monotonic()
    end = last + limit_seconds
    state = "running"
    planned = None
    while time.monotonic() < end and state in ("queued", "running"):
        time.sleep(SAMPLE_SECONDS)
        # Only those that do something: to list a thousand that wait would take a core from the scheduler that is measured.
        active = stack.airflow.task_instances(dag_id, run_id, states=("running", *WAITING))
        now = time.monotonic()
        states = Counter(task.state for task in active)
        if not planned and dag_id == DAG_ID:
            task = stack.airflow.task_instance(dag_id, run_id, "plan_batches")
            planned = task if task.finished else None
        if planned or dag_id != DAG_ID:
            slot_seconds += states["running"] * (now - last)
        last = now
        deferred = max(deferred, sum(states[name] for name in WAITING))
        megabytes = max(megabytes, memory_of(stack, "triggerer"))
        state = stack.airflow.dag_run(dag_id, run_id).state
    tasks = stack.airflow.task_instances(dag_id, run_id)
    begun = sum(task.state not in (None, "scheduled") and task.task_id == "batch.wait_for_turn" for task in tasks)
    if state in ("queued", "running"):
        stack.airflow.request("PATCH", f"dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed"})
    first = min(task.start for task in tasks if task.start)
    planned_at = planned.end if planned and planned.end else first
    return Waited(state, planned_at, stack.sandbox.journal(after), deferred, begun, megabytes, slot_seconds, wait_seconds)


def memory_of(stack: Stack, name: str) -> float:
    """Resident memory of a component and its children, in MB."""
    session = stack.processes[name].session
    if session is None:
        return 0.0
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session.leader:
            total += int(fields[21]) * 4096
    return total / 1e6


def report(batches: int, found: Waited) -> None:
    triggers, journal = found.triggers, found.journal
    print(f"{batches} batches: {len(triggers)} sent, the run is {found.state}")
    if triggers:
        print(f"  first batch sent {found.first_seconds:.1f} s after the plan")
    print(f"  at most {found.deferred} triggers at once; {found.begun} sensors have begun")
    minutes = (at(journal[-1]) - found.planned_at).total_seconds() / 60
    requests = sum(entry["kind"] == "census.request" and at(entry) > found.planned_at for entry in journal)
    print(f"  {requests / minutes:.0f} requests to Census a minute; triggerer {found.megabytes:.0f} MB")
    dead = found.dead_times
    if len(dead) > 1:
        print(f"  dead time: median {statistics.median(dead):.2f} s, p95 {found.late:.2f} s, {dead[0]:.2f} to {dead[-1]:.2f} s")
        print(f"  worker-slot seconds a batch: {found.slot_seconds / len(triggers):.1f}")
    statements = Counter(
        first_words(entry["sql"])
        for entry in journal
        if entry["kind"] == "warehouse.statement" and triggers and triggers[0] < at(entry) < triggers[-1]
    )
    if len(triggers) > 1:
        print(f"  statements a batch: {sum(statements.values()) / (len(triggers) - 1):.1f}")
        for words, count in statements.most_common():
            print(f"    {count / (len(triggers) - 1):5.1f}  {words}")


def first_words(sql: str) -> str:
    lines = [line for line in sql.splitlines() if line.strip() and not line.startswith("--")]
    return " ".join(" ".join(lines).split()[:9])


def at(entry: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["at"]).astimezone(UTC)


if __name__ == "__main__":
    main()
