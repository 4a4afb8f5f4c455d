"""The environment of the stack's processes: the user's own without foreign variables, plus Airflow's configuration."""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ADMIN = "admin"

# A user's own Airflow, settings and Python switches must not leak in. Variables of make would reach nested calls of make.
FOREIGN_PREFIXES = ("AIRFLOW", "_AIRFLOW", "FEATURE_SYNC_", "PYTHON", "MAKE", "MFLAGS")


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets that the processes of one stack share. Each folder has its own."""

    admin_password: str
    fernet_key: str
    jwt_secret: str
    api_secret: str

    @classmethod
    def of_folder(cls, folder: Path) -> "Secrets":
        """The secrets of ``folder``. The first call makes them. Only the owner can read their file."""
        file = folder / "secrets.json"
        if file.exists():
            return cls(**json.loads(file.read_text()))
        made = cls.new()
        write_private(file, json.dumps(asdict(made)))
        return made

    @classmethod
    def new(cls) -> "Secrets":
        """New random secrets."""
        return cls(
            admin_password=secrets.token_urlsafe(12),
            fernet_key=urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            jwt_secret=secrets.token_urlsafe(48),
            api_secret=secrets.token_urlsafe(48),
        )


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, from the first byte on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text)


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without foreign variables. Calls to this machine bypass every proxy."""
    cleaned = {name: value for name, value in environment.items() if not name.startswith(FOREIGN_PREFIXES)}
    direct = ",".join(filter(None, [cleaned.get("NO_PROXY") or cleaned.get("no_proxy"), "127.0.0.1", "localhost"]))
    return cleaned | {"NO_PROXY": direct, "no_proxy": direct, "PYTHONUNBUFFERED": "1"}


def airflow_environment(
    *, home: Path, dags_folder: Path, plugins_folder: Path, port: int, passwords_file: Path, secrets: Secrets
) -> dict[str, str]:
    """
    Airflow's configuration for one machine: SQLite, LocalExecutor, one API worker, short polling intervals.

    ``port`` is the API server's port. Airflow's SimpleAuthManager reads and writes ``passwords_file``.
    """
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins_folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": secrets.fernet_key,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file),
        # The default looks up the machine's name in the network. Without a network that takes seconds.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "platform.node",
        # SQLite allows one writer at a time. With the default of 5 s, API calls fail on a busy laptop.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout=30",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__EXPOSE_CONFIG": "False",
        "AIRFLOW__API__SECRET_KEY": secrets.api_secret,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.jwt_secret,
        # With the default of 5 s, tasks fail on a busy laptop before they start.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        # A task's supervisor stays this long after its task has ended. The default of 5 s would double a short run.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        # After a crash the next scheduler takes over the old one's tasks within half a minute instead of five minutes.
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        # Logs are read from the local disk. The log servers are not started, see stack.py.
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "9",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "9",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    }
