"""What waiting costs: plans of a few and of a thousand batches on a real Airflow beside the sandbox.

``python -m benchmarks.waiting 26 260 1000`` prints, for each number of batches:

- how long after the plan the first batch was sent,
- how many triggers of the run waited at once at most, and how many task instances had begun,
- requests to Census a minute, and the memory of the triggerer,
- the dead time: from the end of the prescribed wait to the arrival of the next trigger at Census.

A run that is not through after ``--seconds`` is stopped.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from laptop.stack import Stack

DAG_ID = "product_feature_backfill"
ORG_RECORDS = 10_000
INCIDENT_RECORDS = 1_296
WAITING = ("deferred",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("batches", type=int, nargs="+")
    parser.add_argument("--seconds", type=float, default=240, help="longest time of a run (default %(default)s)")
    parser.add_argument("--wait-seconds", type=int, default=12, help="the run's wait_seconds (default %(default)s)")
    parser.add_argument("--statement-seconds", type=float, default=0, help="what each statement takes (default: no delay)")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder), environment={"FEATURE_SYNC_OUTPUT_PATH": f"{folder}/output"}) as stack,
    ):
        stack.airflow.wait_for_dag(DAG_ID)
        stack.airflow.unpause(DAG_ID)
        for batches in arguments.batches:
            report(batches, measure(stack, batches, arguments))


def measure(stack: Stack, batches: int, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Start a run of so many batches, and look at it every second."""
    if arguments.statement_seconds:
        stack.sandbox.faults.add("warehouse", "slow", seconds=arguments.statement_seconds, times=1_000_000)
    is_small = batches <= INCIDENT_RECORDS // 5
    conf = {
        "dry_run": False,
        "wait_seconds": arguments.wait_seconds,
        "batch_size": -(-(INCIDENT_RECORDS if is_small else ORG_RECORDS) // batches),
    }
    scope = (
        {"scope": "created_between", "created_from": "2025-11-21", "created_to": "2025-11-21"} if is_small else {"scope": "all"}
    )
    journal = stack.sandbox.journal()
    after = journal[-1]["seq"] if journal else 0
    run_id = stack.airflow.trigger(DAG_ID, conf | scope)
    waiting, begun, memory, end = 0, 0, 0.0, time.monotonic() + arguments.seconds
    state = "running"
    while time.monotonic() < end and state in ("queued", "running"):
        time.sleep(1)
        tasks = stack.airflow.task_instances(DAG_ID, run_id)
        states = Counter(task.state for task in tasks)
        waiting = max(waiting, sum(states[name] for name in WAITING))
        begun = sum(task.state not in (None, "scheduled") and task.task_id == "batch.wait_for_turn" for task in tasks)
        memory = max(memory, memory_of(stack, "triggerer"))
        state = stack.airflow.dag_run(DAG_ID, run_id).state
    [planned] = [task for task in stack.airflow.task_instances(DAG_ID, run_id) if task.task_id == "plan_batches"]
    stack.airflow.request("PATCH", f"dags/{DAG_ID}/dagRuns/{run_id}", json={"state": "failed"})
    return {
        "state": state,
        "planned_at": planned.end,
        "journal": stack.sandbox.journal(after),
        "waiting": waiting,
        "begun": begun,
        "memory": memory,
        "wait_seconds": arguments.wait_seconds,
    }


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


def report(batches: int, found: Mapping[str, Any]) -> None:
    journal: Sequence[Mapping[str, Any]] = found["journal"]
    triggers = [at(entry) for entry in journal if entry["kind"] == "census.run.started"]
    ends = [at(entry) for entry in journal if entry["kind"] == "census.run.ended"]
    print(f"{batches} batches: {len(triggers)} sent, the run is {found['state']}")
    if triggers:
        print(f"  first batch sent {(triggers[0] - found['planned_at']).total_seconds():.1f} s after the plan")
    print(f"  at most {found['waiting']} triggers at once; {found['begun']} sensors have begun")
    minutes = (at(journal[-1]) - found["planned_at"]).total_seconds() / 60
    requests = sum(entry["kind"] == "census.request" and at(entry) > found["planned_at"] for entry in journal)
    print(f"  {requests / minutes:.0f} requests to Census a minute; triggerer {found['memory']:.0f} MB")
    dead = sorted((later - end).total_seconds() - found["wait_seconds"] for end, later in zip(ends, triggers[1:], strict=False))
    if len(dead) > 1:
        late = dead[min(len(dead) - 1, int(0.95 * len(dead)))]
        print(f"  dead time: median {statistics.median(dead):.2f} s, p95 {late:.2f} s, {dead[0]:.2f} to {dead[-1]:.2f} s")
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
