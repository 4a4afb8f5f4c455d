"""
### Product feature reconciliation

Runs every week, by itself, and says whether Salesforce still equals the warehouse.

**What it does.** Waits until the warehouse's copy of Salesforce is fresh, compares every property in all feature fields,
appends what it found to the drift table, and writes `validation.json`, `mismatches.csv` and `report.html`, with each product's
accuracy over time. Beside that it holds the source query in Census against the repository, and removes the payloads of backfill
runs in which nothing has happened for `PAYLOAD_DAYS` days.

**Records differ.** What happens then is the setting `HEALING`: `off`, the run fails and says what differs; `ask`, a person
approves under "Required actions"; `auto`, they are sent again up to `HEALING_RECORDS_LIMIT` and `HEALING_SHARE_LIMIT`, and
beyond that the run fails. Healing is a run of `product_feature_backfill` with scope `mismatched`; its guards hold, and its own
approvals.

**It failed.**
- `wait_for_copy`: the replication of Salesforce into the warehouse stands still. See to it, then clear the task with
  downstream.
- `check_source_query`: the SQL that Census runs is not the repository's; the log has the difference. Run
  `census_dataset_deploy`.
- `heal`: its message names the backfill run that failed. Cure that one, or clear `heal`: it starts another for what still
  differs.
- `conclude`: Salesforce differs; its message says what, how many, and what to do. It compares anew, so clear it when that is
  done.

Each task is safe to run again at any time.
"""

from datetime import timedelta
from functools import partial
from typing import Any

from airflow.sdk import CronTriggerTimetable, TriggerRule, chain, dag, get_current_context, task

from feature_sync import dataset_deploy, drift, retention
from feature_sync.approvals import RunApprovalOperator
from feature_sync.assets import VALIDATED_FEATURES, tell_outlets
from feature_sync.copy_sensors import WholeCopySensor
from feature_sync.dag_runs import is_unfinished, task_states
from feature_sync.healing import HealingOperator
from feature_sync.settings import BACKFILL_DAG_ID, RECONCILIATION_DAG_ID, reconciliation_schedule
from feature_sync.task_defaults import TASK_DEFAULTS


@dag(
    schedule=CronTriggerTimetable(reconciliation_schedule(), timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(days=6),  # a healing that never ends fails this week's run and does not hold back the next
    doc_md=__doc__,
    tags=["salesforce", "census"],
    default_args=TASK_DEFAULTS,
)
def product_feature_reconciliation() -> None:
    @task
    def remove_old_payloads() -> dict:
        return retention.remove_old_payloads(partial(is_unfinished, BACKFILL_DAG_ID))

    @task
    def check_source_query() -> dict:
        return dataset_deploy.check_source_query()

    @task
    def compare(run_id: Any = None) -> dict:
        return drift.compare(run_id)

    @task(trigger_rule=TriggerRule.ALL_DONE, outlets=[VALIDATED_FEATURES])  # says what differs, whatever became of the healing
    def conclude(found: dict, run_id: Any = None) -> dict:
        states = task_states(RECONCILIATION_DAG_ID, run_id, ["wait_for_copy", "compare", "approve_healing", "heal"])
        result = drift.conclude(run_id, found, states)
        tell_outlets(get_current_context(), result["properties_checked"])
        return result

    found: Any = compare()
    approve_healing = RunApprovalOperator(
        task_id="approve_healing",
        subject="Send the records again that differ?",
        question=found["question"],
        not_needed="Nobody is asked: nothing differs, or HEALING is not ask.",
    )
    heal = HealingOperator(task_id="heal", found=found, trigger_rule=TriggerRule.NONE_FAILED)
    chain(WholeCopySensor(task_id="wait_for_copy"), found, approve_healing, heal, conclude(found))
    [remove_old_payloads(), check_source_query()]


product_feature_reconciliation()
