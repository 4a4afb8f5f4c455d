"""Whether a run may end green: only with a verdict that was given after everything it speaks about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from feature_sync.config.names import BACKFILL_DAG_ID, DEPLOY_DAG_ID, RECONCILIATION_DAG_ID


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """
    What Airflow knows of a task of a run.

    ``ran``: whether it was ever started. A task that a person marked, or that was skipped with others, was not.
    ``has_result``: whether its last try left a result. A task that a person marked as a success left none.
    """

    state: str | None
    ran: bool
    has_result: bool
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def has_succeeded(self) -> bool:
        return self.state == "success" and self.ran and self.has_result


@dataclass(frozen=True, slots=True)
class Rule:
    """
    What a green run of a DAG needs.

    ``verdict``: the task that says whether everything is right.
    ``spoken_of``: the tasks whose work it judges. Each must have ended before it started.
    ``plan``: for a dry run, the task that must have succeeded instead.
    """

    verdict: str
    spoken_of: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    plan: str | None = None


RULES: Mapping[str, Rule] = {
    BACKFILL_DAG_ID: Rule("validate", ("batch.send", "probe.send"), plan="plan_batches"),
    RECONCILIATION_DAG_ID: Rule("conclude", ("compare", "heal"), also=("check_source_query",)),
    DEPLOY_DAG_ID: Rule("deploy_mappings", ("deploy_query",)),
}
"""By DAG. A DAG without a rule may end as Airflow decides."""
NOT_ASKED = "approve"
"""The question of the deployment. If it was skipped by itself, there was nothing to deploy."""


def why_not_green(dag_id: str, tasks: Mapping[str, Sequence[TaskFacts]], *, is_dry_run: bool) -> str | None:
    """
    Say why a run that Airflow takes for a success is none.

    :param tasks: by task id; a mapped task has several.
    :param is_dry_run: whether the run was asked to send nothing.
    :returns: a sentence that says what to clear, or None if the run may be green.
    """
    rule = RULES.get(dag_id)
    if rule is None:
        return None
    if is_dry_run and rule.plan:
        return None if _succeeded(tasks, rule.plan) else _missing(rule.plan)
    if dag_id == DEPLOY_DAG_ID and _skipped_itself(tasks, NOT_ASKED):
        return None if _succeeded(tasks, "compare_query") else _missing("compare_query")
    for task_id in (rule.verdict, *rule.also):
        if not _succeeded(tasks, task_id):
            return _missing(task_id)
    started = max((each.started_at for each in tasks[rule.verdict] if each.started_at), default=None)
    for task_id in rule.spoken_of:
        ends = [each.ended_at for each in tasks.get(task_id, ()) if each.ran and each.ended_at]
        if started is None or any(end > started for end in ends):
            return (
                f"No verdict: {task_id} ended after {rule.verdict} had begun, so what it changed was not checked. Clear "
                f"{rule.verdict} with its downstream tasks."
            )
    return None


def _succeeded(tasks: Mapping[str, Sequence[TaskFacts]], task_id: str) -> bool:
    found = tasks.get(task_id, ())
    return bool(found) and all(each.has_succeeded for each in found)


def _skipped_itself(tasks: Mapping[str, Sequence[TaskFacts]], task_id: str) -> bool:
    found = tasks.get(task_id, ())
    return bool(found) and all(each.state == "skipped" and each.ran for each in found)


def _missing(task_id: str) -> str:
    return (
        f"No verdict: {task_id} has not succeeded by itself, so nobody knows whether this run did its job. Clear the tasks that "
        f"were skipped or marked, with their downstream tasks, {task_id} among them."
    )
