"""What ``make compose-env`` writes, and what it never touches."""

import stat
from pathlib import Path

import pytest

from laptop.compose_env import DEPLOYMENT_FILE, SETTINGS_FILE, completed, new_values, write_files


def test_the_files_are_made_with_secrets_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    told = write_files(tmp_path)

    lines = (tmp_path / DEPLOYMENT_FILE).read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(values) == set(new_values())
    assert min(len(value) for value in values.values()) >= 16
    for name in (DEPLOYMENT_FILE, SETTINGS_FILE):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert "".join(told).count("written") == 2


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    write_files(tmp_path)
    (tmp_path / SETTINGS_FILE).write_text("FEATURE_SYNC_CENSUS_SYNC_ID=7\n")
    before = {name: (tmp_path / name).read_text() for name in (DEPLOYMENT_FILE, SETTINGS_FILE)}

    told = write_files(tmp_path)

    assert {name: (tmp_path / name).read_text() for name in before} == before
    assert "".join(told).count("stays as it is") == 2


def test_what_a_newer_version_demands_is_added_and_what_is_there_stays() -> None:
    text = "# mine\nFERNET_KEY=old\n#JWT_SECRET=commented\nREDIS_PASSWORD=\nEXECUTOR=CeleryExecutor"

    after = completed(text, {"FERNET_KEY": "new", "JWT_SECRET": "made", "REDIS_PASSWORD": "made too"})

    assert after == text + "\nJWT_SECRET=made\nREDIS_PASSWORD=made too\n"


def test_no_two_deployments_share_a_secret() -> None:
    assert not set(new_values().values()) & set(new_values().values())


@pytest.mark.parametrize("name", list(new_values()))
def test_a_secret_reads_the_same_in_a_shell_a_file_and_an_address(name: str) -> None:
    for _ in range(50):
        assert all(letter.isalnum() or letter in "-_=" for letter in new_values()[name])
