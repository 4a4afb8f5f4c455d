"""Batches to send."""

from collections.abc import Iterator

import pytest

from feature_sync.config.settings import load_settings
from feature_sync.sending import operators
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox
from tests.wire.batch_run import BatchRun
from tests.wire.campaign import IMPATIENT, Campaign


@pytest.fixture
def campaign(sandbox: Sandbox) -> Iterator[Campaign]:
    """A frozen payload of five batches, and senders that do not wait for long."""
    with Warehouse(load_settings()) as warehouse:
        yield Campaign.freeze(sandbox, warehouse, batches=5, patience=IMPATIENT)


@pytest.fixture
def run(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchRun]:
    """Six batches, as Airflow's tasks send them."""
    with Warehouse(load_settings()) as warehouse:
        run = BatchRun(Campaign.freeze(sandbox, warehouse, batches=6, patience=IMPATIENT))
        monkeypatch.setattr(operators, "xcoms_of", lambda *_: list(run.left.values()))
        yield run
