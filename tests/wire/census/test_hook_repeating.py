"""Which calls the hook repeats, and what it never does twice."""

import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest

from feature_sync.census import hook as census_hook
from feature_sync.census.errors import (
    CensusAuthError,
    CensusError,
    CensusProtocolError,
    CensusRefusedError,
    CensusTriggerUnansweredError,
    CensusUnavailableError,
)
from feature_sync.census.hook import ATTEMPTS, CensusHook
from tests.sandbox.client import BACKFILL, CENSUS_TOKEN, DATASET, Sandbox, eventually
from tests.wire.connections import Connect

WRONG_TOKEN = "census-pat-wrong-and-secret"


def elapsed(call: Callable[[], Any]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


class TestRepeating:
    @pytest.mark.parametrize(
        "spoiled",
        [
            pytest.param({"fault": "status", "code": 500}, id="500"),
            pytest.param({"fault": "status", "code": 502}, id="502"),
            pytest.param({"fault": "status", "code": 503}, id="503"),
            pytest.param({"fault": "status", "code": 429}, id="429"),
            pytest.param({"fault": "refuse"}, id="closed-before-the-work"),
            pytest.param({"fault": "lost_response"}, id="closed-after-the-work"),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "PATCH"])
    def test_a_call_that_is_safe_to_repeat_is_repeated(
        self,
        sandbox: Sandbox,
        impatient: CensusHook,
        requests_since: Callable[[], list[dict[str, Any]]],
        method: str,
        spoiled: dict[str, Any],
    ) -> None:
        sandbox.fault("fetch_sync" if method == "GET" else "patch_sync", times=2, **spoiled)

        sync = impatient.get_sync(BACKFILL) if method == "GET" else impatient.patch_sync(BACKFILL, {"paused": False})

        assert sync.id == BACKFILL
        assert [request["status"] for request in requests_since()] == [spoiled.get("code")] * 2 + [200]

    def test_retry_after_is_waited_for(self, sandbox: Sandbox, impatient: CensusHook) -> None:
        sandbox.fault("fetch_sync", "status", code=429, retry_after=1, times=1)

        assert elapsed(lambda: impatient.get_sync(BACKFILL)) >= 1

    def test_without_retry_after_the_pauses_grow(
        self, sandbox: Sandbox, census: CensusHook, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox.fault("fetch_sync", "status", code=429, times=2)

        # 0.5 s, then 1 s, and up to a second of jitter each
        assert elapsed(lambda: census.get_sync(BACKFILL)) >= 1.5
        assert caplog.text.count("trying again in") in (0, 2)  # 0 where Airflow's logging keeps its records to itself

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            pytest.param({"fault": "status", "code": 503}, "answered GET syncs/4711 with 503", id="503"),
            pytest.param({"fault": "status", "code": 429, "retry_after": 0}, "with 429", id="429"),
            pytest.param({"fault": "refuse"}, "did not answer GET syncs/4711: ConnectionError", id="closed"),
        ],
    )
    def test_it_gives_up_after_five_attempts(
        self,
        sandbox: Sandbox,
        impatient: CensusHook,
        requests_since: Callable[[], list[dict[str, Any]]],
        fault: dict[str, Any],
        said: str,
    ) -> None:
        sandbox.fault("fetch_sync", **fault)

        with pytest.raises(CensusUnavailableError, match=said):
            impatient.get_sync(BACKFILL)
        assert len(requests_since()) == ATTEMPTS

    def test_a_census_that_is_down_is_unavailable(self, connect: Connect) -> None:
        with pytest.raises(CensusUnavailableError, match="did not answer GET syncs/4711: ConnectionError"):
            connect(host="http://127.0.0.1:9").get_sync(BACKFILL)

    def test_an_answer_that_takes_longer_than_the_connections_timeout_is_asked_for_again(
        self, sandbox: Sandbox, connect: Connect, requests_since: Callable[[], list[dict[str, Any]]]
    ) -> None:
        hook = connect({"timeout": 0.4})
        sandbox.fault("fetch_sync", "slow", seconds=1.2, times=1)

        assert hook.get_sync(BACKFILL).id == BACKFILL
        eventually(lambda: len(requests_since()) == 2)

    @pytest.mark.parametrize(
        ("call", "path"),
        [
            pytest.param(lambda hook: hook.get_sync(BACKFILL), f"/api/v2/syncs/{BACKFILL}", id="sync"),
            pytest.param(lambda hook: hook.list_runs(BACKFILL), f"/api/v2/syncs/{BACKFILL}/sync_runs", id="runs"),
            pytest.param(lambda hook: hook.get_dataset(DATASET), f"/api/v2/datasets/{DATASET}", id="dataset"),
        ],
    )
    def test_an_answer_that_is_not_json_is_an_error_and_is_not_asked_for_again(
        self,
        sandbox: Sandbox,
        census: CensusHook,
        requests_since: Callable[[], list[dict[str, Any]]],
        call: Callable[[CensusHook], Any],
        path: str,
    ) -> None:
        for name in ("fetch_sync", "list_runs", "fetch_dataset"):
            sandbox.fault(name, "not_json", times=1)

        with pytest.raises(CensusProtocolError, match=f"answered GET {path}.*something other than JSON"):
            call(census)
        assert len(requests_since()) == 1

    def test_a_list_that_does_not_come_is_not_an_empty_list(self, sandbox: Sandbox, census: CensusHook) -> None:
        sandbox.fault("list_syncs", "lacks", key="data", times=1)

        with pytest.raises(CensusProtocolError, match=r"answered /api/v2/syncs\?.* without data"):
            census.list_syncs()

    def test_a_full_page_that_does_not_say_whether_more_follow_is_not_the_last_one(
        self, sandbox: Sandbox, census: CensusHook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = len(census.list_syncs())
        sandbox.fault("list_syncs", "lacks", key="pagination")

        assert len(census.list_syncs()) == known, "a page that is not full is the last one"
        monkeypatch.setattr(census_hook, "PAGE_SIZE", known)
        with pytest.raises(CensusProtocolError, match="with a full page, and not whether more follow"):
            census.list_syncs()

    def test_a_hook_works_again_after_an_error(self, sandbox: Sandbox, census: CensusHook) -> None:
        sandbox.fault("fetch_sync", "token_expired", times=1)
        with pytest.raises(CensusAuthError):
            census.get_sync(BACKFILL)

        assert census.get_sync(BACKFILL).id == BACKFILL


class TestTrigger:
    @pytest.mark.parametrize(
        ("spoiled", "runs"),
        [
            pytest.param({"fault": "lost_response"}, 1, id="lost-answer"),
            pytest.param({"fault": "refuse"}, 0, id="closed-before-the-work"),
            pytest.param({"fault": "status", "code": 500}, 0, id="500"),
            pytest.param({"fault": "status", "code": 504, "after_work": True}, 1, id="504-after-the-work"),
            pytest.param({"fault": "status", "code": 429, "retry_after": 0}, 0, id="429"),
            pytest.param({"fault": "not_json"}, 1, id="not-json"),
            pytest.param({"fault": "slow", "seconds": 1}, 1, id="slower-than-the-timeout"),
        ],
    )
    def test_it_is_sent_exactly_once_whatever_the_answer(
        self,
        sandbox: Sandbox,
        connect: Connect,
        requests_since: Callable[[], list[dict[str, Any]]],
        spoiled: dict[str, Any],
        runs: int,
    ) -> None:
        sandbox.stage(1)
        before = sandbox.seq()
        hook = connect({"timeout": 0.4} if spoiled["fault"] == "slow" else {})
        sandbox.fault("trigger", **spoiled)

        with pytest.raises(
            CensusTriggerUnansweredError, match=f"The trigger of sync {BACKFILL} was sent, but its answer is missing"
        ):
            hook.trigger_sync(BACKFILL)

        eventually(requests_since)
        time.sleep(0.2)  # a second one would come now
        assert [request["method"] for request in requests_since() if "/trigger" in request["path"]] == ["POST"]
        assert len(sandbox.journal("census.run.started", before)) == runs

    def test_a_trigger_that_never_left_is_unanswered_too(self, connect: Connect) -> None:
        with pytest.raises(CensusTriggerUnansweredError):
            connect(host="http://127.0.0.1:9").trigger_sync(BACKFILL)

    def test_a_paused_sync_refuses_its_trigger_with_censuss_words(
        self, sandbox: Sandbox, census: CensusHook, original_sync: dict[str, Any]
    ) -> None:
        sandbox.census("PATCH", f"syncs/{original_sync['id']}", json={"paused": True})

        with pytest.raises(CensusRefusedError, match="The sync is paused"):
            census.trigger_sync(BACKFILL)

    def test_a_wrong_token_is_no_lost_answer(self, connect: Connect) -> None:
        with pytest.raises(CensusAuthError):
            connect(password=WRONG_TOKEN).trigger_sync(BACKFILL)


def test_the_token_is_in_no_log_record_and_in_no_error(
    sandbox: Sandbox, connect: Connect, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    errors: list[CensusError] = []

    for fault in ({"fault": "status", "code": 503}, {"fault": "refuse"}, {"fault": "not_json"}, {"fault": "token_expired"}):
        fault_id = sandbox.fault("fetch_sync", **fault)
        with pytest.raises(CensusError) as raised:
            connect({"timeout": 5}).get_sync(BACKFILL)
        errors.append(raised.value)
        sandbox.control("DELETE", f"faults/{fault_id}")
    with pytest.raises(CensusError) as raised:
        connect(host="http://127.0.0.1:9").trigger_sync(BACKFILL)
    errors.append(raised.value)
    hook = connect()
    hook.test_connection()

    printed = capfd.readouterr()
    said = [record.getMessage() + repr(record.args) for record in caplog.records] + [printed.out, printed.err, repr(hook)]
    chain: list[BaseException | None] = [*errors]
    for error in chain:
        if error is not None:
            said += [str(error), repr(error)]
            chain += [error.__cause__]
    assert len(said) > 10
    assert not [text for text in said if CENSUS_TOKEN in unquote(text)]
