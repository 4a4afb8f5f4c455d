"""Each fault does what it says, to the client that is meant and as often as was said."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from tests.sandbox.client import BACKFILL, Sandbox, eventually


def runs_of(sandbox: Sandbox) -> int:
    return sandbox.census("GET", f"syncs/{BACKFILL}/sync_runs").json()["pagination"]["total_records"]


@pytest.mark.parametrize(
    ("fault", "made"), [pytest.param("lost_response", 1, id="after-the-work"), pytest.param("refuse", 0, id="before-the-work")]
)
def test_a_trigger_whose_connection_is_closed(sandbox: Sandbox, fault: str, made: int) -> None:
    sandbox.stage(1)
    before = runs_of(sandbox)
    sandbox.fault("trigger", fault, times=1)

    with pytest.raises(requests.ConnectionError):
        sandbox.trigger()

    assert runs_of(sandbox) - before == made
    entry = next(
        entry for entry in reversed(sandbox.journal("census.request")) if entry["path"].split("?")[0].endswith("/trigger")
    )
    assert (entry["status"], entry["fault"]) == (None, fault)


def test_calls_pass_before_and_after_the_fault(sandbox: Sandbox) -> None:
    sandbox.fault("fetch_sync", "status", code=502, skip=1, times=2)

    codes = [sandbox.census("GET", f"syncs/{BACKFILL}").status_code for _ in range(4)]

    assert codes == [200, 502, 502, 200]


def test_the_share_of_a_fault_is_the_same_every_time(sandbox: Sandbox) -> None:
    def codes() -> list[int]:
        fault = sandbox.fault("fetch_sync", "status", share=0.5, seed=7)
        found = [sandbox.census("GET", f"syncs/{BACKFILL}").status_code for _ in range(12)]
        sandbox.control("DELETE", f"faults/{fault}")
        return found

    assert codes() == codes()
    assert set(codes()) == {200, 503}


def test_status_comes_with_retry_after_and_without_work(sandbox: Sandbox) -> None:
    before = runs_of(sandbox)
    sandbox.fault("trigger", "status", code=429, retry_after=3, times=1)

    answer = sandbox.census("POST", f"syncs/{BACKFILL}/trigger")

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
    assert runs_of(sandbox) == before


def test_status_can_come_after_the_work(sandbox: Sandbox) -> None:
    before = runs_of(sandbox)
    sandbox.fault("trigger", "status", code=504, after_work=True, times=1)

    assert sandbox.census("POST", f"syncs/{BACKFILL}/trigger").status_code == 504
    assert runs_of(sandbox) == before + 1


def test_an_answer_that_is_not_json(sandbox: Sandbox) -> None:
    sandbox.fault("list_runs", "not_json", times=1)

    answer = sandbox.census("GET", f"syncs/{BACKFILL}/sync_runs")

    assert answer.ok
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


def test_an_expired_token_and_a_slow_answer_at_once(sandbox: Sandbox) -> None:
    sandbox.fault("fetch_sync", "slow", seconds=0.4, times=1)
    sandbox.fault("fetch_sync", "token_expired", times=1)
    started = time.monotonic()

    answer = sandbox.census("GET", f"syncs/{BACKFILL}")

    assert time.monotonic() - started > 0.4
    assert (answer.status_code, answer.json()) == (401, {"status": 401})


@pytest.mark.parametrize(
    ("fault", "parameters", "expected"),
    [
        pytest.param(
            "canceled", {"status": "failed"}, {"status": "failed", "canceled": True, "records_processed": 0}, id="canceled"
        ),
        pytest.param(
            "canceled",
            {"after_sending": True},
            {"status": "completed", "canceled": True, "records_updated": 4},
            id="canceled-after-sending",
        ),
        pytest.param(
            "unknown_status", {"status": "finalizing"}, {"status": "finalizing", "records_updated": 4}, id="unknown-status"
        ),
        pytest.param(
            "null_counters", {}, {"status": "completed", "records_updated": None, "source_record_count": None}, id="null"
        ),
        pytest.param("reject_rows", {"count": 3}, {"records_failed": 3, "records_updated": 1}, id="some-rejected"),
        pytest.param("reject_rows", {}, {"records_failed": 4, "records_updated": 0}, id="all-rejected"),
        pytest.param("process_none", {}, {"status": "completed", "records_processed": 0, "source_record_count": 4}, id="none"),
        pytest.param("source_count", {"count": 1296}, {"source_record_count": 1296, "records_updated": 4}, id="source-count"),
        pytest.param("skipped", {}, {"status": "skipped", "records_processed": None}, id="skipped"),
        pytest.param(
            "failed",
            {"error_code": "BOOM", "error_message": "it broke"},
            {"status": "failed", "error_code": "BOOM", "error_message": "it broke", "records_processed": None},
            id="failed",
        ),
    ],
)
def test_what_a_fault_makes_of_a_run(sandbox: Sandbox, fault: str, parameters: dict[str, Any], expected: dict[str, Any]) -> None:
    sandbox.stage(4, offset=600)
    sandbox.fault("run", fault, times=1, **parameters)

    run = sandbox.send()

    assert {name: run[name] for name in expected} == expected
    assert sandbox.send()["records_updated"] == 4


@pytest.mark.parametrize(("parameters", "shown"), [({}, 0), ({"count": 1}, 3), ({"count": 9}, 0)], ids=["all", "one", "too-many"])
def test_lost_row_records_are_never_shown_although_the_rows_were_sent(
    sandbox: Sandbox, parameters: dict[str, int], shown: int
) -> None:
    sandbox.stage(4, offset=600)
    sandbox.fault("run", "records_lost", times=1, **parameters)

    run = sandbox.send()

    assert (run["records_updated"], run["records_failed"]) == (4, 0)
    assert len(sandbox.records(run["id"])) == shown
    assert len(sandbox.records(run["id"], per_page=2, page=2)) == max(0, shown - 2)
    count = sandbox.census("GET", f"sync_runs/{run['id']}/records_count").json()["data"]
    assert count == [{"record_count": shown}]


def test_a_silent_loss_is_seen_in_salesforce_alone(sandbox: Sandbox) -> None:
    keys = sandbox.stage(4, offset=620, day="DATE'2031-05-05'")
    sandbox.fault("run", "silent_loss", times=1, count=3)

    run = sandbox.send()

    assert (run["records_updated"], run["records_failed"]) == (4, 0)
    assert {record["status"] for record in sandbox.records(run["id"])} == {"succeeded"}
    assert len(sandbox.journal("salesforce.transaction")[-1]["keys"]) == 1
    assert sandbox.soql("SELECT COUNT() FROM Product_Property__c WHERE vor_start_date__c = 2031-05-05")["totalSize"] == 1
    assert len(keys) == 4


def test_counters_that_disagree_with_the_row_records(sandbox: Sandbox) -> None:
    sandbox.stage(4, offset=630)
    sandbox.fault("run", "counters_disagree", times=1, count=2)

    run = sandbox.send()

    assert (run["records_updated"], run["records_failed"]) == (4, 0)
    assert len(sandbox.records(run["id"], status="rejected")) == 2


@pytest.mark.parametrize("phase", ["queued", "working"])
def test_a_stuck_run_goes_on_when_the_fault_is_cleared(sandbox: Sandbox, phase: str) -> None:
    sandbox.stage(1)
    fault = sandbox.fault("run", "stuck", phase=phase, times=1)
    run_id = sandbox.trigger()
    time.sleep(0.6)

    stuck = sandbox.run(run_id)["status"]
    sandbox.control("DELETE", f"faults/{fault}")

    assert stuck == phase
    assert sandbox.ended(run_id)["status"] == "completed"


def test_an_unknown_word_while_the_run_works(sandbox: Sandbox) -> None:
    sandbox.stage(1)
    sandbox.settings(census_work_seconds=0.5)
    sandbox.fault("run", "unknown_status", status="preparing_rows", phase="working", times=1)
    run_id = sandbox.trigger()

    eventually(lambda: sandbox.run(run_id)["status"] == "preparing_rows")
    eventually(lambda: sandbox.run(run_id)["status"] == "completed")


@pytest.mark.parametrize(("fault", "text"), [("lock_row", "UNABLE_TO_LOCK_ROW"), ("limit_exceeded", "Limit Exceeded")])
def test_a_transaction_that_fails_for_some_rows(sandbox: Sandbox, fault: str, text: str) -> None:
    sandbox.stage(3, offset=640)
    sandbox.fault("transaction", fault, times=1, count=1)

    run = sandbox.send()

    assert (run["records_updated"], run["records_failed"]) == (2, 1)
    assert text in sandbox.records(run["id"], status="rejected")[0]["status_message"]


def test_a_statement_that_fails_says_why_and_is_not_executed(sandbox: Sandbox) -> None:
    sandbox.sql("CREATE OR REPLACE TABLE crm.sfdc_dbx.fault_table AS SELECT 1 AS n")
    sandbox.fault("warehouse", "fail", message="[OUT_OF_LUCK] no", contains="SELECT 2 AS N", times=1)

    with pytest.raises(Exception, match="OUT_OF_LUCK"):
        sandbox.sql("CREATE OR REPLACE TABLE crm.sfdc_dbx.fault_table AS SELECT 2 AS n")

    assert sandbox.sql("SELECT n FROM crm.sfdc_dbx.fault_table")[0][0] == 1
    assert sandbox.journal("warehouse.statement")[-2]["fault"] == "fail"


@pytest.mark.parametrize(
    ("fault", "times_executed"),
    [pytest.param("lost_response", 2, id="executed-twice"), pytest.param("refuse", 1, id="executed-once")],
)
def test_a_statement_whose_connection_is_closed_is_resent_by_the_connector(
    sandbox: Sandbox, fault: str, times_executed: int
) -> None:
    sandbox.sql("CREATE OR REPLACE TABLE crm.sfdc_dbx.fault_table AS SELECT 0 AS n")
    sandbox.fault("warehouse", fault, contains="insert into", times=1)

    sandbox.sql("INSERT INTO crm.sfdc_dbx.fault_table VALUES (1)")

    assert sandbox.sql("SELECT count(*) FROM crm.sfdc_dbx.fault_table WHERE n = 1")[0][0] == times_executed


def test_a_slow_statement(sandbox: Sandbox) -> None:
    sandbox.fault("warehouse", "slow", seconds=0.5, times=1)
    started = time.monotonic()

    assert sandbox.sql("SELECT 5")[0][0] == 5

    assert time.monotonic() - started > 0.5


def test_the_copy_follows_salesforce_with_a_lag(sandbox: Sandbox) -> None:
    sandbox.settings(replication_seconds=0.2)
    fault = sandbox.fault("replication", "stall")
    [key] = sandbox.stage(1, offset=650, day="DATE'2031-07-07'")
    question = (
        "SELECT vor_start_date_c, _fivetran_synced, system_modstamp FROM crm.salesforce.product_property_c"
        f" WHERE reverse_etl_id_c = '{key}'"
    )
    before = sandbox.seq()

    sandbox.send()
    time.sleep(0.5)
    stalled = sandbox.sql(question)[0]
    sandbox.control("DELETE", f"faults/{fault}")
    eventually(lambda: sandbox.journal("replication", before))

    assert str(stalled[0]) != "2031-07-07"
    fresh = sandbox.sql(question)[0]
    assert str(fresh[0]) == "2031-07-07"
    assert datetime.now(UTC) > fresh[1] >= fresh[2] > stalled[2]
    assert sandbox.journal("replication", before)[0]["rows"] == 1


def test_the_setting_stalls_the_replication_too(sandbox: Sandbox) -> None:
    sandbox.settings(replication_seconds=0.1, replication_stalled=True)
    time.sleep(0.3)
    sandbox.stage(1, offset=651, day="DATE'2031-08-08'")
    before = sandbox.seq()

    sandbox.send()
    time.sleep(0.4)

    assert sandbox.journal("replication", before) == []


def test_a_replication_out_of_order_leaves_every_second_record_to_the_next_pass(sandbox: Sandbox) -> None:
    sandbox.settings(replication_stalled=True)
    sandbox.control("POST", "replication", {})
    sandbox.settings(replication_out_of_order=True)
    sandbox.stage(4, offset=661, day="DATE'2031-09-09'")
    sandbox.send()
    before = sandbox.seq()

    for _ in range(2):
        sandbox.control("POST", "replication", {})

    assert [entry["rows"] for entry in sandbox.journal("replication", before)] == [2, 4]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"call": "trigger", "fault": "explode"}, id="unknown-fault"),
        pytest.param({"call": "nothing", "fault": "slow"}, id="unknown-call"),
        pytest.param({"call": "trigger", "fault": "slow", "secnds": 3}, id="unknown-parameter"),
        pytest.param({"call": "trigger", "fault": "slow", "times": 0}, id="no-times"),
    ],
)
def test_a_fault_that_does_not_exist_is_refused(sandbox: Sandbox, body: dict[str, Any]) -> None:
    answer = requests.post(f"{sandbox.url}/sandbox/faults", json=body, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["error"]
