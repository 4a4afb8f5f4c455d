"""The part of Salesforce's REST API that reads and corrects records: query, describe, one record."""

import itertools
import re
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import JsonAnswer, Shapes, answer
from sandbox.faults import Faults
from sandbox.journal import SALESFORCE_REQUEST, Journal
from sandbox.salesforce import soql
from sandbox.salesforce.org import Change, Org, presented
from sandbox.salesforce.schema import OBJECT, OBJECT_LABEL, FieldType, ObjectSchema, OrgField
from sandbox.salesforce.soql import SoqlError
from sandbox.state import State
from sandbox.tokens import SALESFORCE_SESSION, bearer

PAGE = 2_000
"""Records per page of a query (Salesforce REST API: query)."""
KEPT_QUERIES = 10
VERSIONS = ("59.0", "62.0", "65.0")

_DATA = re.compile(r"data/v(\d+\.0)/(.*?)/?")
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


def _error(problem: RestError, headers: Mapping[str, str] | None = None) -> Response:
    return JsonAnswer([{"message": str(problem), "errorCode": problem.error_code}], problem.code, headers)


def unauthorized() -> Response:
    return _error(RestError(401, "INVALID_SESSION_ID", "Session expired or invalid"))


def failed(code: int, headers: Mapping[str, str]) -> Response:
    codes = {429: "REQUEST_LIMIT_EXCEEDED", 503: "SERVER_UNAVAILABLE"}
    return _error(RestError(code, codes.get(code, "UNKNOWN_EXCEPTION"), "A fault refused the request"), headers)


class SalesforceApi:
    """Routes and answers under ``/services``."""

    def __init__(self, state: State, journal: Journal, faults: Faults, org: Org) -> None:
        self._state = state
        self._journal = journal
        self._faults = faults
        self._org = org
        self._schema = org.schema
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
            # Salesforce REST API: Versions needs no session.
            return JsonAnswer([{"label": f"v{one}", "url": f"/services/data/v{one}", "version": one} for one in VERSIONS]), None
        if bearer(request.headers.get("authorization")) != SALESFORCE_SESSION:
            return unauthorized(), None
        try:
            body = await request.json() if await request.body() else {}
        except ValueError:
            return _error(RestError(400, "JSON_PARSER_ERROR", "The body is not JSON")), None
        method, query = request.method, request.query_params

        def work() -> Response:
            try:
                return self._route(method, path, query, body)
            except RestError as problem:
                return _error(problem)
            except AmbiguousKey as several:
                return JsonAnswer(several.addresses, 300)

        return await answer(work, self._faults.take("salesforce"), Shapes(unauthorized, failed))

    def _route(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Response:
        matched = _DATA.fullmatch(path)
        if matched is None:
            raise _not_found()
        version, rest = matched.groups()
        kind, _, locator = rest.partition("/")
        if method == "GET" and kind in ("query", "queryAll"):
            if locator:
                return self._more(version, locator)
            return self._query(version, query.get("q", ""), include_deleted=kind == "queryAll")
        if method == "GET" and rest.lower() == f"sobjects/{OBJECT}/describe".lower():
            return JsonAnswer(_describe(version, self._schema))
        record = _RECORD.fullmatch(rest)
        if record is None:
            raise _not_found()
        field, value = self._key(*record.groups())
        match method:
            case "GET":
                return JsonAnswer(self._record(version, field, value, query.get("fields")))
            case "PATCH":
                return self._update(version, field, value, body)
        raise RestError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed. Allowed are GET,PATCH")

    def _query(self, version: str, text: str, *, include_deleted: bool) -> Response:
        try:
            parsed = soql.parse(text, self._schema, include_deleted=include_deleted)
        except SoqlError as error:
            raise RestError(400, error.code, str(error)) from error
        try:
            rows = self._state.query(parsed.sql)
        except sqlite3.Error as error:
            raise RestError(400, "MALFORMED_QUERY", str(error)) from error
        if parsed.count:
            return JsonAnswer({"totalSize": rows[0][0], "done": True, "records": []})
        if parsed.columns:
            attributes = {"type": "AggregateResult"}
            records = [
                {
                    "attributes": attributes,
                    **{name: soql.aggregate_value(dict(row), name, self._schema) for name in parsed.columns},
                }
                for row in rows
            ]
        else:
            records = [_present(version, row, parsed.fields) for row in rows]
        locator = f"01gLOCAL{next(self._numbers):07d}"
        if len(records) > PAGE:
            with self._lock:
                self._open[locator] = records
                while len(self._open) > KEPT_QUERIES:
                    self._open.popitem(last=False)
        return _page(version, locator, records, 0)

    def _more(self, version: str, locator: str) -> Response:
        """The next page of a query. As in Salesforce, only the latest ten queries are kept. A restart closes them."""
        name, _, start = locator.partition("-")
        with self._lock:
            records = self._open.get(name)
        if records is None or not start.isdigit():
            raise RestError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return _page(version, name, records, int(start))

    def _record(self, version: str, field: OrgField, value: str, fields: str | None) -> dict[str, Any]:
        row = self._find(version, field, value)
        chosen = [self._schema.get(name.strip()) for name in fields.split(",")] if fields else list(self._schema)
        if None in chosen:
            raise RestError(400, "INVALID_FIELD", f"No such column among '{fields}' on entity '{OBJECT}'.")
        return _present(version, row, tuple(one for one in chosen if one is not None))

    def _update(self, version: str, field: OrgField, value: str, body: Any) -> Response:
        """An admin changes one record. This is a separate transaction, and the Flow runs in it too."""
        if not isinstance(body, dict):
            raise RestError(400, "JSON_PARSER_ERROR", "The body must be a JSON object")
        self._find(version, field, value)
        [outcome] = self._org.transact([Change(field, value, body)], source="rest")
        if outcome.status != "succeeded":
            code, _, text = (outcome.message or "").partition(": ")
            raise RestError(400, code, text)
        return Response(status_code=204)

    def _key(self, name: str, value: str | None) -> tuple[OrgField, str]:
        """A record is identified by its Id, or by an external id field and its value."""
        if value is None:
            return self._schema["id"], name
        field = self._schema.get(name)
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
    attributes = {"type": OBJECT, "url": f"/services/data/v{version}/sobjects/{OBJECT}/{row['Id']}"}
    return {"attributes": attributes, **{field.name: presented(row, field) for field in fields}}


def _page(version: str, locator: str, records: list[dict[str, Any]], start: int) -> Response:
    following = start + PAGE
    done = following >= len(records)
    page: dict[str, Any] = {"totalSize": len(records), "done": done, "records": records[start:following]}
    if not done:
        page["nextRecordsUrl"] = f"/services/data/v{version}/query/{locator}-{following}"
    return JsonAnswer(page)


def _describe(version: str, schema: ObjectSchema) -> dict[str, Any]:
    """Salesforce REST API: sObject Describe, reduced to the attributes that distinguish fields."""
    return {
        "name": OBJECT,
        "label": OBJECT_LABEL,
        "keyPrefix": "a2P",
        "custom": True,
        "queryable": True,
        "updateable": True,
        "urls": {"describe": f"/services/data/v{version}/sobjects/{OBJECT}/describe"},
        "fields": [
            {
                "name": field.name,
                "label": field.label,
                "type": field.type.value,
                "length": {FieldType.ID: 18, FieldType.STRING: 255}.get(field.type, 0),
                "custom": field.custom,
                "externalId": field.is_key,
                "unique": field.is_unique,
                "caseSensitive": False,
                "idLookup": field.is_key or field.type is FieldType.ID,
                "nillable": field.type is not FieldType.BOOLEAN and field.updateable,
                "createable": field.updateable,
                "updateable": field.updateable,
                "filterable": True,
                "sortable": True,
                "defaultValue": False if field.type is FieldType.BOOLEAN else None,
            }
            for field in schema
        ],
    }
