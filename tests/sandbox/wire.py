"""Serves a warehouse without the rest of the sandbox, and says how Airflow reaches it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sandbox.warehouse.service import WarehouseService

TOKEN = "dapi-local"
PATH = "/sql/1.0/warehouses/local"


def serve(service: WarehouseService, port: int = 0) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 20  # headers and body in one packet

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = service.handle(body, self.headers.get("Authorization"))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def airflow_connection(port: int) -> str:
    """For ``AIRFLOW_CONN_DATABRICKS_DEFAULT``."""
    extra = {
        "http_path": PATH,
        "_connection_uri": f"http://127.0.0.1:{port}{PATH}",
        "enable_telemetry": False,
        "_retry_stop_after_attempts_count": 1,
    }
    return json.dumps({"conn_type": "databricks", "host": "127.0.0.1", "password": TOKEN, "extra": extra})
