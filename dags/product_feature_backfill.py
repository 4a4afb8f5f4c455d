"""
### Product feature backfill

Sends the product feature fields of Salesforce's `Product_Property__c` again, from the warehouse, through Census: in batches, one
at a time, with a pause between them, because a rollup Flow in Salesforce breaks on larger or overlapping batches. Afterwards it
compares Salesforce with the warehouse and fails if one property differs.

**When.** Started by a person with the form. For the incident of 2025-11-21: scope `created_between`, both days 2025-11-21.

**What it does.** Checks run config, pool, tables and Census sync; freezes the values in the warehouse; holds them against the
guards; writes the full CSV and one CSV a batch; sends batch after batch; waits until the warehouse's copy of Salesforce shows
what was sent; validates.

**Strategies.** `batched` is the safe one. `full` sends all at once and asks a person, under "Required actions", to switch the
Flow off before and on after. `probe` tries larger and larger batches and falls back when Salesforce says that one is too large.

**Look first.** With `dry_run` it ends after the plan. The log of `check_payload` has, for each product, how many records have it
now and would have it after.

**A guard refused.** The error names it and what was found. Nothing was sent, and the refused payload is gone. Only `mass_disable`
can be overridden, by `allow_mass_disable`; then a person must approve the numbers under "Required actions".

**Take it back.** Start a run with `undo_run_id`: what stood in Salesforce before that run is sent back, for each record that
still holds what it sent. `records_not_undone.csv` lists the others.

**A batch failed.** Its `send` task says which records were rejected and why; the batches after it go on. Cure the cause, then
clear that one `send` task *with downstream*: what was not accepted of this batch is sent again, nothing else, and `validate` runs
anew. Batches that were held back after several failures say so; clear all failed tasks ("only failed") to send exactly them.

**Is a rerun safe?** Yes, of any task at any time. The payload of a run never changes once a batch was sent. A `send` task looks
in Census for a run that it had started before it starts one, and never starts one while another is active or too soon after it.

**Stopping.** Mark the `send` task that runs as failed, then the run. A Census run that is under way goes on to its end in Census;
if the task is cleared later, it takes that run up instead of sending the batch twice.
"""

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import TriggerRule, chain, conf, dag, task

from feature_sync import payload, preconditions
from feature_sync.approvals import RunApprovalOperator
from feature_sync.assets import VALIDATED_FEATURES
from feature_sync.census.sending_group import sending_group
from feature_sync.copy_sensors import RunCopySensor
from feature_sync.dag_runs import run_day
from feature_sync.flow import SWITCH_OFF, SWITCH_ON
from feature_sync.task_defaults import TASK_DEFAULTS
from feature_sync.trigger_form import BACKFILL_PARAMS
from feature_sync.validation_operators import ValidationOperator


@dag(
    schedule=None,
    catchup=False,
    doc_md=__doc__,
    tags=["salesforce", "census"],
    params=BACKFILL_PARAMS,
    default_args=TASK_DEFAULTS,
)
def product_feature_backfill() -> None:
    @task
    def check_preconditions(params: dict | None = None) -> dict:
        return preconditions.check_preconditions(params or {}, conf.getint("core", "max_map_length"))

    @task
    def freeze_payload(params: dict | None = None, run_id: Any = None) -> dict:
        return payload.freeze_payload(params or {}, run_id)

    @task
    def check_payload(params: dict | None = None, run_id: Any = None) -> dict:
        return payload.check_payload(params or {}, run_id)

    @task(trigger_rule=TriggerRule.NONE_FAILED)  # the approval before it is skipped when there is nothing to approve
    def export_csv(run_id: Any = None) -> dict:
        return payload.export_csv(run_id, run_day())

    @task
    def plan_probes(params: dict | None = None, run_id: Any = None) -> list[dict]:
        return payload.plan_probes(params or {}, run_id, run_day())

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def plan_batches(params: dict | None = None, run_id: Any = None) -> list[dict]:
        return payload.plan_batches(params or {}, run_id)

    checked = check_payload()
    approve_mass_disable = RunApprovalOperator(
        task_id="approve_mass_disable",
        subject="Turn products off in Salesforce?",
        question=checked["approval"],  # type: ignore[index]
        on_approval=payload.release_payload,
        not_needed="Nobody is asked: the run turns no product off for more records than allowed, or it is a dry run.",
    )
    confirm_flow_off = RunApprovalOperator(
        task_id="confirm_flow_off",
        subject="Is the rollup Flow off?",
        question="{% if params.strategy == 'full' and not params.dry_run %}" + SWITCH_OFF + "{% endif %}",
        not_needed="Nobody is asked: the Flow stays on, unless strategy is full and the run is no dry run.",
    )
    confirm_flow_on = RunApprovalOperator(
        task_id="confirm_flow_on",
        subject="Is the rollup Flow on again?",
        question="{% if ti.xcom_pull(task_ids='confirm_flow_off') %}" + SWITCH_ON + "{% endif %}",
        not_needed="Nobody is asked: nobody has said in this run that the Flow was off.",
        trigger_rule=TriggerRule.ALL_DONE,
    )
    probes, planned = plan_probes(), plan_batches()
    probed = sending_group("probe", is_probe=True).expand(batch=probes)
    sent = sending_group("batch", is_probe=False).expand(batch=planned)
    probes_done = EmptyOperator(task_id="probes_done", trigger_rule=TriggerRule.ALL_DONE)
    # Both run when all batches are done, well, badly or skipped.
    ending: dict[str, Any] = {
        "planned_by": "plan_batches",
        "is_dry_run": "{{ params.dry_run }}",
        "trigger_rule": TriggerRule.ALL_DONE,
    }
    # Its failure is not the last word, so nobody is told of it: validate looks again, whatever became of it.
    wait_for_copy = RunCopySensor(task_id="wait_for_copy", on_failure_callback=None, **ending)
    validate = ValidationOperator(task_id="validate", outlets=[VALIDATED_FEATURES], **ending)
    chain(check_preconditions(), freeze_payload(), checked, approve_mass_disable, export_csv(), probes, confirm_flow_off)
    chain(confirm_flow_off, probed, probes_done, planned, sent, [wait_for_copy, confirm_flow_on])
    chain(wait_for_copy, validate)
    chain(confirm_flow_off, [planned, confirm_flow_on])
    # Clearing only the failed tasks leaves green ones as they are, so validate has to wait for the batches itself.
    chain([probed, planned, sent], validate)


product_feature_backfill()
