"""What reaches the stack's processes, and what does not."""

import stat
from pathlib import Path

import pytest

from feature_sync.config.names import CENSUS_POOL
from laptop.environment import Secrets, airflow_environment, clean_environment
from laptop.stack import POOL


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW_CONN_CENSUS_DEFAULT",
        "AIRFLOW_HOME",
        "_AIRFLOW_PROCESS_CONTEXT",
        "FEATURE_SYNC_CENSUS_SYNC_ID",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
        "MAKEFLAGS",
    ],
)
def test_a_users_own_variable_does_not_leak_in(name: str) -> None:
    assert name not in clean_environment({name: "theirs", "HOME": "/home/theirs"})


def test_everything_else_stays_and_this_machine_needs_no_proxy() -> None:
    cleaned = clean_environment({"HOME": "/home/theirs", "HTTPS_PROXY": "http://proxy:3128", "no_proxy": "example.com"})

    assert cleaned["HOME"] == "/home/theirs"
    assert cleaned["HTTPS_PROXY"] == "http://proxy:3128"
    assert cleaned["NO_PROXY"] == cleaned["no_proxy"] == "example.com,127.0.0.1,localhost"


def test_secrets_are_made_once_a_folder_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    first, again, other = (Secrets.of_folder(tmp_path / name) for name in ("one", "one", "two"))

    assert first == again
    assert not {first.admin_password, first.fernet_key, first.jwt_secret, first.api_secret} & {
        other.admin_password,
        other.fernet_key,
        other.jwt_secret,
        other.api_secret,
    }
    assert stat.S_IMODE((tmp_path / "one" / "secrets.json").stat().st_mode) == 0o600


def test_airflow_listens_on_this_machine_alone_and_tasks_find_its_port(tmp_path: Path) -> None:
    environment = airflow_environment(
        home=tmp_path,
        dags_folder=tmp_path,
        plugins_folder=tmp_path,
        port=8123,
        passwords_file=tmp_path / "passwords.json",
        secrets=Secrets.of_folder(tmp_path),
    )

    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__API__PORT"] == "8123"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8123/execution/"


def test_the_stack_creates_the_pool_that_the_tasks_use() -> None:
    assert POOL == CENSUS_POOL
