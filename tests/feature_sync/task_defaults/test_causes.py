"""Which failures have one cause."""

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from feature_sync.backfill.validation import SalesforceDiffersError
from feature_sync.census.errors import (
    CensusAuthError,
    CensusForbiddenError,
    CensusNotFoundError,
    CensusProtocolError,
    CensusRefusedError,
    CensusTokenUnknownError,
    CensusTriggerUnansweredError,
    CensusUnavailableError,
)
from feature_sync.census.models import RowRecord
from feature_sync.config.connections import UnreadableConnectionError
from feature_sync.config.problems import NotReadyError
from feature_sync.deployment.value_check import UnjudgedError
from feature_sync.replica.state import ReplicaStalledError
from feature_sync.sending.batches import AttemptStatus
from feature_sync.sending.outcome import BatchFailedError, BatchLockedError, Outcome
from feature_sync.sending.sender import NotTriggeredError
from feature_sync.storage.warehouse import AccessError, ConnectError, StatementError
from feature_sync.task_defaults.causes import AIRFLOW_FAILED_IT, causes_of

GET_SYNC = "Census answered GET syncs/4711 with"


def after(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def rejected(*reasons: str) -> frozenset[str]:
    rows = tuple(RowRecord(identifier=str(number), status="rejected", status_message=text) for number, text in enumerate(reasons))
    return Outcome(AttemptStatus.FAILED, "Census run 7 completed, but records_failed is 3 instead of 0.", rows).causes


@pytest.mark.parametrize(
    "errors",
    [
        pytest.param(
            (
                CensusAuthError(f"{GET_SYNC} 401. Check the token"),
                CensusForbiddenError("Census answered POST syncs/4711/trigger with 403. Check the token"),
                after(UnjudgedError("dataset 815 cannot be read"), CensusForbiddenError("403")),
            ),
            id="the-token-in-different-calls",
        ),
        pytest.param(
            (
                CensusUnavailableError(f"{GET_SYNC} 503"),
                CensusUnavailableError("Census did not answer GET syncs/4711: ConnectionError"),
                after(CensusTriggerUnansweredError("The trigger of sync 4711 was sent"), CensusUnavailableError("503")),
                NotTriggeredError("batch 004: Census did not answer 3 triggers of sync 4711 and started no run."),
            ),
            id="census-silent",
        ),
        pytest.param(
            (
                CensusRefusedError("Census answered POST syncs/4711/trigger with 409: The sync is paused"),
                CensusRefusedError("Census answered POST syncs/4711/trigger?x=1 with 409: The sync is paused"),
            ),
            id="the-sync-paused",
        ),
        pytest.param(
            (
                CensusNotFoundError(f"{GET_SYNC} 404"),
                CensusNotFoundError("Census answered GET syncs/4711/sync_runs with 404"),
                CensusNotFoundError("Census answered POST syncs/4711/trigger with 404"),
            ),
            id="the-sync-deleted",
        ),
        pytest.param(
            (
                ConnectError("Cannot connect to the warehouse, so a.sql was not sent: refused"),
                ConnectError("The statement b.sql failed: timed out"),
                ReplicaStalledError("The replica of Salesforce could not be read: refused", ConnectError.alert_cause),
            ),
            id="the-warehouse-silent",
        ),
        pytest.param(
            (AccessError("a.sql"), ReplicaStalledError("could not be read", AccessError.alert_cause)),
            id="the-warehouse-refuses",
        ),
        pytest.param(
            (
                after(CensusTokenUnknownError("census_default cannot be read"), UnreadableConnectionError("x")),
                after(ConnectError("Cannot connect"), UnreadableConnectionError("y")),
            ),
            id="no-secrets-backend",
        ),
        pytest.param(
            (
                AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500})),
                AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": None})),
            ),
            id="the-api-server-silent",
        ),
        pytest.param(
            (
                BatchFailedError(
                    "batch 001 failed", rejected("NO_GOOD: record a0X000000000001", "NO_GOOD: record a0X000000000002")
                ),
                BatchFailedError("batch 002 failed", rejected("NO_GOOD: record a0X000000000003")),
                BatchLockedError("batch 003 failed", rejected("NO_GOOD: record a0X000000000004")),
            ),
            id="rejected-for-one-reason",
        ),
        pytest.param(
            (
                BatchFailedError("batch 001", rejected("CHANGED_SINCE_FREEZE: somebody changed a_c in Salesforce")),
                BatchFailedError("batch 002", rejected("CHANGED_SINCE_FREEZE: somebody changed b_c, d_c in Salesforce")),
            ),
            id="left-out",
        ),
        pytest.param((RuntimeError("run 1 of batch 002"), RuntimeError("run 22 of batch 003")), id="another-error"),
        pytest.param((NotReadyError(["a 1", "b"]), NotReadyError(["b", "a 2"])), id="problems-in-another-order"),
        pytest.param((None, None), id="failed-by-airflow"),
    ],
)
def test_one_cause(errors: tuple[Exception | None, ...]) -> None:
    assert len({causes_of(error) for error in errors}) == 1


def test_different_causes() -> None:
    errors = [
        None,
        CensusAuthError("401"),
        CensusUnavailableError("503"),
        CensusRefusedError("Census answered POST syncs/4711/trigger with 409: The sync is paused"),
        CensusRefusedError("Census answered POST syncs/4711/trigger with 422: The source table is gone"),
        CensusNotFoundError(f"{GET_SYNC} 404"),
        CensusNotFoundError("Census answered GET syncs/4712 with 404"),
        CensusProtocolError("Census answered /api/v2/syncs without data"),
        ConnectError("x"),
        AccessError("x"),
        after(ConnectError("x"), UnreadableConnectionError("x")),
        StatementError("The statement a.sql failed: [TABLE_OR_VIEW_NOT_FOUND]"),
        StatementError("The statement a.sql failed: [INSUFFICIENT_PERMISSIONS]"),
        SalesforceDiffersError("3 of 4 properties differ"),
        RuntimeError("x"),
        ValueError("x"),
    ]

    assert len({causes_of(error) for error in errors}) == len(errors)


def test_a_batch_has_a_cause_for_each_reason() -> None:
    both = causes_of(BatchFailedError("batch 002", rejected("NO_GOOD: 1", "NO_GOOD: 2", "TOO_LONG: name")))

    assert len(both) == 2
    assert causes_of(BatchFailedError("batch 003", rejected("TOO_LONG: name"))) < both


def test_a_batch_without_row_records_is_known_by_its_verdict() -> None:
    one, two = (Outcome(AttemptStatus.FAILED, f"Census run {run} failed: the destination is down.").causes for run in (11, 12))

    assert one == two == {"Census run ... failed: the destination is down."}


def test_what_airflow_failed_is_named_so() -> None:
    assert causes_of(None) == {AIRFLOW_FAILED_IT}
