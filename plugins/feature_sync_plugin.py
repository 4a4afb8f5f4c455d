"""Registers this package with Airflow. Every Airflow process loads this file, so heavy imports wait until a route is called."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

Message = MutableMapping[str, Any]


async def _routes(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    from feature_sync.orchestration.api_routes import app  # noqa: PLC0415 - see above

    await app(scope, receive, send)


class FeatureSyncPlugin(AirflowPlugin):
    """The routes of `feature_sync.orchestration.api_routes`, in the API server."""

    name = "feature_sync"
    fastapi_apps = [  # noqa: RUF012 - Airflow reads it so
        {"name": "Salesforce feature sync", "app": _routes, "url_prefix": "/feature-sync"}
    ]
