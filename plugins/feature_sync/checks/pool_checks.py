"""The pool that lets one Census run go at a time."""

from feature_sync.checks.findings import Finding, judged, wrong
from feature_sync.config.names import CENSUS_POOL
from feature_sync.config.settings import Settings
from feature_sync.orchestration.pool import PoolUnknownError, fetch_pool, pool_problems

NAME = "pool"


def check_pool(settings: Settings) -> list[Finding]:
    try:
        found = fetch_pool(settings)
    except PoolUnknownError as error:
        return [
            wrong(
                NAME,
                f"Airflow's pools cannot be read: {error}. The API server must have this package in its plugins folder. If tasks "
                "reach it at another address than the execution API's, set AIRFLOW_API_URL.",
                is_temporary=True,
            )
        ]
    return judged(NAME, pool_problems(found), f"Pool {CENSUS_POOL} has one slot, and a task that waits keeps it.")
