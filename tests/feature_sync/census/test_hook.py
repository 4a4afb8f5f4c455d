"""The hook against a Census on the wire: what it sends, what it makes of the answers, and what it never does twice."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import tenacity

from feature_sync.census import hook as hook_module
from feature_sync.census.errors import (
    CensusAuthError,
    CensusError,
    CensusProtocolError,
    CensusRefusedError,
    CensusTriggerUnansweredError,
    CensusUnavailableError,
)
from feature_sync.census.hook import ATTEMPTS, CensusHook
from feature_sync.census.models import RunStatus
from tests.sandbox.client import BACKFILL, CENSUS_TOKEN, DATASET, WORKSPACE_KEY, Sandbox, eventually

WRONG_TOKEN = "census-pat-wrong-and-secret"
Connect = Callable[..., CensusHook]


@pytest.fixture
def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Makes a hook whose connection differs from the usual one."""

    def connected(extra: dict[str, Any] | None = None, **changes: Any) -> CensusHook:
        connection = {"conn_type": "http", "host": sandbox.url, "password": CENSUS_TOKEN, "extra": extra or {}} | changes
        monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", json.dumps(connection))
        return CensusHook()

    return connected


@pytest.fixture
def census(sandbox: Sandbox) -> CensusHook:  # noqa: ARG001 - the hook finds it in the environment
    """A hook over the connection that the sandbox prints."""
    return CensusHook()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the pauses between tries are shorter."""
    monkeypatch.setattr(hook_module, "_backoff", tenacity.wait_fixed(0.02))


@pytest.fixture
def requests_since(sandbox: Sandbox) -> Callable[[], list[dict[str, Any]]]:
    before = sandbox.seq()
    return lambda: sandbox.journal("census.request", before)


@pytest.fixture
def original_sync(sandbox: Sandbox) -> Iterator[dict[str, Any]]:
    """The sync as the API gives it; restored afterwards."""
    sync = sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]
    yield sync
    names = ("label", "operation", "paused", "schedule_frequency", "mappings")
    assert sandbox.census("PATCH", f"syncs/{BACKFILL}", json={name: sync[name] for name in names}).ok


def elapsed(call: Callable[[], Any]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


class TestConnection:
    def test_v2_is_asked_with_the_personal_token(
        self, connect: Connect, requests_since: Callable[[], list[dict[str, Any]]]
    ) -> None:
        hook = connect()

        assert hook.get_sync(BACKFILL).id == BACKFILL
        [request] = requests_since()
        assert (request["path"], request["status"]) == (f"/api/v2/syncs/{BACKFILL}", 200)

    def test_v1_is_asked_with_the_workspaces_key(
        self, connect: Connect, requests_since: Callable[[], list[dict[str, Any]]]
    ) -> None:
        hook = connect({"api_version": "v1"}, password=WORKSPACE_KEY)

        assert hook.get_sync(BACKFILL).id == BACKFILL
        [request] = requests_since()
        assert (request["path"], request["status"]) == (f"/api/v1/syncs/{BACKFILL}", 200)

    @pytest.mark.parametrize("version", ["v3", "2", "V2", "", 2])
    def test_a_version_that_does_not_exist_is_refused_by_name_and_nothing_is_sent(
        self, connect: Connect, requests_since: Callable[[], list[dict[str, Any]]], version: Any
    ) -> None:
        hook = connect({"api_version": version})

        with pytest.raises(CensusRefusedError, match=rf"census_default: api_version is {version!r}; allowed are 'v2' and 'v1'"):
            hook.get_sync(BACKFILL)
        assert requests_since() == []

    def test_the_test_button_says_that_the_token_is_accepted(
        self, connect: Connect, requests_since: Callable[[], list[dict[str, Any]]]
    ) -> None:
        assert connect().test_connection() == (True, "Census accepts the token")
        assert [request["path"] for request in requests_since()] == ["/api/v2/syncs?per_page=1"]

    def test_the_test_button_says_what_is_wrong(self, connect: Connect) -> None:
        ok, message = connect(password=WRONG_TOKEN).test_connection()

        assert not ok
        assert "401" in message
        assert WRONG_TOKEN not in message

    @pytest.mark.parametrize("password", [None, ""])
    def test_a_connection_without_a_password_is_refused_by_name(
        self, connect: Connect, requests_since: Callable[[], list[dict[str, Any]]], password: str | None
    ) -> None:
        hook = connect(password=password)

        with pytest.raises(CensusAuthError, match="census_default has no password"):
            hook.get_sync(BACKFILL)
        assert requests_since() == []

    @pytest.mark.parametrize(("code", "text"), [(401, "401"), (403, "403")])
    def test_a_token_that_is_not_accepted_is_not_tried_again_and_not_shown(
        self, sandbox: Sandbox, connect: Connect, requests_since: Callable[[], list[dict[str, Any]]], code: int, text: str
    ) -> None:
        hook = connect(password=WRONG_TOKEN if code == 401 else CENSUS_TOKEN)
        if code == 403:
            sandbox.fault("fetch_sync", "status", code=403, times=1)

        with pytest.raises(CensusAuthError, match=text) as refused:
            hook.get_sync(BACKFILL)

        assert "Check the token of the connection" in str(refused.value)
        assert WRONG_TOKEN not in repr(refused.value)
        assert len(requests_since()) == 1

    @pytest.mark.parametrize("login", ["", "someone"], ids=["no-login", "login-set"])
    def test_a_netrc_file_does_not_replace_the_token(
        self, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, login: str
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login thief password stolen\ndefault login thief password stolen\n")
        monkeypatch.setenv("NETRC", str(netrc))
        hook = connect(login=login)

        assert hook.get_sync(BACKFILL).id == BACKFILL
        assert hook.list_runs(BACKFILL).runs is not None


class TestRuns:
    def test_the_trigger_asks_for_a_full_run_in_the_query(
        self, sandbox: Sandbox, census: CensusHook, requests_since: Callable[[], list[dict[str, Any]]]
    ) -> None:
        sandbox.stage(2)
        sandbox.send()  # the first run of a sync is a full one without being asked

        run_id = census.trigger_sync(BACKFILL)

        assert sandbox.ended(run_id)["full_sync"] is True
        trigger = [request for request in requests_since() if "/trigger" in request["path"]][-1]
        assert (trigger["method"], trigger["path"]) == ("POST", f"/api/v2/syncs/{BACKFILL}/trigger?force_full_sync=true")

    def test_a_run_is_parsed(self, sandbox: Sandbox, census: CensusHook) -> None:
        sandbox.stage(3)

        run_id = census.trigger_sync(BACKFILL)
        sandbox.ended(run_id)

        run = census.get_run(run_id)
        assert (run.id, run.sync_id, run.status, run.is_active) == (run_id, BACKFILL, RunStatus.COMPLETED, False)
        assert (run.source_record_count, run.records_processed, run.records_updated) == (3, 3, 3)
        assert (run.records_failed, run.records_invalid, run.ui_tag) == (0, 0, "API Request")

    def test_runs_are_listed_newest_first_with_those_of_others_and_censuss_clock(
        self, sandbox: Sandbox, census: CensusHook
    ) -> None:
        sandbox.stage(1)
        ours = sandbox.send()["id"]
        manual = sandbox.control("POST", "runs", {"sync_id": BACKFILL, "ui_tag": "Manual"})
        manual_id = next(value for value in manual.values() if isinstance(value, int))
        sandbox.ended(manual_id)

        page = census.list_runs(BACKFILL)

        ids = [run.id for run in page.runs]
        assert ids == sorted(ids, reverse=True)
        assert ids[:2] == [manual_id, ours]
        assert page.runs[0].ui_tag == "Manual"
        newest = page.runs[0].ended_at
        assert newest is not None
        # Whole seconds, and a server may look at its clock once a second only: up to two seconds early, never late.
        assert -2 <= (page.now - newest).total_seconds() < 30
        assert page.now <= datetime.now(UTC)
        assert page.now.microsecond == 0
        assert page.now.utcoffset() is not None

    def test_an_unknown_status_is_kept_in_its_own_word(self, sandbox: Sandbox, census: CensusHook) -> None:
        sandbox.stage(1)
        sandbox.fault("run", "unknown_status", status="finalizing", times=1)
        run_id = census.trigger_sync(BACKFILL)
        sandbox.ended(run_id)

        run = eventually(lambda: run if (run := census.get_run(run_id)).raw_status == "finalizing" else None)

        assert (run.status, run.is_active) == (RunStatus.UNKNOWN, False)

    def test_a_run_that_does_not_exist_is_refused(self, census: CensusHook) -> None:
        with pytest.raises(CensusRefusedError, match=r"GET sync_runs/999999999 with 404"):
            census.get_run(999_999_999)

    def test_a_run_is_canceled(self, sandbox: Sandbox, census: CensusHook) -> None:
        sandbox.stage(1)
        sandbox.settings(census_work_seconds=30)
        run_id = census.trigger_sync(BACKFILL)

        census.cancel_run(run_id)

        run = census.get_run(run_id)
        assert (run.was_canceled, run.is_active) == (True, False)

    def test_a_cancel_whose_answer_is_lost_is_no_error(self, sandbox: Sandbox, census: CensusHook) -> None:
        sandbox.stage(1)
        sandbox.settings(census_work_seconds=30)
        run_id = census.trigger_sync(BACKFILL)
        sandbox.fault("cancel", "lost_response", times=1)

        census.cancel_run(run_id)

        assert census.get_run(run_id).was_canceled


class TestRecords:
    def test_all_pages_are_read_and_filtered_by_status(
        self, sandbox: Sandbox, census: CensusHook, requests_since: Callable[[], list[dict[str, Any]]]
    ) -> None:
        sandbox.settings(flow_enabled=False)
        keys = sandbox.stage(205)
        sandbox.fault("run", "reject_rows", count=3, message="no such stage", times=1)
        run_id = census.trigger_sync(BACKFILL)
        sandbox.ended(run_id)

        records = list(census.list_records(run_id))
        rejected = list(census.list_records(run_id, status="rejected"))

        assert sorted(str(record.identifier) for record in records) == sorted(keys)
        assert len({record.identifier for record in records}) == 205
        assert [record.status for record in rejected] == ["rejected"] * 3
        assert {record.status_message for record in rejected} == {"no such stage"}
        paths = [request["path"].partition("?")[2] for request in requests_since() if request["path"].count("/records?")]
        assert paths == [
            "page=1&per_page=100",
            "page=2&per_page=100",
            "page=3&per_page=100",
            "page=1&per_page=100&status=rejected",
        ]

    def test_a_run_without_records_has_none(self, sandbox: Sandbox, census: CensusHook) -> None:
        sandbox.stage(1)
        sandbox.settings(census_work_seconds=30)

        assert list(census.list_records(census.trigger_sync(BACKFILL))) == []


class TestConfiguration:
    def test_a_sync_is_changed_and_its_mappings_are_replaced_whole(
        self, census: CensusHook, original_sync: dict[str, Any]
    ) -> None:
        answered = census.patch_sync(BACKFILL, {"label": "other", "mappings": original_sync["mappings"][:2]})

        read = census.get_sync(BACKFILL)
        assert answered == read
        assert (read.label, read.operation) == ("other", "update")
        assert [mapping.to for mapping in read.mappings] == [mapping["to"] for mapping in original_sync["mappings"][:2]]

    def test_a_dataset_is_read_and_its_sql_changed(self, census: CensusHook) -> None:
        before = census.get_dataset(DATASET)

        answered = census.patch_dataset(DATASET, {"query": "SELECT id FROM rds.pg_rds_public.properties"})
        read = census.get_dataset(DATASET)
        census.patch_dataset(DATASET, {"query": before.query})

        assert answered == read
        assert (read.id, read.name, read.query) == (DATASET, before.name, "SELECT id FROM rds.pg_rds_public.properties")
        assert census.get_dataset(DATASET) == before

    def test_sql_that_does_not_run_is_refused_with_censuss_words_and_changes_nothing(
        self, sandbox: Sandbox, census: CensusHook, requests_since: Callable[[], list[dict[str, Any]]]
    ) -> None:
        before = census.get_dataset(DATASET)
        words = sandbox.census("PATCH", f"datasets/{DATASET}", json={"query": "SELECT a FROM rds.pg_rds_public.nowhere"}).json()

        with pytest.raises(CensusRefusedError, match=rf"PATCH datasets/{DATASET} with 400: ") as refused:
            census.patch_dataset(DATASET, {"query": "SELECT a FROM rds.pg_rds_public.nowhere"})

        assert words["message"] in str(refused.value)
        assert census.get_dataset(DATASET) == before
        assert len([request for request in requests_since() if request["method"] == "PATCH"]) == 2

    def test_a_dataset_that_does_not_exist_is_refused(self, census: CensusHook) -> None:
        with pytest.raises(CensusRefusedError, match="404"):
            census.get_dataset(1)


class TestRepeating:
    @pytest.mark.usefixtures("_impatient")
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
        census: CensusHook,
        requests_since: Callable[[], list[dict[str, Any]]],
        method: str,
        spoiled: dict[str, Any],
    ) -> None:
        sandbox.fault("fetch_sync" if method == "GET" else "patch_sync", times=2, **spoiled)

        sync = census.get_sync(BACKFILL) if method == "GET" else census.patch_sync(BACKFILL, {"paused": False})

        assert sync.id == BACKFILL
        assert [request["status"] for request in requests_since()] == [spoiled.get("code")] * 2 + [200]

    @pytest.mark.usefixtures("_impatient")
    def test_retry_after_is_waited_for(self, sandbox: Sandbox, census: CensusHook) -> None:
        sandbox.fault("fetch_sync", "status", code=429, retry_after=1, times=1)

        assert 1 <= elapsed(lambda: census.get_sync(BACKFILL)) < 4

    def test_without_retry_after_the_pauses_grow(
        self, sandbox: Sandbox, census: CensusHook, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox.fault("fetch_sync", "status", code=429, times=2)

        # 0.5 s, then 1 s, and up to a second of jitter each
        assert elapsed(lambda: census.get_sync(BACKFILL)) >= 1.5
        assert caplog.text.count("trying again in") in (0, 2)  # 0 where Airflow's logging keeps its records to itself

    @pytest.mark.usefixtures("_impatient")
    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            pytest.param({"fault": "status", "code": 503}, "answered GET syncs/4711 with 503", id="503"),
            pytest.param({"fault": "status", "code": 429, "retry_after": 0}, "with 429", id="429"),
            pytest.param({"fault": "refuse"}, "did not answer GET syncs/4711: ConnectionError", id="closed"),
        ],
    )
    def test_it_gives_up_after_so_many_attempts(
        self,
        sandbox: Sandbox,
        census: CensusHook,
        requests_since: Callable[[], list[dict[str, Any]]],
        fault: dict[str, Any],
        said: str,
    ) -> None:
        sandbox.fault("fetch_sync", **fault)

        with pytest.raises(CensusUnavailableError, match=said):
            census.get_sync(BACKFILL)
        assert len(requests_since()) == ATTEMPTS

    @pytest.mark.usefixtures("_impatient")
    def test_nobody_listens(self, connect: Connect) -> None:
        with pytest.raises(CensusUnavailableError, match="did not answer GET syncs/4711: ConnectionError"):
            connect(host="http://127.0.0.1:9").get_sync(BACKFILL)

    @pytest.mark.usefixtures("_impatient")
    def test_an_answer_that_takes_longer_than_the_connections_timeout_is_asked_for_again(
        self, sandbox: Sandbox, connect: Connect, requests_since: Callable[[], list[dict[str, Any]]]
    ) -> None:
        hook = connect({"timeout": 0.4})
        sandbox.fault("fetch_sync", "slow", seconds=1.2, times=1)

        assert elapsed(lambda: hook.get_sync(BACKFILL)) < 1.2
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

        with pytest.raises(CensusProtocolError, match=f"answered GET {path}.*something else than JSON"):
            call(census)
        assert len(requests_since()) == 1

    @pytest.mark.usefixtures("_impatient")
    def test_a_hook_goes_on_after_an_error(self, sandbox: Sandbox, census: CensusHook) -> None:
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
    def test_it_is_sent_exactly_once_whatever_becomes_of_the_answer(
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


@pytest.mark.usefixtures("_impatient")
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
