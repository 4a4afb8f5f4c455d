"""A running sandbox as the tests of this folder see it: a process, and requests to it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

PROJECT = Path(__file__).resolve().parents[2]
CENSUS_TOKEN = "census-pat-local"
WORKSPACE_KEY = "secret-token:local"
SALESFORCE_SESSION = "00Dlocal0000001.session"
BACKFILL, PROPERTIES, DATASET = 4711, 4712, 815
BATCH_TABLE = "crm.sfdc_dbx.feature_sync_batch"
PATIENCE = 120
"""Seconds after which a request counts as lost. Nothing is measured with it; a busy machine may be slow."""
FAST = {
    "census_queue_seconds": 0.05,
    "census_work_seconds": 0.1,
    "records_visible_seconds": 0,
    "rollup_seconds": 0,
    "replication_seconds": 0.2,
}


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What the condition returns, as soon as it is true.."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return value


def command(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """``python -m sandbox`` as a user runs it: from the project's folder, without PYTHONPATH."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@dataclass
class Sandbox:
    """A running sandbox and what a test does with it."""

    state: Path
    process: subprocess.Popen[str]
    url: str
    secure_url: str = ""
    """The same over TLS, if it was started with ``--tls-port``."""
    session: requests.Session = field(default_factory=requests.Session)
    _connections: list[Any] = field(default_factory=list)
    """Open connections to the warehouse that no statement uses now."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @classmethod
    def start(cls, state: Path, *options: str, **settings: Any) -> "Sandbox":
        given = [*options] + [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        process = command("--port", "0", "--state", str(state), *given)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "listens on" in line, process.stderr.read() if process.stderr else line
        secure = next((word for word in line.split() if word.startswith("https://")), "")
        return cls(state, process, line.split()[4], secure)

    def stop(self) -> int:
        self.hang_up()
        self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        self.hang_up()
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        code = self.process.wait(timeout=PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        return code

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        response = self.session.request(method, f"{self.url}/sandbox/{path}", json=body, timeout=PATIENCE)
        assert response.ok, response.text
        return response.json()

    def settings(self, **values: Any) -> None:
        self.control("PATCH", "settings", values)

    def fault(self, call: str, fault: str, **parameters: Any) -> int:
        return self.control("POST", "faults", {"call": call, "fault": fault, **parameters})["id"]

    def journal(self, kind: str | None = None, after: int = 0) -> list[dict[str, Any]]:
        return self.control("GET", f"journal?after={after}" + (f"&kind={kind}" if kind else ""))

    def seq(self) -> int:
        return max(entry["seq"] for entry in self.journal())

    def census(
        self, method: str, path: str, *, version: str = "v2", token: str = CENSUS_TOKEN, **options: Any
    ) -> requests.Response:
        """A request on a connection of its own, so that a closed one shows."""
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(method, f"{self.url}/api/{version}/{path}", headers=headers, timeout=PATIENCE, **options)

    def salesforce(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {SALESFORCE_SESSION}"}
        return requests.request(method, f"{self.url}/services/data/v59.0/{path}", headers=headers, timeout=PATIENCE, **options)

    def soql(self, query: str) -> Any:
        return self.salesforce("GET", "query/", params={"q": query}).json()

    def trigger(self, sync_id: int = BACKFILL, *, full: bool = True) -> int:
        answer = self.census("POST", f"syncs/{sync_id}/trigger", params={"force_full_sync": str(full).lower()})
        assert answer.ok, answer.text
        return answer.json()["data"]["sync_run_id"]

    def run(self, run_id: int) -> dict[str, Any]:
        return self.census("GET", f"sync_runs/{run_id}").json()["data"]

    def ended(self, run_id: int) -> dict[str, Any]:
        """The run, after its end."""
        return eventually(lambda: run if (run := self.run(run_id))["status"] not in ("queued", "working") else None)

    def send(self, sync_id: int = BACKFILL, *, full: bool = True) -> dict[str, Any]:
        return self.ended(self.trigger(sync_id, full=full))

    def records(self, run_id: int, **query: Any) -> list[dict[str, Any]]:
        return self.census("GET", f"sync_runs/{run_id}/records", params={"per_page": 100, **query}).json()["data"]

    def sql(self, statement: str) -> list[Any]:
        """A statement over the warehouse's own wire. A connection is used again, because opening one is slow."""
        connection = self._connections.pop() if self._connections else self._connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
        except Exception as error:
            if "session" in str(error).lower():  # dropped because nobody used it, or of a process that is no more
                return self.sql(statement)
            raise
        self._connections.append(connection)
        return rows

    def hang_up(self) -> None:
        """Close the connections to the warehouse."""
        while self._connections:
            self._connections.pop().close()

    def _connect(self) -> Any:
        from databricks import sql  # noqa: PLC0415 - slow, and only some tests need it

        return sql.connect(
            "127.0.0.1",
            "/sql/1.0/warehouses/local",
            access_token="dapi-local",
            enable_telemetry=False,
            _connection_uri=f"{self.url}/sql/1.0/warehouses/local",
            _retry_stop_after_attempts_count=1,
            _retry_delay_min=0.1,
            _retry_delay_max=5,
        )

    def stage(
        self, rows: int, *, offset: int = 0, flag: str = "TRUE", key: str = "reverse_etl_id_c", day: str = "DATE'2025-06-01'"
    ) -> list[str]:
        """Fill the batch table with records of the incident, all flags alike; returns their keys."""
        from feature_sync.config.fields import FieldKind, load_fields  # noqa: PLC0415

        values = ", ".join(
            f"{flag if each.kind is FieldKind.CHECKBOX else day} AS {each.column}" for each in load_fields().features
        )
        self.sql(
            f"CREATE OR REPLACE TABLE {BATCH_TABLE} AS SELECT snappt_property_id_c, {key} AS reverse_etl_id_c, {values}"
            " FROM crm.salesforce.product_property_c WHERE CAST(created_date AS DATE) = '2025-11-21'"
            f" ORDER BY id LIMIT {rows} OFFSET {offset}"
        )
        return [row[0] for row in self.sql(f"SELECT reverse_etl_id_c FROM {BATCH_TABLE}")]
