"""One real Airflow with a sandbox for all live tests: starting it takes longer than a small run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from laptop.stack import Stack
from tests.live.runs import LiveAirflow
from tests.receiver import Receiver

LOCAL_BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"
BUNDLES = [
    {"name": "dags-folder", "classpath": LOCAL_BUNDLE, "kwargs": {}},
    {"name": "toys", "classpath": LOCAL_BUNDLE, "kwargs": {"path": str(Path(__file__).parent / "toy_dags")}},
]
ENVIRONMENT = {
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(BUNDLES),
    "FEATURE_SYNC_CENSUS_POLL_SECONDS": "0.5",
    "FEATURE_SYNC_CENSUS_INLINE_POLL_SECONDS": "1.5",
    "FEATURE_SYNC_COPY_POLL_SECONDS": "1",
    # Of a handful of records, one without a feature row would be too many.
    "FEATURE_SYNC_GUARD_FEATURE_ROW_SHARE": "0.5",
    "FEATURE_SYNC_HEALING": "ask",
    "FEATURE_SYNC_HEALING_RUN_CONFIG": '{"wait_seconds": 1}',
}
SANDBOX = {"census_queue_seconds": 0.2, "census_work_seconds": 0.5, "rollup_seconds": 1.0, "replication_seconds": 1.0}


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Where failures are told."""
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    given = ENVIRONMENT | receiver.environment | {"FEATURE_SYNC_OUTPUT_PATH": str(folder / "output")}
    with Stack(folder, environment=given, sandbox_settings=SANDBOX) as running:
        running.airflow.wait_for_dag("product_feature_backfill")
        running.airflow.unpause("product_feature_backfill")
        yield running


@pytest.fixture
def live(stack: Stack, receiver: Receiver) -> Iterator[LiveAirflow]:
    """The stack with the sandbox's settings and faults as they were at its start."""
    described = stack.sandbox.request("GET", "settings/described")
    stack.sandbox.settings(**{name: row["default"] for name, row in described.items()} | SANDBOX)
    stack.sandbox.faults.clear()
    yield LiveAirflow(stack, Path(stack.folder) / "output", receiver)
    stack.sandbox.faults.clear()
