"""Stands in for Airflow's API server, which a run asks for one thing: the pool."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any

from feature_sync.config.names import CENSUS_POOL

GOOD = {"name": CENSUS_POOL, "exists": True, "slots": 1, "include_deferred": True}


class AirflowApi(ThreadingHTTPServer):
    """
    Answers for the pool as Airflow's API server does with the plugin; tests/live asks the real one.

    ``pool``: what it says of the pool; None: it lacks the plugin. ``text``: an answer of another kind. ``requests``: the headers
    of each request.

    :param path: where the API server is mounted, as ``[api] base_url`` may say.
    :param tls: how it proves itself, and whether its callers must.
    """

    pool: dict[str, Any] | None
    text: str | None
    status: int
    headers: Mapping[str, str]

    def __init__(self, path: str = "", tls: SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self._path = path
        self._scheme = "https" if tls else "http"
        self.requests: list[dict[str, str]] = []
        self.reset()

    def reset(self) -> None:
        self.pool = dict(GOOD)
        self.text = None
        self.status = 200
        self.headers = {}
        self.requests.clear()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_port}{self._path}"

    @property
    def address(self) -> str:
        """Where the pool is."""
        return f"{self.url}/feature-sync/pool"

    def handle_error(self, *_: object) -> None:
        """Nothing: a caller that is refused is what some tests are about."""

    @contextmanager
    def serving(self) -> Iterator["AirflowApi"]:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        yield self
        self.shutdown()
        self.server_close()


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, AirflowApi)
        server.requests.append(dict(self.headers))
        known = f"{server._scheme}://127.0.0.1:{server.server_port}{self.path}" == server.address and server.pool is not None
        self.send_response(server.status if known else 404)
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        answer = json.dumps(server.pool if known else {"detail": "Not Found"}) if server.text is None else server.text
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None: ...
