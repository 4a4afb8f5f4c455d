"""The default arguments of every task of our DAGs, and what each of the DAGs calls when a run ends."""

from typing import Any

from feature_sync.task_defaults.alerts import forget_alerts, notify_failure, notify_run_failure
from feature_sync.task_defaults.retry_policy import RETRIES, RETRY_POLICY, SOON

TASK_DEFAULTS: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay": SOON,
    "retry_policy": RETRY_POLICY,
    "on_failure_callback": notify_failure,
}
RUN_CALLBACKS: dict[str, Any] = {"on_failure_callback": notify_run_failure, "on_success_callback": forget_alerts}
