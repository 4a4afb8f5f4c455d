"""Reads an Airflow connection, and tells one that is missing from one that cannot be read now.

Airflow 3.3.2 says "isn't defined" for both: it passes over a secrets backend that fails, and takes an error of the API server for
an empty answer. So when Airflow finds nothing, each backend is asked again here, and its errors count.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
from airflow.sdk.execution_time.secrets.execution_api import ExecutionAPISecretsBackend
from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
from airflow.sdk.log import mask_secret

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
"""Seconds that a call to Census or Salesforce waits until it is connected. The extra ``timeout`` replaces both limits."""
READ_TIMEOUT = 60.0
"""Seconds that such a call waits for the answer."""
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between two looks for a connection that nobody can show."""
ENVIRONMENT = "EnvironmentVariablesBackend"
"""The backend that cannot fail. Every other one may answer "not found" because of an error of its own."""


class MissingConnectionError(LookupError):
    """Every place where Airflow looks for connections answered, and none has it."""


class UnreadableConnectionError(RuntimeError):
    """A place where Airflow looks for connections did not answer, so nobody knows what the connection is now."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One look. ``problems``: of the backends that come before the one that has the connection."""

    connection: Connection | None
    problems: tuple[str, ...]
    places: tuple[str, ...]


def read_connection(conn_id: str) -> Connection:
    """
    The connection as Airflow finds it.

    :raises MissingConnectionError: there is none. The message names where it was looked for.
    :raises UnreadableConnectionError: that is not known, even after several looks.
    """
    try:
        return Connection.get(conn_id)
    except AirflowNotFoundException:
        return read_fresh_connection(conn_id)
    except Exception as error:  # a backend that denies access; its text may hold an address
        raise UnreadableConnectionError(_unreadable(conn_id, [type(error).__name__])) from error


def read_fresh_connection(conn_id: str) -> Connection:
    """
    The connection as it is stored now, never from Airflow's cache of secrets. Before somebody says that credentials are refused,
    they must come from here.

    :raises MissingConnectionError: as in `read_connection`.
    :raises UnreadableConnectionError: a backend does not answer. That a later one has the connection does not count, because
        the first one may have another.
    """
    for pause in (*PAUSES, None):
        look = _look(conn_id)
        if look.connection is not None and not look.problems:
            return look.connection
        if pause is None or (not look.problems and look.places == (ENVIRONMENT,)):
            break
        log.warning("%s; looking again in %.1f s", _reason(conn_id, look), pause)
        time.sleep(pause)
    if look.problems:
        raise UnreadableConnectionError(_unreadable(conn_id, look.problems))
    raise MissingConnectionError(f"{_reason(conn_id, look)}. Create it, or correct its id.")


def find_connection(conn_id: str) -> Connection | None:
    """
    A connection that a site need not have. That there is none is no reason to wait or to warn.

    :returns: None if every place where Airflow looks for connections answered, twice, that it has none.
    :raises UnreadableConnectionError: as in `read_connection`.
    """
    for pause in (PAUSES[0], None):
        look = _look(conn_id)
        if look.connection is not None and not look.problems:
            return look.connection
        if look.problems:
            try:
                return read_fresh_connection(conn_id)
            except MissingConnectionError:
                return None
        if pause is None or look.places == (ENVIRONMENT,):
            break
        time.sleep(pause)
    return None


def identity_of(connection: Connection) -> tuple[Any, ...]:
    """What makes a login with this connection differ from one with another."""
    return (
        connection.host,
        connection.schema,
        connection.port,
        connection.login,
        connection.password,
        connection.extra_dejson,
    )


def _look(conn_id: str) -> _Look:
    problems: list[str] = []
    places: list[str] = []
    for backend in ensure_secrets_backend_loaded():
        name = type(backend).__name__
        places.append(name)
        try:
            connection = backend.get_connection(conn_id=conn_id)
            if connection is None and isinstance(backend, ExecutionAPISecretsBackend) and (said := _ask_api_server(conn_id)):
                problems.append(f"{name} ({said})")
        except Exception as error:  # any error of a backend's library; its text may hold an address
            problems.append(f"{name} ({type(error).__name__})")
            continue
        if connection is not None:
            _mask(connection)
            return _Look(connection, tuple(problems), tuple(places))
    return _Look(None, tuple(problems), tuple(places))


def _ask_api_server(conn_id: str) -> str:
    """
    Why the API server shows no connection, because Airflow's backend does not tell an error from an empty answer.

    :returns: what went wrong; empty if there is no such connection.
    """
    answer = task_runner.SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id))
    if not isinstance(answer, ErrorResponse):
        return "it has answered differently twice"
    return "" if answer.error is ErrorType.CONNECTION_NOT_FOUND else str(answer.error.value)


def _mask(connection: Connection) -> None:
    for secret in (connection.password, connection.extra):
        if secret:
            mask_secret(secret)


def _reason(conn_id: str, look: _Look) -> str:
    if look.problems:
        return _unreadable(conn_id, look.problems)
    return f"Connection {conn_id} is missing. It was looked for in {', '.join(look.places)}"


def _unreadable(conn_id: str, problems: list[str] | tuple[str, ...]) -> str:
    return f"Connection {conn_id} cannot be read now: no answer from {', '.join(problems)}"
