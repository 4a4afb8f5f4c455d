"""This package's routes in Airflow's API server. Code that runs there may read Airflow's database; tasks may not."""

from typing import Any

from airflow.models.pool import Pool
from airflow.utils.session import create_session
from fastapi import FastAPI

from feature_sync.config.names import CENSUS_POOL

app = FastAPI(title="Salesforce feature sync", docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/pool")
def pool() -> dict[str, Any]:
    """The pool of the send tasks. It needs no login, like Airflow's ``/monitor/health``: tasks have none. It holds no secret."""
    with create_session() as session:
        found = Pool.get_pool(CENSUS_POOL, session=session)
        if found is None:
            return {"name": CENSUS_POOL, "exists": False}
        return {"name": CENSUS_POOL, "exists": True, "slots": found.slots, "include_deferred": found.include_deferred}
