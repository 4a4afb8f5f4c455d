"""
``make test-compose``: docker-compose.yaml run for real, and the invariants of sending proven from the sandbox's journal.

First the incident, started as docs/deploy.md says: 26 batches on Postgres with the LocalExecutor. Then the same deployment with
Celery, two schedulers and two workers, of which one part after the other is killed while batches are on their way.
"""

import argparse
import random
import re
import secrets
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import requests

from laptop.airflow_client import AirflowError, DagRun, TaskInstance
from laptop.compose_env import PROJECT
from laptop.processes import Interrupted, signals_as_exceptions
from laptop.progress import Progress
from laptop.report import product_table, read_report
from laptop.sandbox_client import SandboxError
from tests.compose.stack import ComposeStack, EngineError
from tests.live.chaos import SANDBOX, Campaign, Phase, Plan, Step, assert_proven
from tests.live.invariants import read_runs
from tests.live.runs import DAG_ID, LiveAirflow, LiveRun, eventually, incident_ids

INCIDENT_RECORDS = 1296
INCIDENT_BATCHES = 26
INCIDENT_LIMIT_SECONDS = 30 * 60
ENABLED = {"Fraud Detection": 1226, "Income Verification": 1176, "ID Verification": 7, "Connected Payroll": 5, "Bank Linking": 4}
"""Products of the incident's records in Salesforce afterwards; the others stay at 0."""
NON_ROOT = "50000"
PATIENCE_SECONDS = 120.0
"""How long Airflow may be without its database."""

CELERY = {"scheduler": 2, "worker": 2}
BATCH_SIZE = 10
WAIT_SECONDS = 3
TUNING = {
    "FEATURE_SYNC_CENSUS_POLL_SECONDS": "0.5",
    "FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS": "10",
    "FEATURE_SYNC_COPY_POLL_SECONDS": "1",
    # The death of a worker is found within half a minute instead of five, so that the test ends today.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
}


class Container(StrEnum):
    """What is killed: the service's name, and for Postgres also the orderly restart of an upgrade."""

    WORKER = "worker"
    SCHEDULER = "scheduler"
    TRIGGERER = "triggerer"
    POSTGRES = "postgres"
    POSTGRES_RESTART = "postgres, restarted"
    REDIS = "redis"
    API_SERVER = "api-server"


PLAN: Plan = [
    [Step(Phase.ANSWERING, Container.WORKER)],
    [Step(Phase.DEFERRED, Container.TRIGGERER)],
    [Step(Phase.POLLING, Container.SCHEDULER)],
    [Step(Phase.RECORDING, Container.POSTGRES)],
    [Step(Phase.TRIGGERING, Container.WORKER), Step(Phase.BETWEEN, Container.SCHEDULER)],
    [Step(Phase.DEFERRED, Container.POSTGRES_RESTART)],
    [Step(Phase.STAGING, Container.API_SERVER), Step(Phase.BETWEEN, Container.REDIS)],
    [],
]


class ComposeCampaign(Campaign):
    """The kill campaign of the live tests, on containers. The engine starts again what was killed; nobody helps."""

    def _strike(self, run: LiveRun, index: int, victim: StrEnum) -> float:
        stack: ComposeStack = self.live.stack
        begun = time.monotonic()
        if victim is Container.POSTGRES_RESTART:
            stack.compose("restart", "postgres")
            return time.monotonic() - begun
        # Of two workers the one that has the task.
        hostname = self._send(run, index)["hostname"] if victim is Container.WORKER else None
        container = stack.container_of(victim, hostname)
        stack.kill(container)
        eventually(lambda: self._runs_anew(stack, victim, container))
        return time.monotonic() - begun

    @staticmethod
    def _runs_anew(stack: ComposeStack, victim: StrEnum, killed: dict[str, Any]) -> bool:
        now = next(one["State"] for one in stack.inspect(victim) if one["Id"] == killed["Id"])
        return now["Running"] and now["Pid"] != killed["State"]["Pid"]

    def _await_phase(self, run: LiveRun, index: int, step: Step, since: int) -> None:
        super()._await_phase(run, index, step, since)
        if step.phase is Phase.DEFERRED:
            # Invariant 7: the batch is on its way, and no worker slot is held.
            eventually(lambda: "running" not in self._states(run), 5)

    def _states(self, run: LiveRun) -> set[str | None]:
        return {task.state for task in self._patiently(lambda: self.live.stack.airflow.task_instances(DAG_ID, run.run_id))}

    def _prove(self, run: LiveRun, ids: Sequence[str]) -> None:
        self.live.stack.fetch_output()
        super()._prove(run, ids)

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """While its database restarts, Airflow answers with errors or not at all."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            with suppress(requests.RequestException, AirflowError):
                return ask()
            time.sleep(1)
        return ask()


def trigger_command(readme: str) -> list[str]:
    """The command by which docs/deploy.md starts the incident's run beside the sandbox, without the words that start compose."""
    line = re.search(r"^\s*docker compose (exec scheduler airflow dags trigger .*wait_seconds.*)$", readme, flags=re.MULTILINE)
    assert line, "docs/deploy.md names no command that starts a run beside the sandbox"
    service, *rest = shlex.split(line[1])[1:]
    return ["exec", "-T", service, *rest]


def repair_incident(stack: ComposeStack, tell: Callable[[str], object]) -> str:
    """The command of docs/deploy.md, and what must come of it. Gives a line for the summary."""
    began_after = stack.sandbox.journal()[-1]["seq"]
    stack.airflow.wait_for_dag(DAG_ID, timeout=300)
    stack.compose(*trigger_command((PROJECT / "docs" / "deploy.md").read_text()))
    run = LiveRun(LiveAirflow(stack, stack.output), stack.airflow.dag_runs(DAG_ID)[0].run_id, began_after)
    tell(f"run {run.run_id}")
    started = datetime.now(UTC)
    progress = Progress(started, lambda task, number: run.error(task.task_id, task.map_index, number))

    def look(_run: DagRun, tasks: Sequence[TaskInstance]) -> None:
        for line in progress.look(tasks, datetime.now(UTC)):
            tell(f"  {line.text}")

    state = run.wait(timeout=INCIDENT_LIMIT_SECONDS, on_progress=look)
    seconds = (datetime.now(UTC) - started).total_seconds()
    assert state == "success", f"run {run.run_id} ended {state}: {run.error('validate')}"
    stack.fetch_output()
    report = read_report(run.folder)
    tell(f"\n{product_table(report.products)}\n\nRESULT: {report.result}")
    assert {row.label: row.after for row in report.products if row.after} == ENABLED
    assert len(run.batches()) == INCIDENT_BATCHES
    assert_proven(run, incident_ids(0, INCIDENT_RECORDS), WAIT_SECONDS)
    return f"LocalExecutor: {INCIDENT_BATCHES} batches, {INCIDENT_RECORDS:,} records, {seconds:.0f} s, {report.result}"


def survive_kills(stack: ComposeStack, tell: Callable[[str], object], seed: int) -> list[str]:
    """The campaign on Celery. Gives lines for the summary."""
    stack.sandbox.request("POST", "reset")
    live = LiveAirflow(stack, stack.output)
    campaign = ComposeCampaign(
        live,
        random.Random(seed),  # noqa: S311 - repeatable on purpose
        wait_seconds=WAIT_SECONDS,
        tell=lambda line: tell(line.rstrip()),
    )
    begun = stack.sandbox.journal()[-1]["seq"]
    try:
        campaign.carry_out(PLAN, 100, batch_size=BATCH_SIZE)
    finally:
        tell(f"\n{campaign.table()}\n")
    runs = read_runs(stack.sandbox.journal(begun))
    tell(f"every part is healthy again after {stack.wait_until_healthy():.0f} s")
    parts = ", ".join(f"{number} {service}s" for service, number in CELERY.items())
    return [f"CeleryExecutor, {parts}: {len(runs)} batches, {len(campaign.kills)} kills, {campaign.seconds:.0f} s"]


def check_containers(stack: ComposeStack) -> str:
    """What the file promises of every container, asked of the containers themselves."""
    for container in stack.inspect():
        name = container["Name"].lstrip("/")
        published = container["HostConfig"]["PortBindings"] or {}
        hosts = {binding["HostIp"] for bindings in published.values() for binding in bindings}
        assert hosts <= {"127.0.0.1"}, f"{name} can be reached from other machines: {published}"
    for service in ("scheduler", "api-server", "triggerer", "dag-processor"):
        assert stack.compose("exec", "-T", service, "id", "-u").strip() == NON_ROOT
        written = stack.compose(
            "exec", "-T", service, "bash", "-c", "touch dags/x plugins/x plugins/feature_sync/x include/x; ls */x", check=False
        )
        assert not written.strip(), f"{service} can change its code: {written}"
    return "containers: not root, code read-only, ports on 127.0.0.1 only"


def main() -> int:
    """Prints what happens as it happens; the last lines are the summary."""
    parser = argparse.ArgumentParser(prog="make test-compose", description=main.__doc__)
    parser.add_argument("--build-network", help="network for building the images, e.g. host")
    parser.add_argument("--seed", type=int, help="repeat the moments of an earlier campaign")
    parser.add_argument("--only", choices=("incident", "kills"), help="one half")
    options = parser.parse_args()
    seed = secrets.randbelow(100_000) if options.seed is None else options.seed
    begun = time.monotonic()

    def tell(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - begun:5.0f} s  {text}\n")
        sys.stdout.flush()

    folder = Path(tempfile.mkdtemp(prefix="test-compose-"))
    summary: list[str] = []
    verdict = "every invariant holds"
    try:
        with signals_as_exceptions(), ComposeStack(folder, tell, build_network=options.build_network) as stack:
            tell(f"project {stack.project}, folder {folder}, SEED={seed}")
            tell("building the images ...")
            stack.build("sandbox")
            if options.only != "kills":
                tell("docker compose --profile sandbox up ...")
                stack.up("sandbox")
                summary.append(check_containers(stack))
                summary.append(repair_incident(stack, tell))
            if options.only != "incident":
                tell("the same with profile celery: two schedulers, two workers ...")
                stack.choose(EXECUTOR="CeleryExecutor")
                stack.configure(TUNING)
                stack.up("sandbox", "celery", scale=CELERY)
                stack.airflow.wait_for_dag(DAG_ID, timeout=300)
                stack.sandbox.settings(**SANDBOX)
                summary += survive_kills(stack, tell, seed)
    except (AssertionError, EngineError, AirflowError, SandboxError, requests.RequestException) as failure:
        verdict = f"FAILED: {failure}\nlogs and files: {folder}"
    except (Interrupted, KeyboardInterrupt):
        verdict = "FAILED: interrupted; everything was taken down"
    sys.stdout.write("\n" + "".join(f"{line}\n" for line in summary))
    sys.stdout.write(f"test-compose, SEED={seed}, {time.monotonic() - begun:.0f} s: {verdict}\n")
    return 1 if verdict.startswith("FAILED") else 0


if __name__ == "__main__":
    sys.exit(main())
