"""Reading a task's log for its error."""

from laptop.airflow_client import error_in_log

FAILURE = {"level": "error", "event": "Task failed with exception"}


def test_the_exception_comes_before_its_causes() -> None:
    details = [{"exc_type": "SendError", "exc_value": "Batch 7 failed"}, {"exc_type": "ConnectionError", "exc_value": "reset"}]

    assert error_in_log([{"event": "Sending"}, FAILURE | {"error_detail": details}]) == "SendError: Batch 7 failed"


def test_without_an_exception_the_last_error_counts() -> None:
    log = [{"level": "error", "event": "first"}, {"level": "error", "event": "last"}, {"level": "info", "event": "Bye"}]

    assert error_in_log(log) == "last"


def test_a_log_without_errors_has_none() -> None:
    assert error_in_log([{"level": "info", "event": "Sent"}, {"event": "plain"}]) is None
