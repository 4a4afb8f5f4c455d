"""The verdict on a run that was sent: read from the replica, and never from Census's counters alone."""

from datetime import timedelta

import pytest

from feature_sync.backfill.validation import SalesforceDiffersError
from feature_sync.config.settings import load_settings
from feature_sync.replica.state import check_run_replica, read_replica_state
from feature_sync.sending.batches import AttemptStatus
from tests.sandbox.client import Sandbox, eventually
from tests.wire.planned_runs import REPLICA, Plan, Run


@pytest.fixture(scope="module")
def sent(plan: Plan) -> Run:
    """A run whose batches were all accepted, and which the replica shows."""
    run = plan("sent")
    assert [outcome.succeeded for outcome in run.send()] == [True, True, True]
    run.until_fresh()
    return run


class TestCleanRun:
    def test_nothing_differs(self, sandbox: Sandbox, sent: Run) -> None:  # noqa: ARG002
        result = sent.validate()

        assert result.result == "0 properties with mismatched feature data"
        assert result.validation == str(sent.folder / "validation.json")
        assert sent.mismatches == []

    def test_the_report_says_what_was_checked_and_when(self, sandbox: Sandbox, sent: Run) -> None:  # noqa: ARG002
        sent.validate()

        report = sent.report
        assert (report["run_id"], report["properties_checked"], report["properties_mismatched"]) == ("sent", 12, 0)
        assert report["result"] == "0 properties with mismatched feature data"
        assert report["mirror_synced_at"] <= report["checked_at"]
        assert sent.books == (12, 12, 0, 0)
        fraud = report["products"][0]
        assert fraud == {
            "product": "fraud_detection",
            "label": "Fraud Detection",
            "enabled_in_salesforce": 12,
            "enabled_in_warehouse": 12,
            "mismatched": 0,
        }
        assert len(report["products"]) == 7

    def test_the_batches_went_one_after_another_each_alone_in_the_batch_table(self, sandbox: Sandbox, sent: Run) -> None:
        transactions = [entry for entry in sandbox.journal("salesforce.transaction") if set(entry["keys"]) & set(sent.ids)]

        assert [entry["keys"] for entry in transactions] == [sent.ids[:5], sent.ids[5:10], sent.ids[10:]]

    def test_the_replica_is_fresh(self, sandbox: Sandbox, sent: Run) -> None:  # noqa: ARG002
        state = check_run_replica(sent.id, load_settings())

        assert (state.records_sent, state.records_stale, state.is_fresh) == (12, 0, True)
        assert state.synced_at is not None
        assert state.since_last_send > timedelta(0)

    def test_a_record_changed_afterwards_is_found_by_its_field(self, sandbox: Sandbox, sent: Run) -> None:
        key = sent.ids[6]
        path = f"sobjects/Product_Property__c/Reverse_ETL_ID__c/{key}"
        changed_at = f"SELECT fraud_detection_enabled_c FROM {REPLICA} WHERE snappt_property_id_c = '{key}'"

        assert sandbox.salesforce("PATCH", path, json={"Fraud_Detection_Enabled__c": False}).ok
        eventually(lambda: sandbox.sql(changed_at)[0][0] is False)
        try:
            with pytest.raises(
                SalesforceDiffersError,
                match=r"^1 of 12 properties differ from the warehouse\.\nCauses, .*\nDetails: .*mismatches\.csv",
            ):
                sent.validate()
        finally:
            assert sandbox.salesforce("PATCH", path, json={"Fraud_Detection_Enabled__c": True}).ok
            eventually(lambda: sandbox.sql(changed_at)[0][0] is True)

        [row] = sent.mismatches
        expected = {
            "batch_number": "2",
            "record_number": "7",
            "snappt_property_id_c": key,
            "reverse_etl_id_c": key,
            "in_salesforce": "true",
            "field": "fraud_detection_enabled_c",
            "in_salesforce_value": "false",
            "in_warehouse_value": "true",
            "cause": "edited_in_salesforce",
            "sent_by_run": "sent",
            "sent_outcome": "accepted",
            "sent_value": "true",
        }
        assert row.items() >= expected.items()
        assert sent.report["properties_mismatched"] == 1
        assert [row["mismatched"] for row in sent.report["products"]] == [1, 0, 0, 0, 0, 0, 0]
        assert sent.report["products"][0]["enabled_in_salesforce"] == 11
        assert sent.validate().result == "0 properties with mismatched feature data"

    def test_a_record_that_is_gone_from_salesforce_differs_in_every_field(self, sandbox: Sandbox, sent: Run) -> None:
        where = f"WHERE snappt_property_id_c = '{sent.ids[0]}'"
        sandbox.sql(f"UPDATE {REPLICA} SET is_deleted = TRUE {where}")
        try:
            with pytest.raises(SalesforceDiffersError, match=r"^1 of 12 properties differ"):
                sent.validate()
        finally:
            sandbox.sql(f"UPDATE {REPLICA} SET is_deleted = FALSE {where}")

        assert len(sent.mismatches) == 21
        assert {row["in_salesforce"] for row in sent.mismatches} == {"false"}


def test_a_batch_that_was_never_sent_fails_the_run_and_is_named(sandbox: Sandbox, plan: Plan) -> None:  # noqa: ARG001
    run = plan("one-left-out", 7)
    run.send([1])
    run.until_fresh()

    with pytest.raises(SalesforceDiffersError, match="batch 002: records 6-7 did not succeed: it was never sent") as failed:
        run.validate()

    assert "2 of 7 properties differ from the warehouse" in str(failed.value)
    assert run.books == (7, 5, 0, 2)
    assert {row["batch_number"] for row in run.mismatches} == {"2"}


def test_a_batch_that_was_rejected_fails_the_run_with_censuss_reason_and_can_be_sent_again(sandbox: Sandbox, plan: Plan) -> None:
    run = plan("rejected", 7)
    sandbox.fault("run", "reject_rows", count=2, message="CANNOT_EXECUTE_FLOW_TRIGGER: too many", times=1)

    outcomes = run.send()
    run.until_fresh()
    with pytest.raises(SalesforceDiffersError) as failed:
        run.validate()

    assert [outcome.status for outcome in outcomes] == [AttemptStatus.FAILED, AttemptStatus.SUCCEEDED]
    assert "2 x 'CANNOT_EXECUTE_FLOW_TRIGGER: too many'" in outcomes[0].reason
    assert "batch 001: records 1-5 did not succeed" in str(failed.value)
    assert "CANNOT_EXECUTE_FLOW_TRIGGER" in str(failed.value)
    assert "2 of 7 properties differ" in str(failed.value)
    assert run.books == (7, 5, 2, 0)

    assert [outcome.succeeded for outcome in run.send([1])] == [True]
    run.until_fresh()
    assert run.validate().result == "0 properties with mismatched feature data"
    assert run.books == (7, 7, 0, 0)


def test_records_that_census_says_were_updated_and_that_never_reached_salesforce_are_found(sandbox: Sandbox, plan: Plan) -> None:
    run = plan("lost")
    sandbox.fault("run", "silent_loss", skip=1, times=1)

    outcomes = run.send()
    run.until_stale(5)
    with pytest.raises(SalesforceDiffersError, match=r"^5 of 12 properties differ from the warehouse"):
        run.validate()

    assert [outcome.succeeded for outcome in outcomes] == [True, True, True]
    assert run.books == (12, 12, 0, 0)
    assert {row["snappt_property_id_c"] for row in run.mismatches} == set(run.ids[5:10])
    assert {row["batch_number"] for row in run.mismatches} == {"2"}


class TestAcceptedByCounters:
    """Batches whose row records never came."""

    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_CENSUS_RECORDS_LIMIT_SECONDS", "0")

    def test_the_run_is_a_success_that_says_how_many_records_were_accepted_by_counters(
        self, sandbox: Sandbox, plan: Plan, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        run = plan("by-counters")
        sandbox.fault("run", "records_lost", skip=1, times=1)

        outcomes = run.send()
        run.until_fresh()
        result = run.validate()

        assert [outcome.status for outcome in outcomes] == ["succeeded", "accepted_by_counters", "succeeded"]
        assert result.result == "0 properties with mismatched feature data"
        assert run.books == (12, 12, 0, 0)
        assert run.report["records"]["accepted_by_counters"] == 5
        assert "5 of 12 records sent were accepted by Census's counters alone" in caplog.text

    def test_the_replica_has_to_show_these_records_too(self, sandbox: Sandbox, plan: Plan) -> None:
        run = plan("by-counters-stalled", 3)
        sandbox.settings(replication_stalled=True)
        sandbox.fault("run", "records_lost", times=1)
        run.send()

        stalled = run.replica_state()
        everybody = read_replica_state(None, load_settings())
        sandbox.settings(replication_stalled=False)
        fresh = run.until_fresh()

        assert (stalled.records_sent, stalled.records_stale, stalled.is_fresh) == (3, 3, False)
        assert everybody.records_stale >= 3
        assert (fresh.records_sent, fresh.records_stale) == (3, 0)

    def test_values_that_never_reached_salesforce_fail_the_run_although_the_counters_are_right(
        self, sandbox: Sandbox, plan: Plan
    ) -> None:
        run = plan("by-counters-lost")
        sandbox.fault("run", "silent_loss", skip=1, times=1)
        sandbox.fault("records", "status", code=404)

        outcomes = run.send()
        sandbox.control("DELETE", "faults")
        run.until_stale(5)
        with pytest.raises(SalesforceDiffersError, match=r"^5 of 12 properties differ from the warehouse"):
            run.validate()

        assert {outcome.status for outcome in outcomes} == {AttemptStatus.ACCEPTED_BY_COUNTERS}
        assert run.report["records"]["accepted_by_counters"] == 12

    def test_rejected_records_that_were_then_accepted_by_counters_are_rejected_no_more(
        self, sandbox: Sandbox, plan: Plan
    ) -> None:
        run = plan("by-counters-again", 5)
        sandbox.fault("run", "reject_rows", count=2, message="NO_GOOD", times=1)
        [first] = run.send()
        sandbox.fault("run", "records_lost", times=1)
        [second] = run.send()
        run.until_fresh()

        run.validate()

        assert (first.status, second.status) == (AttemptStatus.FAILED, AttemptStatus.ACCEPTED_BY_COUNTERS)
        assert run.books == (5, 5, 0, 0)
        assert run.report["records"]["accepted_by_counters"] == 2
        assert (run.folder / "rejected_records.csv").read_text().splitlines()[1:] == []


def test_the_report_says_how_old_the_replica_is_even_when_nothing_was_sent(sandbox: Sandbox, plan: Plan) -> None:  # noqa: ARG001
    run = plan("nothing-sent-report", 2)

    with pytest.raises(SalesforceDiffersError, match="it was never sent"):
        run.validate()

    assert run.report["mirror_synced_at"] is not None
