"""
### Product feature reconciliation

Runs every week, by itself.

**What it does.** Removes the payloads of backfill runs in which nothing has happened for `PAYLOAD_DAYS` days. Until then such a
run can be retried and undone; the sync log keeps what was sent.

**It failed.** Clear the failed task; each is safe to run again at any time.
"""

from functools import partial

from airflow.sdk import CronTriggerTimetable, dag, task

from feature_sync import retention
from feature_sync.alerts import notify_failure
from feature_sync.dag_runs import is_unfinished
from feature_sync.retry_policy import RETRIES, RETRY_POLICY, SOON
from feature_sync.settings import BACKFILL_DAG_ID, load_settings


@dag(
    schedule=CronTriggerTimetable(load_settings().reconciliation_schedule, timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["salesforce", "census"],
    default_args={"retries": RETRIES, "retry_delay": SOON, "retry_policy": RETRY_POLICY, "on_failure_callback": notify_failure},
)
def product_feature_reconciliation() -> None:
    @task
    def remove_old_payloads() -> dict:
        return retention.remove_old_payloads(partial(is_unfinished, BACKFILL_DAG_ID))

    remove_old_payloads()


product_feature_reconciliation()
