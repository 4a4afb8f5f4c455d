"""The two Airflow connections that make the project talk to the sandbox."""

import json
from typing import Any
from urllib.parse import quote

from sandbox.tokens import CENSUS_PERSONAL_TOKEN, WAREHOUSE_TOKEN

HTTP_PATH = "/sql/1.0/warehouses/local"


def connection_lines(host: str, port: int) -> list[str]:
    """
    Environment lines, one per connection.

    Each value is percent-encoded as a whole. So a line means the same to a shell, to ``docker --env-file`` and, with the
    connection's id as its name, to ``airflow connections import``.
    """
    address = f"http://{host}:{port}"
    warehouse = {
        "http_path": HTTP_PATH,
        "_connection_uri": f"{address}{HTTP_PATH}",
        # On a host without port 443 the connector's telemetry costs half a minute.
        "enable_telemetry": False,
        "_retry_stop_after_attempts_count": 3,
        "_retry_delay_min": 0.1,
        "_retry_delay_max": 5,
    }
    return [
        f"AIRFLOW_CONN_DATABRICKS_DEFAULT={_uri('databricks', host, WAREHOUSE_TOKEN, warehouse)}",
        # The port is part of the host, because the Census provider's hook reads only the host.
        f"AIRFLOW_CONN_CENSUS_DEFAULT={_uri('http', address, CENSUS_PERSONAL_TOKEN, {'api_version': 'v2'})}",
    ]


def _uri(kind: str, host: str, password: str, extra: dict[str, Any]) -> str:
    return f"{kind}://:{_encoded(password)}@{_encoded(host)}/?__extra__={_encoded(json.dumps(extra))}"


def _encoded(text: str) -> str:
    return quote(text, safe="")
