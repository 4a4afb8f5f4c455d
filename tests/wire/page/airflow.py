"""Airflow's API server alone, with runs in its database that no task has made: what a page of it answers, over HTTP."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import requests
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.sending.batches import PlannedChanges
from laptop.environment import Secrets, airflow_environment, clean_environment, write_private
from laptop.processes import HOST, Component, choose_port, stop_components

PROJECT = Path(__file__).resolve().parents[3]
READER, ADMIN, STRANGER = "reader", "admin", "nobody"
"""A viewer, an administrator, and a user whom Airflow knows and who may do nothing."""
LIMIT_SECONDS = 180


class ApiServer:
    """The process. ``folder`` is empty before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.port = choose_port(None)
        self.url = f"http://{HOST}:{self.port}/feature-sync"
        self.secrets = Secrets.new()
        passwords = folder / "passwords.json"
        write_private(passwords, json.dumps(dict.fromkeys((READER, ADMIN, STRANGER), self.secrets.admin_password)))
        self.environment = {
            **clean_environment(os.environ),
            **airflow_environment(
                home=folder / "airflow",
                dags_folder=PROJECT / "dags",
                plugins_folder=PROJECT / "plugins",
                port=self.port,
                passwords_file=passwords,
                secrets=self.secrets,
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin,{READER}:viewer,{STRANGER}:",
            "FEATURE_SYNC_OUTPUT_PATH": str(self.output),
        }
        self._component = Component(
            "api-server", [sys.executable, "-m", "airflow", "api-server"], self.environment, PROJECT, folder / "api-server.log"
        )

    def start(self) -> None:
        """Make the tables, start the server, and return when it answers."""
        (self.folder / "airflow").mkdir(parents=True)
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(migrate, env=self.environment, cwd=PROJECT, check=True, capture_output=True)
        self._component.start()
        give_up_at = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < give_up_at:
            self._component.check()
            try:
                if requests.get(f"{self.url}/pool", timeout=5).ok:
                    return
            except requests.RequestException:
                time.sleep(0.3)
        raise TimeoutError(f"The API server did not answer; its log is {self.folder / 'api-server.log'}")

    def stop(self) -> None:
        stop_components([self._component], grace_seconds=5)

    def token(self, user: str) -> str:
        address = f"http://{HOST}:{self.port}/auth/token"
        answer = requests.post(address, json={"username": user, "password": self.secrets.admin_password}, timeout=30)
        return str(answer.json()["access_token"])

    def expired(self, token: str) -> str:
        """The same token, a minute after its end. Its signature is right."""
        algorithm = jwt.get_unverified_header(token)["alg"]
        claims = jwt.decode(token, options={"verify_signature": False})
        past = int(time.time()) - 60
        return jwt.encode({**claims, "exp": past, "nbf": past - 60, "iat": past - 60}, self.secrets.jwt_secret, algorithm)

    def get(self, path: str, user: str | None = READER, *, token: str = "", **parameters: str) -> requests.Response:
        """Ask for a route, as a browser does that has logged in; ``token`` replaces the user's own."""
        with_whom = token or (self.token(user) if user else "")
        cookies = {"_token": with_whom} if with_whom else {}
        return requests.get(f"{self.url}{path}", params=parameters, cookies=cookies, timeout=60, allow_redirects=False)

    def insert(self, *rows: "Row") -> None:
        engine = self._engine()
        with Session(engine) as session, session.begin():
            for row in rows:
                row.insert(session)
        engine.dispose()

    def queries_of(self, dag_id: str, run_id: str) -> int:
        """How many queries it takes to read a run."""
        from feature_sync.page.airflow_tables import read_run  # noqa: PLC0415 - slow

        engine, seen = self._engine(), []
        event.listen(engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
        with Session(engine) as session:
            assert read_run(session, dag_id, run_id)
        engine.dispose()
        return len(seen)

    def _engine(self) -> Engine:
        return create_engine(f"sqlite:///{self.folder / 'airflow' / 'airflow.db'}?timeout=30")


START = datetime(2025, 11, 21, 12, tzinfo=UTC)


class Row:
    """A run of a DAG with its tasks and what they have left, as Airflow's tables have it."""

    def __init__(self, dag_id: str, run_id: str, state: str = "running", conf: Mapping[str, Any] | None = None) -> None:
        self.dag_id, self.run_id, self.state, self.conf = dag_id, run_id, state, dict(conf or {})
        self.tasks: list[dict[str, Any]] = []
        self.left: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []

    def task(self, task_id: str, state: str | None, index: int = -1, minute: float = 0, **left: Any) -> "Row":
        """A task; what it has left, by key."""
        at = START + timedelta(minutes=minute)
        self.tasks.append(
            {
                "id": uuid4(),
                "task_id": task_id,
                "map_index": index,
                "state": state,
                "start_date": at if state else None,
                "end_date": at + timedelta(seconds=30) if state in ("success", "failed") else None,
                "try_number": 1 if state else 0,
                "max_tries": 3,
                "pool": "default_pool",
                "pool_slots": 1,
            }
        )
        self.left += [{"task_id": task_id, "map_index": index, "key": key, "value": value} for key, value in left.items()]
        return self

    def question(self, subject: str) -> "Row":
        """The last task asks."""
        task = self.tasks[-1]
        self.asked.append({"ti_id": task["id"], "subject": subject, "options": ["Approve"], "created_at": START})
        return self

    def insert(self, session: Session) -> None:
        from airflow.models import import_all_models  # noqa: PLC0415 - slow
        from airflow.models.dagrun import DagRun  # noqa: PLC0415
        from airflow.models.hitl import HITLDetail  # noqa: PLC0415
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
        from airflow.models.xcom import XComModel  # noqa: PLC0415
        from airflow.utils.state import DagRunState  # noqa: PLC0415
        from airflow.utils.types import DagRunType  # noqa: PLC0415

        import_all_models()
        run = DagRun(
            dag_id=self.dag_id,
            run_id=self.run_id,
            run_type=DagRunType.MANUAL,
            state=DagRunState(self.state),
            conf=self.conf,
            start_date=START,
            run_after=START,
            triggering_user_name="Lee",
        )
        session.add(run)
        session.flush()
        named = {"dag_id": self.dag_id, "run_id": self.run_id}
        self._insert(session, TaskInstance, [{**named, **task} for task in self.tasks])
        self._insert(session, XComModel, [{**named, "dag_run_id": run.id, **left} for left in self.left])
        self._insert(session, HITLDetail, self.asked)

    def _insert(self, session: Session, model: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            session.execute(model.__table__.insert(), list(rows))


def planned(batches: int, records: int = 50) -> list[dict[str, Any]]:
    """What ``plan_batches`` returns."""
    return [
        {
            "number": number,
            "first": (number - 1) * records + 1,
            "last": number * records,
            "records": records,
            "label": f"batch {number:03d}: records {(number - 1) * records + 1}-{number * records}",
        }
        for number in range(1, batches + 1)
    ]


PRODUCTS = [f"product_{number}" for number in range(7)]
"""As many as the field table has."""


def large_run(run_id: str, batches: int) -> Row:
    """A run of which seven of ten batches are accepted and the others wait."""
    changes = {number: dict.fromkeys(PRODUCTS, number % 50) for number in range(1, batches + 1)}
    run = Row(BACKFILL_DAG_ID, run_id)
    run.task("plan_batches", "success", return_value=planned(batches), changes=PlannedChanges(changes).as_note())
    products = [{"product": name, "label": name, "now": 7, "after": 50 * batches} for name in PRODUCTS]
    run.task("check_payload", "success", return_value={"records": 50 * batches, "products": products})
    accepted = {"status": "succeeded", "reason": "", "rejected": 0, "reasons": [], "sync_run_id": 5}
    for index in range(batches):
        is_over = index < batches * 7 // 10
        run.task("batch.wait_for_turn", "success" if is_over else None, index, index)
        run.task("batch.send", "success" if is_over else None, index, index, **({"outcome": accepted} if is_over else {}))
    return run
