"""A failure that people are meant to read has no stack trace in the log; any other one keeps it."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from feature_sync.config.problems import GuardError, RunConfigError
from feature_sync.sending.outcome import BatchFailedError
from feature_sync.storage.warehouse import StatementError
from feature_sync.task_defaults.failure_log import AIRFLOW_SAYS, is_expected, shorten_failures, without_trace


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What a logger like that of Airflow's task runner writes, after its processors."""
    before, written = structlog.get_config(), []

    def write(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> Any:
        written.append(dict(record))
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.processors.ExceptionRenderer(), write])
    yield written
    structlog.configure(**before)


def fail(error: Exception, says: str = AIRFLOW_SAYS) -> None:
    log = structlog.get_logger(logger_name="task").bind()  # Airflow's logger is older than our processor
    shorten_failures()
    shorten_failures()
    try:
        throw(error)
    except Exception:
        log.exception(says)


def throw(error: Exception) -> None:
    raise error


def test_an_expected_failure_is_its_own_lines_and_the_name_of_the_error(logged: list[dict[str, Any]]) -> None:
    fail(BatchFailedError("3 of 50 records rejected\n  3 x NO"))

    [record] = logged
    assert record["event"] == "3 of 50 records rejected\n  3 x NO"
    assert record["error_type"] == "BatchFailedError"
    assert "exception" not in record


def test_an_unexpected_failure_keeps_its_stack_trace(logged: list[dict[str, Any]]) -> None:
    fail(KeyError("records"))

    [record] = logged
    assert record["event"] == AIRFLOW_SAYS
    assert "KeyError" in record["exception"]
    assert "test_failure_log.py" in record["exception"]


def test_an_expected_error_that_is_logged_for_another_reason_keeps_its_stack_trace(logged: list[dict[str, Any]]) -> None:
    fail(GuardError(["a"]), "No alert was sent")

    assert "GuardError" in logged[0]["exception"]


def test_what_is_no_failure_stays_as_it_is() -> None:
    assert without_trace(None, "info", {"event": AIRFLOW_SAYS}) == {"event": AIRFLOW_SAYS}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RunConfigError(["a"]), True),
        (BatchFailedError("a"), True),
        (StatementError("a"), True),
        (RuntimeError("a"), False),
        (None, False),
    ],
    ids=["run-config", "batch", "warehouse", "nobodys", "none"],
)
def test_an_error_is_expected_if_the_retry_policy_has_a_rule_for_it(error: BaseException | None, expected: bool) -> None:
    assert is_expected(error) is expected


def test_airflow_still_says_what_is_replaced() -> None:
    from inspect import getsource  # noqa: PLC0415

    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415

    assert f'log.exception("{AIRFLOW_SAYS}")' in getsource(task_runner)
