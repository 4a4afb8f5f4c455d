"""
The kill campaign: ``kill -9`` of every part of the system, each at a moment chosen by what the outside world has just seen.

A phase is recognised in the sandbox's journal (or in a task's state) and held open by a fault, so that a kill hits it and not
the moment after. What is killed when follows from the seed alone. ``make chaos`` runs the long form.
"""

import argparse
import csv
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import requests

from feature_sync.config.fields import FieldKind, load_fields
from laptop.processes import Session
from laptop.stack import Stack
from tests.live.invariants import (
    STAGING,
    Entry,
    accepted_keys,
    assert_one_at_a_time,
    assert_staged_alone,
    first_pass,
    read_runs,
    sends_of,
)
from tests.live.runs import DAG_ID, LiveAirflow, LiveRun, incident_ids, patiently

RECORD = "MERGE INTO crm.sfdc_dbx.feature_sync_log"
CHECK = "COUNT_IF(run_id"
SEND = "batch.send"
HOLD_SECONDS = 5.0
"""How long a fault holds a phase open; a kill comes a fraction of a second after the phase is seen."""
PHASE_LIMIT_SECONDS = 120.0
BATCH_LIMIT_SECONDS = 240.0
LOOK_SECONDS = 0.15
MAX_MISSED = 2
"""Kills that may come too late. Each is told and not counted."""

BATCH_SIZE = 10
BATCHES = 5
WAIT_SECONDS = 3
LONG_WORK_SECONDS = 14.0
"""Longer than a task looks itself, so that it defers."""
CAMPAIGN_LIMIT_SECONDS = 25 * 60

ENVIRONMENT = {
    "FEATURE_SYNC_CENSUS_POLL_SECONDS": "0.5",
    "FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS": "10",
    "FEATURE_SYNC_COPY_POLL_SECONDS": "1",
    # A task whose supervisor died is found by its missing heartbeat: within half a minute instead of five.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "3",
}
SANDBOX: dict[str, Any] = {
    "census_queue_seconds": 1.0,
    "census_work_seconds": 3.0,
    "rollup_seconds": 2.0,
    "replication_seconds": 1.0,
}


class Phase(StrEnum):
    """Where a batch stands, seen from outside."""

    STAGING = "staging"  # the batch table is being replaced
    TRIGGERING = "triggering"  # the trigger is on its way, no run exists yet
    ANSWERING = "answering"  # the run exists, its id is not written down yet
    POLLING = "polling"  # the id is written down, the task looks at the run
    DEFERRED = "deferred"  # the triggerer looks at the run
    RECORDING = "recording"  # the run has ended, its outcome is being written down
    RETRYING = "retrying"  # a task was killed and waits for its next try
    BETWEEN = "between batches"  # the batch is done, the next one waits for its turn


class Victim(StrEnum):
    """What is killed."""

    TASK = "task process"
    SUPERVISOR = "task supervisor"
    SCHEDULER = "scheduler"  # the scheduler alone: its workers, and the task they run, live on
    SCHEDULER_HOST = "scheduler and workers"
    TRIGGERER = "triggerer"
    API_SERVER = "api-server"
    DAG_PROCESSOR = "dag-processor"
    SANDBOX = "sandbox"


class MissedError(RuntimeError):
    """What was to be killed is gone already."""


COMPONENTS = {
    Victim.SCHEDULER: "scheduler",
    Victim.SCHEDULER_HOST: "scheduler",
    Victim.TRIGGERER: "triggerer",
    Victim.API_SERVER: "api-server",
    Victim.DAG_PROCESSOR: "dag-processor",
    Victim.SANDBOX: "sandbox",
}
AT_WORK = (Phase.STAGING, Phase.TRIGGERING, Phase.ANSWERING, Phase.POLLING, Phase.RECORDING)
"""Phases in which a process runs the task."""


@dataclass(frozen=True, slots=True)
class Step:
    """One kill that is to come. The victim is a `Victim`, or what takes its place in another deployment."""

    phase: Phase
    victim: StrEnum


@dataclass(slots=True)
class Kill:
    """One kill that was done. ``recovered`` is how many seconds later a batch was done (the next one, for kills between two)."""

    at: float
    run: int
    batch: int
    phase: Phase
    victim: StrEnum
    down: float = 0.0
    recovered: float | None = None


Plan = Sequence[Sequence[Step]]
"""For each batch of a run, the kills in the order of their phases."""


def long_plan(rng: random.Random, runs: int = 4) -> list[Plan]:
    """
    The kills of the long form, 24 at least: each victim in several phases, each phase with several victims.

    Most batches get one kill, because a batch's task may only be tried four times.
    """
    inside = [Step(phase, Victim.TASK) for phase in AT_WORK]
    inside += [Step(phase, Victim.SUPERVISOR) for phase in rng.sample(AT_WORK, 2)]
    inside += [Step(phase, Victim.SCHEDULER) for phase in rng.sample(AT_WORK, 2)]
    inside += [Step(phase, Victim.SCHEDULER_HOST) for phase in rng.sample((*AT_WORK, Phase.DEFERRED), 2)]
    inside += [Step(phase, Victim.API_SERVER) for phase in rng.sample((*AT_WORK, Phase.DEFERRED), 3)]
    inside += [Step(phase, Victim.SANDBOX) for phase in rng.sample((*AT_WORK, Phase.DEFERRED), 3)]
    inside += [Step(Phase.DEFERRED, Victim.TRIGGERER), Step(Phase.POLLING, Victim.TRIGGERER)]
    inside += [Step(rng.choice(AT_WORK), Victim.DAG_PROCESSOR)]
    rng.shuffle(inside)
    plans: list[list[list[Step]]] = [[[] for _ in range(BATCHES)] for _ in range(runs)]
    slots = [batch for plan in plans for batch in plan]
    for step, batch in zip(inside, slots, strict=True):
        batch.append(step)
    between = [Victim.SCHEDULER, Victim.TRIGGERER, Victim.API_SERVER, Victim.SANDBOX]
    rng.shuffle(between)
    for victim, plan in zip(between, plans, strict=True):
        plan[rng.randrange(BATCHES - 1)].append(Step(Phase.BETWEEN, victim))
    return plans


def short_plan(rng: random.Random) -> Plan:
    """Five kills, one of each victim, in two batches; three of them while the killed task waits for its retry anyway."""
    task = Step(rng.choice((Phase.TRIGGERING, Phase.ANSWERING)), Victim.TASK)
    waiting = [Step(Phase.RETRYING, victim) for victim in (Victim.SANDBOX, Victim.SCHEDULER_HOST, Victim.API_SERVER)]
    return [[task, *waiting], [Step(Phase.DEFERRED, Victim.TRIGGERER)]]


@dataclass(slots=True)
class Campaign:
    """
    Kills as planned during runs on a stack, and proves each run afterwards.

    ``tell`` is given a line for each kill before it is done.
    """

    live: LiveAirflow
    rng: random.Random
    wait_seconds: float = WAIT_SECONDS
    tell: Callable[[str], object] = lambda _line: None
    kills: list[Kill] = field(default_factory=list)
    missed: int = 0
    runs: int = 0
    _begun: float = field(default_factory=time.monotonic)
    _left_over: list[Session] = field(default_factory=list)

    def carry_out(self, plan: Plan, first_record: int, *, batch_size: int = BATCH_SIZE) -> None:
        """
        One run with its kills.

        :param first_record: the run sends the incident's records from this one on.
        :raises AssertionError: a phase was not reached, the run did not succeed, or an invariant was broken.
        """
        self.runs += 1
        ids = incident_ids(first_record, batch_size * len(plan))
        self._arm(plan[0])
        run = self.live.trigger_ids(ids, batch_size=batch_size, wait_seconds=self.wait_seconds)
        since, earlier = run.began_after, []
        for index, steps in enumerate(plan):
            done: list[Kill] = []
            for step in (step for step in steps if step.phase is not Phase.BETWEEN):
                self._await_phase(run, index, step, since)
                done.append(self._kill(run, index, step))
            self._await_batch(run, index)
            self._mark_recovered(earlier + done)
            since = self._newest()
            if index + 1 < len(plan):
                self._arm(plan[index + 1])
            earlier = [self._kill(run, index, step) for step in steps if step.phase is Phase.BETWEEN]
        state = self._patiently(lambda: run.wait(timeout=BATCH_LIMIT_SECONDS))
        self._mark_recovered(earlier)
        self.live.stack.sandbox.faults.clear()
        for session in self._left_over:
            session.kill()
        assert state == "success", f"run {run.run_id} ended {state}: {run.error('validate')}"
        self._prove(run, ids)

    def table(self) -> str:
        """The kills so far, one a line."""
        names = f"{'#':>3} {'at s':>6}  {'run':>3} {'batch':>5}  {'phase':<16} {'victim':<22}"
        lines = [f"{names} {'down s':>6} {'batch done after s':>18}"]
        for number, kill in enumerate(self.kills, 1):
            recovered = "-" if kill.recovered is None else f"{kill.recovered:.0f}"
            lines.append(
                f"{number:>3} {kill.at:>6.0f}  {kill.run:>3} {kill.batch:>5}  {kill.phase:<16} {kill.victim:<22} "
                f"{kill.down:>6.1f} {recovered:>18}"
            )
        return "\n".join(lines)

    @property
    def seconds(self) -> float:
        """Since the campaign began."""
        return time.monotonic() - self._begun

    def _arm(self, steps: Sequence[Step]) -> None:
        """Set the faults that hold the phases of a batch open. Must come before the batch begins."""
        faults = self.live.stack.sandbox.faults
        faults.clear()
        self.live.settings(**SANDBOX)
        for step in steps:
            match step.phase:
                case Phase.STAGING:
                    faults.add("warehouse", "slow", contains=STAGING, seconds=HOLD_SECONDS, times=1)
                case Phase.TRIGGERING:
                    faults.add("trigger", "slow", seconds=HOLD_SECONDS, times=1)
                case Phase.ANSWERING:
                    # The attempt is written down before the trigger, and again with the id of its run.
                    faults.add("warehouse", "slow", contains=RECORD, seconds=HOLD_SECONDS, skip=1, times=1)
                case Phase.RECORDING:
                    faults.add("warehouse", "slow", contains=RECORD, seconds=HOLD_SECONDS, skip=2, times=1)
                case Phase.DEFERRED:
                    self.live.settings(census_work_seconds=LONG_WORK_SECONDS)

    def _await_phase(self, run: LiveRun, index: int, step: Step, since: int) -> None:
        deadline = time.monotonic() + PHASE_LIMIT_SECONDS
        while not self._is_in(run, index, step.phase, since):
            assert time.monotonic() < deadline, f"run {self.runs}, batch {index + 1} did not come to {step.phase}"
            time.sleep(LOOK_SECONDS)
        time.sleep(self.rng.uniform(0.05, 0.5))

    def _is_in(self, run: LiveRun, index: int, phase: Phase, since: int) -> bool:
        if phase is Phase.DEFERRED:
            return self._send(run, index).get("state") == "deferred"
        if phase is Phase.RETRYING:
            # On a busy machine the next try may begin before the kills that come while it is waited for are done.
            send = self._send(run, index)
            return send.get("state") == "up_for_retry" or send.get("try_number", 0) > 1
        return is_seen(phase, self.live.stack.sandbox.journal(since))

    def _kill(self, run: LiveRun, index: int, step: Step) -> Kill:
        kill = Kill(self.seconds, self.runs, index + 1, step.phase, step.victim)
        self.kills.append(kill)
        self.tell(f"{kill.at:5.0f} s: run {kill.run}, batch {kill.batch}, {kill.phase}: kill -9 of the {kill.victim}\n")
        try:
            kill.down = self._strike(run, index, step.victim)
        except MissedError as missed:  # on a busy machine a phase may be over before it is seen
            self.tell(f"        {missed}\n")
            self.kills.remove(kill)
            self.missed += 1
            assert self.missed <= MAX_MISSED, "too many kills were missed, so this proves little: give the machine less to do"
        return kill

    def _strike(self, run: LiveRun, index: int, victim: StrEnum) -> float:
        """Do it. Gives how many seconds the victim was down."""
        if victim in COMPONENTS:
            return self._kill_component(victim)
        os.kill(self._worker(run, index, victim), signal.SIGKILL)
        return 0.0

    def _prove(self, run: LiveRun, ids: Sequence[str]) -> None:
        assert_proven(run, ids, self.wait_seconds)

    def _kill_component(self, victim: Victim) -> float:
        component = self.live.stack.processes[COMPONENTS[victim]]
        begun = time.monotonic()
        if victim is Victim.SCHEDULER:
            assert component.session is not None
            component.ended_on_purpose = True
            os.kill(component.session.leader, signal.SIGKILL)
            self._left_over.append(component.session)
            while component.runs():
                time.sleep(0.02)
        else:
            component.kill()
        time.sleep(self.rng.uniform(0.2, 3.0))
        component.restart()
        return time.monotonic() - begun

    def _worker(self, run: LiveRun, index: int, victim: Victim) -> int:
        """The process that runs the batch's ``send``, or the one that supervises it."""
        ti_id = self._send(run, index)["id"]
        wanted = f"airflow worker -- {'LocalExecutor: ' if victim is Victim.SUPERVISOR else ''}{ti_id}"
        deadline = time.monotonic() + 2
        while True:
            for title, pid in _titles(self._scheduler_sessions()):
                if title == wanted:
                    return pid
            titles = [title for title, _ in _titles(self._scheduler_sessions())]
            if time.monotonic() > deadline and self._send(run, index).get("state") == "success":
                raise MissedError("the task had ended before it could be killed")
            assert time.monotonic() < deadline, f"no process is called {wanted!r}; there are {titles}"

    def _scheduler_sessions(self) -> list[Session]:
        session = self.live.stack.processes["scheduler"].session
        return [*self._left_over, *([session] if session else [])]

    def _await_batch(self, run: LiveRun, index: int) -> None:
        deadline = time.monotonic() + BATCH_LIMIT_SECONDS
        while (state := self._send(run, index).get("state")) != "success":
            self.live.stack.check()
            assert state not in ("failed", "upstream_failed"), (
                f"run {self.runs}, batch {index + 1} is {state}: {run.error(SEND, index)}"
            )
            assert time.monotonic() < deadline, f"run {self.runs}, batch {index + 1} is still {state}"
            time.sleep(LOOK_SECONDS)

    def _send(self, run: LiveRun, index: int) -> Mapping[str, Any]:
        """What Airflow says of the batch's ``send``; nothing before it exists."""
        path = f"dags/{DAG_ID}/dagRuns/{quote(run.run_id, safe='')}/taskInstances/{SEND}/{index}"
        return self._patiently(lambda: self.live.stack.airflow.request("GET", path, missing={}))

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """What a look at Airflow gives, although a part of it was just killed."""
        return patiently(ask)

    def _newest(self) -> int:
        return self.live.stack.sandbox.journal()[-1]["seq"]

    def _mark_recovered(self, kills: Sequence[Kill]) -> None:
        for kill in kills:
            kill.recovered = self.seconds - kill.at


def is_seen(phase: Phase, entries: Sequence[Entry]) -> bool:
    """Whether a batch has come to a phase, by the journal since the batch before it was done."""
    kinds = []
    for entry in entries:
        if entry["kind"] == "warehouse.statement":
            kinds.append(next((name for name, text in _STATEMENTS.items() if text in entry["sql"]), ""))
        elif entry["kind"] in ("census.run.started", "census.run.ended"):
            kinds.append(entry["kind"])
    match phase:
        case Phase.STAGING:
            wanted = ["stage"]
        case Phase.TRIGGERING:
            wanted = ["stage", "record", "check"]
        case Phase.ANSWERING:
            wanted = ["stage", "record", "census.run.started"]
        case Phase.POLLING:
            wanted = ["stage", "record", "census.run.started", "record"]
        case Phase.RECORDING:
            wanted = ["stage", "record", "census.run.started", "census.run.ended", "record"]
        case _:
            raise ValueError(f"The journal does not show {phase}")
    rest = iter(kinds)
    return all(kind in rest for kind in wanted)


_STATEMENTS = {"stage": STAGING, "record": RECORD, "check": CHECK}


def _titles(sessions: Sequence[Session]) -> Iterator[tuple[str, int]]:
    for pid in (pid for session in sessions for pid in session.members()):
        with suppress(psutil.Error):
            yield " ".join(psutil.Process(pid).cmdline()).strip(), pid


def assert_proven(run: LiveRun, ids: Sequence[str], wait_seconds: float) -> None:
    """All that must hold of a run of which no batch failed by itself, however often anything was killed."""
    journal, batches = run.journal(), run.batches()
    runs = read_runs(journal)
    assert set().union(*batches.values()) == set(ids)
    assert_one_at_a_time(runs, wait_seconds)
    assert_staged_alone(journal, runs, batches.values())
    assert first_pass(runs, batches) == sorted(batches)
    sends = {number: [one.id for one in sends_of(runs, keys)] for number, keys in batches.items()}
    assert [len(sent) for sent in sends.values()] == [1] * len(batches), f"not every batch was sent exactly once: {sends}"
    assert len(runs) == len(batches), f"{len(runs)} Census runs for {len(batches)} batches: {runs}"
    assert [one.keys for one in runs] == [batches[number] for number in sorted(batches)]
    skipped = [entry for entry in journal if entry["kind"] == "census.run.skipped"]
    assert not skipped, f"a run was triggered while another was active: {skipped}"
    assert {one.status for one in runs} == {"completed"}
    rejected = [entry for entry in journal if entry["kind"] == "salesforce.transaction" and entry["rejected"]]
    assert not rejected, f"Salesforce rejected records: {[entry['error'] for entry in rejected]}"
    assert accepted_keys(journal) == set(ids)
    validation = run.validation()
    assert validation["result"] == "0 properties with mismatched feature data"
    assert validation["properties_checked"] == len(ids)
    assert validation["records"] == {
        "in_scope": len(ids),
        "sent": len(ids),
        "rejected": 0,
        "not_sent": 0,
        "accepted_by_counters": 0,
        "changed_since_freeze": 0,
    }
    assert_in_salesforce(run)


def assert_in_salesforce(run: LiveRun) -> None:
    """Every record of the batch files stands in Salesforce with every value, as Salesforce itself says."""
    table = load_fields()
    paths = sorted((run.folder / "feature_backfill_batches").glob("*.csv"))
    rows = [row for path in paths for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]
    key = table.upsert_key
    quoted = ", ".join(f"'{row[key.column]}'" for row in rows)
    names = ", ".join(one.salesforce_name for one in table)
    answer = run.airflow.query(f"SELECT {names} FROM Product_Property__c WHERE {key.salesforce_name} IN ({quoted})")
    records = [{name.lower(): value for name, value in record.items()} for record in answer]
    found = {record[key.salesforce_name.lower()]: record for record in records}
    assert set(found) == {row[key.column] for row in rows}
    different = [
        (row[key.column], one.column, row[one.column], found[row[key.column]][one.salesforce_name.lower()])
        for row in rows
        for one in table
        if _as_salesforce(row[one.column], one.kind) != found[row[key.column]][one.salesforce_name.lower()]
    ]
    assert not different, f"Salesforce differs from the payload: {different[:5]}"


def _as_salesforce(cell: str, kind: FieldKind) -> str | bool | None:
    return cell == "true" if kind is FieldKind.CHECKBOX else cell or None


def main() -> int:
    """The long form. Prints its seed first, then each kill as it happens, then all of them as a table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, help="repeat the kills of that campaign; a new one each time otherwise")
    parser.add_argument("--runs", type=int, default=4, choices=range(1, 5), help="only the first so many runs")
    options = parser.parse_args()
    seed = secrets.randbelow(100_000) if options.seed is None else options.seed
    sys.stdout.write(f"SEED={seed}\n")
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    plans = long_plan(rng)[: options.runs]
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    output = folder / "output"
    environment = ENVIRONMENT | {"FEATURE_SYNC_OUTPUT_PATH": str(output)}
    with Stack(folder, environment=environment, sandbox_settings=SANDBOX) as stack:
        stack.airflow.wait_for_dag(DAG_ID)
        stack.airflow.unpause(DAG_ID)
        campaign = Campaign(LiveAirflow(stack, output), rng, tell=sys.stdout.write)
        failure: Exception | None = None
        try:
            for number, plan in enumerate(plans):
                assert campaign.seconds < CAMPAIGN_LIMIT_SECONDS, "the campaign takes too long"
                campaign.carry_out(plan, number * BATCHES * BATCH_SIZE)
        except (AssertionError, RuntimeError, requests.RequestException) as error:
            failure = error
    sys.stdout.write(f"\n{campaign.table()}\n\n")
    verdict = f"FAILED: {failure}\nlogs: {folder}" if failure else "every invariant holds"
    sys.stdout.write(f"SEED={seed}: {len(campaign.kills)} kills in {campaign.runs} runs, {campaign.seconds:.0f} s: {verdict}\n")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
