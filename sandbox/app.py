"""One application for all services. The path selects the service."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sandbox import control
from sandbox.answers import KnowsItsConnection
from sandbox.census.api import CensusApi
from sandbox.connections import HTTP_PATH
from sandbox.salesforce.api import SalesforceApi
from sandbox.warehouse_endpoint import WarehouseEndpoint
from sandbox.world import World

THREADS = 64
"""A thread waits for each statement. With asyncio's few threads, slow statements would block all other requests."""
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_app(world: World) -> ASGIApp:
    """The application. It starts the world and closes it."""
    warehouse = WarehouseEndpoint(world.journal, world.faults, world.engine, world.settings)
    census = CensusApi(
        journal=world.journal,
        faults=world.faults,
        settings=world.settings,
        syncs=world.syncs,
        runs_=world.runs,
        records=world.records,
        engine=world.run_engine,
    )
    salesforce = SalesforceApi(world.state, world.journal, world.faults, world.settings, world.org)

    async def serve_warehouse(request: Request) -> Response:
        return await warehouse(request)

    async def serve_token(request: Request) -> Response:
        return await warehouse.give_token(request)

    async def serve_census(request: Request) -> Response:
        return await census(request)

    async def serve_salesforce(request: Request) -> Response:
        return await salesforce(request)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="request"))
        world.start()
        yield
        warehouse.close()
        await asyncio.to_thread(world.close)

    routes = [
        Route(HTTP_PATH, serve_warehouse, methods=["POST"]),
        Route("/oidc/v1/token", serve_token, methods=["POST"]),
        Route("/api/{version}/{path:path}", serve_census, methods=METHODS),
        Route("/services/{path:path}", serve_salesforce, methods=METHODS),
        *control.routes(world, warehouse.drop_sessions),
    ]
    return KnowsItsConnection(Starlette(routes=routes, lifespan=lifespan))
