"""A batch that was sent and that the replica does not show."""

from collections.abc import Iterator

import pytest

from tests.sandbox.client import Sandbox
from tests.wire.campaign import Campaign, sent_unseen


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_COPY_POLL_SECONDS", "0.2")


@pytest.fixture
def sent(sandbox: Sandbox) -> Iterator[Campaign]:
    """A batch that was sent while the replication stands still."""
    with sent_unseen(sandbox) as campaign:
        yield campaign
