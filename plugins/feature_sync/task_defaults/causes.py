"""What failed tasks have in common: two failures with one cause are one alert.

A cause is a short text. Errors of Census, of the warehouse and of Airflow name theirs, whatever the task was about to do.
Rejected records have one for each reason that Salesforce gives. Any other error is its own text without the ids and numbers.
"""

import re
from collections.abc import Iterator

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType

from feature_sync.census.errors import (
    CensusAuthError,
    CensusNotFoundError,
    CensusRefusedError,
    CensusTriggerUnansweredError,
    CensusUnavailableError,
)
from feature_sync.config.connections import UnreadableConnectionError
from feature_sync.config.problems import ProblemsError
from feature_sync.sending.rejections import without_ids
from feature_sync.sending.sender import NotTriggeredError

AIRFLOW_FAILED_IT = "Airflow itself failed a task"
"""Airflow does not say why: a killed process, no heartbeat, too long in the queue. So all of these are one cause in a run."""
CONNECTIONS_UNREADABLE = "Airflow's connections cannot be read"
AIRFLOW_SILENT = "Airflow's API server does not answer"
CENSUS_REFUSES_US = "Census refuses our token"
CENSUS_SILENT = "Census does not answer"

SHARED: tuple[tuple[type[BaseException], str], ...] = (
    (UnreadableConnectionError, CONNECTIONS_UNREADABLE),
    (CensusAuthError, CENSUS_REFUSES_US),
    (CensusUnavailableError, CENSUS_SILENT),
    (CensusTriggerUnansweredError, CENSUS_SILENT),
    (NotTriggeredError, CENSUS_SILENT),
)
"""Errors whose texts differ although their cause does not. The first that matches decides."""


def causes_of(error: BaseException | None) -> frozenset[str]:
    """
    The causes of a failure.

    :param error: the task's exception; None if Airflow itself failed the task.
    """
    if error is None:
        return frozenset({AIRFLOW_FAILED_IT})
    chain = list(_chain(error))
    for each in chain:
        if named := getattr(each, "alert_causes", None):
            return frozenset(named)
    # The error that is farthest down is the nearest to the cause.
    for each in reversed(chain):
        if (shared := _shared_cause(each)) is not None:
            return frozenset({shared})
    if isinstance(error, ProblemsError):
        return frozenset(without_ids(problem) for problem in error.problems)
    return frozenset({f"{type(error).__name__}: {without_ids(str(error))}"})


def _shared_cause(error: BaseException) -> str | None:
    """What an error has in common with those of other tasks, or None if that is its text alone."""
    for kind, cause in SHARED:
        if isinstance(error, kind):
            return cause
    if isinstance(error, CensusRefusedError):
        gone = re.search(r"\b(syncs|datasets)/\d+", str(error)) if isinstance(error, CensusNotFoundError) else None
        return f"Census has no {gone[0]}" if gone else f"Census: {without_ids(_answer(error))}"
    if isinstance(error, AirflowRuntimeError) and error.error.error is ErrorType.API_SERVER_ERROR:
        return AIRFLOW_SILENT
    return getattr(error, "alert_cause", None)


def _answer(error: CensusRefusedError) -> str:
    """What Census said, without what it was asked."""
    return re.sub(r"^Census (answered|refused) \w+ \S+?:? (with )?", "", str(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
