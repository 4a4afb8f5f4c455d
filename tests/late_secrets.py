"""A secrets backend of a site, as ``[secrets] backend``, that a test makes fail."""

from typing import Any, ClassVar

import pytest
from airflow.sdk import Connection
from airflow.sdk import configuration as sdk_configuration
from airflow.sdk.bases.secrets_backend import BaseSecretsBackend


class SiteBackend(BaseSecretsBackend):
    """
    ``stored``: the connections that it has, as in ``AIRFLOW_CONN_...``. ``failures``: how many of the next calls fail.
    ``calls``: how often it was asked.
    """

    stored: ClassVar[dict[str, str]] = {}
    failures: ClassVar[int] = 0
    calls: ClassVar[int] = 0

    def get_connection(self, conn_id: str, **_: Any) -> Connection | None:
        type(self).calls += 1
        if type(self).failures > 0:
            type(self).failures -= 1
            raise ConnectionError("vault at 10.0.0.1 is sealed")
        value = self.stored.get(conn_id)
        if value is None:
            return None
        if value.startswith("{"):
            return Connection.from_json(value, conn_id=conn_id)
        return Connection.from_uri(value, conn_id=conn_id)


def use_site_backend(patch: pytest.MonkeyPatch, **stored: str) -> type[SiteBackend]:
    """Configure it for the length of a test."""
    patch.setenv("AIRFLOW__SECRETS__BACKEND", f"{SiteBackend.__module__}.{SiteBackend.__qualname__}")
    patch.setattr(sdk_configuration, "_secrets_backend_cache", {})
    patch.setattr(SiteBackend, "stored", dict(stored))
    patch.setattr(SiteBackend, "failures", 0)
    patch.setattr(SiteBackend, "calls", 0)
    return SiteBackend
