"""What tasks ask of this package's code in Airflow's API server. It may read Airflow's database; tasks may not."""

from typing import Any

from airflow.models.pool import Pool
from airflow.utils.session import create_session

from feature_sync.config.names import CENSUS_POOL


def pool() -> dict[str, Any]:
    """The pool of the send tasks. It needs no login, like Airflow's ``/monitor/health``: tasks have none. It holds no secret."""
    with create_session() as session:
        found = Pool.get_pool(CENSUS_POOL, session=session)
        if found is None:
            return {"name": CENSUS_POOL, "exists": False}
        return {"name": CENSUS_POOL, "exists": True, "slots": found.slots, "include_deferred": found.include_deferred}
