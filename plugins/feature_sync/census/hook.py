"""The Census API over HTTP, v2 by default."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, Literal, TypeVar

import requests
import tenacity
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import Connection
from pydantic import BaseModel, ValidationError

from feature_sync.census.errors import (
    CensusAuthError,
    CensusError,
    CensusForbiddenError,
    CensusNotFoundError,
    CensusProtocolError,
    CensusRefusedError,
    CensusTokenUnknownError,
    CensusTriggerUnansweredError,
    CensusUnavailableError,
)
from feature_sync.census.models import Dataset, RowRecord, Sync, SyncOutline, SyncRun, SyncRunPage
from feature_sync.config.connections import (
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    MissingConnectionError,
    UnreadableConnectionError,
    identity_of,
    read_connection,
    read_fresh_connection,
)
from feature_sync.config.names import CENSUS_CONN_ID

ATTEMPTS = 5
"""How often a call is sent that is safe to repeat."""
BACKOFF_SECONDS = 0.5
"""Pause before the first repetition; it doubles each time, up to 20 s, plus up to 1 s at random."""
OWN_EXTRAS = ("api_version", "attempts", "backoff_seconds")
"""Extras of the connection that are ours. HttpHook would send them as headers."""
MAX_RETRY_WAIT = 60.0
"""Seconds. A call does not wait for a longer Retry-After, because the task's own retry comes later anyway."""
PAGE_SIZE = 100
"""The API's largest page. It reduces larger values to this one."""

Model = TypeVar("Model", bound=BaseModel)
ApiVersion = Literal["v1", "v2"]


class CensusHook(HttpHook):
    """
    Calls the Census management API.

    The connection has type ``http``: ``host`` with scheme (https://app.getcensus.com, or the EU's), the token as password, and
    as extra ``{"api_version": "v2"}``. v2 takes a personal access token; v1, until its retirement on 2027-01-15, a workspace
    API key. Further extras: ``timeout`` (seconds), ``attempts`` and ``backoff_seconds`` for calls that are safe to repeat.

    Calls that are safe to repeat are repeated on lost connections, 429 (waiting as Retry-After says) and 5xx, with backoff and
    jitter. The trigger is sent exactly once: Census documents no idempotency key, so a second trigger would start a second run.

    A 401 or 403 counts only if the connection, read again and never from a cache, still holds the refused token. If it holds
    another one, the call is sent once more, the trigger too, because what was refused has started nothing.

    :raises CensusError: see `feature_sync.census.errors` for what each kind means.
    """

    default_conn_name = CENSUS_CONN_ID
    hook_name = "Census"

    def __init__(self, census_conn_id: str = CENSUS_CONN_ID) -> None:
        super().__init__(http_conn_id=census_conn_id)
        self._tests_a_form = False

    def get_connection(self, conn_id: str) -> Connection:  # type: ignore[override]
        """The connection of this hook; `HttpHook` asks for it when it builds a session."""
        return self._connection if conn_id == self.http_conn_id else super().get_connection(conn_id)

    def test_connection(self) -> tuple[bool, str]:
        """Airflow's "Test" button: ask for one sync."""
        self._tests_a_form = True  # what is stored says nothing about what is typed in
        try:
            self._get("syncs", {"per_page": 1})
        except CensusError as error:
            return False, str(error)
        return True, "Census accepts the token"

    def trigger_sync(self, sync_id: int) -> int:
        """
        Start a full run of a sync. It sends all rows of the source, whatever Census sent before.

        :returns: the id of the run.
        :raises CensusTriggerUnansweredError: a run may have been started; look it up before triggering again.
        :raises CensusTokenUnknownError: nothing was started.
        """
        # The query parameter is documented. The JSON form that some clients send is not.
        path = f"syncs/{sync_id}/trigger"
        try:
            body = self._send("POST", path, params={"force_full_sync": "true"})
            return int(body["data"]["sync_run_id"])
        except CensusTokenUnknownError:
            raise
        except (CensusUnavailableError, CensusProtocolError, KeyError, TypeError, ValueError) as error:
            raise CensusTriggerUnansweredError(
                f"The trigger of sync {sync_id} was sent, but its answer is missing: {error}",
                may_arrive=isinstance(error.__cause__, requests.ReadTimeout),
            ) from error

    def get_run(self, sync_run_id: int) -> SyncRun:
        body = self._get(f"sync_runs/{sync_run_id}")
        return _parse(SyncRun, body.get("data"), f"sync run {sync_run_id}")

    def see_run(self, sync_run_id: int) -> SyncRunPage:
        """One run, and Census's own time."""
        response = self._repeat("GET", f"sync_runs/{sync_run_id}")
        run = _parse(SyncRun, _data(response, dict), f"sync run {sync_run_id}")
        return SyncRunPage(runs=(run,), now=_server_time(response))

    def list_runs(self, sync_id: int) -> SyncRunPage:
        """The newest 100 runs of a sync, newest first, including dry runs and skipped runs."""
        response = self._repeat("GET", f"syncs/{sync_id}/sync_runs", params={"per_page": PAGE_SIZE, "order": "desc"})
        runs = [_parse(SyncRun, item, f"a run of sync {sync_id}") for item in _data(response, list)]
        return SyncRunPage(runs=tuple(sorted(runs, key=lambda run: run.id, reverse=True)), now=_server_time(response))

    def cancel_run(self, sync_run_id: int) -> None:
        """
        Ask Census to cancel a run. Its outcome must be read afterwards.

        :raises CensusRefusedError: Census does not cancel the run, although it is active.
        """
        try:
            self._repeat("POST", f"sync_runs/{sync_run_id}/cancel")
        except CensusRefusedError:
            # The run has ended meanwhile, perhaps because an earlier request, whose answer was lost, canceled it.
            if self.get_run(sync_run_id).is_active:
                raise

    def list_records(self, sync_run_id: int, status: str | None = None) -> Iterator[RowRecord]:
        """
        The outcome of each row of a run, from all pages. Census keeps it for 14 days, and not for dry runs.

        :param status: only ``succeeded``, ``rejected`` or ``invalid`` rows.
        """
        for item in self._all_pages(f"sync_runs/{sync_run_id}/records", {"status": status} if status else {}):
            yield _parse(RowRecord, item, f"a record of sync run {sync_run_id}")

    def list_syncs(self) -> list[SyncOutline]:
        """All syncs of the workspace, from all pages."""
        return [_parse(SyncOutline, item, "a sync of the list") for item in self._all_pages("syncs", {})]

    def get_sync(self, sync_id: int) -> Sync:
        return _parse(Sync, self._get(f"syncs/{sync_id}").get("data"), f"sync {sync_id}")

    def patch_sync(self, sync_id: int, changes: Mapping[str, Any]) -> Sync:
        """Change a sync. Nested attributes such as ``mappings`` are replaced whole, never merged."""
        body = self._repeat("PATCH", f"syncs/{sync_id}", json=changes)
        return _parse(Sync, _data(body, dict), f"sync {sync_id}")

    def get_dataset(self, dataset_id: int) -> Dataset:
        return _parse(Dataset, self._get(f"datasets/{dataset_id}").get("data"), f"dataset {dataset_id}")

    def patch_dataset(self, dataset_id: int, changes: Mapping[str, Any]) -> Dataset:
        """Change a dataset's ``name``, ``description`` or ``query``. Census validates the SQL and refuses it if it is wrong."""
        body = self._repeat("PATCH", f"datasets/{dataset_id}", json=changes)
        return _parse(Dataset, _data(body, dict), f"dataset {dataset_id}")

    @cached_property
    def api_version(self) -> ApiVersion:
        """:raises CensusRefusedError: the connection asks for a version that does not exist."""
        version = self._connection.extra_dejson.get("api_version", "v2")
        if version not in ("v1", "v2"):
            raise CensusRefusedError(f"Connection {self.http_conn_id}: api_version is {version!r}; allowed are 'v2' and 'v1'.")
        return version

    @cached_property
    def _connection(self) -> Connection:
        return self._read(read_connection)

    def _read(self, read: Callable[[str], Connection]) -> Connection:
        try:
            return read(self.http_conn_id)
        except MissingConnectionError as missing:
            raise CensusAuthError(str(missing)) from missing
        except UnreadableConnectionError as unreadable:
            raise CensusTokenUnknownError(f"{unreadable}.") from unreadable

    def _has_other_token_now(self) -> bool:
        """Read the connection again, and use it from now on if it has changed."""
        if self._tests_a_form:
            return False
        fresh = self._read(read_fresh_connection)
        if identity_of(fresh) == identity_of(self._connection):
            return False
        self._connection = fresh
        for built in ("_session", "api_version"):
            self.__dict__.pop(built, None)
        return True

    @cached_property
    def _session(self) -> requests.Session:
        token = self._connection.password
        if not token:
            raise CensusAuthError(f"Connection {self.http_conn_id} has no password; it must hold the Census token.")
        if not (token.isascii() and token.isprintable()) or token != token.strip():
            raise CensusAuthError(
                f"The password of connection {self.http_conn_id} has a line break or other invisible characters."
            )
        try:
            session = self.get_conn()
        except ValueError as error:
            raise CensusRefusedError(f"The host of connection {self.http_conn_id} is not an address: {error}.") from error
        for name in OWN_EXTRAS:
            session.headers.pop(name, None)
        session.auth = _BearerAuth(token)
        return session

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return _json(self._repeat("GET", path, params=params))

    def _all_pages(self, path: str, params: Mapping[str, Any]) -> Iterator[Any]:
        page: int | None = 1
        while page:
            response = self._repeat("GET", path, params={"page": page, "per_page": PAGE_SIZE, **params})
            items = _data(response, list)
            yield from items
            page = _next_page(response, len(items))

    def _send(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        return _json(self._request(method, path, **request))

    def _repeat(self, method: str, path: str, **request: Any) -> requests.Response:
        extras = self._connection.extra_dejson
        first_pause = float(extras.get("backoff_seconds", BACKOFF_SECONDS))
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(CensusUnavailableError)
            & tenacity.retry_if_not_exception_type(CensusTokenUnknownError),  # has waited already
            stop=tenacity.stop_after_attempt(int(extras.get("attempts", ATTEMPTS))),
            wait=_WaitBeforeRetry(
                tenacity.wait_exponential_jitter(multiplier=first_pause, max=20, jitter=min(1.0, first_pause * 2))
            ),
            before_sleep=lambda state: self.log.warning(
                "%s; trying again in %.1f s", state.outcome and state.outcome.exception(), state.upcoming_sleep
            ),
            reraise=True,
        )
        return retrying(self._request, method, path, **request)

    def _request(self, method: str, path: str, **request: Any) -> requests.Response:
        """Send one request, and once more if it was refused with a token that has been replaced."""
        _ = self._session  # so that what is wrong with the connection itself is no refusal
        try:
            return self._request_once(method, path, **request)
        except CensusAuthError as refused:
            if not self._has_other_token_now():
                raise
            self.log.warning(
                "%s It has changed meanwhile; asking again with what connection %s holds now", refused, self.http_conn_id
            )
        return self._request_once(method, path, **request)

    def _request_once(self, method: str, path: str, **request: Any) -> requests.Response:
        """Send one request, once. Any answer other than a 2xx is an error."""
        what = f"{method} {path}"
        session = self._session
        timeout = self.merged_extra.get("timeout") or (CONNECT_TIMEOUT, READ_TIMEOUT)
        url = self.url_from_endpoint(f"api/{self.api_version}/{path}")
        try:
            response = session.request(method, url, timeout=timeout, allow_redirects=False, **request)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise CensusUnavailableError(f"Census did not answer {what}: {type(error).__name__}") from error
        except requests.RequestException as error:  # its text may repeat a header, and thereby the token
            raise CensusRefusedError(
                f"{what} could not be sent: {type(error).__name__}. Check the host of connection {self.http_conn_id}."
            ) from None
        _refuse_errors(what, response)
        return response


class _BearerAuth(requests.auth.AuthBase):
    """An auth object rather than a header, because requests lets a ~/.netrc entry replace a header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _RetryLaterError(CensusUnavailableError):
    """Unavailable, and Census said how many seconds to wait."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class _WaitBeforeRetry:
    """Wait as Retry-After says, otherwise as ``backoff`` says."""

    def __init__(self, backoff: tenacity.wait_exponential_jitter) -> None:
        self._backoff = backoff

    def __call__(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome and state.outcome.exception()
        if isinstance(error, _RetryLaterError):
            return min(error.seconds, MAX_RETRY_WAIT) + self._backoff(state) / 10
        return self._backoff(state)


def _refuse_errors(what: str, response: requests.Response) -> None:
    code = response.status_code
    if HTTPStatus.OK <= code < HTTPStatus.MULTIPLE_CHOICES:
        return
    said = f"Census answered {what} with {code}{_message(response)}"
    if code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        seconds = _retry_after(response)
        raise CensusUnavailableError(said) if seconds is None else _RetryLaterError(said, seconds)
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        kind = CensusForbiddenError if code == HTTPStatus.FORBIDDEN else CensusAuthError
        raise kind(f"{said}. Check the token of the connection and its permissions.")
    raise (CensusNotFoundError if code == HTTPStatus.NOT_FOUND else CensusRefusedError)(said)


def _message(response: requests.Response) -> str:
    try:
        text = response.json().get("message")
    except (ValueError, AttributeError):
        text = None
    return f": {text}" if text else ""


def _retry_after(response: requests.Response) -> float | None:
    """Seconds to wait, given as a number or as a time of day (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _json(response: requests.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError as error:
        raise CensusProtocolError(
            f"Census answered {response.request.method} {response.request.path_url} with something other than JSON"
        ) from error
    if not isinstance(body, dict):
        raise CensusProtocolError(f"Census answered {response.request.path_url} with {type(body).__name__}, not an object")
    if body.get("status") == "error":
        raise CensusRefusedError(f"Census refused {response.request.method} {response.request.path_url}: {body.get('message')}")
    return body


def _data(response: requests.Response, kind: type) -> Any:
    data = _json(response).get("data")
    if not isinstance(data, kind):
        raise CensusProtocolError(f"Census answered {response.request.path_url} without data")
    return data


def _next_page(response: requests.Response, items: int) -> int | None:
    """
    The page after an answer, or None if it was the last one.

    :raises CensusProtocolError: the page is full, and the answer does not say whether another one follows.
    """
    pagination = _json(response).get("pagination")
    if not isinstance(pagination, dict) or "next_page" not in pagination:
        if items >= PAGE_SIZE:
            raise CensusProtocolError(
                f"Census answered {response.request.path_url} with a full page, and not whether more follow"
            )
        return None
    following = pagination["next_page"]
    return None if following is None else int(following)


def _parse(model: type[Model], data: Any, what: str) -> Model:
    try:
        return model.model_validate(data)
    except ValidationError as invalid:
        wrong = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in invalid.errors(include_input=False))
        raise CensusProtocolError(f"Census describes {what} in a form we do not know: {wrong}") from invalid


def _server_time(response: requests.Response) -> datetime:
    """Census's clock, from the Date header, in whole seconds rounded down, so that waits measured with it are never too short."""
    try:
        return parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError) as error:
        raise CensusProtocolError("Census answered without a usable Date header, so its clock is not known") from error
