"""Whether a run may end green: only with a verdict that was given by itself, after everything that it speaks about."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from feature_sync.config.names import (
    ACCEPT_DAG_ID,
    BACKFILL_DAG_ID,
    DEPLOY_DAG_ID,
    RECONCILIATION_DAG_ID,
    VERIFY_DAG_ID,
    WATCH_DAG_ID,
)
from feature_sync.config.wording import count_of

BEGAN, ENDED = "began_", "ended_"
"""With the id of its try, the keys of the XComs in which a task notes that it began, and that it came to its end by itself."""
FOUND = "found"
"""The key of the XCom in which a verdict notes what it has found, also if that is none to be green about."""
CHECKED = "check_payload"
"""The task that leaves what a backfill would change, product by product."""
NO_VERDICT = "No verdict:"
"""How a reason begins. In the note of a run, a paragraph that begins so is ours."""
VERDICT = "Verdict:"
"""How a verdict begins. In the note of a run, a paragraph that begins so is ours too."""
MAX_NAMED = 8
"""Tasks that a reason names."""
MAX_NOTE = 1000
"""Characters of a note that Airflow's database can store."""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """
    What Airflow knows of one task of a run; a mapped task has several of them.

    Clearing a task gives it a new try, and so does a retry. A person who marks a task changes its state alone.

    ``began_at``: when its current try began, or went on after it had waited. None if it did neither.
    ``ended_by_itself``: whether its current try came to its end, by a success or a skip.
    ``last_at``: the last that was seen of any of its tries.
    """

    state: str | None
    map_index: int = -1
    began_at: datetime | None = None
    ended_by_itself: bool = False
    last_at: datetime | None = None


Tasks = Mapping[str, Sequence[TaskFacts]]
"""By task id."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    What a green run of a DAG needs.

    ``verdict``: the task that says whether everything is right.
    ``work``: the tasks that it judges, each with the task that plans how many instances there are, if it is mapped.
    ``also``: a verdict about something that this run does not change.
    ``waits``: tasks that only wait. They prove nothing, so a person may mark them.
    ``plan``: the task that gives the verdict of a dry run.
    ``asks``: a question. If it skips itself, there is nothing to be done, and that is the verdict.
    ``reopens``: a question, and the one that must have been answered if the first one was.
    """

    verdict: str
    work: Mapping[str, str | None] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    waits: frozenset[str] = frozenset()
    plan: str | None = None
    asks: str | None = None
    reopens: tuple[str, str] | None = None

    @property
    def planned(self) -> dict[str, str]:
        """The mapped tasks, each with the task that plans how many instances there are."""
        return {task_id: plan for task_id, plan in self.work.items() if plan}


RULES: Mapping[str, Rule] = {
    BACKFILL_DAG_ID: Rule(
        "validate",
        work={"probe.send": "plan_probes", "batch.send": "plan_batches"},
        waits=frozenset({"wait_for_copy", "probes_done", "probe.wait_for_turn", "batch.wait_for_turn"}),
        plan="plan_batches",
        reopens=("confirm_flow_off", "confirm_flow_on"),
    ),
    RECONCILIATION_DAG_ID: Rule(
        "conclude",
        work={"compare": None, "heal": None},
        also=("check_source_query",),
        waits=frozenset({"wait_for_copy", "wait_for_healed_copy"}),
    ),
    DEPLOY_DAG_ID: Rule("deploy_mappings", work={"compare_query": None, "deploy_query": None}, asks="approve"),
    ACCEPT_DAG_ID: Rule("accept"),
    VERIFY_DAG_ID: Rule("verify"),
    WATCH_DAG_ID: Rule("look"),
}
"""By DAG. A DAG without a rule may end as Airflow decides."""


def why_not_green(dag_id: str, tasks: Tasks, *, is_dry_run: bool = False, planned: Mapping[str, int] | None = None) -> str | None:
    """
    Say why a run that Airflow takes for a success is none.

    :param is_dry_run: whether the run was asked to send nothing. A run that has planned to send something is none, whatever
        it was asked for: the default may have changed since.
    :param planned: how many instances a task has planned of the one that is mapped over it.
    :returns: a reason that says what to clear, or None if the run may be green.
    """
    rule = RULES.get(dag_id)
    if rule is None:
        return None
    has_planned = any((planned or {}).get(plan) for plan in rule.planned.values())
    verdicts = _verdicts(rule, tasks, is_dry_run=is_dry_run and not has_planned)
    reason = (
        _reason_if_marked(rule, tasks)
        or _reason_if_missing(rule, tasks, verdicts)
        or _reason_if_deleted(rule, tasks, planned or {})
        or _reason_if_changed(rule, tasks, verdicts)
    )
    return f"{NO_VERDICT} {reason}" if reason else None


def noted(note: str | None, reason: str | None) -> str | None:
    """
    Put a reason or a verdict into the note of a run, or take the former one out. What people wrote there stays.

    :param reason: as `why_not_green` or `verdict_line` returns it.
    :returns: a note that is not too long for Airflow.
    """
    kept = "\n\n".join(part for part in (note or "").split("\n\n") if part and not part.startswith((NO_VERDICT, VERDICT)))
    room = MAX_NOTE - len(kept) - 2
    if not reason or room < len(NO_VERDICT):
        return kept or None
    said = reason if len(reason) <= room else f"{reason[: room - 4]} ..."
    return f"{kept}\n\n{said}" if kept else said


def verdict_line(
    found: Mapping[str, Any] | None, checked: Mapping[str, Any] | None, *, batches: int, is_dry_run: bool
) -> str | None:
    """
    Sum up a run in one line, for its note.

    :param found: what its verdict has found, see `feature_sync.orchestration.progress.FOUND`.
    :param checked: what the check of its payload has found, if it has one.
    :param batches: how many batches it has planned.
    :returns: None if nothing is known.
    """
    if found and found.get("properties_checked"):
        of_all = count_of(found["properties_checked"], "property", "differs", "differ")
        line = f"{VERDICT} {found['properties_mismatched']:,} of {of_all}."
        sent = (found.get("records") or {}).get("sent")
        return line if sent is None else f"{line} {count_of(batches, 'batch')}, {count_of(sent, 'record')} sent."
    if found and found.get("result"):
        return f"{VERDICT} {str(found['result']).rstrip('.')}."
    if is_dry_run and checked and "records" in checked:
        would = count_of(checked["records"], "record", "would be sent")
        return f"{VERDICT} dry run, nothing was sent. {would}; the log of check_payload shows what would change."
    return None


def _verdicts(rule: Rule, tasks: Tasks, *, is_dry_run: bool) -> tuple[str, ...]:
    """The tasks that must have come to their end by themselves, after all work."""
    if is_dry_run and rule.plan:
        return (rule.plan,)
    if rule.asks and (asked := tasks.get(rule.asks)) and {each.state for each in asked} == {"skipped"}:
        return (rule.asks,)
    if rule.reopens and any(each.state == "success" for each in tasks.get(rule.reopens[0], ())):
        return (rule.verdict, rule.reopens[1])
    return (rule.verdict,)


def _reason_if_marked(rule: Rule, tasks: Tasks) -> str | None:
    marked = [name for name, each in _all(tasks, but=rule.waits) if each.state == "success" and not each.ended_by_itself]
    if not marked:
        return None
    itself, it, its = ("itself", "it", "its") if len(marked) == 1 else ("themselves", "them", "their")
    return (
        f"{_listed(marked)} did not succeed by {itself}. Somebody marked {it} as a success, so nobody knows what would have come "
        f"of {it}. Clear {it} with {its} downstream tasks."
    )


def _reason_if_missing(rule: Rule, tasks: Tasks, verdicts: Iterable[str]) -> str | None:
    for verdict in (*verdicts, *rule.also):
        found = tasks.get(verdict, ())
        wanted = "skipped" if verdict == rule.asks else "success"
        if not found or not all(each.ended_by_itself and each.state == wanted for each in found):
            stopped = {
                task_id
                for task_id, instances in tasks.items()
                if any(each.state != "success" and not each.ended_by_itself for each in instances)
                # A group of tasks that is mapped over nothing, or over a plan that was stopped itself.
                and not ("." in task_id and all(each.map_index < 0 for each in instances))
            }
            return (
                f"{verdict} has not come to a result by itself, so nobody knows whether this run did its job. Clear the first "
                "task that was stopped or skipped, with its downstream tasks. "
                f"It is one of {_listed(sorted(stopped | {verdict}))}."
            )
    return None


def _reason_if_deleted(rule: Rule, tasks: Tasks, planned: Mapping[str, int]) -> str | None:
    for mapped, plan in rule.work.items():
        deleted = planned.get(plan or "", 0) - sum(each.map_index >= 0 for each in tasks.get(mapped, ()))
        if deleted > 0:
            return f"{deleted} of the instances of {mapped} were deleted, so nobody knows what they did. Start a new run."
    return None


def _reason_if_changed(rule: Rule, tasks: Tasks, verdicts: Iterable[str]) -> str | None:
    work = list(_all({task_id: tasks.get(task_id, ()) for task_id in rule.work}))
    if interrupted := [name for name, each in work if each.began_at and not each.ended_by_itself]:
        return (
            f"{_listed(interrupted)} began and did not come to its end, so nobody knows what it did. Clear it with its "
            "downstream tasks."
        )
    for verdict in verdicts:
        began = min((each.began_at for each in tasks[verdict] if each.began_at), default=None)
        if late := [name for name, each in work if began is None or (each.last_at and each.last_at >= began)]:
            return (
                f"{_listed(late)} ran after {verdict} had begun, so what it changed was not checked. Clear {verdict} with its "
                "downstream tasks."
            )
    return None


def _all(tasks: Tasks, but: Collection[str] = ()) -> Iterator[tuple[str, TaskFacts]]:
    """Each task with its name in Airflow."""
    for task_id in sorted(set(tasks) - set(but)):
        for each in sorted(tasks[task_id], key=lambda one: one.map_index):
            yield task_id if each.map_index < 0 else f"{task_id}[{each.map_index}]", each


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} others" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
