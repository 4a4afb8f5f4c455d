"""Where messages of these tests arrive."""

from collections.abc import Iterator

import pytest

from tests.receiver import Receiver


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A channel, and the settings that send messages to it."""
    server = Receiver()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()
