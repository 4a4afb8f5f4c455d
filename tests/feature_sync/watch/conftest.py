"""An Airflow that answers the watch."""

import pytest
from airflow.sdk.execution_time import task_runner

from tests.feature_sync.watch.airflow import Airflow


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    standing = Airflow()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", standing, raising=False)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")
    return standing
