"""The token of Census is replaced while a hook lives, in a task or in the triggerer; and backends that answer late."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_sync.census.errors import CensusAuthError, CensusForbiddenError, CensusTokenUnknownError
from feature_sync.census.hook import CensusHook
from feature_sync.config import connections
from feature_sync.sending.triggers import CensusRunTrigger
from tests.late_secrets import use_site_backend
from tests.sandbox.client import BACKFILL, CENSUS_TOKEN, Sandbox
from tests.wire.connections import census_connection
from tests.wire.firing import fire

NEW_TOKEN = "census-pat-of-today"
Requests = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def store(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Stores a token in Airflow. Census takes its usual one again afterwards."""

    def stored(token: str) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(sandbox, password=token))

    stored(CENSUS_TOKEN)
    yield stored
    sandbox.settings(census_token=CENSUS_TOKEN)


def statuses(requests: list[dict[str, Any]]) -> list[int]:
    return [request["status"] for request in requests]


def test_a_call_that_is_refused_is_sent_again_with_the_token_that_is_stored_now(
    sandbox: Sandbox, store: Callable[[str], None], requests_since: Requests
) -> None:
    hook = CensusHook()
    assert hook.get_sync(BACKFILL).id == BACKFILL

    sandbox.settings(census_token=NEW_TOKEN)
    store(NEW_TOKEN)

    assert hook.get_sync(BACKFILL).id == BACKFILL
    assert hook.list_runs(BACKFILL).runs is not None
    assert statuses(requests_since()) == [200, 401, 200, 200]


def test_a_trigger_that_is_refused_is_sent_again_and_starts_one_run(
    sandbox: Sandbox, store: Callable[[str], None], requests_since: Requests
) -> None:
    sandbox.stage(1)
    hook = CensusHook()
    hook.get_sync(BACKFILL)
    before = sandbox.seq()

    sandbox.settings(census_token=NEW_TOKEN)
    store(NEW_TOKEN)

    assert hook.trigger_sync(BACKFILL) > 0
    assert len(sandbox.journal("census.run.started", before)) == 1
    assert statuses(requests_since())[1:] == [401, 200]


def test_a_token_that_is_stored_and_refused_is_refused_after_one_request(
    sandbox: Sandbox, store: Callable[[str], None], requests_since: Requests
) -> None:
    store(CENSUS_TOKEN)
    sandbox.settings(census_token=NEW_TOKEN)

    with pytest.raises(CensusAuthError, match="answered GET syncs/4711 with 401"):
        CensusHook().get_sync(BACKFILL)
    assert statuses(requests_since()) == [401]


def test_two_wrong_tokens_are_two_requests_and_no_more(
    sandbox: Sandbox, store: Callable[[str], None], requests_since: Requests
) -> None:
    hook = CensusHook()
    hook.get_sync(BACKFILL)
    sandbox.settings(census_token=NEW_TOKEN)
    store("census-pat-that-is-wrong-too")

    with pytest.raises(CensusAuthError):
        hook.get_sync(BACKFILL)
    assert statuses(requests_since()) == [200, 401, 401]


def test_a_403_is_asked_again_with_another_token_too(
    sandbox: Sandbox, store: Callable[[str], None], requests_since: Requests
) -> None:
    hook = CensusHook()
    sandbox.fault("fetch_sync", "status", code=403, times=1)
    with pytest.raises(CensusForbiddenError):
        hook.get_sync(BACKFILL)

    sandbox.settings(census_token=NEW_TOKEN)
    store(NEW_TOKEN)

    assert hook.get_sync(BACKFILL).id == BACKFILL
    assert statuses(requests_since()) == [403, 401, 200]


def test_the_test_button_tries_what_is_typed_in_and_not_what_is_stored(sandbox: Sandbox, store: Callable[[str], None]) -> None:
    store("census-pat-that-is-wrong")
    hook = CensusHook()
    assert hook._session is not None
    store(CENSUS_TOKEN)

    works, said = hook.test_connection()

    assert not works
    assert "401" in said
    assert sandbox.journal("census.request")[-1]["status"] == 401


def test_a_waiting_trigger_goes_on_with_the_new_token(
    sandbox: Sandbox, store: Callable[[str], None], requests_since: Requests
) -> None:
    sandbox.settings(census_work_seconds=3)
    sandbox.stage(1)
    run_id = CensusHook().trigger_sync(BACKFILL)
    trigger = CensusRunTrigger(run_id, 0.2, (datetime.now(UTC) + timedelta(seconds=30)).isoformat())

    def rotate() -> None:
        time.sleep(1)
        sandbox.settings(census_token=NEW_TOKEN)
        store(NEW_TOKEN)

    person = threading.Thread(target=rotate)
    person.start()
    fire(trigger)
    person.join()

    assert not CensusHook().get_run(run_id).is_active, "it fired because the run has ended, not because of the token"
    seen = statuses(requests_since())
    assert seen.count(401) in (1, 2)  # 2: Census knew the new token before Airflow did
    assert seen[-1] == 200


class TestASecretsBackend:
    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connections, "PAUSES", (0.3, 0.3, 0.3))
        monkeypatch.delenv("AIRFLOW_CONN_CENSUS_DEFAULT")

    def test_that_fails_for_a_moment_is_waited_for(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        site = use_site_backend(monkeypatch, census_default=census_connection(sandbox))
        site.failures = 2

        assert CensusHook().get_sync(BACKFILL).id == BACKFILL

    def test_that_fails_for_good_is_temporary_and_sends_nothing(
        self, monkeypatch: pytest.MonkeyPatch, requests_since: Requests
    ) -> None:
        use_site_backend(monkeypatch).failures = 1000

        with pytest.raises(CensusTokenUnknownError, match="Connection census_default cannot be read now"):
            CensusHook().trigger_sync(BACKFILL)
        assert requests_since() == []

    def test_that_fails_when_a_token_is_refused_makes_it_no_refusal(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, requests_since: Requests
    ) -> None:
        """What Airflow finds in its environment meanwhile may be an old one."""
        site = use_site_backend(monkeypatch)
        site.failures = 1000
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(sandbox, password="census-pat-of-last-year"))

        with pytest.raises(CensusTokenUnknownError):
            CensusHook().get_sync(BACKFILL)
        assert statuses(requests_since()) == [401]

    def test_that_has_no_such_connection_is_believed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        use_site_backend(monkeypatch)

        with pytest.raises(CensusAuthError, match=r"census_default is missing\. It was looked for in SiteBackend, Env"):
            CensusHook().get_sync(BACKFILL)


def test_a_rotation_may_change_the_host_too(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", census_connection(sandbox, password="census-pat-before-it"))
    hook = CensusHook()
    with pytest.raises(CensusAuthError):
        hook.get_sync(BACKFILL)
    changed = json.loads(census_connection(sandbox)) | {"host": sandbox.url.replace("127.0.0.1", "localhost")}
    monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", json.dumps(changed))

    assert hook.get_sync(BACKFILL).id == BACKFILL
    assert hook.base_url.startswith("http://localhost")
