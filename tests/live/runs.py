"""What a live test does with Airflow: start runs, wait for them, read what they left behind."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from feature_sync.storage.run_files import folder_name
from laptop.airflow_client import DagRun, TaskInstance
from laptop.stack import Stack
from sandbox.seed import org_records
from sandbox.tokens import SALESFORCE_SESSION
from tests.live.invariants import read_batches
from tests.receiver import Receiver

DAG_ID = "product_feature_backfill"
INCIDENT_DAY = "2025-11-21"
OF_A_QUESTION = "\nStarted by: "
"""Only messages about a question have this line."""


def eventually(look: Callable[[], Any], seconds: float = 180) -> Any:
    """What the look gives, as soon as it is true."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.3)
    return seen


def patiently(ask: Callable[[], Any]) -> Any:
    """What a request gives. An API server that has just been restarted, or is very busy, may close a connection."""
    for _ in range(5):
        with suppress(requests.ConnectionError, requests.Timeout):
            return ask()
        time.sleep(1)
    return ask()


def incident_ids(start: int, count: int) -> list[str]:
    """Property ids of the incident, ``count`` of them from the ``start``-th on, in the order of a payload."""
    ids = sorted(
        record["Reverse_ETL_ID__c"]
        for record in org_records()
        if record["CreatedDate"].date().isoformat() == INCIDENT_DAY and not record["IsDeleted"]
    )
    return ids[start : start + count]


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that has been started."""

    airflow: "LiveAirflow"
    run_id: str
    began_after: int
    dag_id: str = DAG_ID

    @property
    def folder(self) -> Path:
        name = self.run_id if self.dag_id == DAG_ID else f"{self.dag_id}__{self.run_id}"
        return self.airflow.output / folder_name(name)

    @property
    def state(self) -> str:
        return self.airflow.stack.airflow.dag_run(self.dag_id, self.run_id).state

    @property
    def note(self) -> str:
        return self.airflow.stack.airflow.run_note(self.dag_id, self.run_id)

    def question(self, task_id: str) -> str:
        """A question to a person, as soon as it is asked."""
        return str(eventually(lambda: self.airflow.stack.airflow.question(self.dag_id, self.run_id, task_id), 300))

    def answer(self, task_id: str, option: str) -> None:
        self.airflow.stack.airflow.answer(self.dag_id, self.run_id, task_id, option)

    def wait(self, timeout: float = 400, on_progress: Callable[[DagRun, Sequence[TaskInstance]], None] | None = None) -> str:
        """The state the run ended in."""
        return self.airflow.stack.airflow.wait_for_run(self.dag_id, self.run_id, timeout=timeout, on_progress=on_progress).state

    def tasks(self, task_id: str) -> list[TaskInstance]:
        return self.airflow.stack.airflow.task_instances(self.dag_id, self.run_id, task_id=task_id)

    def task(self, task_id: str, map_index: int = -1) -> TaskInstance:
        return self.airflow.stack.airflow.task_instance(self.dag_id, self.run_id, task_id, map_index)

    def error(self, task_id: str, map_index: int = -1, try_number: int | None = None) -> str:
        task = self.task(task_id, map_index)
        return self.airflow.stack.airflow.error_text(self.dag_id, self.run_id, task, try_number=try_number) or ""

    def log(self, task_id: str, map_index: int = -1, try_number: int = 1) -> str:
        return "\n".join(str(entry.get("event", "")) for entry in self.log_entries(task_id, map_index, try_number))

    def log_entries(self, task_id: str, map_index: int = -1, try_number: int = 1) -> list[dict[str, Any]]:
        return self.airflow.stack.airflow.task_log(self.dag_id, self.run_id, task_id, try_number, map_index=map_index)

    def clear(self, tasks: Sequence[str | tuple[str, int]], *, only_failed: bool = False) -> int:
        return self.airflow.stack.airflow.clear(self.dag_id, self.run_id, tasks, include_downstream=True, only_failed=only_failed)

    def journal(self) -> list[dict[str, Any]]:
        """Everything since the run was started."""
        return self.airflow.stack.sandbox.journal(self.began_after)

    def alerts(self) -> dict[str, str]:
        """The messages about failures of this run, by title."""
        messages = [one for one in self.messages() if OF_A_QUESTION not in one["message"]]
        alerts = {one["title"]: one["message"] for one in messages}
        assert len(alerts) == len(messages), f"told twice: {sorted(one['title'] for one in messages)}"
        return alerts

    def messages(self) -> list[dict[str, Any]]:
        """All messages about this run."""
        assert self.airflow.receiver is not None, "nobody is told in this stack"
        return [one for one in self.airflow.receiver.messages if f"\nRun: {self.run_id}\n" in one["message"]]

    def asked(self) -> list[str]:
        """The messages about questions of this run, each as its type and its title."""
        return [f"{one['type']}: {one['title']}" for one in self.messages() if OF_A_QUESTION in one["message"]]

    def batches(self) -> dict[int, frozenset[str]]:
        return read_batches(self.folder)

    def validation(self) -> dict[str, Any]:
        return json.loads((self.folder / "validation.json").read_text())


@dataclass(frozen=True, slots=True)
class LiveAirflow:
    """The stack as a user of the DAG has it."""

    stack: Stack
    output: Path
    receiver: Receiver | None = None

    def start(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, logical_date: datetime | None = None) -> LiveRun:
        journal = self.stack.sandbox.journal()
        run_id = self.stack.airflow.trigger(dag_id, conf, logical_date=logical_date)
        return LiveRun(self, run_id, journal[-1]["seq"] if journal else 0, dag_id)

    def trigger(self, **conf: Any) -> LiveRun:
        """A backfill that sends, unless ``conf`` says otherwise."""
        return self.start(DAG_ID, {"dry_run": False, **conf})

    def trigger_ids(self, ids: Sequence[str], **conf: Any) -> LiveRun:
        return self.trigger(scope="property_ids", property_ids=list(ids), **conf)

    def salesforce(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request to Salesforce, as a person or another program sends it."""
        headers = {"Authorization": f"Bearer {SALESFORCE_SESSION}"}
        url = f"{self.stack.sandbox.url}/services/data/v59.0/{path}"
        return requests.request(method, url, headers=headers, timeout=60, **options)

    def query(self, soql: str) -> list[dict[str, Any]]:
        answer = self.salesforce("GET", "query/", params={"q": soql})
        answer.raise_for_status()
        return list(answer.json()["records"])

    def harm(self, condition: str) -> list[str]:
        """Switch a product off in Salesforce, by hand, for the records of a SOQL condition. :returns: their keys."""
        records = self.query(f"SELECT Id, Reverse_ETL_ID__c FROM Product_Property__c WHERE {condition}")
        flow = self.settings()["flow_enabled"]
        self.settings(flow_enabled=False)  # it refuses what a person changes while it works on the record's family
        for record in records:
            path = f"sobjects/Product_Property__c/{record['Id']}"
            self.salesforce("PATCH", path, json={"Fraud_Detection_Enabled__c": False}).raise_for_status()
        self.settings(flow_enabled=flow)
        self.replicate()
        return sorted(record["Reverse_ETL_ID__c"] for record in records)

    def replicate(self) -> None:
        self.stack.sandbox.request("POST", "replication", json={})

    def settings(self, **changes: Any) -> Mapping[str, Any]:
        return self.stack.sandbox.settings(**changes)
