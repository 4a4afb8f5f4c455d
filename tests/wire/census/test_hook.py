"""The hook and the sandbox's Census: what it sends, and what it makes of the answers."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feature_sync.census import hook
from feature_sync.census.errors import CensusAuthError, CensusRefusedError
from feature_sync.census.hook import CensusHook
from feature_sync.census.models import RunStatus
from tests.sandbox.client import BACKFILL, CENSUS_TOKEN, DATASET, PROPERTIES, WORKSPACE_KEY, Sandbox, eventually
from tests.wire.connections import Connect

WRONG_TOKEN = "census-pat-wrong-and-secret"


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
    def test_all_syncs_are_listed_from_all_pages(
        self, census: CensusHook, monkeypatch: pytest.MonkeyPatch, requests_since: Callable[[], list[dict[str, Any]]]
    ) -> None:
        monkeypatch.setattr(hook, "PAGE_SIZE", 1)

        syncs = census.list_syncs()

        assert [(sync.id, sync.destination_object, sync.connection_id, sync.frequency) for sync in syncs] == [
            (BACKFILL, "Product_Property__c", "47", "never"),
            (PROPERTIES, "Product_Property__c", "47", "hourly"),
        ]
        assert [request["path"] for request in requests_since()] == [
            "/api/v2/syncs?page=1&per_page=1",
            "/api/v2/syncs?page=2&per_page=1",
        ]

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
