"""The Airflow connections that make the project talk to the sandbox."""

import json
from typing import Any
from urllib.parse import quote

from sandbox.tokens import CENSUS_PERSONAL_TOKEN, SALESFORCE_CLIENT_ID, SALESFORCE_CLIENT_SECRET, WAREHOUSE_TOKEN

HTTP_PATH = "/sql/1.0/warehouses/local"


def connection_lines(host: str, port: int, tls_port: int | None = None) -> list[str]:
    """
    Environment lines, one per connection.

    Each value is percent-encoded as a whole. So a line means the same to a shell, to ``docker --env-file`` and, with the
    connection's id as its name, to ``airflow connections import``.

    :param tls_port: adds the connection to Salesforce, whose clients speak https only.
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
    salesforce = [] if tls_port is None else [f"AIRFLOW_CONN_SALESFORCE_DEFAULT={_salesforce(host, tls_port)}"]
    return [
        f"AIRFLOW_CONN_DATABRICKS_DEFAULT={_uri('databricks', host, WAREHOUSE_TOKEN, warehouse)}",
        # The port is part of the host, because the Census provider's hook reads only the host.
        f"AIRFLOW_CONN_CENSUS_DEFAULT={_uri('http', address, CENSUS_PERSONAL_TOKEN, {'api_version': 'v2'})}",
        *salesforce,
    ]


def _salesforce(host: str, port: int) -> str:
    """
    A connection with which the provider's SalesforceHook logs in as the API user (OAuth 2.0 client credentials).

    The hook appends ``.salesforce.com/services/oauth2/token`` to the domain, and knows no other address to log in at. Behind
    a question mark this is a query, which the sandbox ignores. After the login the hook calls the ``instance_url`` of the answer.
    """
    extra = {
        "domain": f"{host}:{port}/services/oauth2/token?",
        "consumer_key": SALESFORCE_CLIENT_ID,
        "consumer_secret": SALESFORCE_CLIENT_SECRET,
        # Only used with a session: SalesforceHook(session_id=...).
        "instance_url": f"https://{host}:{port}",
    }
    return f"salesforce://{_encoded(host)}/?__extra__={_encoded(json.dumps(extra))}"


def _uri(kind: str, host: str, password: str, extra: dict[str, Any]) -> str:
    return f"{kind}://:{_encoded(password)}@{_encoded(host)}/?__extra__={_encoded(json.dumps(extra))}"


def _encoded(text: str) -> str:
    return quote(text, safe="")
