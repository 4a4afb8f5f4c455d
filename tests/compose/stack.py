"""docker-compose.yaml as a user has it: a copy of what it needs in a folder of its own, started, hit and taken down by name."""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from laptop.airflow_client import AirflowClient
from laptop.compose_env import DEPLOYMENT_FILE, PROJECT, SETTINGS_FILE, new_values, write_files
from laptop.environment import ADMIN
from laptop.processes import HOST, choose_port, signals_ignored
from laptop.sandbox_client import SandboxClient

COMPOSE_FILE = "docker-compose.yaml"
NEEDED = (COMPOSE_FILE, "Dockerfile", ".dockerignore", "requirements-compose.txt", "requirements-dev.txt")
NEEDED_FOLDERS = ("dags", "plugins", "include", "sandbox")
SANDBOX_PORT = 18100
OUTPUT = "/opt/airflow/output/sync_payloads/."
UP_LIMIT_SECONDS = 1200
HEALTHY_LIMIT_SECONDS = 300
CHECK_SECONDS = 5.0
# What a shell may set for a stack of its own must not change this one.
CHOICES = {"EXECUTOR", "IMAGE", "AIRFLOW_PORT", "AIRFLOW_IMAGE", "DATABRICKS_CONNECTION", "CENSUS_CONNECTION"}
FOREIGN = CHOICES | {"COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", *new_values()}


class EngineError(RuntimeError):
    """There is no Docker engine, or it did not do what it was told; the message has its own words."""


def compose_command() -> list[str]:
    """Compose as a plugin, or else the older program. :raises EngineError: when there is neither, or no engine."""
    try:
        _output(["docker", "info"])
    except (FileNotFoundError, EngineError) as missing:
        raise EngineError(f"make test-compose needs a Docker engine: {missing}") from missing
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    raise EngineError("make test-compose needs `docker compose` or docker-compose")


class ComposeStack:
    """
    A context manager: leaving takes everything down, volumes too, whatever has happened.

    ``airflow`` and ``sandbox`` are there after :meth:`up`; the names are those of ``laptop.stack.Stack``, so that what the live
    tests know of a stack holds here.

    :param build_network: the network for building the images, where the usual one does not reach the package index.
    """

    airflow: AirflowClient
    sandbox: SandboxClient

    def __init__(self, folder: Path, tell: Callable[[str], object], *, build_network: str | None = None) -> None:
        self.folder = folder
        self.project = f"feature-sync-test-{secrets.token_hex(3)}"
        # A name of its own, or a run from another checkout would put its code into this one's next `up`.
        self.image = f"salesforce-feature-sync:{self.project}"
        self.output = folder / "fetched"
        self._tell = tell
        self._profiles: tuple[str, ...] = ()
        self._executioner = ""
        self._checked = 0.0
        self._command = compose_command()
        for name in NEEDED:
            shutil.copy(PROJECT / name, folder / name)
        for name in NEEDED_FOLDERS:
            shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        write_files(folder)
        airflow_port = choose_port()
        sandbox_port = choose_port(taken=[airflow_port])
        self.choose(AIRFLOW_PORT=airflow_port, IMAGE=self.image)
        self._write_override(sandbox_port, build_network)
        self._urls = f"http://{HOST}:{airflow_port}", f"http://{HOST}:{sandbox_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        with signals_ignored():
            if error is not None:
                (self.folder / "containers.log").write_text(self.compose("logs", "--no-color", "--timestamps", check=False))
            self._tell("taking everything down")
            if self._executioner:
                _output(["docker", "rm", "--force", self._executioner], check=False)
            self._profiles = ("celery", "sandbox")
            self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
            # The layers stay, so that the next build is a matter of seconds.
            _output(["docker", "rmi", "--no-prune", self.image, f"{self.image}-sandbox"], check=False)

    @property
    def password(self) -> str:
        """Of Airflow's user ``admin``."""
        lines = (self.folder / DEPLOYMENT_FILE).read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("ADMIN_PASSWORD="))

    def choose(self, **choices: object) -> None:
        """Add lines to .env; holds from the next :meth:`up` on."""
        _append(self.folder / DEPLOYMENT_FILE, choices)

    def configure(self, environment: Mapping[str, object]) -> None:
        """Add lines to .env.airflow; holds from the next :meth:`up` on."""
        _append(self.folder / SETTINGS_FILE, environment)

    def build(self, *profiles: str) -> None:
        self._profiles = profiles
        self.compose("build", timeout=UP_LIMIT_SECONDS)

    def up(self, *profiles: str, scale: Mapping[str, int] | None = None) -> None:
        """``up`` with these profiles; returns when every part is healthy."""
        self._profiles = profiles
        scales = [f"--scale={service}={number}" for service, number in (scale or {}).items()]
        self.compose("up", "--detach", *scales, timeout=UP_LIMIT_SECONDS)
        self.airflow = AirflowClient(self._urls[0], ADMIN, self.password)
        self.sandbox = SandboxClient(self._urls[1])
        self.wait_until_healthy()
        if not self._executioner:
            # Sees every process of the engine's machine, which need not be this one.
            options = ["--detach", "--rm", "--pid=host", "--user=0", "--entrypoint=sleep"]
            self._executioner = _output(["docker", "run", *options, self.image, "infinity"]).strip()

    def compose(self, *arguments: str, check: bool = True, timeout: float = 300) -> str:
        """Run compose in this stack. Gives what it printed. :raises EngineError: when it failed."""
        profiles = [part for profile in self._profiles for part in ("--profile", profile)]
        files = ["--file", COMPOSE_FILE, "--file", "override.yaml"]
        command = [*self._command, "--project-name", self.project, *files, *profiles, *arguments]
        environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        return _output(command, folder=self.folder, environment=environment, check=check, timeout=timeout)

    def check(self) -> None:
        """:raises EngineError: when a container has ended for good. Asks the engine every few seconds at most."""
        if time.monotonic() < self._checked + CHECK_SECONDS:
            return
        self._checked = time.monotonic()
        if ended := [one["Name"] for one in self.inspect() if self.is_service(one) and one["State"]["Status"] == "exited"]:
            raise EngineError(f"These have ended and were not started again: {ended}")

    def inspect(self, service: str | None = None) -> list[dict[str, Any]]:
        """What the engine says of the containers, stopped ones too, of a service or of all."""
        labels = ["--filter", f"label=com.docker.compose.project={self.project}"]
        if service:
            labels += ["--filter", f"label=com.docker.compose.service={service}"]
        ids = _output(["docker", "ps", "--all", "--quiet", "--no-trunc", *labels]).split()
        return json.loads(_output(["docker", "inspect", *ids])) if ids else []

    @staticmethod
    def is_service(container: Mapping[str, Any]) -> bool:
        """Whether it is to run for ever, unlike ``init``."""
        return container["HostConfig"]["RestartPolicy"]["Name"] not in ("", "no")

    def wait_until_healthy(self) -> float:
        """Return, with the seconds it took, when every part is healthy by its own health check. :raises EngineError: in time."""
        begun = time.monotonic()
        while ill := [one["Name"].lstrip("/") for one in self.inspect() if self.is_service(one) and not _is_healthy(one)]:
            if time.monotonic() > begun + HEALTHY_LIMIT_SECONDS:
                raise EngineError(f"not healthy after {HEALTHY_LIMIT_SECONDS} s: {', '.join(ill)}")
            time.sleep(2)
        return time.monotonic() - begun

    def container_of(self, service: str, hostname: str | None = None) -> dict[str, Any]:
        """A running container of a service, the one with this host name if one is given."""
        for one in self.inspect(service):
            if one["State"]["Running"] and (hostname is None or one["Id"].startswith(hostname)):
                return one
        raise EngineError(f"no container of {service} runs{f' as {hostname}' if hostname else ''}")

    def kill(self, container: Mapping[str, Any]) -> None:
        """
        ``kill -9`` of the first process of a container, with which all others end.

        Not ``docker kill``: after that the engine does not start the container again, as it does after a crash.
        """
        process = str(container["State"]["Pid"])
        _output(["docker", "exec", self._executioner, "bash", "-c", 'kill -9 "$0"', process])

    def fetch_output(self) -> Path:
        """Copy the runs' files out of their volume. Gives the folder."""
        self.output.mkdir(exist_ok=True)
        _output(["docker", "cp", f"{self.container_of('api-server')['Id']}:{OUTPUT}", str(self.output)])
        return self.output

    def _write_override(self, sandbox_port: int, build_network: str | None) -> None:
        services: dict[str, Any] = {"sandbox": {"ports": [f"{HOST}:{sandbox_port}:{SANDBOX_PORT}"]}}
        if build_network:
            for name, service in yaml.safe_load((self.folder / COMPOSE_FILE).read_text())["services"].items():
                if "build" in service:
                    services.setdefault(name, {})["build"] = {"network": build_network}
        (self.folder / "override.yaml").write_text(yaml.safe_dump({"services": services}))


def _is_healthy(container: Mapping[str, Any]) -> bool:
    return container["State"].get("Health", {}).get("Status") == "healthy"


def _append(file: Path, values: Mapping[str, object]) -> None:
    with file.open("a") as stream:
        stream.writelines(f"{name}={value}\n" for name, value in values.items())


def _output(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
    timeout: float = 120,
) -> str:
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as slow:
        raise EngineError(f"{' '.join(command)} took more than {timeout:.0f} s") from slow
    if check and done.returncode:
        raise EngineError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout
