"""The part of Salesforce's REST API that reads and corrects records, and says what the org allows: query, describe, limits."""

import itertools
import re
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import JsonAnswer, Shapes, answer
from sandbox.faults import Faults
from sandbox.journal import SALESFORCE_REQUEST, Journal
from sandbox.salesforce import login, permissions, soql
from sandbox.salesforce.describe import describe
from sandbox.salesforce.limits import RequestLimit
from sandbox.salesforce.objects import Objects
from sandbox.salesforce.org import Change, Org, presented
from sandbox.salesforce.schema import OBJECT, ObjectSchema, OrgField
from sandbox.salesforce.soql import Reached, Selected, SoqlError
from sandbox.salesforce.users import ADMIN, SESSIONS, User
from sandbox.settings import Settings, SettingsStore
from sandbox.state import State
from sandbox.tokens import bearer

PAGE = 2_000
"""Records per page of a query (Salesforce REST API: query)."""
KEPT_QUERIES = 10
VERSIONS = ("59.0", "62.0", "65.0")

_DATA = re.compile(r"data/v(\d+\.0)/(.*?)/?")
_DESCRIBE = re.compile(r"sobjects/(\w+)/describe", re.IGNORECASE)
_RECORD = re.compile(rf"sobjects/{OBJECT}/([^/]+)(?:/([^/]+))?", re.IGNORECASE)


class RestError(Exception):
    """An error of the REST API: a list with one message and code."""

    def __init__(self, code: int, error_code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.error_code = error_code


class AmbiguousKey(Exception):  # noqa: N818 - Salesforce does not answer it as an error
    """Several records have the external id. The answer is the list of their addresses."""

    def __init__(self, addresses: list[str]) -> None:
        super().__init__()
        self.addresses = addresses


@dataclass(frozen=True, slots=True)
class Caller:
    """The user whose session a request has, and the settings at this moment."""

    user: User
    settings: Settings

    def schema(self, schema: ObjectSchema) -> ObjectSchema:
        return permissions.visible_schema(schema, self.user, self.settings)

    def objects(self, schema: ObjectSchema, *, tooling: bool = False) -> Objects:
        return Objects(schema, self.user, self.settings, tooling=tooling)

    @property
    def views_setup(self) -> bool:
        return permissions.may_view_setup(self.user, self.settings)


def _error(problem: RestError, headers: Mapping[str, str] | None = None) -> Response:
    return JsonAnswer([{"message": str(problem), "errorCode": problem.error_code}], problem.code, headers)


def unauthorized() -> Response:
    return _error(RestError(401, "INVALID_SESSION_ID", "Session expired or invalid"))


def failed(code: int, headers: Mapping[str, str]) -> Response:
    codes = {429: "REQUEST_LIMIT_EXCEEDED", 503: "SERVER_UNAVAILABLE"}
    return _error(RestError(code, codes.get(code, "UNKNOWN_EXCEPTION"), "A fault refused the request"), headers)


class SalesforceApi:
    """Routes and answers under ``/services``."""

    def __init__(self, state: State, journal: Journal, faults: Faults, settings: SettingsStore, org: Org) -> None:
        self._state = state
        self._journal = journal
        self._faults = faults
        self._settings = settings
        self._org = org
        self._schema = org.schema
        self._limit = RequestLimit(state, settings)
        self._lock = threading.Lock()
        self._open: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()
        self._numbers = itertools.count(1)

    async def __call__(self, request: Request) -> Response:
        path = request.path_params["path"]
        response, fault = await self._handle(request, path)
        query = f"?{request.url.query}" if request.url.query else ""
        self._journal.add(
            SALESFORCE_REQUEST,
            method=request.method,
            path=f"/services/{path}{query}",
            status=response.status_code or None,
            **({"fault": fault} if fault else {}),
        )
        return response

    async def _handle(self, request: Request, path: str) -> tuple[Response, str | None]:
        if path.rstrip("/") == "data" and request.method == "GET":
            # Salesforce REST API: Versions needs no session, and is not counted.
            return JsonAnswer([{"label": f"v{one}", "url": f"/services/data/v{one}", "version": one} for one in VERSIONS]), None
        if login.is_login(request.method, path):
            return await login.log_in(request, path, self._settings.current), None
        user = SESSIONS.get(bearer(request.headers.get("authorization")) or "")
        if user is None:
            return unauthorized(), None
        if path == login.USER_INFO:
            address = f"{request.url.scheme}://{request.headers.get('host', '')}"
            return JsonAnswer(login.user_info(user, address)), None
        response, fault = await self._answer(request, path, user)
        response.headers.update(self._limit.headers())
        return response, fault

    async def _answer(self, request: Request, path: str, user: User) -> tuple[Response, str | None]:
        if not self._limit.take():
            # Salesforce REST API: Status Codes. A request too many is answered with 403, not with 429.
            return _error(RestError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")), None
        try:
            body = await request.json() if await request.body() else {}
        except ValueError:
            return _error(RestError(400, "JSON_PARSER_ERROR", "The body is not JSON")), None
        method, query = request.method, request.query_params
        caller = Caller(user, self._settings.current)

        def work() -> Response:
            try:
                return self._route(caller, method, path, query, body)
            except RestError as problem:
                return _error(problem)
            except AmbiguousKey as several:
                return JsonAnswer(several.addresses, 300)

        return await answer(work, self._faults.take("salesforce"), Shapes(unauthorized, failed))

    def _route(self, caller: Caller, method: str, path: str, query: Mapping[str, str], body: Any) -> Response:
        matched = _DATA.fullmatch(path)
        if matched is None:
            raise _not_found()
        version, rest = matched.groups()
        if method == "GET" and (response := self._read(caller, version, rest, query)):
            return response
        record = _RECORD.fullmatch(rest)
        if record is None:
            raise _not_found()
        field, value = self._key(caller, *record.groups())
        match method:
            case "GET":
                return JsonAnswer(self._record(caller, version, field, value, query.get("fields")))
            case "PATCH":
                return self._update(caller, version, field, value, body)
        raise RestError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed. Allowed are GET,PATCH")

    def _read(self, caller: Caller, version: str, rest: str, query: Mapping[str, str]) -> Response | None:
        """The answer to a request that is not about one record. None if it is."""
        kind, _, locator = rest.partition("/")
        if kind in ("query", "queryAll"):
            if locator:
                return self._more(version, locator)
            return self._query(caller, version, query.get("q", ""), include_deleted=kind == "queryAll")
        if rest == "tooling/query":
            return self._query(caller, version, query.get("q", ""), tooling=True)
        if rest == "limits":
            if not caller.views_setup:
                raise RestError(403, "INSUFFICIENT_ACCESS", "The user has no permission View Setup and Configuration")
            return JsonAnswer(self._limit.describe(with_storage=caller.user is ADMIN))
        if described := _DESCRIBE.fullmatch(rest):
            found = caller.objects(self._schema).get(described.group(1))
            if found is None:
                raise _not_found()
            return JsonAnswer(describe(version, found, caller.user, caller.settings))
        return None

    def _query(
        self, caller: Caller, version: str, text: str, *, include_deleted: bool = False, tooling: bool = False
    ) -> Response:
        try:
            parsed = soql.parse(text, caller.objects(self._schema, tooling=tooling), include_deleted=include_deleted)
        except SoqlError as error:
            raise RestError(400, error.code, str(error)) from error
        try:
            rows = self._state.query(parsed.sql, parsed.values)
        except sqlite3.Error as error:
            raise RestError(400, "MALFORMED_QUERY", str(error)) from error
        if parsed.count:
            return JsonAnswer({"totalSize": rows[0][0], "done": True, "records": []})
        if parsed.columns:
            attributes = {"type": "AggregateResult"}
            records = [
                {
                    "attributes": attributes,
                    **{name: presented(row[name], field) if field else row[name] for name, field in parsed.columns.items()},
                }
                for row in rows
            ]
        else:
            root = f"/services/data/v{version}/{'tooling/' if tooling else ''}sobjects"
            records = [_present_selected(root, row, parsed.first, parsed.fields) for row in rows]
        locator = f"01gLOCAL{next(self._numbers):07d}"
        if len(records) > PAGE:
            with self._lock:
                self._open[locator] = records
                while len(self._open) > KEPT_QUERIES:
                    self._open.popitem(last=False)
        # Tooling API: Query. Its answers have more keys than those of the REST API.
        more = {"size": len(records), "queryLocator": None, "entityTypeName": parsed.first.object.name} if tooling else {}
        return _page(version, locator, records, 0, more)

    def _more(self, version: str, locator: str) -> Response:
        """The next page of a query. As in Salesforce, only the latest ten queries are kept. A restart closes them."""
        name, _, start = locator.partition("-")
        with self._lock:
            records = self._open.get(name)
        if records is None or not start.isdigit():
            raise RestError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return _page(version, name, records, int(start))

    def _record(self, caller: Caller, version: str, field: OrgField, value: str, fields: str | None) -> dict[str, Any]:
        row = self._find(version, field, value)
        schema = caller.schema(self._schema)
        chosen = [schema.get(name.strip()) for name in fields.split(",")] if fields else list(schema)
        if None in chosen:
            raise RestError(400, "INVALID_FIELD", f"No such column among '{fields}' on entity '{OBJECT}'.")
        return _present(version, row, tuple(one for one in chosen if one is not None))

    def _update(self, caller: Caller, version: str, field: OrgField, value: str, body: Any) -> Response:
        """A person changes one record. This is a separate transaction, and the Flow runs in it too."""
        if not permissions.may_edit_object(caller.user):
            raise RestError(403, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
        if not isinstance(body, dict):
            raise RestError(400, "JSON_PARSER_ERROR", "The body must be a JSON object")
        self._find(version, field, value)
        [outcome] = self._org.transact([Change(field, value, body)], source="rest", by=caller.user)
        if outcome.status != "succeeded":
            code, _, text = (outcome.message or "").partition(": ")
            raise RestError(400, code, text)
        return Response(status_code=204)

    def _key(self, caller: Caller, name: str, value: str | None) -> tuple[OrgField, str]:
        """A record is identified by its Id, or by an external id field and its value."""
        if value is None:
            return self._schema["id"], name
        field = caller.schema(self._schema).get(name)
        if field is None or not field.is_key:
            raise RestError(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {name}")
        return field, value

    def _find(self, version: str, field: OrgField, value: str) -> sqlite3.Row:
        """Salesforce REST API: Status Codes. A key of several records is answered with 300 and their addresses."""
        found = self._org.find(field, value)
        if not found:
            raise _not_found()
        if len(found) > 1:
            raise AmbiguousKey([f"/services/data/v{version}/sobjects/{OBJECT}/{row['Id']}" for row in found])
        return found[0]


def _not_found() -> RestError:
    return RestError(404, "NOT_FOUND", "The requested resource does not exist")


def _present(version: str, row: sqlite3.Row, fields: tuple[OrgField, ...]) -> dict[str, Any]:
    attributes = _attributes(f"/services/data/v{version}/sobjects", OBJECT, row["Id"])
    return {"attributes": attributes, **{field.name: presented(row[field.name], field) for field in fields}}


def _present_selected(root: str, row: sqlite3.Row, of: Reached, fields: tuple[Selected, ...]) -> dict[str, Any]:
    """A record of a query. A field of another object stands in an object of its own; without that record, it is null."""
    record: dict[str, Any] = {"attributes": _attributes(root, of.object.name, row[of.id_column])}
    for each in fields:
        holder = _holder(record, root, row, each.of)
        if holder is not None:
            holder[each.field.name] = presented(row[each.column], each.field)
    return record


def _holder(record: dict[str, Any], root: str, row: sqlite3.Row, of: Reached) -> dict[str, Any] | None:
    if of.parent is None:
        return record
    outer = _holder(record, root, row, of.parent)
    if outer is None:
        return None
    if of.relationship not in outer:
        found = row[of.id_column]
        outer[of.relationship] = {"attributes": _attributes(root, of.object.name, found)} if found else None
    return outer[of.relationship]


def _attributes(root: str, name: str, record_id: str) -> dict[str, str]:
    return {"type": name, "url": f"{root}/{name}/{record_id}"}


def _page(
    version: str, locator: str, records: list[dict[str, Any]], start: int, more: Mapping[str, Any] | None = None
) -> Response:
    following = start + PAGE
    done = following >= len(records)
    page: dict[str, Any] = {"totalSize": len(records), "done": done, "records": records[start:following], **(more or {})}
    if not done:
        page["nextRecordsUrl"] = f"/services/data/v{version}/query/{locator}-{following}"
    return JsonAnswer(page)
