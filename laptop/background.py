"""`make up`, `make down`, `make status` and `make story`: a stack that keeps running after the command has ended."""

import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests

from laptop.airflow_client import AirflowClient
from laptop.environment import ADMIN, Secrets, clean_environment
from laptop.run import folder_lock, project_environment, shown
from laptop.stack import DEFAULT_WORLD, PROJECT, Stack, StackRecord, sandbox_lines
from laptop.terminal import RED, Terminal


def up(folder: Path, terminal: Terminal, *, port: int | None = None, world: str = DEFAULT_WORLD) -> int:
    """Start the stack of ``folder`` with its existing data, unless it is already running. Print its addresses and the login."""
    with folder_lock(folder):
        record = StackRecord.read(folder)
        if record is not None and all(session.leader_runs() for session in record.sessions):
            terminal.line("Airflow is already running.")
            _tell_login(folder, record, terminal)
            return 0
        if record is not None:
            terminal.line("Stopping the remains of an earlier start ...")
            record.end(folder)
        begun = time.monotonic()
        terminal.line("Starting Airflow and the sandbox ...")
        stack = Stack(folder, environment=project_environment(), port=port, usual_ports=True, world=world, asks_salesforce=True)
        stack.start()
        record = stack.leave_running()
        terminal.line(f"Ready after {time.monotonic() - begun:.0f} s.")
        _tell_login(folder, record, terminal)
        return 0


def down(folder: Path, terminal: Terminal) -> int:
    """End the stack of ``folder``. Its data stays."""
    with folder_lock(folder):
        record = StackRecord.read(folder)
        if record is None:
            terminal.line("Nothing is running.")
            return 0
        record.end(folder)
        terminal.line(f"Stopped. The data stays in {shown(folder)} for the next `make up`. `make clean` removes it.")
        return 0


def status(folder: Path, terminal: Terminal) -> int:
    """Print the state of each part. Return 1 if a part has ended or is not healthy."""
    record = StackRecord.read(folder)
    if record is None:
        terminal.line("Nothing is running. `make up` starts Airflow and the sandbox.")
        return 0
    healthy = _health(folder, record)
    good = True
    for session in record.sessions:
        runs = session.leader_runs()
        works = runs and healthy.get(session.name, True)
        good = good and works
        state = "running" if works else "running, but not healthy" if runs else "ended"
        terminal.line(f"{session.name:<14} {state}", None if works else RED)
    terminal.line(f"Airflow: {record.airflow_url}   sandbox: {record.sandbox_url}   logs: {shown(folder / 'logs')}")
    if not good:
        terminal.line("Not every part works. Run `make down`, then `make up`. The logs show the reason.", RED)
    return 0 if good else 1


def _health(folder: Path, record: StackRecord) -> dict[str, bool]:
    """Health by component. If Airflow's API does not answer, the only entry is the API server."""
    client = AirflowClient(record.airflow_url, ADMIN, Secrets.of_folder(folder).admin_password)
    try:
        health = client.health()
    except requests.RequestException:
        return {"api-server": False}
    return {name.replace("_", "-"): state == "healthy" for name, (state, _heartbeat) in health.items()}


def _tell_login(folder: Path, record: StackRecord, terminal: Terminal) -> None:
    terminal.line()
    terminal.line(f"  Airflow   {record.airflow_url}")
    terminal.line(f"  user      {ADMIN}")
    terminal.line(f"  password  {Secrets.of_folder(folder).admin_password}")
    terminal.line(f"  sandbox   {record.sandbox_url}")
    terminal.line(f"  logs      {shown(folder / 'logs')}")
    terminal.line()
    terminal.line("`make status` shows its state. `make down` stops it.")


def story(folder: Path, terminal: Terminal, asked: str) -> int:
    """Print the story of a record of the stack that `up` started. Return the exit code of ``python -m feature_sync.story``."""
    record = StackRecord.read(folder)
    if record is None:
        terminal.line("Nothing is running. `make up` starts Airflow and the sandbox.")
        return 1
    base = clean_environment(os.environ)
    port = str(urlsplit(record.sandbox_url).port)
    environment = {
        **base,
        **sandbox_lines(["connections", "--port", port], base),
        **sandbox_lines(["settings", "--world", record.world], base),
        **project_environment(),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "PYTHONPATH": str(PROJECT / "plugins"),
    }
    command = [sys.executable, "-m", "feature_sync.story", asked]
    return subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode
