"""Stands in for Airflow's API server, which a run asks for one thing: the pool."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from feature_sync.config.names import CENSUS_POOL


class AirflowApi(ThreadingHTTPServer):
    """Answers for the pool as Airflow's API server does with the plugin; tests/live asks the real one."""

    pool: dict[str, Any] | None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.reset()

    def reset(self) -> None:
        self.pool = {"name": CENSUS_POOL, "exists": True, "slots": 1, "include_deferred": True}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, AirflowApi)
        known = self.path == "/feature-sync/pool" and self.server.pool is not None
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.pool if known else {"detail": "Not Found"}).encode())

    def log_message(self, *_: object) -> None: ...
