"""
### Product feature backfill

Sends the product feature fields of Salesforce's `Product_Property__c` again, from the warehouse, through Census. It sends
batches, one at a time, with a pause between them, because a rollup Flow in Salesforce fails on larger or overlapping batches.
Afterwards it compares Salesforce with the warehouse and fails if one property differs.

#### A batch failed

The batches after it go on. Its `send` task is red:

1. Open it. Its log says which records were rejected and why, and ends with `Next:` and what to do.
2. Remove the cause.
3. Press **Clear Task Instance** and leave **Downstream** selected. The dialog shows four affected tasks. Only the records of this
   batch that were not accepted are sent again, and `validate` runs again.

Several batches failed, or were held back after failures in a row: open the run, press **Clear Dag Run** and choose **Clear only
failed tasks**. Exactly those are sent. A lock (`UNABLE_TO_LOCK_ROW`) that is *up for retry* is tried again by itself.

#### Red, but no task is red?

Then the run has no verdict: somebody marked a task as a success, or cleared only a part of the run.
The note of the run names the tasks to clear.

#### Stopping

For a while: pause the DAG, and unpause it to go on. For good: mark the running `send` task as failed, then the
run. A Census run that is going on continues to its end in Census. To go on after that, clear the `batch.wait_for_turn` task of
the batch that you stopped, and of each batch after it, with **Downstream**: the stopped one resumes its Census run, so nothing is
sent twice. Or clear the whole task `batch.wait_for_turn`: then every batch is sent again, with the same values.

#### When

A person starts it with the form. For the incident of 2025-11-21: scope `created_between`, both days 2025-11-21.

#### What it does

It checks run config, pool, tables and Census sync; freezes the values in the warehouse; checks them with
the guards; writes the full CSV and one CSV per batch; sends one batch after another; waits until the warehouse's copy of
Salesforce, the replica, shows the new values, unless Salesforce itself can be asked; validates.

#### Preview

Unless `dry_run` is off, the run ends after the plan and sends nothing. Its note sums up what would be sent. The log of
`check_payload` shows, for each product, how many records have it now and would have it afterwards, and how many dates change. It
also names other syncs of the same object that may start meanwhile.

#### Strategies

`batched` is the safe one. `full` sends all records at once; it asks a person, under "Required actions", to
switch the Flow off before and on again afterwards. `probe` tries larger and larger batches and falls back when Salesforce
says that one is too large. `pilot` sends one batch of records of every kind and reads it back; then a person decides, under
"Required actions", whether the others follow.

#### Report

`report.html` in the run's folder says what came of it, what to do, what is open, and who approved what. A red run has it too.

#### A guard refused

The error names the guard and what it found. Nothing was sent, and the refused payload was removed. Only
`mass_disable` can be overridden, by `allow_mass_disable`; then a person must approve the numbers under "Required actions".

#### Nothing to do

If no record differs, the run ends green. It sends nothing, asks nobody, and the log of `validate` says how
many records were compared.

#### Undo

Start a run with `undo_run_id`. Each record gets back the values it had before that run, if it still holds what that
run sent. `records_not_undone.csv` lists the other records.

#### Is a rerun safe?

Yes, of any task at any time. The payload of a run never changes after its first batch was sent. Before a
`send` task starts a Census run, it looks for a run that it has started already. It never starts one while another is active,
or too soon after it.
"""

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import TriggerRule, chain, conf, dag, task

from feature_sync.backfill import flow_questions, payload, plan, preconditions
from feature_sync.backfill.operators import ValidationOperator, after_batches
from feature_sync.backfill.trigger_form import BACKFILL_PARAMS
from feature_sync.config.asked import ON_REQUEST
from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.orchestration.approvals import RunApprovalOperator
from feature_sync.orchestration.assets import VALIDATED_FEATURES
from feature_sync.orchestration.dag_runs import asked_params, describe_run, heals, is_unfinished, run_day
from feature_sync.orchestration.progress import note_changes
from feature_sync.pilot.task_group import pilot_gate
from feature_sync.replica.sensors import RunReplicaSensor
from feature_sync.sending.task_group import sending_group
from feature_sync.task_defaults.defaults import DAG_DEFAULTS
from feature_sync.task_defaults.explanations import explain, shown_as
from feature_sync.watch.operators import watch_sending


@dag(
    schedule=None,
    catchup=False,
    allowed_run_types=ON_REQUEST,
    doc_md=__doc__,
    tags=["salesforce", "census"],
    params=BACKFILL_PARAMS,
    **DAG_DEFAULTS,
    **shown_as(BACKFILL_DAG_ID),
)
def product_feature_backfill() -> None:
    @task
    def check_preconditions() -> dict:
        return preconditions.check_preconditions(asked_params(), conf.getint("core", "max_map_length"))

    @task
    def freeze_payload(run_id: Any = None) -> dict:
        return payload.freeze_payload(asked_params(), run_id, lambda other: is_unfinished(BACKFILL_DAG_ID, other))

    @task
    def check_payload(frozen: dict, run_id: Any = None) -> dict:
        return payload.check_payload(asked_params(), run_id, heals, frozen).as_xcom()

    @task(trigger_rule=TriggerRule.NONE_FAILED)  # the approval before it is skipped if there is nothing to approve
    def export_csv(run_id: Any = None) -> dict:
        return payload.export_csv(run_id, run_day())

    @task
    def plan_probes(run_id: Any = None) -> list[dict]:
        return watch_sending(plan.plan_probes(asked_params(), run_id, note_changes))

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def plan_batches(run_id: Any = None) -> list[dict]:
        return watch_sending(plan.plan_batches(asked_params(), run_id, describe_run(), note_changes))

    frozen = freeze_payload()
    checked = check_payload(frozen)  # type: ignore[arg-type]
    approve_mass_disable = RunApprovalOperator(
        task_id="approve_mass_disable",
        subject="{{ (ti.xcom_pull(task_ids='check_payload') or {}).get('subject') or 'Turn products off in Salesforce?' }}",
        question=checked["approval"],  # type: ignore[index]
        on_approval=lambda run_id: payload.release_checked(asked_params(), run_id),
        not_needed="Nobody is asked: the run turns no product off for more records than allowed, or it is a dry run.",
    )
    confirm_flow_off = RunApprovalOperator(task_id="confirm_flow_off", **flow_questions.BEFORE_SENDING)
    confirm_flow_on = RunApprovalOperator(
        task_id="confirm_flow_on", trigger_rule=TriggerRule.ALL_DONE, **flow_questions.AFTER_SENDING
    )
    probes, planned = plan_probes(), plan_batches()
    probed = sending_group("probe", is_probe="{{ params.strategy == 'probe' }}").expand(batch=probes)
    sent = sending_group("batch", is_probe=False).expand(batch=planned)
    probes_done = EmptyOperator(task_id="probes_done", trigger_rule=TriggerRule.NONE_FAILED)
    gate = pilot_gate(probed, planned_by="plan_probes", on_approval=payload.release_payload)
    # The sensor's failure sends no alert, because validate looks again after any outcome.
    ending = after_batches("plan_probes", "plan_batches")
    wait_for_copy = RunReplicaSensor(task_id="wait_for_copy", on_failure_callback=None, **ending)
    validate = ValidationOperator(task_id="validate", outlets=[VALIDATED_FEATURES], **ending)
    chain(check_preconditions(), frozen, checked, approve_mass_disable, export_csv(), probes, confirm_flow_off)
    chain(confirm_flow_off, probed, probes_done, *gate, planned, sent, [wait_for_copy, confirm_flow_on])
    chain(confirm_flow_off, [planned, confirm_flow_on])
    # Clearing only the failed tasks leaves the green ones as they are, so validate has to wait for the batches itself.
    chain([probed, planned, sent, wait_for_copy], validate)


explain(product_feature_backfill())
