"""The default arguments of our DAGs and of every task of them."""

from typing import Any

from feature_sync.orchestration.proofs import note_beginning, note_end
from feature_sync.task_defaults.alerts import forget_alerts, notify_failure, notify_run_failure, notify_withheld
from feature_sync.task_defaults.retry_policy import RETRIES, RETRY_POLICY, SOON

TASK_DEFAULTS: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay": SOON,
    "retry_policy": RETRY_POLICY,
    "on_failure_callback": notify_failure,
    "pre_execute": note_beginning,
    "post_execute": note_end,
}
DAG_DEFAULTS: dict[str, Any] = {
    "default_args": TASK_DEFAULTS,
    "on_failure_callback": notify_run_failure,
    # Airflow calls them for each run that it takes for a success, also if there was no verdict and the run was failed instead.
    "on_success_callback": [notify_withheld, forget_alerts],
}
