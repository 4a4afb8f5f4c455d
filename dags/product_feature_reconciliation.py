"""
### Product feature reconciliation

Runs every week by itself and says whether Salesforce still equals the warehouse.

#### It failed

- `wait_for_copy`, `wait_for_healed_copy`: the replication of Salesforce into the warehouse has stopped. Repair it, then clear
  the task with downstream.
- `check_source_query`: the regular sync would write wrong values, or nobody knows what it would write. The log has the numbers.
  Correct its query or view, or run `census_dataset_deploy`.
- `heal`: its message names the backfill run that failed, or that somebody has deleted. Repair that run, or clear `heal`: it
  starts another one for the records that still differ.
- `conclude`: Salesforce differs. Its message says what, how many, and what to do. It compares again, so clear it when that is
  done.
- The run is red, but no task is: it has no verdict. Somebody marked a task, or cleared only a part of the run. The note of the
  run names the tasks to clear.

Each task is safe to run again at any time.

#### What it does

It waits until the warehouse's copy of Salesforce, the replica, is fresh, and compares every property in all
feature fields. It adds the result to the drift table and writes `validation.json`, `mismatches.csv` and `report.html`, which
draws each product's accuracy over time. It also runs the regular sync's query in the warehouse and compares what it
yields with the feature table, and removes the payloads of backfill runs without activity for `PAYLOAD_DAYS` days.

#### Records differ

The setting `HEALING` says what happens then. `off`: the run fails and says what differs. `ask`: a person
approves under "Required actions". `auto`: the records are sent again, up to `HEALING_RECORDS_LIMIT` and
`HEALING_SHARE_LIMIT`; if more differ, the run fails. Healing is a run of `product_feature_backfill` with scope `mismatched`,
with its own guards and approvals.
"""

from datetime import timedelta
from functools import partial
from typing import Any

from airflow.sdk import CronTriggerTimetable, TriggerRule, chain, conf, dag, get_current_context, task

from feature_sync.backfill import retention
from feature_sync.config.asked import BY_THE_CLOCK
from feature_sync.config.names import BACKFILL_DAG_ID, RECONCILIATION_DAG_ID
from feature_sync.config.settings import reconciliation_schedule
from feature_sync.deployment import deploy
from feature_sync.orchestration.approvals import RunApprovalOperator
from feature_sync.orchestration.assets import VALIDATED_FEATURES, describe_outlets
from feature_sync.orchestration.dag_runs import describe_run, is_unfinished, refuse_config, skip_if_refused, task_states
from feature_sync.orchestration.progress import note_found
from feature_sync.reconciliation import comparison
from feature_sync.reconciliation.operators import HealingOperator
from feature_sync.reconciliation.verdict import Finding, Steps
from feature_sync.replica.sensors import HealedReplicaSensor, WholeReplicaSensor
from feature_sync.task_defaults.defaults import DAG_DEFAULTS
from feature_sync.task_defaults.explanations import explain, shown_as

STEPS = {"replica": "wait_for_copy", "comparison": "compare", "approval": "approve_healing", "healing": "heal"}


@dag(
    schedule=CronTriggerTimetable(reconciliation_schedule(), timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    allowed_run_types=BY_THE_CLOCK,
    dagrun_timeout=timedelta(days=6),  # a healing that never ends fails this week's run and does not hold back the next
    doc_md=__doc__,
    tags=["salesforce", "census"],
    **DAG_DEFAULTS,
    **shown_as(RECONCILIATION_DAG_ID),
)
def product_feature_reconciliation() -> None:
    @task
    def remove_old_payloads() -> dict:
        skip_if_refused(STEPS["replica"])
        return retention.remove_old_payloads(partial(is_unfinished, BACKFILL_DAG_ID))

    @task
    def check_source_query() -> dict:
        skip_if_refused(STEPS["replica"])
        return deploy.check_source_query()

    @task
    def compare(run_id: Any = None) -> dict:
        refuse_config()  # a person may have cleared this task alone
        overrides = conf.getboolean("core", "dag_run_conf_overrides_params")
        return comparison.compare(run_id, overrides_params=overrides, origin=describe_run()).as_xcom()

    @task(trigger_rule=TriggerRule.ALL_DONE, outlets=[VALIDATED_FEATURES])  # gives a verdict after any outcome of the healing
    def conclude(found: dict | None, run_id: Any = None) -> dict:
        steps = Steps(**task_states(RECONCILIATION_DAG_ID, run_id, **STEPS))
        is_first_look = get_current_context()["ti"].try_number == 1
        finding = Finding.from_xcom(found) if found else None
        result = comparison.conclude(run_id, finding, steps, describe_run(), note_found, may_reuse=is_first_look)
        describe_outlets(get_current_context(), result["properties_checked"], result["differences_accepted"])
        return result

    found: Any = compare()
    approve_healing = RunApprovalOperator(
        task_id=STEPS["approval"],
        subject="{{ (ti.xcom_pull(task_ids='compare') or {}).get('subject') or 'Send the records that differ again?' }}",
        question=found["question"],
        approves="{{ (ti.xcom_pull(task_ids='compare') or {}).get('approves') | tojson }}",
        not_needed="Nobody is asked: nothing differs, or HEALING is not ask.",
    )
    heal = HealingOperator(task_id=STEPS["healing"], found=found, trigger_rule=TriggerRule.NONE_FAILED)
    # The first task refuses a run that makes no sense, before it waits.
    wait_for_copy = WholeReplicaSensor(task_id=STEPS["replica"], refuse=refuse_config)
    # The run that heals may have asked Salesforce itself, and left the replica behind.
    wait_for_healing = HealedReplicaSensor(task_id="wait_for_healed_copy", after=STEPS["healing"])
    chain(wait_for_copy, found, approve_healing, heal, wait_for_healing, conclude(found))
    [remove_old_payloads(), check_source_query()]


explain(product_feature_reconciliation())
