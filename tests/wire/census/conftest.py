"""The hook over connections of several kinds, and what it has asked."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from feature_sync.census.hook import CensusHook
from tests.sandbox.client import BACKFILL, Sandbox
from tests.wire.connections import Connect, census_connection


@pytest.fixture
def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Makes a hook whose connection differs from the usual one. It repeats calls soon."""

    def connected(extra: dict[str, Any] | None = None, **changes: Any) -> CensusHook:
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(sandbox, extra, **changes))
        return CensusHook()

    return connected


@pytest.fixture
def census(sandbox: Sandbox) -> CensusHook:  # noqa: ARG001 - the hook finds it in the environment
    """A hook over the connection that the sandbox prints."""
    return CensusHook()


@pytest.fixture
def impatient(connect: Connect) -> CensusHook:
    """A hook that repeats calls soon."""
    return connect()


@pytest.fixture
def requests_since(sandbox: Sandbox) -> Callable[[], list[dict[str, Any]]]:
    """The requests since the beginning of the test."""
    before = sandbox.seq()
    return lambda: sandbox.journal("census.request", before)


@pytest.fixture
def original_sync(sandbox: Sandbox) -> Iterator[dict[str, Any]]:
    """The sync as the API returns it; restored afterwards."""
    sync = sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]
    yield sync
    names = ("label", "operation", "paused", "schedule_frequency", "mappings")
    assert sandbox.census("PATCH", f"syncs/{BACKFILL}", json={name: sync[name] for name in names}).ok
