"""Sending over the wire, and the verdict on it: read from the copy of Salesforce, and never from Census's counters alone."""

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_sync.batches import Batch
from feature_sync.census.hook import CensusHook
from feature_sync.failure_policy import FailurePolicy
from feature_sync.outcome import AttemptStatus, Outcome
from feature_sync.pacing import Pause
from feature_sync.payload import freeze_payload, plan_batches, release_payload
from feature_sync.run_config import OnBatchFailure
from feature_sync.sending import BatchSender
from feature_sync.settings import load_settings
from feature_sync.validation import CopyStalledError, CopyState, ValidationError, check_copy, read_copy_state, validate
from feature_sync.warehouse import Warehouse
from tests.sandbox.client import BACKFILL, Sandbox, eventually

COPY = "crm.salesforce.product_property_c"


@dataclass(frozen=True, slots=True)
class Run:
    """A planned run of a few records."""

    id: str
    ids: list[str]
    batches: list[Batch]

    def send(self, numbers: Sequence[int] | None = None) -> list[Outcome]:
        """Send these batches, or all. The pace is not the matter here: the wait makes up for Census's clock of whole seconds."""
        outcomes = []
        with Warehouse(load_settings()) as warehouse:
            census = CensusHook()
            for batch in self.batches:
                if numbers is not None and batch.number not in numbers:
                    continue
                sender = BatchSender(
                    warehouse,
                    census,
                    BACKFILL,
                    self.id,
                    batch,
                    wait_seconds=-2,
                    policy=FailurePolicy(OnBatchFailure.CONTINUE, 3),
                )
                while isinstance(step := sender.begin(), Pause):
                    time.sleep(0.1)
                assert step.sync_run_id is not None
                while (run := census.get_run(step.sync_run_id)).is_active:
                    time.sleep(0.05)
                outcomes.append(sender.conclude(step, run))
        return outcomes

    def validate(self) -> dict[str, Any]:
        return validate(self.id)

    def copy_state(self) -> CopyState:
        return read_copy_state(self.id, load_settings())

    def until_fresh(self) -> CopyState:
        return eventually(lambda: state if (state := self.copy_state()).is_fresh else None)

    @property
    def folder(self) -> Path:
        return Path(load_settings().output_url) / self.id

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "validation.json").read_text())

    @property
    def mismatches(self) -> list[dict[str, str]]:
        with (self.folder / "mismatches.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def books(self) -> tuple[int, int, int, int]:
        records = self.report["records"]
        return records["in_scope"], records["sent"], records["rejected"], records["not_sent"]


Plan = Callable[..., Run]


@pytest.fixture(scope="module")
def plan(world: Sandbox) -> Plan:
    """Plans runs over records of the incident, each over others."""
    rows = world.sql(
        f"SELECT copy.snappt_property_id_c FROM {COPY} AS copy INNER JOIN crm.sfdc_dbx.product_property_w_features AS features"
        " ON features.property_id = copy.snappt_property_id_c"
        " WHERE CAST(copy.created_date AS DATE) = '2025-11-21' AND features.fraud_enabled ORDER BY 1 LIMIT 200"
    )
    unused = iter([row[0] for row in rows])

    def planned(run_id: str, records: int = 12) -> Run:
        ids = [next(unused) for _ in range(records)]
        conf = {"scope": "property_ids", "property_ids": ids, "batch_size": 5, "wait_seconds": 0}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FEATURE_SYNC_PARENT_COLUMN", "")  # so that records go in the order of their ids
            freeze_payload(conf, run_id)
        release_payload(run_id)
        return Run(run_id, ids, [Batch.from_xcom(batch) for batch in plan_batches(conf, run_id)])

    return planned


@pytest.fixture(scope="module")
def sent(plan: Plan) -> Run:
    """A run of which every batch was accepted, and which the copy shows."""
    run = plan("sent")
    assert [outcome.succeeded for outcome in run.send()] == [True, True, True]
    run.until_fresh()
    return run


class TestCleanRun:
    def test_nothing_differs(self, sandbox: Sandbox, sent: Run) -> None:  # noqa: ARG002
        result = sent.validate()

        assert result["result"] == "0 properties with mismatched feature data"
        assert result["validation"] == str(sent.folder / "validation.json")
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

    def test_the_copy_is_fresh(self, sandbox: Sandbox, sent: Run) -> None:  # noqa: ARG002
        state = check_copy(sent.id, load_settings())

        assert (state.records_sent, state.records_stale, state.is_fresh) == (12, 0, True)
        assert state.synced_at is not None
        assert state.since_last_send > timedelta(0)

    def test_a_record_changed_afterwards_is_found_by_its_field(self, sandbox: Sandbox, sent: Run) -> None:
        key = sent.ids[6]
        path = f"sobjects/Product_Property__c/Reverse_ETL_ID__c/{key}"
        changed_at = f"SELECT fraud_detection_enabled_c FROM {COPY} WHERE snappt_property_id_c = '{key}'"

        assert sandbox.salesforce("PATCH", path, json={"Fraud_Detection_Enabled__c": False}).ok
        eventually(lambda: sandbox.sql(changed_at)[0][0] is False)
        try:
            with pytest.raises(
                ValidationError, match=r"^1 of 12 properties differ from the warehouse\.\nDetails: .*mismatches\.csv"
            ):
                sent.validate()
        finally:
            assert sandbox.salesforce("PATCH", path, json={"Fraud_Detection_Enabled__c": True}).ok
            eventually(lambda: sandbox.sql(changed_at)[0][0] is True)

        assert sent.mismatches == [
            {
                "batch_number": "2",
                "record_number": "7",
                "snappt_property_id_c": key,
                "reverse_etl_id_c": key,
                "in_salesforce": "true",
                "field": "fraud_detection_enabled_c",
                "in_salesforce_value": "false",
                "in_warehouse_value": "true",
            }
        ]
        assert sent.report["properties_mismatched"] == 1
        assert [row["mismatched"] for row in sent.report["products"]] == [1, 0, 0, 0, 0, 0, 0]
        assert sent.report["products"][0]["enabled_in_salesforce"] == 11
        assert sent.validate()["result"] == "0 properties with mismatched feature data"

    def test_a_record_that_is_gone_from_salesforce_differs_in_every_field(self, sandbox: Sandbox, sent: Run) -> None:
        where = f"WHERE snappt_property_id_c = '{sent.ids[0]}'"
        sandbox.sql(f"UPDATE {COPY} SET is_deleted = TRUE {where}")
        try:
            with pytest.raises(ValidationError, match=r"^1 of 12 properties differ"):
                sent.validate()
        finally:
            sandbox.sql(f"UPDATE {COPY} SET is_deleted = FALSE {where}")

        assert len(sent.mismatches) == 21
        assert {row["in_salesforce"] for row in sent.mismatches} == {"false"}


def test_a_batch_that_was_never_sent_fails_the_run_and_is_named(sandbox: Sandbox, plan: Plan) -> None:  # noqa: ARG001
    run = plan("one-left-out", 7)
    run.send([1])
    run.until_fresh()

    with pytest.raises(ValidationError, match="batch 002: records 6-7 did not succeed: it was never sent") as failed:
        run.validate()

    assert "2 of 7 properties differ from the warehouse" in str(failed.value)
    assert run.books == (7, 5, 0, 2)
    assert {row["batch_number"] for row in run.mismatches} == {"2"}


def test_a_batch_that_was_rejected_fails_the_run_with_censuss_reason_and_can_be_sent_again(sandbox: Sandbox, plan: Plan) -> None:
    run = plan("rejected", 7)
    sandbox.fault("run", "reject_rows", count=2, message="CANNOT_EXECUTE_FLOW_TRIGGER: too many", times=1)

    outcomes = run.send()
    run.until_fresh()
    with pytest.raises(ValidationError) as failed:
        run.validate()

    assert [outcome.status for outcome in outcomes] == [AttemptStatus.FAILED, AttemptStatus.SUCCEEDED]
    assert "2 x 'CANNOT_EXECUTE_FLOW_TRIGGER: too many'" in outcomes[0].reason
    assert "batch 001: records 1-5 did not succeed" in str(failed.value)
    assert "CANNOT_EXECUTE_FLOW_TRIGGER" in str(failed.value)
    assert "2 of 7 properties differ" in str(failed.value)
    assert run.books == (7, 5, 2, 0)

    assert [outcome.succeeded for outcome in run.send([1])] == [True]
    run.until_fresh()
    assert run.validate()["result"] == "0 properties with mismatched feature data"
    assert run.books == (7, 7, 0, 0)


def test_records_that_census_says_were_updated_and_that_never_reached_salesforce_are_found(sandbox: Sandbox, plan: Plan) -> None:
    run = plan("lost")
    sandbox.fault("run", "silent_loss", skip=1, times=1)

    outcomes = run.send()
    run.until_fresh()
    with pytest.raises(ValidationError, match=r"^5 of 12 properties differ from the warehouse"):
        run.validate()

    assert [outcome.succeeded for outcome in outcomes] == [True, True, True]
    assert run.books == (12, 12, 0, 0)
    assert {row["snappt_property_id_c"] for row in run.mismatches} == set(run.ids[5:10])
    assert {row["batch_number"] for row in run.mismatches} == {"2"}


def test_a_loss_in_the_last_batch_is_never_taken_for_fresh(sandbox: Sandbox, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    run = plan("lost-at-the-end", 3)
    sandbox.fault("run", "silent_loss", times=1)
    run.send()
    time.sleep(1.1)  # several passes of the replication
    monkeypatch.setenv("FEATURE_SYNC_COPY_LIMIT_SECONDS", "1")

    assert run.copy_state().records_stale == 3
    with pytest.raises(CopyStalledError, match=r"3 of 3 records have not changed there.*never reached Salesforce"):
        check_copy(run.id, load_settings())
    with pytest.raises(ValidationError, match="3 of 3 properties differ"):
        run.validate()


def test_while_the_replication_stands_still_the_copy_is_not_fresh(
    sandbox: Sandbox, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = plan("stalled", 3)
    sandbox.settings(replication_stalled=True)
    run.send()
    time.sleep(0.5)

    stalled = check_copy(run.id, load_settings())
    monkeypatch.setenv("FEATURE_SYNC_COPY_LIMIT_SECONDS", "1")
    eventually(lambda: run.copy_state().since_last_send > timedelta(seconds=1))
    with pytest.raises(CopyStalledError, match="3 of 3 records"):
        check_copy(run.id, load_settings())
    sandbox.settings(replication_stalled=False)
    fresh = run.until_fresh()

    assert (stalled.records_sent, stalled.records_stale, stalled.is_fresh) == (3, 3, False)
    assert (fresh.records_sent, fresh.records_stale) == (3, 0)
    assert run.validate()["result"] == "0 properties with mismatched feature data"


def test_a_run_of_which_nothing_was_sent_is_not_waited_for(sandbox: Sandbox, plan: Plan) -> None:  # noqa: ARG001
    state = plan("nothing-sent", 2).copy_state()

    assert (state.records_sent, state.records_stale, state.is_fresh) == (0, 0, True)


def test_the_report_says_how_old_the_copy_is_even_when_nothing_was_sent(sandbox: Sandbox, plan: Plan) -> None:  # noqa: ARG001
    run = plan("nothing-sent-report", 2)

    with pytest.raises(ValidationError, match="it was never sent"):
        run.validate()

    assert run.report["mirror_synced_at"] is not None
