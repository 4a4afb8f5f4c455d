"""Airflow connections to the sandbox that differ from those it prints."""

import json
from collections.abc import Callable
from typing import Any

from feature_sync.census.hook import CensusHook
from tests.sandbox.client import CENSUS_TOKEN, Sandbox

Connect = Callable[..., CensusHook]
"""Makes a hook of the extras and other parts of its connection."""
SOON = {"backoff_seconds": 0.02}
"""Extras of a Census connection over which calls are repeated soon."""


def census_connection(sandbox: Sandbox, extra: dict[str, Any] | None = None, **changes: Any) -> str:
    """
    For ``AIRFLOW_CONN_CENSUS_DEFAULT``.

    :param extra: added to `SOON`.
    :param changes: other parts of the connection, such as ``password``.
    """
    return json.dumps(
        {"conn_type": "http", "host": sandbox.url, "password": CENSUS_TOKEN, "extra": SOON | (extra or {})} | changes
    )


SALESFORCE_SECRET = "salesforce-secret-local"


def salesforce_connection(sandbox: Sandbox, secret: str = SALESFORCE_SECRET, **extra: Any) -> str:
    """For ``AIRFLOW_CONN_SALESFORCE_DEFAULT``: a user who only reads. ``sandbox/connections.py`` explains the odd domain."""
    login = {
        "domain": f"{sandbox.secure_url.removeprefix('https://')}/services/oauth2/token?",
        "consumer_key": "3MVG9local.feature-sync",
        "consumer_secret": secret,
    }
    return json.dumps({"conn_type": "salesforce", "extra": login | SOON | extra})
