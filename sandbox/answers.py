"""The answers of the HTTP services, and the ways in which a fault spoils them."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.faults import Active

TRANSPORT = "sandbox.transport"


class JsonAnswer(Response):
    """JSON as the vendors send it."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(json.dumps(content), status_code, dict(headers or {}))


class NoAnswer(Response):
    """Closes the client's connection instead of answering. The client sees a reset or closed connection, never a status."""

    def __init__(self) -> None:
        super().__init__()
        self.status_code = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        scope[TRANSPORT].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


class KnowsItsConnection:
    """Hands a request's connection to the application. uvicorn keeps it in the object that the method ``send`` belongs to."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[TRANSPORT] = send.__self__.transport  # type: ignore[attr-defined]
        await self._app(scope, receive, send)


class Shapes:
    """A service's answers to a wrong token and for a failure."""

    def __init__(self, unauthorized: Callable[[], Response], failed: Callable[[int, Mapping[str, str]], Response]) -> None:
        self.unauthorized = unauthorized
        self.failed = failed


async def answer(work: Callable[[], Response], faults: Sequence[Active], shapes: Shapes) -> tuple[Response, str | None]:
    """
    Do the work and answer, as the faults demand. ``slow`` combines with another fault. Of the others only the first counts.

    :returns: the answer, and the name of the fault that shaped it, or None.
    """
    for fault in faults:
        if fault.name == "slow":
            await asyncio.sleep(fault.parameters.seconds)
    chosen = next((fault for fault in faults if fault.name != "slow"), None)
    if chosen is None:
        return await asyncio.to_thread(work), ("slow" if faults else None)
    if chosen.name == "lacks":
        return _without(await asyncio.to_thread(work), chosen.parameters.key), chosen.name
    spoiled = _spoil(chosen, shapes)
    if _works_first(chosen):
        await asyncio.to_thread(work)
    return spoiled, chosen.name


def _without(response: Response, key: str | None) -> Response:
    content = json.loads(bytes(response.body))
    return JsonAnswer({name: value for name, value in content.items() if name != key}, response.status_code)


def _works_first(fault: Active) -> bool:
    if fault.parameters.after_work is not None:
        return fault.parameters.after_work
    return fault.name in ("lost_response", "not_json")


def _spoil(fault: Active, shapes: Shapes) -> Response:
    match fault.name:
        case "lost_response" | "refuse":
            return NoAnswer()
        case "token_expired":
            return shapes.unauthorized()
        case "not_json":
            return Response("<html><body>Please wait while we check your browser</body></html>", media_type="text/html")
    wait = fault.parameters.retry_after
    return shapes.failed(fault.parameters.code, {} if wait is None else {"Retry-After": str(wait)})
