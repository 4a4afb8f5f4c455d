"""
The click campaign: whatever a person clicks, in whatever order, a green run says the truth.

What is clicked when follows from the seed alone: each click waits for a moment of the run, such as "batch.send[1] began". Whether
Airflow takes a click or refuses it depends on how far the run has come by then. ``make clicks`` runs the long form.
"""

import argparse
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from feature_sync.config.green import NO_VERDICT
from feature_sync.config.names import BACKFILL_DAG_ID, DEPLOY_DAG_ID, RECONCILIATION_DAG_ID
from laptop.airflow_client import AirflowError
from laptop.stack import PROJECT, Stack
from sandbox.census.syncs import PROPERTY_DATASET, PROPERTY_SYNC
from tests.live.courses import DAGS, Action, Click, Course, Kind, long_plan
from tests.live.greens import Claim, Deployed, assert_apart, assert_true, census
from tests.live.invariants import read_runs, sends_of
from tests.live.runs import LiveAirflow, LiveRun, eventually, incident_ids, patiently

RECORDS, BATCH_SIZE, WAIT_SECONDS = 6, 2, 1
HARMED = 2
MOMENT_SECONDS, PAUSED_SECONDS = 400.0, 5.0
"""How long a click waits for its moment, and while the DAG is paused. After that it is clicked all the same."""
RUN_SECONDS = 600.0
FRACTION = 0.3
QUESTIONS = ("approve_mass_disable", "confirm_flow_off", "confirm_flow_on", "approve_pilot", "approve_healing", "approve")
WAITS_FOR_NOBODY = frozenset({None, "scheduled", "queued", "removed", "skipped", "upstream_failed"})

ENVIRONMENT = {
    "FEATURE_SYNC_CENSUS_POLL_SECONDS": "0.5",
    "FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS": "10",
    "FEATURE_SYNC_COPY_POLL_SECONDS": "1",
    "FEATURE_SYNC_GUARD_FEATURE_ROW_SHARE": "0.5",
    "FEATURE_SYNC_HEALING": "ask",
    "FEATURE_SYNC_HEALING_RUN_CONFIG": '{"wait_seconds": 1}',
}
SANDBOX: dict[str, Any] = {
    "census_queue_seconds": 0.5,
    "census_work_seconds": 1.5,
    "rollup_seconds": 0.5,
    "replication_seconds": 0.5,
    # With the Flow on, no run with strategy full would ever be green.
    "flow_enabled": False,
}


@dataclass(slots=True)
class Ended:
    """
    How a course ended.

    ``before``: how the run had ended at each click that waited for that, with its note. ``sends``: how often each batch was sent.
    ``lie``: what its green run says that is not true. ``withheld``: what it would have said, had it been green.
    """

    course: Course
    state: str
    note: str
    before: list[tuple[str, str]] = field(default_factory=list)
    sends: list[int] = field(default_factory=list)
    lie: str | None = None
    withheld: str | None = None


@dataclass(slots=True)
class Campaign:
    """Clicks at runs on a stack as planned, and holds what each run says against the outside world. ``tell`` is given lines."""

    live: LiveAirflow
    deployed: Deployed
    broken_query: str
    tell: Callable[[str], object] = lambda _line: None
    first_record: int = 0
    ended: list[Ended] = field(default_factory=list)
    _claims: dict[str, tuple[Claim, datetime | None]] = field(default_factory=dict)

    @property
    def lies(self) -> list[Ended]:
        return [one for one in self.ended if one.lie]

    def carry_out(self, course: Course) -> Ended:
        """
        Start the run, click, let the run end, and hold it against the journal.

        :raises AssertionError: two Census runs overlapped, or a pause was not kept.
        """
        self.tell(f"\n{len(self.ended) + 1}. {course.kind}{', rejects' if course.rejects else ''}")
        self.live.stack.sandbox.faults.clear()
        claim = self._start(course)
        run = claim.run
        self.tell(f"   {run.run_id}")
        before: list[tuple[str, str]] = []
        is_paused = False
        for click in course.clicks:
            self._await(run, click, PAUSED_SECONDS if is_paused else MOMENT_SECONDS)
            if (click.moment, click.ended) == ("run", True) and (state := self._state(run)) in ("success", "failed"):
                before.append((state, run.note))
            is_paused = click.action is Action.PAUSE or (is_paused and click.action is not Action.UNPAUSE)
            self.tell(f"   {click}: {self._click(run, click)}")
        state = self._let_end(run)
        ended = Ended(course, state, run.note if state != "deleted" else "", before)
        if state == "success":
            ended.lie = _lie_of(claim)
        elif NO_VERDICT in ended.note:
            ended.withheld = _lie_of(claim)
        self._claims[run.run_id] = (claim, self._end_of(run))
        for other, (former, at) in self._claims.items():  # "past" and "future" reach other runs
            if other != run.run_id and (now := self._end_of(former.run)) != at:
                self._claims[other] = (former, now)
                if former.run.state == "success" and (lie := _lie_of(former)):
                    ended.lie = f"of {other}: {lie}"
        self.ended.append(ended)
        self.tell(f"   => {state}{f' BUT {ended.lie}' if ended.lie else ''} {ended.note}")
        if ended.withheld:
            self.tell(f"      Green would have been a lie: {ended.withheld}")
        eventually(lambda: not self._census_is_active(run.began_after), 60)
        assert_apart(self.live, run.began_after, WAIT_SECONDS)
        census_runs = read_runs(run.journal())
        ended.sends = [len(sends_of(census_runs, keys)) for keys in run.batches().values()]
        return ended

    def _start(self, course: Course) -> Claim:
        kind, faults = course.kind, self.live.stack.sandbox.faults
        date = datetime.now(UTC) if course.has_date else None
        if kind is Kind.WEEKLY:
            harmed = self.live.harm(f"Fraud_Detection_Enabled__c = true LIMIT {HARMED}")
            run = self.live.start(RECONCILIATION_DAG_ID, logical_date=date)
            return Claim(run, {}, tuple(harmed), self.deployed)
        if kind is Kind.DEPLOY:
            census(self.live, "PATCH", f"datasets/{PROPERTY_DATASET}", json={"query": self.broken_query})
            return Claim(self.live.start(DEPLOY_DAG_ID, logical_date=date), {}, deployed=self.deployed)
        if kind is Kind.UNDO:
            conf: dict[str, Any] = {"undo_run_id": self._to_undo(), "allow_mass_disable": True}
        else:
            conf = {"scope": "property_ids", "property_ids": self._next_ids()}
        conf |= {"batch_size": BATCH_SIZE, "wait_seconds": WAIT_SECONDS}
        if kind in (Kind.FULL, Kind.PROBE, Kind.PILOT):
            conf["strategy"] = kind.value
        conf["dry_run"] = kind is Kind.DRY_RUN
        if course.rejects:
            faults.add("run", "reject_rows", count=1, message="FIELD_CUSTOM_VALIDATION_EXCEPTION: no", times=1)
        return Claim(self.live.start(BACKFILL_DAG_ID, conf, logical_date=date), conf)

    def _next_ids(self) -> list[str]:
        """Records that no other run sends. Somebody has switched a product off in some of them."""
        ids = incident_ids(self.first_record, RECORDS)
        self.first_record += RECORDS
        quoted = ", ".join(f"'{each}'" for each in ids)
        self.live.harm(f"Fraud_Detection_Enabled__c = true AND Reverse_ETL_ID__c IN ({quoted})")
        return ids

    def _to_undo(self) -> str:
        """A run that did its job, and that nobody has undone."""
        run = self.live.trigger(
            scope="property_ids", property_ids=self._next_ids(), batch_size=RECORDS, wait_seconds=WAIT_SECONDS
        )
        assert run.wait() == "success", run.error("validate")
        return run.run_id

    def _await(self, run: LiveRun, click: Click, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._has_come(run, click):
            self._answer()
            time.sleep(FRACTION)
        time.sleep(click.after)

    def _has_come(self, run: LiveRun, click: Click) -> bool:
        state = self._state(run)
        if state in ("success", "failed", "deleted"):
            return True
        if click.moment == "run":
            return not click.ended and state == "running"
        task_id, index = _parsed(click.moment)
        with suppress(AirflowError):
            task = patiently(lambda: run.task(task_id, index))
            return task.finished if click.ended else task.state not in WAITS_FOR_NOBODY
        return False

    def _click(self, run: LiveRun, click: Click) -> str:
        """:returns: what Airflow said."""
        airflow, dag_id, run_id = self.live.stack.airflow, run.dag_id, run.run_id
        task_id, index = _parsed(click.target)
        try:
            match click.action:
                case Action.MARK:
                    airflow.set_task_state(dag_id, run_id, task_id, click.state, map_index=index, relatives=click.options)
                case Action.MARK_GROUP:
                    airflow.set_group_state(dag_id, run_id, click.target, click.state)
                case Action.MARK_RUN:
                    airflow.set_run_state(dag_id, run_id, click.state)
                case Action.CLEAR:
                    count = airflow.clear(
                        dag_id,
                        run_id,
                        [task_id if index < 0 else (task_id, index)],
                        include_downstream="downstream" in click.options,
                        only_failed="only failed" in click.options,
                        relatives=[name for name in click.options if name in ("past", "future")],
                    )
                    return f"{count} tasks"
                case Action.CLEAR_RUN:
                    airflow.clear_run(dag_id, run_id, only_failed="only failed" in click.options)
                case Action.PAUSE:
                    airflow.pause(dag_id)
                case Action.UNPAUSE:
                    airflow.unpause(dag_id)
                case Action.DELETE:
                    airflow.delete_task(dag_id, run_id, task_id, map_index=index)
                case Action.DELETE_RUN:
                    airflow.delete_run(dag_id, run_id)
        except AirflowError as refused:
            return f"refused, {str(refused).partition('HTTP ')[2][:90]}"
        return "done"

    def _let_end(self, run: LiveRun) -> str:
        """Unpause, answer every question with yes, and wait. A run that never ends is marked as failed, as a person would."""
        for dag_id in {BACKFILL_DAG_ID, run.dag_id}:
            self.live.stack.airflow.unpause(dag_id)
        deadline = time.monotonic() + RUN_SECONDS
        while self._unfinished():
            self._answer()
            if time.monotonic() > deadline:
                self.tell("   it does not end, so it is marked as failed")
                for dag_id, run_id in self._unfinished():
                    self.live.stack.airflow.set_run_state(dag_id, run_id, "failed")
            time.sleep(FRACTION)
        return self._state(run)

    def _answer(self) -> None:
        for dag_id, run_id in self._unfinished():
            for question in QUESTIONS:
                with suppress(AirflowError, requests.ConnectionError, requests.Timeout):
                    if self.live.stack.airflow.question(dag_id, run_id, question):
                        self.live.stack.airflow.answer(dag_id, run_id, question, "Approve")

    def _unfinished(self) -> list[tuple[str, str]]:
        dag_ids = sorted(set(DAGS.values()))
        runs = [run for dag_id in dag_ids for run in patiently(lambda dag_id=dag_id: self.live.stack.airflow.dag_runs(dag_id))]
        return [(run.dag_id, run.run_id) for run in runs if run.state not in ("success", "failed")]

    def _state(self, run: LiveRun) -> str:
        try:
            return str(patiently(lambda: run.state))
        except AirflowError as error:
            if "HTTP 404" not in str(error):
                raise
        return "deleted"

    def _end_of(self, run: LiveRun) -> datetime | None:
        found = [one for one in self.live.stack.airflow.dag_runs(run.dag_id) if one.run_id == run.run_id]
        return found[0].end if found else None

    def _census_is_active(self, began_after: int) -> bool:
        journal = self.live.stack.sandbox.journal(began_after)
        kinds = [entry["kind"] for entry in journal]
        return kinds.count("census.run.started") > kinds.count("census.run.ended")


def _lie_of(claim: Claim) -> str | None:
    try:
        assert_true(claim)
    except (AssertionError, OSError, LookupError) as false:
        return str(false).partition("\n")[0] or type(false).__name__
    return None


def _parsed(task: str) -> tuple[str, int]:
    task_id, _, index = task.rstrip("]").partition("[")
    return task_id, int(index or -1)


def prepare(live: LiveAirflow, tell: Callable[[str], object] = lambda _line: None) -> Campaign:
    """Bring everything to where it is right: the query in Census, then each record in Salesforce."""
    for dag_id in set(DAGS.values()):
        live.stack.airflow.wait_for_dag(dag_id)
        live.stack.airflow.unpause(dag_id)
    broken = census(live, "GET", f"datasets/{PROPERTY_DATASET}")["query"]
    run = live.start(DEPLOY_DAG_ID)
    run.question("approve")
    run.answer("approve", "Approve")
    assert run.wait() == "success", run.error("deploy_query")
    live.stack.sandbox.start_foreign_run(PROPERTY_SYNC)
    eventually(lambda: live.stack.sandbox.journal(kind="census.run.ended"))
    live.replicate()
    return Campaign(live, Deployed.of(live), broken, tell=tell)


def without_listener(folder: Path) -> Path:
    """A plugins folder in which nobody withholds the green, to see that the campaign finds out."""
    blind = folder / "plugins"
    blind.mkdir()
    (blind / "feature_sync").symlink_to(PROJECT / "plugins" / "feature_sync")
    (blind / ".airflowignore").write_text((PROJECT / "plugins" / ".airflowignore").read_text())
    plugin = (PROJECT / "plugins" / "feature_sync_plugin.py").read_text()
    assert "listeners = [Verdicts()]" in plugin
    (blind / "feature_sync_plugin.py").write_text(plugin.replace("listeners = [Verdicts()]", "listeners = []"))
    return blind


def main() -> int:
    """The long form. Prints its seed first, then each click and what Airflow said."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, help="repeat the clicks of that campaign; new ones each time otherwise")
    parser.add_argument("--only", type=int, nargs="*", help="only the runs with these numbers")
    parser.add_argument("--first", type=int, default=42, help="only the first so many runs")
    parser.add_argument("--without-listener", action="store_true", help="withhold no green, so that false ones must be found")
    options = parser.parse_args()
    seed = secrets.randbelow(100_000) if options.seed is None else options.seed

    def tell(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    tell(f"SEED={seed}")
    plan = long_plan(random.Random(seed))  # noqa: S311 - repeatable on purpose
    chosen = [plan[number - 1] for number in options.only] if options.only else plan[: options.first]
    folder = Path(tempfile.mkdtemp(prefix="clicks-"))
    environment = ENVIRONMENT | {"FEATURE_SYNC_OUTPUT_PATH": str(folder / "output")}
    if options.without_listener:
        environment["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(without_listener(folder))
    begun, failure = time.monotonic(), None
    with Stack(folder / "stack", environment=environment, sandbox_settings=SANDBOX) as stack:
        campaign = prepare(LiveAirflow(stack, folder / "output"), tell)
        try:
            for course in chosen:
                campaign.carry_out(course)
        except (AssertionError, RuntimeError, requests.RequestException) as error:
            failure = error
    greens = sum(one.state == "success" for one in campaign.ended)
    told = f"{len(campaign.ended)} runs in {time.monotonic() - begun:.0f} s, {greens} green"
    withheld = [one for one in campaign.ended if one.state == "failed" and NO_VERDICT in one.note]
    told += f", {len(withheld)} withheld, {sum(one.withheld is not None for one in withheld)} of them lies by the journal"
    lies = [f"{one.course.kind}: {one.lie}" for one in campaign.lies]
    wrong = [*lies, *([str(failure)] if failure else [])]
    verdict = f"FAILED: {'; '.join(wrong)}\nlogs: {folder}" if wrong else "each green run says the truth"
    tell(f"\nSEED={seed}: {told}; {verdict}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
