"""A batch is read back from Salesforce before the next one is sent, so at most one batch is wrong."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from feature_sync.backfill import payload
from feature_sync.config.settings import load_settings
from feature_sync.replica.state import read_replica_state
from feature_sync.sending import operators
from feature_sync.sending.batches import AttemptStatus
from feature_sync.sending.outcome import BatchFailedError, BatchHaltedError, BatchUnconfirmedError
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import BACKFILL, Sandbox
from tests.wire.batch_run import BatchRun
from tests.wire.campaign import IMPATIENT, SIZE, Campaign, incident_keys
from tests.wire.connections import salesforce_connection

BATCHES = 3
COLUMN, FLAG, OTHER = "id_verification_enabled_c", "id_verification_enabled__c", "fraud_detection_enabled__c"


def set_flags(sandbox: Sandbox, keys: list[str], value: bool) -> None:
    for key in keys:
        path = f"sobjects/Product_Property__c/Reverse_ETL_ID__c/{key}"
        assert sandbox.salesforce("PATCH", path, json={FLAG: value}).ok


@pytest.fixture
def batches(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchRun]:
    """Three batches that switch a flag on which is off in each of their records. There is no connection to Salesforce."""
    set_flags(sandbox, incident_keys(sandbox, BATCHES * SIZE), False)
    sandbox.control("POST", "replication", {})
    with Warehouse(load_settings()) as warehouse:
        campaign = Campaign.freeze(sandbox, warehouse, batches=BATCHES, patience=IMPATIENT)
        sandbox.sql(f"UPDATE {load_settings().payload_table} SET {COLUMN} = TRUE WHERE run_id = '{campaign.run_id}'")
        run = BatchRun(campaign)
        monkeypatch.setattr(operators, "xcoms_of", lambda *_: list(run.left.values()))
        yield run


@pytest.fixture
def run(batches: BatchRun, connected: Sandbox) -> BatchRun:
    """The same with the connection."""
    batches.campaign.began_after = connected.seq()
    return batches


@pytest.fixture
def mapping(sandbox: Sandbox) -> Iterator[Callable[[], None]]:
    """Makes the sync write the flag to another checkbox, and takes that back."""
    path = f"syncs/{BACKFILL}"
    original = sandbox.census("GET", path).json()["data"]["mappings"]
    wrong = [
        each | ({"to": OTHER} if each["to"].lower() == FLAG else {}) for each in original if each["to"].lower() != OTHER.lower()
    ]
    yield lambda: None if sandbox.census("PATCH", path, json={"mappings": wrong}).ok else pytest.fail("it is refused")
    assert sandbox.census("PATCH", path, json={"mappings": original}).ok


def looks(run: BatchRun) -> int:
    """How often Salesforce was asked for records."""
    return len([each for each in run.campaign.journal("salesforce.request") if "/query/" in each["path"]])


def status(run: BatchRun, number: int = 1) -> AttemptStatus:
    return run.campaign.attempt(number).status


def assert_stopped(run: BatchRun, *, on_batch_failure: str = "continue") -> str:
    """The first batch differs, the others are held back. Returns what the first one says."""
    with pytest.raises(BatchFailedError) as failed:
        run.send(1, on_batch_failure=on_batch_failure)
    for number in (2, 3):
        with pytest.raises(BatchHaltedError, match="batch 001 was read back from Salesforce, which holds something else"):
            run.send(number, on_batch_failure=on_batch_failure)
    assert (status(run), status(run, 2), status(run, 3)) == ("differs", "halted", "halted")
    assert run.campaign.runs == 1
    return str(failed.value)


def assert_goes_on_after_a_clear(run: BatchRun) -> None:
    for number in (1, 2, 3):
        run.send(number, generation=4)
    assert [status(run, number) for number in (1, 2, 3)] == ["succeeded"] * 3
    assert [len(keys) for keys in run.campaign.sent_keys()][-3:] == [SIZE] * 3


def test_the_first_batch_is_read_back_and_the_second_is_not(run: BatchRun, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run.send(1)
    after_first = looks(run)
    run.send(2)

    assert (after_first, looks(run)) == (1, 1)
    assert f"batch 001: records 1-{SIZE}: {SIZE} records were read back from Salesforce and hold what was sent" in caplog.text
    assert (status(run), status(run, 2)) == ("succeeded", "succeeded")


def test_what_cannot_be_kept_changes_no_outcome(run: BatchRun, caplog: pytest.LogCaptureFixture) -> None:
    run.campaign.sandbox.fault(
        "warehouse", "fail", message="[DELTA] no", contains=f"MERGE INTO {load_settings().read_back_table}"
    )

    run.send(1)

    assert status(run) == "succeeded"
    assert "What was read back from Salesforce is not kept: The statement tables/record_read_back.sql failed" in caplog.text


def test_every_second_batch_is_read_back_if_the_setting_says_so(run: BatchRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CANARY_EVERY", "2")
    counted = []
    for number in (1, 2, 3):
        run.send(number)
        counted.append(looks(run))

    assert counted == [1, 2, 2]


class TestADifference:
    def test_a_lost_write_stops_the_run_after_one_batch(self, run: BatchRun) -> None:
        run.campaign.sandbox.fault("run", "silent_loss", times=1)

        said = assert_stopped(run)

        keys = incident_keys(run.campaign.sandbox, BATCHES * SIZE)
        assert f"{SIZE} of {SIZE} records differ. {FLAG} in {SIZE} records: " in said
        assert sum(f"{key} (a2P" in said for key in keys) == 3
        assert "sent True, found False, changed last by Avery Admin at " in said
        assert "Every batch after it is held back." in said
        assert run.campaign.attempt().records_updated == SIZE, "that is what Census says"
        assert_goes_on_after_a_clear(run)

    def test_one_record_that_is_lost_is_named_alone(self, run: BatchRun) -> None:
        run.campaign.sandbox.fault("run", "silent_loss", times=1, count=1)

        assert f"1 of {SIZE} records differs. {FLAG} in 1 record: " in assert_stopped(run)

    def test_a_field_that_census_may_not_edit_and_leaves_out_stops_it(self, run: BatchRun) -> None:
        run.campaign.sandbox.settings(census_uneditable_fields=[FLAG], census_uneditable="drop")

        assert f"{FLAG} in {SIZE} records" in assert_stopped(run)

        run.campaign.sandbox.settings(census_uneditable_fields=[])
        assert_goes_on_after_a_clear(run)

    @pytest.mark.parametrize(("runs_as", "name"), [("user", "Census Integration"), ("automated_process", "Automated Process")])
    def test_an_automation_that_overwrites_a_flag_stops_it(self, run: BatchRun, runs_as: str, name: str) -> None:
        run.campaign.sandbox.settings(automation_overwrites={FLAG: False}, automation_runs_as=runs_as)

        assert f"sent True, found False, changed last by {name} at" in assert_stopped(run)

        run.campaign.sandbox.settings(automation_overwrites={})
        assert_goes_on_after_a_clear(run)

    def test_a_mapping_to_another_checkbox_stops_it(self, run: BatchRun, mapping: Callable[[], None]) -> None:
        mapping()

        assert f"{FLAG} in {SIZE} records" in assert_stopped(run)

    def test_it_stops_at_a_later_batch_too(self, run: BatchRun, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_CANARY_EVERY", "2")
        run.campaign.sandbox.fault("run", "silent_loss", skip=1, times=1)
        run.send(1)

        with pytest.raises(BatchFailedError, match="Salesforce does not hold what Census says it accepted"):
            run.send(2)
        with pytest.raises(BatchHaltedError):
            run.send(3)

    def test_the_first_probe_is_the_first_batch(self, run: BatchRun) -> None:
        run.campaign.sandbox.fault("run", "silent_loss", times=1)

        with pytest.raises(BatchFailedError, match="Salesforce does not hold"):
            run.send(1, is_probe=True)
        with pytest.raises(BatchHaltedError):
            run.send(2, is_probe=True)

    def test_an_undo_is_read_back_too(self, run: BatchRun) -> None:
        for number in (1, 2, 3):
            run.send(number)
        sandbox, done = run.campaign.sandbox, run.campaign.run_id
        sandbox.control("POST", "replication", {})
        undo = f"undo-{done}"
        payload.freeze_payload({"undo_run_id": done, "batch_size": SIZE}, undo)
        payload.release_payload(undo)
        run.campaign.run_id = undo
        sandbox.fault("run", "silent_loss", times=1)

        with pytest.raises(BatchFailedError, match=rf"{SIZE} of {SIZE} records differ\. .* sent False, found True"):
            run.send(1)

    def test_nobody_waits_for_the_replica_to_show_what_was_lost(self, run: BatchRun) -> None:
        run.campaign.sandbox.fault("run", "silent_loss", times=1)
        assert_stopped(run)

        of_this_run = read_replica_state(run.campaign.run_id, load_settings())
        of_all_runs = read_replica_state(None, load_settings())

        assert (of_this_run.records_sent, of_this_run.is_fresh) == (SIZE, True)
        assert not of_all_runs.is_fresh, "the weekly comparison still waits: the replica may lack what was not lost"

    def test_if_it_is_not_gone_the_clear_stops_again(self, run: BatchRun) -> None:
        run.campaign.sandbox.fault("run", "silent_loss", times=2)
        assert_stopped(run)

        with pytest.raises(BatchFailedError):
            run.send(1, generation=4)
        with pytest.raises(BatchHaltedError):
            run.send(2, generation=4)
        assert run.campaign.runs == 2

    def test_a_value_that_is_there_a_moment_later_is_no_difference(self, run: BatchRun) -> None:
        sandbox = run.campaign.sandbox
        run.campaign.patience = replace(IMPATIENT, read_back_seconds=30)
        sandbox.fault("run", "silent_loss", times=1)
        before = looks(run)

        def write_late() -> None:
            while looks(run) < before + 2:
                time.sleep(0.05)
            set_flags(sandbox, incident_keys(sandbox, BATCHES * SIZE), True)

        late = threading.Thread(target=write_late)
        late.start()
        run.send(1)
        late.join()

        assert status(run) == "succeeded"

    def test_the_accepted_records_are_read_back_even_if_others_were_rejected(self, run: BatchRun) -> None:
        run.campaign.sandbox.fault("run", "reject_rows", times=1, count=1, message="NO")

        with pytest.raises(BatchFailedError, match="1 x NO"):
            run.send(1)

        assert (status(run), looks(run)) == ("failed", 1)

    def test_after_a_batch_of_which_nothing_was_accepted_the_next_one_is_read_back(self, run: BatchRun) -> None:
        run.campaign.sandbox.fault("run", "reject_rows", times=1, message="NO")
        run.campaign.sandbox.fault("run", "silent_loss", skip=1, times=1)
        with pytest.raises(BatchFailedError, match=f"{SIZE} x NO"):
            run.send(1)
        assert looks(run) == 0

        with pytest.raises(BatchFailedError, match="Salesforce does not hold"):
            run.send(2)


class TestSalesforceIsNotAsked:
    def test_without_a_connection_one_line_says_so_and_no_statement_is_added(
        self, batches: BatchRun, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        batches.campaign.began_after = batches.campaign.sandbox.seq()
        for number in (1, 2):
            batches.send(number)

        assert caplog.text.count("not read back: there is no connection salesforce_default.") == 1
        assert batches.campaign.journal("salesforce.request") == []
        statements = [each["sql"] for each in batches.campaign.journal("warehouse.statement")]
        assert statements
        assert not [sql for sql in statements if "The values that the attempt" in sql]

    def test_without_the_right_to_see_the_records_the_log_says_so_and_the_run_goes_on(
        self, run: BatchRun, caplog: pytest.LogCaptureFixture
    ) -> None:
        run.campaign.sandbox.settings(api_user_hidden_fields=["Reverse_ETL_ID__c"])
        run.campaign.sandbox.fault("run", "silent_loss", times=1)

        run.send(1)

        assert "not read back: Salesforce shows no field reverse_etl_id__c" in caplog.text
        assert status(run) == "succeeded"

    def test_a_field_that_the_user_may_not_see_is_named_and_the_others_are_compared(
        self, run: BatchRun, caplog: pytest.LogCaptureFixture
    ) -> None:
        run.campaign.sandbox.settings(api_user_hidden_fields=[OTHER])
        run.campaign.sandbox.fault("run", "silent_loss", times=1)

        assert_stopped(run)

        assert f"not read back: {OTHER}. The user of connection salesforce_default does not see these fields" in caplog.text


class TestSalesforceDoesNotAnswer:
    def test_the_rest_is_held_back_and_a_retry_asks_again_without_sending(self, run: BatchRun) -> None:
        down = run.campaign.sandbox.fault("salesforce", "status", code=503)
        with pytest.raises(BatchUnconfirmedError, match=r"could not be read back from Salesforce: Salesforce answered .* 503"):
            run.send(1)
        with pytest.raises(BatchHaltedError, match="batch 001 could not be read back from Salesforce"):
            run.send(2)
        attempt = run.campaign.attempt()
        assert (attempt.status, attempt.records_rejected, attempt.records_updated) == ("unconfirmed", 0, SIZE)

        run.campaign.sandbox.control("DELETE", f"faults/{down}")
        result = run.send(1)

        assert (status(run), run.campaign.runs) == ("succeeded", 1)
        assert result == {"attempt": 1, "sync_run_id": attempt.sync_run_id, "records": SIZE}
        run.send(2, generation=4)
        assert (status(run, 2), run.campaign.runs) == ("succeeded", 2)

    def test_a_clear_finds_the_difference_that_could_not_be_seen(self, run: BatchRun) -> None:
        run.campaign.sandbox.fault("run", "silent_loss", times=1)
        run.campaign.sandbox.fault("salesforce", "status", code=503)
        with pytest.raises(BatchUnconfirmedError):
            run.send(1)

        run.campaign.sandbox.control("DELETE", "faults")
        with pytest.raises(BatchFailedError, match="Salesforce does not hold"):
            run.send(1, generation=4)

        assert (status(run), run.campaign.runs) == ("differs", 1)

    def test_a_census_that_is_down_when_it_is_cleared_does_not_make_it_forget(self, run: BatchRun) -> None:
        run.campaign.sandbox.fault("salesforce", "status", code=503)
        with pytest.raises(BatchUnconfirmedError):
            run.send(1)
        run.campaign.sandbox.control("DELETE", "faults")
        run.campaign.sandbox.fault("list_runs", "status", code=503)
        with pytest.raises(Exception, match="503"):
            run.send(1, generation=4)
        run.campaign.sandbox.control("DELETE", "faults")

        run.send(1, generation=4)

        assert (status(run), run.campaign.runs) == ("succeeded", 1)

    def test_a_login_that_is_refused_is_not_tried_again_and_the_run_goes_on_without_the_connection(
        self, run: BatchRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", salesforce_connection(run.campaign.sandbox, "secret-of-nobody"))
        with pytest.raises(BatchFailedError, match=r"(?s)Salesforce refuses the login .* Nothing of it is sent again") as failed:
            run.send(1)
        assert not isinstance(failed.value, BatchUnconfirmedError)
        assert status(run) == "unconfirmed"

        monkeypatch.delenv("AIRFLOW_CONN_SALESFORCE_DEFAULT")
        run.send(1, generation=4)

        assert (status(run), run.campaign.runs) == ("succeeded", 1)

    def test_a_batch_that_was_accepted_by_counters_is_read_back_too(self, run: BatchRun, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_CENSUS_RECORDS_LIMIT_SECONDS", "0")
        run.campaign.sandbox.fault("records", "status", code=403)
        run.campaign.sandbox.fault("run", "silent_loss", times=1)

        said = assert_stopped(run)

        assert "counts all 4 records as accepted" in said

    def test_a_batch_that_was_not_confirmed_is_read_back_even_if_it_is_none_of_those_any_more(
        self, run: BatchRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run.send(1)
        monkeypatch.setenv("FEATURE_SYNC_CANARY_EVERY", "2")
        run.campaign.sandbox.fault("run", "silent_loss", times=1)
        down = run.campaign.sandbox.fault("salesforce", "status", code=503)
        with pytest.raises(BatchUnconfirmedError):
            run.send(2)
        run.campaign.sandbox.control("DELETE", f"faults/{down}")
        monkeypatch.setenv("FEATURE_SYNC_CANARY_EVERY", "0")

        with pytest.raises(BatchFailedError, match="Salesforce does not hold"):
            run.send(2)
        assert run.campaign.runs == 2
