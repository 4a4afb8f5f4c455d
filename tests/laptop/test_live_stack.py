"""A real Airflow and the sandbox, started, watched, hurt and stopped. One stack serves all tests of this file."""

import io
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

from laptop import run as run_module
from laptop.airflow_client import AirflowError
from laptop.processes import port_is_free
from laptop.run import run
from laptop.stack import POOL, Stack
from laptop.terminal import Terminal

DAG_ID = "toy_backfill"

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    one = Stack(
        folder,
        environment={"FEATURE_SYNC_OUTPUT_PATH": str(folder / "output")},
        sandbox_settings={"rollup_seconds": 1.5},
        dags_folder=Path(__file__).parent / "toy_dags",
    )
    with one:
        yield one
        sessions = [component.session for component in one.processes.values() if component.session]
        assert len(sessions) == 5
    assert [session.name for session in sessions if session.members()] == []
    assert all(port_is_free(int(url.rpartition(":")[2])) for url in (one.airflow.url, one.sandbox.url))
    assert [process.pid for process in psutil.process_iter() if str(folder) in _command(process)] == []


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def told_by_run(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **conf: object) -> tuple[int, str]:
    """What `make run` tells and gives for the toy DAG, in the stack that runs already."""
    monkeypatch.setattr(run_module, "Stack", lambda *_args, **_options: nullcontext(stack))
    monkeypatch.setattr(run_module, "DAG_ID", DAG_ID)
    monkeypatch.setattr(run_module, "RUN_CONFIGS", {"incident": conf})
    screen = io.StringIO()
    code = run(tmp_path / "run", Terminal(screen))
    return code, screen.getvalue()


def test_a_good_run_is_told_batch_by_batch_and_gives_0(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = told_by_run(stack, tmp_path, monkeypatch)

    assert code == 0, told
    # Unlike the real one, the toy's batches wait for no turn, so they end in any order.
    assert sorted(line.split("  ")[2] for line in told.splitlines() if "sent in" in line) == [
        "batch 001: records 1-50",
        "batch 002: records 51-100",
        "batch 003: records 101-150",
    ]
    assert "3/3" in told
    assert "Fraud Detection       0    150        150           0" in told
    assert "\nRESULT: 0 properties with mismatched feature data\n" in told


def test_a_failed_run_shows_the_tasks_error_and_gives_1(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = told_by_run(stack, tmp_path, monkeypatch, failing_batch=2)

    assert code == 1
    assert "RuntimeError: Batch 2: Census rejected 12 of 50 records" in told
    assert "The run FAILED" in told


def test_a_mismatch_gives_1_although_every_task_succeeded(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = told_by_run(stack, tmp_path, monkeypatch, mismatched=4)

    assert code == 1
    assert "RESULT: 4 properties with mismatched feature data" in told


def test_a_cleared_batch_runs_again_with_what_follows_it_and_nothing_else(stack: Stack) -> None:
    run_id = stack.airflow.trigger(DAG_ID)
    stack.airflow.wait_for_run(DAG_ID, run_id, timeout=120)

    cleared = stack.airflow.clear(DAG_ID, run_id, [("batch.send", 1)])
    ended = stack.airflow.wait_for_run(DAG_ID, run_id, timeout=120)

    tries = {task.name: task.try_number for task in stack.airflow.task_instances(DAG_ID, run_id)}
    assert cleared == 2
    assert ended.state == "success"
    assert {name for name, number in tries.items() if number == 2} == {"batch.send batch 002: records 51-100", "validate"}
    assert len(tries) == 9


def test_a_killed_scheduler_is_restarted_and_goes_on(stack: Stack) -> None:
    stack.processes["scheduler"].kill()
    run_id = stack.airflow.trigger(DAG_ID)

    stack.processes["scheduler"].restart()

    assert stack.airflow.wait_for_run(DAG_ID, run_id, timeout=120).state == "success"


def test_the_sandbox_keeps_its_settings_and_faults_over_a_kill(stack: Stack) -> None:
    fault = stack.sandbox.faults.add("trigger", "lost_response", times=1)

    stack.processes["sandbox"].kill()
    stack.processes["sandbox"].restart()

    assert [one["id"] for one in stack.sandbox.faults.list()] == [fault]
    assert stack.sandbox.settings()["rollup_seconds"] == 1.5
    stack.sandbox.faults.clear()
    assert stack.sandbox.faults.list() == []


def test_the_pool_has_one_slot_which_a_deferred_task_keeps(stack: Stack) -> None:
    pool = stack.airflow.request("GET", f"pools/{POOL}")

    assert (pool["slots"], pool["include_deferred"]) == (1, True)


def test_a_missing_dag_is_reported(stack: Stack) -> None:
    with pytest.raises(AirflowError, match="no DAG no_such_dag within 1 s"):
        stack.airflow.wait_for_dag("no_such_dag", timeout=1)


def test_no_log_holds_a_secret(stack: Stack) -> None:
    secrets = json.loads((stack.folder / "secrets.json").read_text()).values()
    logs = [*stack.logs.iterdir(), *(file for file in (stack.folder / "airflow" / "logs").rglob("*") if file.is_file())]

    assert len(logs) > 10
    assert [log for log in logs for secret in secrets if secret in log.read_text(errors="replace")] == []
