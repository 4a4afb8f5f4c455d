"""The sandbox as on the first day: without tables of ours. It also speaks TLS, so that Salesforce can be asked."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.client import FAST, PROJECT, Sandbox
from tests.wire.airflow_api import AirflowApi


@pytest.fixture(scope="module")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox.start(tmp_path_factory.mktemp("first_day") / "state", "--tls-port", "0", **FAST)
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def printed(first_day: Sandbox) -> dict[str, str]:
    """The connections that a user of this sandbox sets."""
    ports = ["--port", str(first_day.port), "--tls-port", first_day.secure_url.rpartition(":")[2]]
    command = [sys.executable, "-m", "sandbox", "connections", *ports]
    said = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


@pytest.fixture
def sandbox(
    first_day: Sandbox, printed: dict[str, str], airflow_api: AirflowApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Sandbox]:
    output = tmp_path / "output"
    output.mkdir()
    own = {
        "FEATURE_SYNC_OUTPUT_PATH": str(output),
        "FEATURE_SYNC_AIRFLOW_API_URL": airflow_api.url,
        "REQUESTS_CA_BUNDLE": str(first_day.state / "authority.pem"),
    }
    for name, value in (printed | own).items():
        monkeypatch.setitem(os.environ, name, value)
    yield first_day
    first_day.control("DELETE", "faults")
    airflow_api.reset()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"
