"""The pool that lets one Census run go at a time, as Airflow's API server knows it. Tasks of Airflow 3 cannot read pools."""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal
from urllib.parse import urlsplit

import httpx
from airflow.sdk import conf
from airflow.sdk.api.client import Client
from pydantic import BaseModel, ConfigDict

from feature_sync.config.names import CENSUS_POOL, URL_PREFIX
from feature_sync.config.settings import Settings

TIMEOUT = 10.0
"""Seconds until a request to the API server is given up."""
TRUST = (
    "It is trusted as tasks trust the API server: by Airflow's options [api] ssl_ca_file and ssl_cert. The certificate that "
    "tasks show is that of [api] client_ssl_cert and client_ssl_key"
)
"""Where a site says which certificates count."""
CREATE_POOL = f'airflow pools set {CENSUS_POOL} 1 "One Census run at a time" --include-deferred'
"""The command that creates the pool as it must be."""


class PoolUnknownError(RuntimeError):
    """Airflow's API server does not say how the pool is configured."""


@dataclass(frozen=True, slots=True)
class Pool:
    """An Airflow pool. ``include_deferred``: whether a task that waits in the triggerer keeps its slot."""

    slots: int
    include_deferred: bool


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True)

    name: Literal["census_sync"]
    exists: Literal[True]
    slots: int
    include_deferred: bool

    @property
    def pool(self) -> Pool:
        return Pool(self.slots, self.include_deferred)


def fetch_pool(settings: Settings, timeout: float = TIMEOUT) -> Pool | None:
    """
    Ask the API server for the pool of the send tasks.

    :param timeout: seconds until the request is given up.
    :returns: the pool, or None if it does not exist.
    :raises PoolUnknownError: the API server does not answer, or lacks this package's plugin.
    """
    url = f"{_api_url(settings)}{URL_PREFIX}/pool"
    try:
        with _client(url, timeout) as client:
            answer = client.send(client.build_request("GET", url))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise PoolUnknownError(f"{url} does not answer ({type(error).__name__}{_about_certificates(error)})") from error
    try:
        body = answer.json() if answer.status_code == HTTPStatus.OK else None
        if body == {"name": CENSUS_POOL, "exists": False}:
            return None
        if body is not None:
            return _Answer.model_validate(body).pool
    except ValueError as error:
        raise PoolUnknownError(f"{url} answers with something other than a pool") from error
    raise PoolUnknownError(f"{url} answers with {answer.status_code}")


def _client(url: str, timeout: float) -> Client:
    """
    The client by which tasks speak to the API server: it trusts the certificates that they trust, and shows the one that they
    show. It says nothing of a task, because the address may be another server's. A failure is one, and not tried again.
    """
    client = Client(base_url=url, token="", timeout=timeout)
    client.auth = httpx.Auth()
    client.event_hooks = {}
    return client


def _about_certificates(error: Exception) -> str:
    """The words of an error that is about certificates, with the options that say which ones count. Otherwise empty."""
    if not re.search("ssl|certificate", str(error), flags=re.IGNORECASE):
        return ""
    return f": {error}. {TRUST}"


def pool_problems(pool: Pool | None) -> list[str]:
    """
    Check that the pool lets one Census run go at a time.

    :param pool: as `fetch_pool` returns it.
    :returns: a sentence for each problem, with the command that solves it.
    """
    if pool is None:
        return [f"Pool {CENSUS_POOL} does not exist, so no batch would ever start. Create it: {CREATE_POOL}"]
    problems = []
    if pool.slots != 1:
        problems.append(
            f"Pool {CENSUS_POOL} has {pool.slots} slots; it must have 1, so that batches go one at a time: {CREATE_POOL}"
        )
    if not pool.include_deferred:
        problems.append(
            f"Pool {CENSUS_POOL} does not count deferred tasks, so a batch that waits would let the next one in: {CREATE_POOL}"
        )
    return problems


def _api_url(settings: Settings) -> str:
    if settings.airflow_api_url:
        return settings.airflow_api_url.rstrip("/")
    execution_api = conf.get("core", "execution_api_server_url", fallback="")
    if execution_api:
        # Airflow mounts it at "/execution", below a path of its own if the API server has one.
        parts = urlsplit(execution_api)
        return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/execution')}"
    # As Airflow's executors work it out.
    base_url = conf.get("api", "base_url", fallback="") or "/"
    return f"http://localhost:8080{base_url}".rstrip("/") if base_url.startswith("/") else base_url.rstrip("/")
