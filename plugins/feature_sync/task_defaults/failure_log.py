"""
A failure that people are meant to read is a few lines in the log of its task, the reason first, and no stack trace.

Airflow logs every failure with its stack trace, which hides the reason: the lines below it are what people see first. An error
that has a rule of its own in `RETRY_POLICY` says all that a person needs. So a processor of the task's log replaces Airflow's
record of such a failure by the error's own lines. The failure itself stays as it is: callbacks and the retry policy see the same
error. Any other failure keeps its stack trace; so does every failure if Airflow logs it in another way one day.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from feature_sync.task_defaults.retry_policy import RETRY_POLICY

log = logging.getLogger(__name__)

AIRFLOW_SAYS = "Task failed with exception"
"""The record that Airflow's task runner writes of a failure."""
ERROR_TYPE = "error_type"
"""The field of our record that names the error."""


def is_expected(error: BaseException | None) -> bool:
    """Whether the text of an error says all: it has a rule of its own in the retry policy."""
    return error is not None and any(isinstance(error, rule.exception) for rule in RETRY_POLICY.rules)  # type: ignore[arg-type]


def without_trace(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace Airflow's record of an expected failure by the error's own lines. Any other record stays as it is."""
    error = sys.exc_info()[1]
    if record.get("event") != AIRFLOW_SAYS or not is_expected(error):
        return record
    log.debug("The stack trace of what follows", exc_info=True)
    return {key: value for key, value in record.items() if key != "exc_info"} | {
        "event": str(error),
        ERROR_TYPE: type(error).__name__,
    }


def shorten_failures() -> None:
    """Let the log of this process have no stack trace of an expected failure. Without it, the log is longer and nothing else."""
    processors = structlog.get_config()["processors"]
    if isinstance(processors, list) and without_trace not in processors:
        processors.insert(0, without_trace)
