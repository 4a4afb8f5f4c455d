"""A channel of Apprise for the tests: a small HTTP server that keeps what it is given as JSON."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "T0kenOfTheAlertChannel"
CONN_ID = "feature_sync_alerts"


class Receiver(ThreadingHTTPServer):
    """``status`` is what it answers; ``messages`` what came, each with ``title``, ``message`` and ``type``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.messages: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = 200
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        """Its address as Apprise writes it; like many of them it holds a token."""
        return f"json://127.0.0.1:{self.server_port}/{TOKEN}"

    @property
    def environment(self) -> dict[str, str]:
        """What a user would set."""
        return {"FEATURE_SYNC_ALERT_CONN_ID": CONN_ID, f"AIRFLOW_CONN_{CONN_ID.upper()}": connection(self.address)}

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


def connection(*addresses: str) -> str:
    """The connection to these addresses, as in an environment variable."""
    return json.dumps({"conn_type": "apprise", "extra": {"config": [{"path": address} for address in addresses]}})


class _Post(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        self.server.paths.append(self.path)
        self.server.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...
