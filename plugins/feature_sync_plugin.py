"""Registers this package with Airflow. Every Airflow process loads this file, so heavy imports wait until a route is called."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin
from airflow.utils.state import DagRunState

from feature_sync.config.names import DAG_IDS, URL_PREFIX

log = logging.getLogger(__name__)
PAGES = URL_PREFIX.removeprefix("/")
Message = MutableMapping[str, Any]


async def _routes(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    from feature_sync.page.routes import app  # noqa: PLC0415 - see above

    await app(scope, receive, send)


class Verdicts:
    """Airflow's listener of runs that become green, in the scheduler and in the API server."""

    @hookimpl(tryfirst=True)  # if a listener of somebody else fails, Airflow calls none after it
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:  # noqa: ARG002 - Airflow's signature
        """Whatever goes wrong in here, the run does not stay green, and the scheduler goes on."""
        if dag_run.dag_id not in DAG_IDS:
            return
        try:
            from feature_sync.orchestration.verdicts import withhold_green  # noqa: PLC0415 - see above

            withhold_green(dag_run)
        except Exception:
            log.exception("Run %s of %s is not green: nobody can say whether it has a verdict", dag_run.run_id, dag_run.dag_id)
            dag_run.set_state(DagRunState.FAILED)

    @hookimpl(tryfirst=True)
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:  # noqa: ARG002 - Airflow's signature
        """Whatever goes wrong in here, the scheduler goes on."""
        if dag_run.dag_id not in DAG_IDS:
            return
        try:
            from feature_sync.orchestration.verdicts import note_failure  # noqa: PLC0415 - see above

            note_failure(dag_run)
        except Exception:
            log.exception("The note of run %s of %s does not say what it found", dag_run.run_id, dag_run.dag_id)


class FeatureSyncPlugin(AirflowPlugin):
    """The pages of `feature_sync.page.routes` in the API server, and what no green run may lack."""

    name = "feature_sync"
    fastapi_apps = [  # noqa: RUF012 - Airflow reads it so
        {"name": "Salesforce feature sync", "app": _routes, "url_prefix": URL_PREFIX}
    ]
    # Relative to Airflow's base address, which may have a path.
    external_views = [  # noqa: RUF012 - Airflow reads it so
        {
            "name": "Feature sync",
            "href": f"{PAGES}/",
            "destination": "nav",
            "category": "browse",
            "url_route": "feature-sync",
        },
        {
            "name": "Progress",
            "href": f"{PAGES}/run?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "feature-sync-progress",
        },
    ]
    listeners = [Verdicts()]  # noqa: RUF012 - Airflow reads it so
