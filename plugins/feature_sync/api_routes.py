"""This package's routes in Airflow's API server. They run there, where the metadata database may be read; tasks may not."""

from typing import Any

from airflow.models.pool import Pool
from airflow.utils.session import create_session
from fastapi import FastAPI

from feature_sync.settings import CENSUS_POOL

app = FastAPI(title="Salesforce feature sync", docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/pool")
def pool() -> dict[str, Any]:
    """The pool of the send tasks. Open like Airflow's own ``/monitor/health``, because tasks have no login; no secret in it."""
    with create_session() as session:
        found = Pool.get_pool(CENSUS_POOL, session=session)
        if found is None:
            return {"name": CENSUS_POOL, "exists": False}
        return {"name": CENSUS_POOL, "exists": True, "slots": found.slots, "include_deferred": found.include_deferred}
