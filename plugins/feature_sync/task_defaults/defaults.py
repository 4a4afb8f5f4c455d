"""The default arguments of our DAGs and of every task of them."""

import warnings
from collections.abc import Mapping
from typing import Any

from feature_sync.orchestration.proofs import note_beginning, note_end
from feature_sync.task_defaults.alerts import forget_alerts, notify_failure, notify_run_failure, notify_withheld
from feature_sync.task_defaults.explanations import OWNER
from feature_sync.task_defaults.failure_log import shorten_failures
from feature_sync.task_defaults.retry_policy import RETRIES, RETRY_POLICY, SOON


def begin(context: Mapping[str, Any]) -> None:
    """Before a try does anything else, also when it goes on after it has waited."""
    shorten_failures()
    # The provider of Databricks causes it; it would be the first line of nearly every log.
    warnings.filterwarnings("ignore", message=r"ProvidersManager\.hooks is deprecated")
    note_beginning(context)


TASK_DEFAULTS: dict[str, Any] = {
    "owner": OWNER,
    "retries": RETRIES,
    "retry_delay": SOON,
    "retry_policy": RETRY_POLICY,
    "on_failure_callback": notify_failure,
    "pre_execute": begin,
    "post_execute": note_end,
    "show_return_value_in_logs": False,  # a plan of a thousand batches; the XComs have it
}
DAG_DEFAULTS: dict[str, Any] = {
    "default_args": TASK_DEFAULTS,
    "on_failure_callback": notify_run_failure,
    # Airflow calls them for each run that it takes for a success, also if there was no verdict and the run was failed instead.
    "on_success_callback": [notify_withheld, forget_alerts],
}
