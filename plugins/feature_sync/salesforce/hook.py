"""The Salesforce REST API over HTTP. It only reads."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlsplit

import requests
import tenacity
from airflow.providers.salesforce.hooks.salesforce import SalesforceHook
from airflow.sdk import Connection
from pydantic import BaseModel, ValidationError
from simple_salesforce import Salesforce, format_soql
from simple_salesforce.exceptions import SalesforceAuthenticationFailed

from feature_sync.config.connections import (
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    MissingConnectionError,
    UnreadableConnectionError,
    find_connection,
    identity_of,
    read_connection,
    read_fresh_connection,
)
from feature_sync.config.names import SALESFORCE_CONN_ID
from feature_sync.salesforce.errors import (
    SalesforceAuthError,
    SalesforceError,
    SalesforceLimitError,
    SalesforceLoginUnknownError,
    SalesforceNotAllowedError,
    SalesforceProtocolError,
    SalesforceRefusedError,
    SalesforceUnavailableError,
)
from feature_sync.salesforce.models import ApiLimit, FlowState, ObjectDescription, RecordsRead, SalesforceRecord

ATTEMPTS = 5
"""How often a call is sent. Every call only reads, so every call is safe to repeat."""
BACKOFF_SECONDS = 0.5
"""Pause before the first repetition; it doubles each time, up to 20 s, plus up to 1 s at random."""
MAX_RETRY_WAIT = 60.0
"""Seconds. A call does not wait for a longer Retry-After, because the task's own retry comes later anyway."""
OWN_EXTRAS = ("session_id", "proxies", "timeout", "attempts", "backoff_seconds")
"""Extras of the connection that are read here, and not by the provider's hook."""
SECRET_EXTRAS = ("security_token", "consumer_secret", "private_key", "session_id")
MAX_QUERY_LENGTH = 12_000
"""Bytes of an encoded query. Salesforce refuses an address of more than 16,384 (REST API: limits of the URI's length)."""
MAX_KEYS = 200
"""Keys in one query, the size of a transaction in Salesforce."""
SYSTEM_FIELDS = ("Id", "LastModifiedDate", "LastModifiedBy.Name")

# Salesforce's error codes are the same in every language; the texts beside them are not.
TEMPORARY_CODES = frozenset({"SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "INVALID_QUERY_LOCATOR"})
LIMIT_CODE = "REQUEST_LIMIT_EXCEEDED"
CONCURRENT = "ConcurrentRequests"
"""In the text beside that code: too many long calls at this moment, which passes."""
SESSION_CODES = frozenset({"INVALID_SESSION_ID", "INVALID_AUTH_HEADER"})
NOT_ALLOWED_CODES = frozenset(
    {
        "INSUFFICIENT_ACCESS",
        "INSUFFICIENT_ACCESS_OR_READONLY",
        "INVALID_TYPE",  # an object that the user may not see, or that does not exist
        "INVALID_FIELD",  # the same of a field
        "NOT_FOUND",
        "API_CURRENTLY_DISABLED",
        "API_DISABLED_FOR_ORG",
        "FUNCTIONALITY_NOT_ENABLED",
    }
)
TEMPORARY_LOGIN_CODES = frozenset({"SERVER_UNAVAILABLE", "server_error", "temporarily_unavailable", "unknown_error"})
_LOGIN = re.compile(r"/services/(Soap/u/[\d.]+|oauth2/token)")
_VERSION = re.compile(r".*/services/data/v[\d.]+/")

Model = TypeVar("Model", bound=BaseModel)
Answer = TypeVar("Answer")


class SalesforceReader(SalesforceHook):
    """
    Asks Salesforce what it holds. It sends GET requests, and one POST to log in; its session refuses to send anything else.

    The connection has type ``salesforce`` and any of the logins that the provider documents, see `SalesforceHook`. Instead of a
    login, its extra may hold an access token and its address: ``{"session_id": ..., "instance_url": "https://..."}``. Further
    extras: ``timeout`` (seconds), ``attempts`` and ``backoff_seconds``.

    Calls are repeated on lost connections, 429 and 5xx, with backoff and jitter. A session that Salesforce refuses counts only if
    the connection, read again and never from a cache, still has the refused login, and if a new login does not help.

    :raises SalesforceError: see `feature_sync.salesforce.errors` for what each kind means.
    """

    def __init__(self, salesforce_conn_id: str = SALESFORCE_CONN_ID) -> None:
        super().__init__(salesforce_conn_id)
        self._stored: Connection | None = None
        self._descriptions: dict[str, ObjectDescription] = {}

    def is_configured(self) -> bool:
        """
        Whether there is a connection.

        :raises SalesforceLoginUnknownError: that is not known.
        """
        try:
            return find_connection(self.conn_id) is not None
        except UnreadableConnectionError as unreadable:
            raise SalesforceLoginUnknownError(f"{unreadable}.") from unreadable

    def test_connection(self) -> tuple[bool, str]:
        """Airflow's "Test" button: log in and ask for the limits."""
        try:
            limit = self.limits()
        except SalesforceError as error:
            return False, str(error)
        return True, f"Salesforce accepts the login; {limit.remaining:,} of {limit.max:,} API calls are left"

    def describe(self, object_name: str) -> ObjectDescription:
        """An object and its fields, as far as the user of the connection may see them. It is asked for once."""
        if object_name not in self._descriptions:
            found = self._ask(lambda salesforce: salesforce.restful(f"sobjects/{object_name}/describe"))
            self._descriptions[object_name] = _parse(ObjectDescription, found, f"the object {object_name}")
        return self._descriptions[object_name]

    def read_records(self, object_name: str, key_field: str, keys: Collection[str], fields: Sequence[str]) -> RecordsRead:
        """
        The records with these keys.

        :param key_field: the API name of the field that has the keys.
        :param fields: the API names of further fields to read.
        :raises SalesforceNotAllowedError: the user of the connection does not see the object or the key.
        """
        described = self.describe(object_name)
        names = {name: shown.name for name in (key_field, *fields) if (shown := described.find(name))}
        if key_field not in names:
            raise SalesforceNotAllowedError(
                f"Salesforce shows no field {key_field} of {object_name}. {self._give_right('read this field')}"
            )
        columns = ", ".join(dict.fromkeys((*SYSTEM_FIELDS, *names.values())))
        query = f"SELECT {columns} FROM {object_name} WHERE {names[key_field]} IN {{keys}}"
        found = [
            _record(row, names, key_field)
            for some in _parts(keys, MAX_QUERY_LENGTH - len(quote_plus(query)))
            for row in self._query(format_soql(query, keys=some))
        ]
        return RecordsRead(_by_key(keys, found), unreadable=frozenset(fields) - set(names))

    def flow(self, developer_name: str) -> FlowState | None:
        """
        Whether a Flow has an active version, and which one.

        :returns: None if Salesforce shows no Flow with this developer name.
        :raises SalesforceNotAllowedError: the user of the connection may not see Flows.
        """
        query = format_soql(
            "SELECT DeveloperName, ActiveVersionId, ActiveVersion.VersionNumber FROM FlowDefinition WHERE DeveloperName = {}",
            developer_name,
        )
        rows = list(self._query(query, "tooling/query/"))
        return _parse(FlowState, rows[0], f"the Flow {developer_name}") if rows else None

    def locked_records(self, object_name: str) -> list[str]:
        """
        The ids of an object's records that wait for an approval. Salesforce locks them until somebody has decided, and perhaps
        after that. Of other locks it says nothing to a reader.

        :raises SalesforceNotAllowedError: the user of the connection may not see approvals.
        """
        query = format_soql(
            "SELECT TargetObjectId FROM ProcessInstance "
            "WHERE Status IN ('Started', 'Pending', 'Held') AND ProcessDefinition.TableEnumOrId = {}",
            object_name,
        )
        return sorted({str(_of(row, "TargetObjectId")) for row in self._query(query)})

    def limits(self) -> ApiLimit:
        """The API calls that the organisation has left today."""
        found = self._ask(lambda salesforce: salesforce.restful("limits/"))
        return _parse(ApiLimit, _of(found, "DailyApiRequests"), "its limits")

    def get_connection(self, conn_id: str) -> Connection:  # type: ignore[override]
        """The connection as `SalesforceHook` needs it, which asks for it to log in."""
        if conn_id != self.conn_id:
            return super().get_connection(conn_id)
        stored = self._connection
        extra = {name: value for name, value in stored.extra_dejson.items() if name not in OWN_EXTRAS}
        return Connection(
            conn_id=conn_id,
            conn_type=stored.conn_type,
            login=stored.login or None,
            password=stored.password or None,
            extra=json.dumps(extra),
        )

    @property
    def _connection(self) -> Connection:
        if self._stored is None:
            self._stored = self._read(read_connection)
        return self._stored

    def _read(self, read: Callable[[str], Connection]) -> Connection:
        try:
            return read(self.conn_id)
        except MissingConnectionError as missing:
            raise SalesforceAuthError(str(missing)) from missing
        except UnreadableConnectionError as unreadable:
            raise SalesforceLoginUnknownError(f"{unreadable}.") from unreadable

    def _query(self, query: str, path: str = "query/") -> Iterator[dict[str, Any]]:
        """The rows of all pages."""
        page = self._ask(lambda salesforce: salesforce.restful(path, params={"q": query}))
        while True:
            yield from _of(page, "records")
            if _of(page, "done"):
                return
            following = str(_of(page, "nextRecordsUrl"))
            if not following.startswith("/services/"):
                raise SalesforceProtocolError("Salesforce answered a query with a next page that is at no address of its API.")
            page = self._ask(partial(_next_page, following))

    def _ask(self, call: Callable[[Salesforce], Answer]) -> Answer:
        extras = self._connection.extra_dejson
        first_pause = float(extras.get("backoff_seconds") or BACKOFF_SECONDS)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(SalesforceUnavailableError)
            & tenacity.retry_if_not_exception_type((SalesforceLimitError, SalesforceLoginUnknownError)),
            stop=tenacity.stop_after_attempt(int(extras.get("attempts") or ATTEMPTS)),
            wait=_WaitBeforeRetry(
                tenacity.wait_exponential_jitter(multiplier=first_pause, max=20, jitter=min(1.0, first_pause * 2))
            ),
            before_sleep=lambda state: self.log.warning(
                "%s; trying again in %.1f s", state.outcome and state.outcome.exception(), state.upcoming_sleep
            ),
            reraise=True,
        )
        return retrying(self._ask_logged_in, call)

    def _ask_logged_in(self, call: Callable[[Salesforce], Answer]) -> Answer:
        """Send one request, and once more if the session has ended or the login has been replaced."""
        try:
            return self._ask_once(call)
        except SalesforceAuthError as refused:
            if not self._may_log_in_again():
                raise
            self.log.warning("%s Asking again with what connection %s holds now", refused, self.conn_id)
        return self._ask_once(call)

    def _ask_once(self, call: Callable[[Salesforce], Answer]) -> Answer:
        salesforce = self._logged_in()
        try:
            return call(salesforce)
        except ValueError as error:
            raise SalesforceProtocolError("Salesforce answered with something other than JSON.") from error

    def _logged_in(self) -> Salesforce:
        if "conn" in self.__dict__:
            return self.conn
        extras = self._connection.extra_dejson
        self.session_id = extras.get("session_id") or None
        self.session = _ReadOnlySession(self.conn_id, extras)
        try:
            return self.conn
        except SalesforceError:
            raise
        except SalesforceAuthenticationFailed as refused:
            text = _shortened(_without_secrets(str(refused), self._connection))
            said = f"Salesforce refuses the login of connection {self.conn_id}: {text}."
            if str(refused.code) in TEMPORARY_LOGIN_CODES:
                raise SalesforceUnavailableError(said) from None
            if str(refused.code) == LIMIT_CODE:
                raise SalesforceLimitError(said) from None
            raise SalesforceAuthError(
                f"{said} Correct the connection, or remove it: then nothing is asked of Salesforce."
            ) from None
        except Exception as wrong:  # of the libraries that log in; its text may hold a part of the key
            raise SalesforceAuthError(
                f"Connection {self.conn_id} cannot be used to log in ({type(wrong).__name__}). It needs a user name with "
                "password and security token, or a consumer key with secret or private key, or an instance_url with a session_id."
            ) from None

    def _may_log_in_again(self) -> bool:
        """Read the connection again. Whether it has changed, or a session has ended that a new login may replace."""
        fresh = self._read(read_fresh_connection)
        has_changed = identity_of(fresh) != identity_of(self._connection)
        self._stored = fresh
        had_session = self.__dict__.pop("conn", None) is not None
        return has_changed or (had_session and not self.session_id)

    def _give_right(self, right: str) -> str:
        return f"Give the user of connection {self.conn_id} the right to {right}."


class _AsGiven(requests.auth.AuthBase):
    """Leaves the header as it is. Without an auth object, requests lets a ~/.netrc entry replace it."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _ReadOnlySession(requests.Session):
    """Sends GET requests and the login, with a time limit. Any answer to a GET other than a 2xx is an error."""

    def __init__(self, conn_id: str, extras: Mapping[str, Any]) -> None:
        super().__init__()
        self.auth = _AsGiven()
        self._conn_id = conn_id
        self._timeout = extras.get("timeout") or (CONNECT_TIMEOUT, READ_TIMEOUT)
        proxies = extras.get("proxies")
        if proxies:
            self.proxies.update(json.loads(proxies) if isinstance(proxies, str) else proxies)

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        """
        Send one request, once.

        :raises SalesforceError: as `SalesforceReader` documents.
        """
        address = urlsplit(str(url))
        is_login = method == "POST" and _LOGIN.fullmatch(address.path) is not None
        if method != "GET" and not is_login:
            raise SalesforceRefusedError(f"{method} {address.path} was not sent, because this connection is only for reading.")
        what = f"the login at {address.netloc}" if is_login else f"GET {_VERSION.sub('', address.path)}"
        options = {"timeout": self._timeout, **options, "allow_redirects": False}
        try:
            response = super().request(method, url, *args, **options)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise SalesforceUnavailableError(f"Salesforce did not answer {what}: {type(error).__name__}") from error
        except requests.RequestException as error:  # its text may repeat a header, and thereby the session
            raise SalesforceRefusedError(
                f"{what} could not be sent: {type(error).__name__}. Check the address in connection {self._conn_id}."
            ) from None
        self._refuse_errors(what, response, is_login=is_login)
        return response

    def _refuse_errors(self, what: str, response: requests.Response, *, is_login: bool) -> None:
        status = response.status_code
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        code, text = _error(response)
        said = f"Salesforce answered {what} with {status}{f' {code}' if code else ''}{f': {text}' if text else ''}"
        # A refused login may be a 500: it is a fault of SOAP, which simple-salesforce reads.
        is_down = status >= HTTPStatus.INTERNAL_SERVER_ERROR and not (is_login and status == HTTPStatus.INTERNAL_SERVER_ERROR)
        if status == HTTPStatus.TOO_MANY_REQUESTS or is_down or code in TEMPORARY_CODES or CONCURRENT in text:
            raise _RetryLaterError(said, _retry_after(response))
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise SalesforceProtocolError(
                f"{said}, which leads to another address. Check the domain or the instance_url of connection {self._conn_id}."
            )
        if is_login:
            return
        if code == LIMIT_CODE:
            raise SalesforceLimitError(f"{said}. The organisation's API calls are used up; they come back within 24 hours.")
        if status == HTTPStatus.UNAUTHORIZED or code in SESSION_CODES:
            raise SalesforceAuthError(f"{said}. Check the login of connection {self._conn_id}.")
        if status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND) or code in NOT_ALLOWED_CODES:
            raise SalesforceNotAllowedError(
                f"{said}. Give the user of connection {self._conn_id} the right to see this, or correct its name."
            )
        raise SalesforceRefusedError(f"{said}.")


class _RetryLaterError(SalesforceUnavailableError):
    """Unavailable. ``seconds``: how long Salesforce asks us to wait, if it says so."""

    def __init__(self, message: str, seconds: float | None) -> None:
        super().__init__(message)
        self.seconds = seconds


class _WaitBeforeRetry:
    """Wait as Retry-After says, otherwise as ``backoff`` says."""

    def __init__(self, backoff: tenacity.wait_exponential_jitter) -> None:
        self._backoff = backoff

    def __call__(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome and state.outcome.exception()
        if isinstance(error, _RetryLaterError) and error.seconds is not None:
            return min(error.seconds, MAX_RETRY_WAIT) + self._backoff(state) / 10
        return self._backoff(state)


def _next_page(url: str, salesforce: Salesforce) -> Any:
    return salesforce.query_more(url, identifier_is_url=True)


def _retry_after(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


def _error(response: requests.Response) -> tuple[str, str]:
    """The code and the text of an error: a list with one object, as the REST API documents it."""
    try:
        first = response.json()[0]
        return str(first.get("errorCode") or ""), _shortened(str(first.get("message") or ""))
    except (ValueError, LookupError, AttributeError, TypeError):
        return "", ""


def _shortened(text: str, most: int = 300) -> str:
    one_line = " ".join(text.split()).rstrip(".")
    return one_line if len(one_line) <= most else f"{one_line[:most]}..."


def _without_secrets(text: str, connection: Connection) -> str:
    """Whoever answers a login in Salesforce's place may repeat what it was sent."""
    extras = connection.extra_dejson.items()
    secrets = [value for name, value in extras if name.removeprefix("extra__salesforce__") in SECRET_EXTRAS]
    for secret in filter(None, [connection.password, *secrets]):
        text = text.replace(str(secret), "***")
    return text


def _of(answer: Any, name: str) -> Any:
    if not isinstance(answer, Mapping) or name not in answer:
        raise SalesforceProtocolError(f"Salesforce answered without {name}.")
    return answer[name]


def _parse(model: type[Model], data: Any, what: str) -> Model:
    try:
        return model.model_validate(data)
    except ValidationError as invalid:
        wrong = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in invalid.errors(include_input=False))
        raise SalesforceProtocolError(f"Salesforce describes {what} in a form we do not know: {wrong}.") from invalid


def _record(row: Mapping[str, Any], names: Mapping[str, str], key_field: str) -> SalesforceRecord:
    """:param names: for each field that was asked for, its name in the answer."""
    values = {asked: _of(row, name) for asked, name in names.items()}
    by = row.get("LastModifiedBy")
    try:
        modified_at = datetime.fromisoformat(_of(row, "LastModifiedDate"))
    except (TypeError, ValueError) as error:
        raise SalesforceProtocolError("Salesforce answered with a LastModifiedDate that is no time.") from error
    return SalesforceRecord(
        id=str(_of(row, "Id")),
        key=str(values[key_field]),
        values=values,
        modified_at=modified_at,
        modified_by=by.get("Name") if isinstance(by, Mapping) else None,
    )


def _by_key(keys: Collection[str], records: Sequence[SalesforceRecord]) -> dict[str, tuple[SalesforceRecord, ...]]:
    """Salesforce ignores the case of a key when it looks for records, so a record may be found by another spelling."""
    found: dict[str, dict[str, SalesforceRecord]] = {}
    for record in records:
        found.setdefault(record.key.casefold(), {})[record.id] = record
    return {key: tuple(found.get(key.casefold(), {}).values()) for key in keys}


def _parts(keys: Collection[str], most_bytes: int) -> Iterator[list[str]]:
    """The keys in parts that fit into the address of a request."""
    part: list[str] = []
    size = 0
    for key in dict.fromkeys(keys):
        length = len(quote_plus(format_soql("{},", key)))
        if part and (size + length > most_bytes or len(part) == MAX_KEYS):
            yield part
            part, size = [], 0
        part.append(key)
        size += length
    if part:
        yield part
