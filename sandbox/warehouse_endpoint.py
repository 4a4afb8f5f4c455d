"""The warehouse over HTTP. It journals each statement and applies the faults for `warehouse`."""

import asyncio
import threading
from contextvars import ContextVar

from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import JsonAnswer, NoAnswer
from sandbox.faults import Faults
from sandbox.journal import WAREHOUSE_STATEMENT, Journal
from sandbox.settings import SettingsStore
from sandbox.tokens import basic
from sandbox.warehouse.engine import Engine
from sandbox.warehouse.service import StatementFault, WarehouseService

_no_answer: ContextVar[list[str] | None] = ContextVar("no_answer", default=None)
"""A list for each request. If a statement's fault puts its name there, the request's connection is closed."""


class WarehouseEndpoint:
    """``POST /sql/1.0/warehouses/local``, and ``POST /oidc/v1/token`` for service principals."""

    def __init__(self, journal: Journal, faults: Faults, engine: Engine, settings: SettingsStore) -> None:
        self._journal = journal
        self._faults = faults
        self._settings = settings
        self._closing = threading.Event()
        self._service = WarehouseService(engine, lambda: settings.current.warehouse_token, self._on_statement)

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        answer, closed = await asyncio.to_thread(self._handle, body, request.headers.get("authorization"))
        return NoAnswer() if closed else answer

    async def give_token(self, request: Request) -> Response:
        """A service principal's access token (Databricks: OAuth machine-to-machine)."""
        current = self._settings.current
        found = basic(request.headers.get("authorization"))
        if found is None or found[1] != current.warehouse_client_secret:
            return JsonAnswer({"error": "invalid_client", "error_description": "Client authentication failed"}, 401)
        return JsonAnswer({"access_token": current.warehouse_token, "token_type": "Bearer", "expires_in": 3600})

    def drop_sessions(self) -> int:
        """Forget all sessions, as when they have been idle for too long."""
        return self._service.drop_sessions()

    def close(self) -> None:
        self._closing.set()
        self._service.close()

    def _handle(self, body: bytes, authorization: str | None) -> tuple[Response, bool]:
        word: list[str] = []
        _no_answer.set(word)
        answer = self._service.handle(body, authorization)
        return Response(answer.body, answer.status, answer.headers), bool(word)

    def _on_statement(self, sql: str) -> None:
        """Runs in the thread of the request, before the statement is executed."""
        faults = self._faults.take("warehouse", text=sql)
        fault = next((fault for fault in faults if fault.name != "slow"), None)
        names = [each.name for each in faults]
        self._journal.add(WAREHOUSE_STATEMENT, sql=sql, **({"fault": "+".join(names)} if names else {}))
        for slow in (each for each in faults if each.name == "slow"):
            if self._closing.wait(slow.parameters.seconds):
                raise StatementFault("The warehouse is stopping.")
        if fault is None:
            return
        word = _no_answer.get()
        if fault.name in ("refuse", "lost_response") and word is not None:
            word.append(fault.name)
        if fault.name != "lost_response":
            raise StatementFault(fault.parameters.message or "[INTERNAL_ERROR] A fault made the statement fail. SQLSTATE: XX000")
