"""``/sandbox``: the journal, the faults, the settings, and the actions of a person in Census's own pages."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.answers import JsonAnswer
from sandbox.census.runs import UI_TAG_API, UI_TAG_DRY_RUN, UI_TAG_MANUAL, TriggerError
from sandbox.faults import FaultError
from sandbox.journal import NOTEBOOK
from sandbox.settings import SettingError, Settings
from sandbox.warehouse import metadata
from sandbox.warehouse.results import StatementError
from sandbox.world import World
from sandbox.worlds.catalogue import PROJECT


class RequestError(ValueError):
    """A request that is answered with 400 and this reason."""


def routes(world: World, drop_sessions: Callable[[], int]) -> list[Route]:
    """
    The endpoints for tests and people. They need no token.

    :param drop_sessions: makes the warehouse forget its sessions.
    """

    def route(path: str, method: str, work: Callable[[Request, Any], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                body = await request.json() if await request.body() else {}
                if not isinstance(body, dict):
                    raise RequestError("the body must be a JSON object")
                return JsonAnswer(await asyncio.to_thread(work, request, body))
            except (ValueError, SettingError, FaultError) as error:
                return JsonAnswer({"error": str(error)}, 400)

        return Route(f"/sandbox/{path}", endpoint, methods=[method])

    def read_journal(request: Request, _: Any) -> Any:
        return world.journal.read(int(request.query_params.get("after", 0)), request.query_params.get("kind"))

    def set_fault(_: Request, body: Any) -> Any:
        return {"id": world.faults.set(body)}

    def clear_faults(request: Request, _: Any) -> Any:
        number = request.path_params.get("id")
        world.faults.clear(number)
        return {"faults": world.faults.read()}

    def change_settings(_: Request, body: Any) -> Any:
        return world.settings.change(body).model_dump()

    def start_run(_: Request, body: Any) -> Any:
        return _start_run(world, body)

    def reset(_: Request, __: Any) -> Any:
        world.reset()
        return {"status": "reset"}

    def run_notebook(_: Request, body: Any) -> Any:
        return _run_notebook(world, body)

    return [
        route("health", "GET", lambda _, __: {"status": "ok", "world": world.definition.name}),
        route("world", "GET", lambda _, __: _describe(world)),
        route("notebook", "POST", run_notebook),
        route("journal", "GET", read_journal),
        route("faults", "GET", lambda _, __: world.faults.read()),
        route("faults", "POST", set_fault),
        route("faults", "DELETE", clear_faults),
        route("faults/{id:int}", "DELETE", clear_faults),
        route("settings", "GET", lambda _, __: world.settings.current.model_dump()),
        route("settings", "PATCH", change_settings),
        route("settings/described", "GET", lambda _, __: Settings.model_json_schema()["properties"]),
        route("runs", "POST", start_run),
        route("replication", "POST", lambda _, __: {"rows": world.replicate()}),
        route("sessions", "DELETE", lambda _, __: {"sessions": drop_sessions()}),
        route("tables", "POST", lambda _, body: _change_table(world, body)),
        route("reset", "POST", reset),
    ]


def _describe(world: World) -> dict[str, Any]:
    """The names of the world's tables and syncs, and the settings that fit the package to it."""
    definition = world.definition
    return {
        "name": definition.name,
        "replica": definition.replica.table,
        "syncs": {sync["label"]: sync["id"] for sync in definition.census.syncs},
        "settings": definition.project_settings(PROJECT),
    }


def _change_table(world: World, body: dict[str, Any]) -> dict[str, str]:
    """Make a table look as if nobody had written it since a time, as when its job has stopped."""
    if set(body) != {"table", "changed_at"}:
        raise RequestError("the body must have table and changed_at")
    try:
        with world.engine.writing() as cursor:
            metadata.set_age(cursor, body["table"], datetime.fromisoformat(body["changed_at"]))
    except StatementError as error:
        raise RequestError(str(error)) from error
    return body


def _run_notebook(world: World, body: dict[str, Any]) -> dict[str, Any]:
    """Rebuild the table that is not ours, as its owner's notebook does every day. It may then trigger a sync, as theirs does."""
    if unknown := set(body) - {"sync_id"}:
        raise RequestError(f"unknown parameters: {', '.join(sorted(unknown))}")
    if world.definition.notebook is None:
        raise RequestError(f"the world {world.definition.name} has no notebook")
    table, rows = world.definition.notebook(world.engine)
    world.journal.add(NOTEBOOK, table=table, rows=rows)
    started = _start_run(world, {"sync_id": body["sync_id"], "ui_tag": UI_TAG_API}) if "sync_id" in body else {}
    return {"table": table, "rows": rows, **started}


def _start_run(world: World, body: dict[str, Any]) -> dict[str, int]:
    """Start a run as a person does in Census's own pages."""
    if unknown := set(body) - {"sync_id", "ui_tag", "full_sync"}:
        raise RequestError(f"unknown parameters: {', '.join(sorted(unknown))}")
    sync = world.syncs.get(int(body.get("sync_id", 0)))
    if sync is None:
        raise RequestError(f"there is no sync {body.get('sync_id')}")
    ui_tag = body.get("ui_tag", UI_TAG_MANUAL)
    allowed = (UI_TAG_MANUAL, UI_TAG_DRY_RUN, UI_TAG_API)
    if ui_tag not in allowed:
        raise RequestError(f"ui_tag must be one of {', '.join(map(repr, allowed))}")
    try:
        run_id = world.runs.create(sync["id"], paused=False, force_full_sync=bool(body.get("full_sync", False)), ui_tag=ui_tag)
    except TriggerError as refused:
        raise RequestError(str(refused)) from refused
    world.run_engine.wake()
    return {"sync_run_id": run_id}
