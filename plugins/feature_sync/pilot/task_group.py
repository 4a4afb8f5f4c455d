"""The tasks between a pilot and the batches that follow it: look at what it did, then ask a person."""

from collections.abc import Callable
from typing import Any

from airflow.sdk import TriggerRule, chain, get_current_context, task

from feature_sync.orchestration.approvals import RunApprovalOperator
from feature_sync.orchestration.dag_runs import asked_params, has_succeeded, skip
from feature_sync.pilot.rest import hold_rest, subject_of_rest
from feature_sync.pilot.result import check_pilot as judge_pilot


def pilot_gate(tried: Any, *, planned_by: str, on_approval: Callable[[str], None]) -> tuple[Any, RunApprovalOperator]:
    """
    The two tasks, of which the second asks what the first has found out.

    :param tried: the tasks that send the pilot, or the probes. Clearing only the failed tasks leaves the green ones between them
        and the first of these two as they are, so it has to wait for them itself.
    :param planned_by: the task that has planned the pilot. If it did not succeed, there is no pilot to look at.
    :param on_approval: releases the records that follow the pilot.
    """

    # It runs after any outcome of the batches before it, because those of strategy probe may fail.
    @task(trigger_rule=TriggerRule.ALL_DONE)
    def check_pilot() -> dict:
        ti = get_current_context()["ti"]
        if not has_succeeded(ti.dag_id, ti.run_id, planned_by):
            skip(get_current_context(), f"{planned_by} did not succeed, so there is no pilot to look at.")
        question = judge_pilot(asked_params(), ti.run_id)
        return {"question": question, "subject": subject_of_rest(ti.run_id) if question else ""}

    checked = check_pilot()
    approve_pilot = RunApprovalOperator(
        task_id="approve_pilot",
        subject="{{ (ti.xcom_pull(task_ids='check_pilot') or {}).get('subject') or 'Send the other records too?' }}",
        question=checked["question"],  # type: ignore[index]
        before_asking=hold_rest,
        on_approval=on_approval,
        not_needed="Nobody is asked: only strategy pilot asks, and only if it sends records and some follow its first batch.",
    )
    chain(tried, checked, approve_pilot)
    return checked, approve_pilot
