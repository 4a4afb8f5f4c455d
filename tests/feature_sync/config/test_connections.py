"""A connection that is missing, and one that cannot be read now, are two things."""

import threading
import time
from typing import Any

import pytest
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.cache import SecretCache
from airflow.sdk.execution_time.comms import ConnectionResult, ErrorResponse

from feature_sync.config import connections
from feature_sync.config.connections import (
    PAUSES,
    MissingConnectionError,
    UnreadableConnectionError,
    find_connection,
    read_connection,
    read_fresh_connection,
)
from tests.late_secrets import use_site_backend

CONN_ID = "census_default"
STORED = "http://:token-one@census.example"
NEWER = "http://:token-two@census.example"
NOT_FOUND = ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": CONN_ID})
FAILED = ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500})


class ApiServer:
    """Answers as the supervisor of a task passes on what the API server says."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked = 0

    def send(self, _: Any) -> Any:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is FAILED:  # as `CommsDecoder` does with an error of the supervisor
            raise AirflowRuntimeError(FAILED)
        return answer


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made. None of them takes time. A thread of another test, which sleeps too, is left to sleep."""
    made: list[float] = []
    here, sleep = threading.get_ident(), time.sleep
    monkeypatch.setattr(
        connections.time, "sleep", lambda seconds: made.append(seconds) if threading.get_ident() == here else sleep(seconds)
    )
    monkeypatch.delenv("AIRFLOW_CONN_CENSUS_DEFAULT", raising=False)
    return made


@pytest.fixture
def in_a_task(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the process one that has a supervisor, which answers like this."""

    def answering(*answers: Any) -> ApiServer:
        server = ApiServer(*answers)
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", server, raising=False)
        return server

    return answering


class TestMissing:
    def test_it_names_where_it_was_looked_for(self) -> None:
        with pytest.raises(MissingConnectionError, match=f"{CONN_ID} is missing. .* in EnvironmentVariablesBackend. Create it"):
            read_connection(CONN_ID)

    def test_an_environment_needs_no_second_look(self, pauses: list[float]) -> None:
        with pytest.raises(MissingConnectionError):
            read_connection(CONN_ID)

        assert pauses == []

    def test_the_api_server_is_asked_again_because_it_passes_over_backends_that_fail(
        self, in_a_task: Any, pauses: list[float]
    ) -> None:
        in_a_task(NOT_FOUND)

        with pytest.raises(MissingConnectionError, match="EnvironmentVariablesBackend, ExecutionAPISecretsBackend"):
            read_connection(CONN_ID)
        assert pauses == list(PAUSES)

    def test_an_api_server_whose_own_backend_fails_for_a_while_is_not_believed(self, in_a_task: Any) -> None:
        found = ConnectionResult(
            conn_id=CONN_ID,
            conn_type="http",
            host="census.example",
            schema=None,
            login=None,
            password="token-one",
            port=None,
            extra=None,
        )
        in_a_task(NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, found)

        assert read_connection(CONN_ID).password == "token-one"


class TestUnreadable:
    def test_a_backend_that_fails_for_two_seconds_is_waited_for(
        self, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
    ) -> None:
        site = use_site_backend(monkeypatch, **{CONN_ID: STORED})
        site.failures = 3

        assert read_connection(CONN_ID).password == "token-one"
        assert pauses == list(PAUSES[:2])

    def test_a_backend_that_fails_for_good_is_no_missing_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        use_site_backend(monkeypatch).failures = 100

        with pytest.raises(
            UnreadableConnectionError, match=r"cannot be read now: no answer from SiteBackend \(ConnectionError\)$"
        ):
            read_connection(CONN_ID)

    def test_an_api_server_that_answers_500_is_no_missing_connection(self, in_a_task: Any) -> None:
        in_a_task(FAILED)

        with pytest.raises(UnreadableConnectionError, match=r"ExecutionAPISecretsBackend \(AirflowRuntimeError\)"):
            read_connection(CONN_ID)

    def test_a_task_that_may_not_read_it_is_told_so(self, in_a_task: Any) -> None:
        in_a_task(ErrorResponse(error=ErrorType.PERMISSION_DENIED, detail={"status_code": 403}))

        with pytest.raises(UnreadableConnectionError, match="AirflowSecretsBackendAccessDenied"):
            read_connection(CONN_ID)

    def test_a_broken_value_in_the_environment_is_no_missing_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", "{not json")

        with pytest.raises(UnreadableConnectionError, match="EnvironmentVariablesBackend"):
            read_connection(CONN_ID)

    def test_the_text_of_a_backends_error_is_not_repeated(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        use_site_backend(monkeypatch).failures = 100

        with pytest.raises(UnreadableConnectionError) as raised:
            read_connection(CONN_ID)
        assert "10.0.0.1" not in str(raised.value)
        assert "10.0.0.1" not in "".join(record.getMessage() for record in caplog.records if record.name == connections.__name__)


class TestFresh:
    def test_it_never_comes_from_airflows_cache_of_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        site = use_site_backend(monkeypatch, **{CONN_ID: STORED})
        monkeypatch.setenv("AIRFLOW__SECRETS__USE_CACHE", "True")
        SecretCache.init()
        try:
            assert Connection.get(CONN_ID).password == "token-one"
            site.stored = {CONN_ID: NEWER}

            assert Connection.get(CONN_ID).password == "token-one", "Airflow's cache has the former one"
            assert read_fresh_connection(CONN_ID).password == "token-two"
        finally:
            SecretCache.reset()

    def test_what_a_later_place_has_does_not_count_while_an_earlier_one_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        site = use_site_backend(monkeypatch, **{CONN_ID: NEWER})
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", STORED)
        site.failures = 100

        assert read_connection(CONN_ID).password == "token-one", "Airflow takes what it finds"
        with pytest.raises(UnreadableConnectionError):
            read_fresh_connection(CONN_ID)


class TestOneThatASiteNeedNotHave:
    def test_an_environment_without_it_is_believed_at_once(self, pauses: list[float]) -> None:
        assert find_connection(CONN_ID) is None
        assert pauses == []

    def test_the_api_server_is_asked_twice_and_nothing_is_warned_of(
        self, in_a_task: Any, pauses: list[float], caplog: pytest.LogCaptureFixture
    ) -> None:
        in_a_task(NOT_FOUND)

        assert find_connection(CONN_ID) is None
        assert pauses == list(PAUSES[:1])
        assert caplog.records == []

    def test_it_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", STORED)

        found = find_connection(CONN_ID)

        assert found is not None
        assert found.password == "token-one"

    def test_a_backend_that_fails_is_waited_for_and_is_no_proof_that_there_is_none(
        self, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
    ) -> None:
        site = use_site_backend(monkeypatch)
        site.failures = 2
        assert find_connection(CONN_ID) is None

        site.failures = 1000
        with pytest.raises(UnreadableConnectionError):
            find_connection(CONN_ID)
        assert len(pauses) > len(PAUSES)
