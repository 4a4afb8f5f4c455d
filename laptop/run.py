"""`make run` and `make verify`: start everything, let one DAG run, then stop everything."""

import fcntl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from laptop.airflow_client import AirflowClient, AirflowError, DagRun, TaskInstance
from laptop.processes import ComponentError
from laptop.progress import Progress, clock
from laptop.report import ReportError, local_folder, product_table, read_report
from laptop.stack import DEFAULT_WORLD, PROJECT, Stack, empty_folder
from laptop.terminal import GREEN, RED, Terminal

DAG_ID, VERIFY_DAG_ID = "product_feature_backfill", "feature_sync_verify"
# The pause between batches suits the sandbox, whose time runs faster.
PACE: Mapping[str, object] = {"batch_size": 50, "wait_seconds": 3}
SENDS: Mapping[str, object] = {**PACE, "dry_run": False}
RUN_CONFIGS: Mapping[str, Mapping[str, object]] = {
    "incident": {"scope": "created_between", "created_from": "2025-11-21", "created_to": "2025-11-21", **SENDS},
    "real": {"scope": "mismatched", **SENDS},
}
"""The run that repairs each world of the sandbox."""
RUN_LIMIT_SECONDS = 20 * 60
VERIFY_LIMIT_SECONDS = 5 * 60


class BusyError(RuntimeError):
    """Another program uses the folder."""


def project_environment() -> dict[str, str]:
    """The project's settings for the sandbox's time scale. The output goes to the project's folder."""
    return {
        "FEATURE_SYNC_OUTPUT_PATH": str(PROJECT / "output" / "sync_payloads"),
        "FEATURE_SYNC_CENSUS_POLL_SECONDS": "0.5",
        "FEATURE_SYNC_COPY_POLL_SECONDS": "1",
    }


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Reserve a folder of ``.laptop/`` for this program. :raises BusyError: another program uses it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"Another program uses {folder}. Wait until it ends, or stop it") from None
        yield


def run(folder: Path, terminal: Terminal, *, port: int | None = None, world: str = DEFAULT_WORLD) -> int:
    """Start a fresh stack in ``folder``, run the DAG and report its progress. Return 0 if every record is repaired, else 1."""
    with _fresh_stack(folder, terminal, port, world) as stack:
        good = watched_run(stack, DAG_ID, RUN_CONFIGS[world], terminal)
        terminal.status("Stopping ...")
    return 0 if good else 1


def verify(folder: Path, terminal: Terminal, *, port: int | None = None, world: str = DEFAULT_WORLD) -> int:
    """Start a fresh stack in ``folder``, let the DAG look at it and print its page. Return 0 if nothing is wrong, else 1."""
    with _fresh_stack(folder, terminal, port, world) as stack:
        good = shown_page(stack.airflow, terminal)
        terminal.status("Stopping ...")
    return 0 if good else 1


@contextmanager
def _fresh_stack(folder: Path, terminal: Terminal, port: int | None, world: str) -> Iterator[Stack]:
    with folder_lock(folder):
        begun = time.monotonic()
        terminal.line("Starting Airflow and the sandbox ...")
        with Stack(
            empty_folder(folder),
            environment=project_environment(),
            port=port,
            usual_ports=True,
            world=world,
            asks_salesforce=True,
        ) as stack:
            terminal.line(f"Ready after {time.monotonic() - begun:.0f} s: {stack.airflow.url}, logs in {shown(stack.logs)}")
            yield stack


def shown_page(airflow: AirflowClient, terminal: Terminal) -> bool:
    """Run the verification and print its page. Return True if nothing is wrong."""
    run_id = airflow.trigger(VERIFY_DAG_ID, {}, note="make verify")
    terminal.line(f"{VERIFY_DAG_ID}, run {run_id}")
    try:
        ended = airflow.wait_for_run(VERIFY_DAG_ID, run_id, timeout=VERIFY_LIMIT_SECONDS)
    except (AirflowError, ComponentError) as failure:
        terminal.line(str(failure), RED)
        return False
    page = airflow.xcom(VERIFY_DAG_ID, run_id, "verify", key="page")
    terminal.line()
    terminal.line(page or "The run ended before it had a page. Its log says why.", None if page else RED)
    is_good = ended.state == "success"
    terminal.line("RESULT: nothing is wrong" if is_good else "RESULT: something is wrong", GREEN if is_good else RED)
    return is_good


def watched_run(stack: Stack, dag_id: str, conf: Mapping[str, object], terminal: Terminal) -> bool:
    """Trigger a run, report its progress and its result. Return True if the run succeeded and no property differs."""
    run_id = stack.airflow.trigger(dag_id, conf, note="make run")
    terminal.line(f"{dag_id}, run {run_id}")
    started = datetime.now(UTC)

    def error_of(task: TaskInstance, number: int) -> str | None:
        try:
            return stack.airflow.error_text(dag_id, run_id, task, try_number=number)
        except AirflowError as unreadable:
            return f"(its log cannot be read: {unreadable})"

    progress = Progress(started, error_of)

    def tell(_run: DagRun, tasks: Sequence[TaskInstance]) -> None:
        now = datetime.now(UTC)
        for line in progress.look(tasks, now):
            terminal.line(line.text, RED if line.failed else None)
        terminal.status(progress.status(tasks, now))

    try:
        ended = stack.airflow.wait_for_run(dag_id, run_id, timeout=RUN_LIMIT_SECONDS, on_progress=tell, poll_seconds=2)
    except (AirflowError, ComponentError) as failure:
        terminal.line(str(failure), RED)
        return False
    repaired = _tell_result(stack, ended, terminal)
    took = clock(datetime.now(UTC) - started)
    if ended.state != "success":
        terminal.line(f"The run FAILED after {took}. The reason is above. More is in {shown(stack.folder)}", RED)
        return False
    return repaired


def _tell_result(stack: Stack, ended: DagRun, terminal: Terminal) -> bool:
    exported = stack.airflow.xcom(ended.dag_id, ended.run_id, "export_csv")
    if not exported:
        terminal.line("The run ended before it wrote its files.", RED)
        return False
    try:
        folder = local_folder(exported["folder"])
        report = read_report(folder)
    except ReportError as missing:
        terminal.line(str(missing), RED)
        return False
    terminal.line()
    terminal.line(product_table(report.products))
    terminal.line()
    terminal.line(f"RESULT: {report.result}", GREEN if report.good else RED)
    terminal.line(f"Checked {report.properties_checked:,} properties. Files: {shown(folder)}")
    return report.good


def shown(path: Path) -> str:
    """The path relative to the project, if it is in the project."""
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)
