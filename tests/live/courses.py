"""What a person may click at a run, and at which moments. It follows from a seed alone."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from feature_sync.config.names import BACKFILL_DAG_ID, DEPLOY_DAG_ID, RECONCILIATION_DAG_ID


class Kind(StrEnum):
    """What kind of run is clicked at."""

    BATCHED = "batched"
    FULL = "full"
    PROBE = "probe"
    PILOT = "pilot"
    DRY_RUN = "dry run"
    UNDO = "undo"
    WEEKLY = "weekly run with healing"
    DEPLOY = "deployment"


DAGS = dict.fromkeys(Kind, BACKFILL_DAG_ID) | {Kind.WEEKLY: RECONCILIATION_DAG_ID, Kind.DEPLOY: DEPLOY_DAG_ID}
BACKFILL_TASKS = (
    *("check_preconditions", "freeze_payload", "check_payload", "approve_mass_disable", "export_csv", "plan_probes"),
    *("plan_batches", "wait_for_copy", "validate", "validate", "validate"),
    *("batch.wait_for_turn[0]", "batch.wait_for_turn[1]", "batch.send[0]", "batch.send[1]", "batch.send[2]", "batch.send[1]"),
)
TASKS: Mapping[Kind, Sequence[str]] = {
    **dict.fromkeys((Kind.BATCHED, Kind.UNDO), BACKFILL_TASKS),
    Kind.DRY_RUN: ("check_preconditions", "freeze_payload", "check_payload", "plan_probes", "plan_batches", "validate"),
    Kind.FULL: (
        "check_payload",
        "confirm_flow_off",
        "confirm_flow_on",
        "confirm_flow_on",
        "batch.send[0]",
        "plan_batches",
        "validate",
    ),
    Kind.PROBE: (
        "plan_probes",
        "probe.wait_for_turn[0]",
        "probe.send[0]",
        "probe.send[1]",
        "probes_done",
        "plan_batches",
        "validate",
    ),
    Kind.PILOT: (
        "plan_probes",
        "probe.wait_for_turn[0]",
        "probe.send[0]",
        "check_pilot",
        "approve_pilot",
        "approve_pilot",
        "plan_batches",
        "batch.send[0]",
        "validate",
    ),
    Kind.WEEKLY: (
        *("wait_for_copy", "compare", "approve_healing", "heal", "heal", "wait_for_healed_copy", "conclude", "conclude"),
        *("check_source_query", "remove_old_payloads"),
    ),
    Kind.DEPLOY: ("compare_query", "approve", "approve", "deploy_query", "deploy_query", "deploy_mappings", "deploy_mappings"),
}


class Action(StrEnum):
    """What a person can click."""

    MARK = "mark"  # a task, with or without its relatives
    MARK_GROUP = "mark the group of"
    MARK_RUN = "mark the run"
    CLEAR = "clear"  # a task, with or without its relatives
    CLEAR_RUN = "clear the run"
    PAUSE = "pause the DAG"
    UNPAUSE = "unpause the DAG"
    DELETE = "delete"  # a task
    DELETE_RUN = "delete the run"


@dataclass(frozen=True, slots=True)
class Click:
    """
    One click that is to come.

    ``moment``: the task whose state is waited for, or "run". ``ended``: it is waited for its end, or else for its beginning.
    ``after``: seconds between the moment and the click. ``target``: a task, with its index if it is mapped. ``state``: what it is
    marked as. ``options``: of the dialog.
    """

    moment: str
    ended: bool
    action: Action
    target: str = ""
    state: str = ""
    options: tuple[str, ...] = ()
    after: float = 0.0

    def __str__(self) -> str:
        words = [self.action.value, self.target, f"as {self.state}" if self.state else ""]
        options = f" ({', '.join(self.options)})" if self.options else ""
        return f"when {self.moment} {'ended' if self.ended else 'began'}: {' '.join(word for word in words if word)}{options}"


@dataclass(frozen=True, slots=True)
class Course:
    """
    A run and the clicks at it.

    ``rejects``: Salesforce rejects some records of the first batch. ``has_date``: the run has a logical date, so that Airflow
    knows the past and the future of it.
    """

    kind: Kind
    clicks: tuple[Click, ...]
    rejects: bool = False
    has_date: bool = False


def random_course(rng: random.Random, kind: Kind) -> Course:
    """One to five clicks. Half of the time the last one goes on, as the runbook says."""
    tasks = TASKS[kind]
    clicks = [_random_click(rng, tasks) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.5:
        clicks.append(rng.choice(_go_on(kind)))
    return Course(kind, tuple(clicks), rejects=rng.random() < 0.25, has_date=rng.random() < 0.2)


def _random_click(rng: random.Random, tasks: Sequence[str]) -> Click:
    moment, ended = rng.choice([*tasks, "run", "run"]), rng.random() < 0.5
    after = round(rng.uniform(0, 2), 1)
    target = rng.choice(tasks)
    action = rng.choice([*Action, Action.MARK, Action.MARK, Action.CLEAR, Action.CLEAR, Action.MARK_RUN])
    options: list[str] = []
    state = ""
    match action:
        case Action.MARK:
            state = rng.choice(("success", "success", "failed", "skipped"))
            options = [name for name in ("upstream", "downstream", "past", "future") if rng.random() < 0.15]
        case Action.MARK_GROUP:
            groups = sorted({task.partition(".")[0] for task in tasks if "." in task})
            if not groups:
                return Click(moment, ended, Action.MARK, target, "success", after=after)
            target, state = rng.choice(groups), rng.choice(("success", "failed"))
        case Action.MARK_RUN:
            target, state = "", rng.choice(("success", "success", "failed", "queued"))
        case Action.CLEAR:
            options = [
                name
                for name in ("downstream", "only failed", "past", "future")
                if rng.random() < (0.5, 0.2)[name != "downstream"]
            ]
        case Action.CLEAR_RUN:
            target, options = "", rng.choice(([], ["only failed"], ["only failed"]))
        case Action.PAUSE | Action.UNPAUSE | Action.DELETE_RUN:
            target = ""
    return Click(moment, ended, action, target, state, tuple(options), after)


def _go_on(kind: Kind) -> tuple[Click, ...]:
    first = {
        Kind.PROBE: "probe.wait_for_turn",
        Kind.PILOT: "probe.wait_for_turn",
        Kind.WEEKLY: "wait_for_copy",
        Kind.DEPLOY: "compare_query",
        Kind.FULL: "confirm_flow_off",
    }
    verdict = {Kind.WEEKLY: "conclude", Kind.DEPLOY: "deploy_mappings", Kind.DRY_RUN: "plan_batches"}.get(kind, "validate")
    return (
        Click("run", True, Action.CLEAR, first.get(kind, "batch.wait_for_turn"), options=("downstream",)),
        Click("run", True, Action.CLEAR, verdict, options=("downstream",)),
        Click("run", True, Action.CLEAR_RUN),
    )


def long_plan(rng: random.Random, sequences: int = 42) -> list[Course]:
    """Each kind several times, the batched one most often."""
    kinds = [*Kind] * (sequences // (len(Kind) + 2)) + [Kind.BATCHED] * sequences
    return [random_course(rng, kind) for kind in rng.sample(kinds[:sequences], sequences)]
