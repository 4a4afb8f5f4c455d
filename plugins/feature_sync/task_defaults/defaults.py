"""The default arguments of every task of our DAGs."""

from typing import Any

from feature_sync.task_defaults.alerts import notify_failure
from feature_sync.task_defaults.retry_policy import RETRIES, RETRY_POLICY, SOON

TASK_DEFAULTS: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay": SOON,
    "retry_policy": RETRY_POLICY,
    "on_failure_callback": notify_failure,
}
