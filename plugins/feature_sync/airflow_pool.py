"""The pool that keeps Census runs apart, as Airflow's API server knows it: tasks of Airflow 3 cannot ask for pools themselves."""

from http import HTTPStatus
from typing import Literal
from urllib.parse import urlsplit

import requests
from airflow.sdk import conf
from pydantic import BaseModel, ConfigDict

from feature_sync.guards import Pool
from feature_sync.settings import CENSUS_POOL, Settings

PREFIX = "/feature-sync"
"""Where the API server has this package's own routes; see ``plugins/feature_sync_plugin.py``."""
TIMEOUT = 10.0


class PoolUnknownError(RuntimeError):
    """Airflow's API server does not say what the pool is like."""


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True)

    name: Literal["census_sync"]
    exists: Literal[True]
    slots: int
    include_deferred: bool

    @property
    def pool(self) -> Pool:
        return Pool(self.slots, self.include_deferred)


def fetch_pool(settings: Settings) -> Pool | None:
    """
    Ask the API server for the pool of the send tasks.

    :returns: nothing when there is no such pool.
    :raises PoolUnknownError: it does not answer, or is without this package's plugin.
    """
    url = f"{_api_url(settings)}{PREFIX}/pool"
    try:
        answer = requests.get(url, timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        raise PoolUnknownError(f"{url} does not answer ({type(error).__name__})") from error
    try:
        body = answer.json() if answer.status_code == HTTPStatus.OK else None
        if body == {"name": CENSUS_POOL, "exists": False}:
            return None
        if body is not None:
            return _Answer.model_validate(body).pool
    except ValueError as error:
        raise PoolUnknownError(f"{url} answers with something else than a pool") from error
    raise PoolUnknownError(f"{url} answers with {answer.status_code}")


def _api_url(settings: Settings) -> str:
    if settings.airflow_api_url:
        return settings.airflow_api_url.rstrip("/")
    execution_api = conf.get("core", "execution_api_server_url", fallback="")
    if execution_api:
        # "/execution" is where Airflow mounts it, below a path of its own if the API server has one.
        parts = urlsplit(execution_api)
        return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/execution')}"
    return conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
