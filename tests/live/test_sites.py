"""An Airflow unlike ours: what a site may set, all of it at once."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from feature_sync.storage.run_files import folder_name
from laptop.airflow_client import DagRun, TaskInstance
from laptop.processes import HOST, choose_port
from laptop.stack import PROJECT, Stack
from tests.live.conftest import ENVIRONMENT, SANDBOX
from tests.live.runs import DAG_ID, LiveAirflow, LiveRun, eventually, incident_ids
from tests.receiver import Receiver

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(900)]
RUN_ID = "repair “été” of O'Neil + 1:2~"
PLUGIN = '''
import os
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


class OwnDisk:
    """Each try of a task has an empty disk of its own."""

    @hookimpl
    def on_task_instance_running(self, previous_state, task_instance):
        name = f"{task_instance.task_id}.{task_instance.map_index}.{os.getpid()}"
        os.environ["FEATURE_SYNC_OUTPUT_PATH"] = os.path.join(os.environ["DISKS"], name)


class OwnDiskPlugin(AirflowPlugin):
    name = "own_disk"
    listeners = [OwnDisk()]
'''


def link_plugins(folder: Path) -> Path:
    """A plugins folder of the site, which links to ours and has a plugin of its own."""
    folder.mkdir()
    for name in ("feature_sync", "feature_sync_plugin.py", ".airflowignore"):
        (folder / name).symlink_to(PROJECT / "plugins" / name)
    (folder / "own_disk.py").write_text(PLUGIN)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAirflow]:
    folder = tmp_path_factory.mktemp("site")
    port = choose_port(None)
    address = f"http://{HOST}:{port}/tools/airflow"
    receiver = Receiver()
    options = {
        "AIRFLOW__API__BASE_URL": f"{address}/",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": "Pacific/Kiritimati",
        "AIRFLOW__CORE__PARALLELISM": "1",
        "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES": "nothing.of.ours",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(link_plugins(folder / "plugins")),
        "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"file://{folder}/xcoms",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
        "AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN": "^repair .*$",
        "AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS": "True",
        "DISKS": str(folder / "disks"),
    }
    given = ENVIRONMENT | receiver.environment | options
    with Stack(folder, environment=given, sandbox_settings=SANDBOX, port=port) as stack:
        stack.airflow.wait_for_dag(DAG_ID)
        stack.airflow.unpause(DAG_ID)
        yield LiveAirflow(stack, folder / "disks", receiver)
    receiver.stop()


def start(site: LiveAirflow, run_id: str, **conf: Any) -> LiveRun:
    journal = site.stack.sandbox.journal()
    body = {"dag_run_id": run_id, "logical_date": None, "conf": {"dry_run": False, **conf}}
    site.stack.airflow.request("POST", f"dags/{DAG_ID}/dagRuns", json=body)
    return LiveRun(site, run_id, journal[-1]["seq"])


def files_of(site: LiveAirflow, run: LiveRun) -> dict[str, Path]:
    """The files of a run on all disks, by the name of the disk's task and their own."""
    return {
        f"{disk.name.rsplit('.', 2)[0]}: {path.name}": path
        for disk in site.output.iterdir()
        for path in (disk / folder_name(run.run_id)).rglob("*.*")
        if path.is_file()
    }


def test_a_run_is_sent_after_an_approval_and_can_be_undone(site: LiveAirflow) -> None:
    site.settings(flow_enabled=False)
    airflow = site.stack.airflow
    answered = set()

    def answer(_run: DagRun, tasks: Sequence[TaskInstance]) -> None:
        for task in tasks:
            if task.state == "deferred" and task.task_id not in answered and airflow.question(DAG_ID, RUN_ID, task.task_id):
                airflow.answer(DAG_ID, RUN_ID, task.task_id, "Approve")
                answered.add(task.task_id)

    run = start(site, RUN_ID, scope="property_ids", property_ids=incident_ids(0, 7), strategy="full")

    assert run.wait(800, on_progress=answer) == "success", run.error("validate")
    assert answered == {"confirm_flow_off", "confirm_flow_on"}
    files = files_of(site, run)
    assert json.loads(files["validate: validation.json"].read_text())["result"] == "0 properties with mismatched feature data"
    assert {f"{task_id}: approvals.json" for task_id in answered} <= set(files)
    run_after = airflow.request("GET", f"dags/{DAG_ID}/dagRuns/{quote(RUN_ID, safe='')}")["run_after"]
    assert f"export_csv: feature_backfill_{run_after[:10].replace('-', '')}.csv" in files, "the day is UTC's"
    assert len(list(Path(site.stack.folder, "xcoms").rglob("*"))) > 10

    undo = start(site, "repair undo", undo_run_id=RUN_ID, dry_run=True, allow_mass_disable=True)

    assert undo.wait(800) == "success", undo.error("check_preconditions")
    assert json.loads(files_of(site, undo)["check_payload: preview.json"].read_text())["purpose"] == "undo"


def test_an_alert_links_to_the_log_below_the_sites_path(site: LiveAirflow) -> None:
    run = start(site, "repair nothing", scope="property_ids", property_ids=["nobody"])

    assert run.wait(400) == "failed"
    [(title, message)] = eventually(run.alerts).items()
    assert title == f"{DAG_ID}: check_preconditions failed"
    path = f"/dags/{DAG_ID}/runs/repair%20nothing/tasks/check_preconditions"
    assert site.stack.airflow.url.endswith("/tools/airflow")
    assert message.partition("\nLog: ")[2].partition("?")[0] == f"{site.stack.airflow.url}{path}"
