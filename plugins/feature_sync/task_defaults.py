"""What every task of our DAGs has unless it says otherwise."""

from typing import Any

from feature_sync.alerts import notify_failure
from feature_sync.retry_policy import RETRIES, RETRY_POLICY, SOON

TASK_DEFAULTS: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay": SOON,
    "retry_policy": RETRY_POLICY,
    "on_failure_callback": notify_failure,
}
