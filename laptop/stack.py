"""Airflow and the sandbox as one unit that starts, is watched and stops. `make run`, `make up` and the live tests use it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from laptop.airflow_client import AirflowClient
from laptop.environment import ADMIN, Secrets, airflow_environment, clean_environment, write_private
from laptop.processes import (
    HOST,
    Component,
    ComponentError,
    Leash,
    Session,
    choose_port,
    end_sessions,
    require_port,
    signals_ignored,
    stop_components,
    tail,
)
from laptop.sandbox_client import SandboxClient

PROJECT = Path(__file__).resolve().parents[1]
AIRFLOW_PORT = 8080
SANDBOX_PORT = 18100
POOL = "census_sync"
START_LIMIT_SECONDS = 300
DEFAULT_WORLD = "incident"
GRACE_SECONDS = 6

# The scheduler and the triggerer run without their log servers, which listen on every address. One machine does not need them.
# The API server takes longest to start, so it starts first.
AIRFLOW_COMMANDS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
}
# The processes that run tasks and read DAG files are forks of these.
FORKING = ("scheduler", "dag-processor")
# The other parts call these two while they end, so these two end last.
SERVERS = ("api-server", "sandbox")


@dataclass(frozen=True, slots=True)
class StackRecord:
    """The stored facts about a running stack. With them another program can find it and end it."""

    airflow_url: str
    sandbox_url: str
    sessions: tuple[Session, ...]
    world: str = DEFAULT_WORLD

    @classmethod
    def read(cls, folder: Path) -> "StackRecord | None":
        """The record in ``folder``, or None if there is none."""
        try:
            text = _record_file(folder).read_text()
        except FileNotFoundError:
            return None
        stored = json.loads(text)
        sessions = tuple(Session(**session) for session in stored["sessions"])
        return cls(stored["airflow_url"], stored["sandbox_url"], sessions, stored.get("world", DEFAULT_WORLD))

    def write(self, folder: Path) -> None:
        write_private(_record_file(folder), json.dumps(asdict(self), indent=2))

    def end(self, folder: Path) -> None:
        """End every process of the stack that still runs, and delete the record."""
        with signals_ignored():
            for servers in (False, True):
                chosen = [session for session in self.sessions if (session.name in SERVERS) is servers]
                end_sessions(chosen, grace_seconds=GRACE_SECONDS)
            _record_file(folder).unlink(missing_ok=True)


class Stack:
    """
    The sandbox and Airflow's four components, all on 127.0.0.1, with their files under ``folder``.

    A context manager. Entering it starts everything and returns when all parts work. Leaving it ends every process.
    If this program is killed, the processes end too.

    ::

        with Stack(tmp_path, environment={"FEATURE_SYNC_COPY_POLL_SECONDS": "1"}) as stack:
            run_id = stack.airflow.trigger("product_feature_backfill", {"scope": "mismatched", "dry_run": False})
            stack.processes["scheduler"].kill()
            stack.processes["scheduler"].restart()
            run = stack.airflow.wait_for_run("product_feature_backfill", run_id, timeout=300)

    :param environment: variables for all of Airflow's processes. They override the stack's own.
    :param sandbox_settings: settings that the sandbox starts with.
    :param dags_folder: the project's own by default.
    :param port: Airflow's port. It must be free.
    :param usual_ports: prefer the usual ports, 8080 and 18100, to random ones.
    :param world: the sandbox's world. Airflow gets the settings that fit the package to it.
    :param asks_salesforce: whether Airflow also gets the connection to Salesforce itself, which a site may or may not have.
    """

    airflow: AirflowClient
    sandbox: SandboxClient

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        sandbox_settings: Mapping[str, object] | None = None,
        dags_folder: Path | None = None,
        port: int | None = None,
        usual_ports: bool = False,
        world: str = DEFAULT_WORLD,
        asks_salesforce: bool = False,
    ) -> None:
        self.folder = folder.resolve()
        self.logs = self.folder / "logs"
        self.processes: dict[str, Component] = {}
        self._extra_environment = dict(environment or {})
        self._sandbox_settings = dict(sandbox_settings or {})
        self._dags_folder = (dags_folder or PROJECT / "dags").resolve()
        self._port = port
        self._usual_ports = usual_ports
        self._world = world
        self._asks_salesforce = asks_salesforce
        self._leash: Leash | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    @property
    def password(self) -> str:
        """The password of Airflow's user ``admin``."""
        return Secrets.of_folder(self.folder).admin_password

    def start(self) -> None:
        """
        Start everything and return when it works. After a failure no process is left running.

        :raises ComponentError: a component ends, or is not ready in time. The message has the end of its log.
        :raises PortError: the requested port cannot be used.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process. Return when none is left."""
        with signals_ignored():
            for servers in (False, True):
                chosen = [component for component in self.processes.values() if (component.name in SERVERS) is servers]
                stop_components(chosen, grace_seconds=GRACE_SECONDS)
            if self._leash is not None:
                self._leash.close()
                self._leash = None

    def check(self) -> None:
        """:raises ComponentError: a component has ended unexpectedly. One killed through :attr:`processes` is expected to end."""
        for component in self.processes.values():
            component.check()

    def leave_running(self) -> StackRecord:
        """Let the processes outlive this program. Return the record that ends them; the folder keeps it too."""
        sessions = tuple(component.session for component in self.processes.values() if component.session)
        record = StackRecord(self.airflow.url, self.sandbox.url, sessions, self._world)
        record.write(self.folder)
        if self._leash is not None:
            self._leash.release()
            self._leash = None
        return record

    def _start(self) -> None:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._leash = Leash(PROJECT)
        usual_port, usual_sandbox_port = (AIRFLOW_PORT, SANDBOX_PORT) if self._usual_ports else (None, None)
        port = choose_port(usual_port) if self._port is None else require_port(self._port)
        sandbox_port = choose_port(usual_sandbox_port, taken=[port])
        ports = ["--port", str(sandbox_port)]
        if self._asks_salesforce:
            ports += ["--tls-port", str(choose_port(taken=[port, sandbox_port]))]
        base = clean_environment(os.environ)

        sandbox = self._component("sandbox", [sys.executable, *self._sandbox_command(ports)], base)
        sandbox.start()
        secrets = Secrets.of_folder(self.folder)
        passwords = self.folder / "passwords.json"
        write_private(passwords, json.dumps({ADMIN: secrets.admin_password}))
        airflow_base = base | airflow_environment(
            home=self.folder / "airflow",
            dags_folder=self._dags_folder,
            plugins_folder=PROJECT / "plugins",
            port=port,
            passwords_file=passwords,
            secrets=secrets,
        )
        migration = self._start_migration(airflow_base)
        connections = sandbox_lines(["connections", *ports], base)
        settings = sandbox_lines(["settings", "--world", self._world], base)
        self.sandbox = SandboxClient(f"http://{HOST}:{sandbox_port}")
        address = self._extra_environment.get("AIRFLOW__API__BASE_URL", f"http://{HOST}:{port}")
        self.airflow = AirflowClient(address, ADMIN, secrets.admin_password, check=self.check)
        if migration is not None:
            migration.wait_for_end(deadline - time.monotonic())
            # The migration ends on its own, so it is not one of the parts whose end is a failure.
            del self.processes[migration.name]
            self._migrated_file.write_text(version("apache-airflow-core"))

        since = time.time()
        environment = airflow_base | connections | settings | self._salesforce_environment | self._extra_environment
        for name, arguments in AIRFLOW_COMMANDS.items():
            program = "laptop.preloaded" if name in FORKING else "airflow"
            self._component(name, [sys.executable, "-m", program, *arguments], environment).start()
        self._wait("sandbox", since, deadline)
        self._wait("api-server", since, deadline)
        self.airflow.create_pool(POOL, 1, "One Census run at a time. A deferred task keeps its slot.", include_deferred=True)
        for name in ("scheduler", "triggerer", "dag-processor"):
            self._wait(name, since, deadline)

    def _component(self, name: str, command: list[str], environment: Mapping[str, str]) -> Component:
        component = Component(
            name,
            command,
            environment,
            folder=PROJECT,
            log=self.logs / f"{name}.log",
            wait_until_ready=lambda component, since: self._wait(component.name, since, time.monotonic() + START_LIMIT_SECONDS),
            on_start=self._leash.hold if self._leash is not None else lambda _session: None,
        )
        self.processes[name] = component
        return component

    @property
    def _salesforce_environment(self) -> dict[str, str]:
        """What Airflow needs beside the connection: whom to trust, and the name of the Flow."""
        if not self._asks_salesforce:
            return {}
        return {
            "REQUESTS_CA_BUNDLE": str(self.folder / "sandbox" / "authority.pem"),
            "FEATURE_SYNC_SALESFORCE_FLOW": "Product_Property_After_Rollup_Flow",
        }

    def _sandbox_command(self, ports: list[str]) -> list[str]:
        command = ["-m", "sandbox", "--world", self._world, *ports, "--state", str(self.folder / "sandbox")]
        for name, value in self._sandbox_settings.items():
            command += ["--set", f"{name}={value}"]
        return command

    @property
    def _migrated_file(self) -> Path:
        return self.folder / "migrated"

    def _start_migration(self, environment: Mapping[str, str]) -> Component | None:
        """Start to create Airflow's tables, unless this folder has the tables of this version of Airflow."""
        if self._migrated_file.exists() and self._migrated_file.read_text() == version("apache-airflow-core"):
            return None
        migration = self._component("db-migrate", [sys.executable, "-m", "airflow", "db", "migrate"], environment)
        migration.start()
        return migration

    def _wait(self, name: str, since: float, deadline: float) -> None:
        """Return when a component works: it answers, or, if it has no API, its heartbeat is later than ``since``."""
        probe: dict[str, Callable[[], bool]] = {
            "sandbox": lambda: bool(self.sandbox.health()),
            "api-server": lambda: bool(self.airflow.health()),
        }
        works = probe.get(name, lambda: self._heartbeat_since(name, since))
        while True:
            self.check()
            try:
                if works():
                    return
            except requests.RequestException:
                pass
            if time.monotonic() > deadline:
                log = self.logs / f"{name}.log"
                raise ComponentError(f"{name} was not ready in time. The end of {log}:\n{tail(log)}")
            time.sleep(0.2)

    def _heartbeat_since(self, name: str, since: float) -> bool:
        status, heartbeat = self.airflow.health().get(name.replace("-", "_"), (None, None))
        return status == "healthy" and heartbeat is not None and heartbeat >= datetime.fromtimestamp(since, UTC)


def sandbox_lines(arguments: list[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that a command of the sandbox prints: its connections, or the package's settings."""
    command = [sys.executable, "-m", "sandbox", *arguments]
    answer = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ComponentError(f"python -m sandbox {arguments[0]} failed:\n{answer.stderr.strip()}")
    lines = [line.partition("=") for line in answer.stdout.splitlines() if line.startswith(("AIRFLOW_CONN_", "FEATURE_SYNC_"))]
    return {name: value for name, _, value in lines}


def _record_file(folder: Path) -> Path:
    return folder / "stack.json"


def empty_folder(folder: Path) -> Path:
    """Empty the folder and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
