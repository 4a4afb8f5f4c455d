"""A pilot is sent, looked at and asked about. Before the answer the warehouse gives away nothing else of the run."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, freeze_payload, release_checked, release_payload
from feature_sync.backfill.plan import plan_batches, plan_probes, read_batches
from feature_sync.backfill.validation import SalesforceDiffersError, validate
from feature_sync.config.settings import load_settings
from feature_sync.pilot.rest import PilotError, hold_rest
from feature_sync.pilot.result import check_pilot
from feature_sync.sending.outcome import Outcome
from feature_sync.sending.sender import StagingError
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox
from tests.wire.backfill.payloads import records_released
from tests.wire.campaign import IMPATIENT, Campaign, incident_keys

SIZE, RECORDS = 4, 10
FLAG = "Fraud_Detection_Enabled__c"


@dataclass
class Gate:
    """A run with a pilot of four records, which six follow."""

    campaign: Campaign
    conf: dict[str, Any]

    @classmethod
    def freeze(cls, sandbox: Sandbox, warehouse: Warehouse, conf: dict[str, Any]) -> "Gate":
        whole, run_id = {"batch_size": SIZE, "strategy": "pilot"} | conf, f"pilot-{uuid.uuid4()}"
        freeze_payload(whole, run_id)
        release_checked(whole, run_id)
        return cls(Campaign(sandbox, warehouse, run_id, read_batches(warehouse, run_id), sandbox.seq(), IMPATIENT), whole)

    @property
    def run_id(self) -> str:
        return self.campaign.run_id

    def send(self, number: int = 1, **options: Any) -> Outcome:
        return self.campaign.send(number, wait_seconds=-2, **options)

    def question(self) -> str | None:
        return check_pilot(self.conf, self.run_id, IMPATIENT)

    def planned(self) -> list[int]:
        return [each["number"] for each in plan_batches(self.conf, self.run_id)]

    def pilot_keys(self) -> list[str]:
        rows = self.campaign.warehouse.fetch_all("backfill/select_batch", {"run_id": self.run_id, "batch_number": 1})
        return [row["reverse_etl_id_c"] for row in rows]


@pytest.fixture
def conf(sandbox: Sandbox) -> dict[str, Any]:
    return {"scope": "property_ids", "property_ids": incident_keys(sandbox, RECORDS)}


@pytest.fixture
def gate(sandbox: Sandbox, conf: dict[str, Any]) -> Iterator[Gate]:
    with Warehouse(load_settings()) as warehouse:
        yield Gate.freeze(sandbox, warehouse, conf)


class TestRelease:
    def test_the_guards_release_the_pilot_alone(self, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_GUARD_FEATURE_ROW_SHARE", "0")
        gate.campaign.warehouse.execute("backfill/revoke_payload", {"run_id": gate.run_id})

        check_payload(gate.conf, gate.run_id)

        assert records_released(gate.campaign.sandbox, gate.run_id) == SIZE

    def test_nothing_else_can_be_staged_whatever_was_clicked(self, gate: Gate) -> None:
        gate.send()

        with pytest.raises(StagingError, match="0 of its 4 records are in the payload table and passed"):
            gate.send(2)
        assert gate.campaign.runs == 1

    def test_a_gate_that_was_marked_plans_nothing(self, gate: Gate) -> None:
        gate.send()

        with pytest.raises(PilotError, match=r"Nobody has approved the pilot, so 6 records are not sent\. Clear `approve_pilot`"):
            gate.planned()

    def test_after_a_yes_the_rest_is_planned_and_sent(self, gate: Gate) -> None:
        assert [each["number"] for each in plan_probes(gate.conf, gate.run_id)] == [1]
        gate.send()
        release_payload(gate.run_id)

        assert gate.planned() == [2, 3]
        assert [gate.send(number).succeeded for number in (2, 3)] == [True, True]
        assert sorted(map(len, gate.campaign.sent_keys())) == [2, SIZE, SIZE]

    def test_a_question_that_is_asked_again_takes_the_former_answer_back(self, gate: Gate) -> None:
        gate.send()
        release_payload(gate.run_id)

        hold_rest(gate.run_id)

        assert records_released(gate.campaign.sandbox, gate.run_id) == SIZE
        with pytest.raises(PilotError):
            gate.planned()


class TestQuestion:
    def test_without_a_connection_it_says_what_was_not_checked(self, gate: Gate) -> None:
        gate.send()

        text = str(gate.question())

        assert "- 4 records were sent, and Census says that all of them were accepted." in text
        assert "- **Not read back from Salesforce**: there is no connection salesforce_default." in text
        assert "of 4 as they were sent" in text
        assert "**Approve**: the other 6 records are sent in 2 batches." in text

    def test_with_it_the_values_are_read_back(self, gate: Gate, connected: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        sentinel = gate.pilot_keys()[0]
        monkeypatch.setenv("FEATURE_SYNC_PILOT_SENTINELS", f'["{sentinel}"]')
        gate.send()

        text = str(gate.question())

        assert "- Read back from Salesforce: 4; equal: 4; different: 0." in text
        [[name]] = connected.sql(f"SELECT name FROM {load_settings().properties_table} WHERE id = {sentinel}")
        [line] = [each for each in text.splitlines() if f"({sentinel})" in each]
        assert line.replace("\\", "").startswith(f"| {name} ({sentinel}) | sentinel records")

    def test_it_is_the_same_after_the_pilot_was_cleared_and_sent_again(self, gate: Gate, connected: Sandbox) -> None:
        gate.send()
        first = gate.question()
        connected.control("POST", "replication", {})

        gate.send(generation=4)

        assert gate.question() == first
        assert [len(keys) for keys in gate.campaign.sent_keys()] == [SIZE, SIZE], "only the pilot was sent again"

    def test_nobody_is_asked_about_other_strategies_dry_runs_and_a_pilot_that_nothing_follows(self, gate: Gate) -> None:
        for other in ({"strategy": "batched"}, {"strategy": "probe"}, {"dry_run": True}):
            assert check_pilot(gate.conf | other, gate.run_id) is None
        whole = Gate.freeze(gate.campaign.sandbox, gate.campaign.warehouse, gate.conf | {"batch_size": RECORDS})
        whole.send()

        assert (whole.question(), whole.planned()) == (None, [])


class TestAPilotThatDidNotArrive:
    def test_a_value_that_is_another_one_by_now_stops_it(self, gate: Gate, connected: Sandbox) -> None:
        gate.send()
        key = gate.pilot_keys()[0]
        path = f"sobjects/Product_Property__c/Reverse_ETL_ID__c/{key}"
        assert connected.salesforce("PATCH", path, json={"VOR_Start_Date__c": "2017-02-03"}).ok

        with pytest.raises(
            PilotError, match=rf"what the pilot sent: 1 of 4 records differs\. .*{key}.* nobody is asked"
        ) as stopped:
            gate.question()

        assert not stopped.value.is_explained, "no other task has said so"

    def test_a_field_that_the_connection_may_not_see_is_named(self, gate: Gate, connected: Sandbox) -> None:
        gate.send()
        connected.settings(api_user_hidden_fields=[FLAG])

        assert f"may not see these fields: {FLAG.lower()}".lower() in str(gate.question()).lower()

    def test_rejected_records_stop_it(self, gate: Gate) -> None:
        gate.campaign.sandbox.fault("run", "reject_rows", times=1, count=1, message="NO")
        assert not gate.send().succeeded

        with pytest.raises(PilotError, match=r"The pilot, batch 001, did not succeed: .*NO.* nobody is asked") as stopped:
            gate.question()

        assert stopped.value.is_explained

    def test_so_does_a_pilot_that_was_never_sent(self, gate: Gate) -> None:
        with pytest.raises(PilotError, match="it was never sent"):
            gate.question()


class TestVerdict:
    def test_it_says_what_was_sent_and_that_nobody_has_released_the_rest(self, gate: Gate) -> None:
        gate.send()
        gate.campaign.sandbox.control("POST", "replication", {})

        with pytest.raises(SalesforceDiffersError) as differs:
            validate(gate.conf, gate.run_id)

        first, *_ = str(differs.value).splitlines()
        assert "2 batches did not succeed: of 10 records 4 were sent, 0 rejected and 6 not sent." in first
        assert "6 records may not be sent, because nobody has approved the pilot." in str(differs.value)
        assert "press Clear Dag Run" not in str(differs.value)

    def test_of_a_run_that_was_approved_it_is_the_usual_one(self, gate: Gate) -> None:
        release_payload(gate.run_id)
        for number in (1, 2, 3):
            gate.send(number)
        gate.campaign.sandbox.control("POST", "replication", {})

        assert validate(gate.conf, gate.run_id).result == "0 properties with mismatched feature data"


def test_an_undo_may_have_a_pilot_too(gate: Gate, conf: dict[str, Any]) -> None:
    sandbox, warehouse = gate.campaign.sandbox, gate.campaign.warehouse
    for key in conf["property_ids"]:
        path = f"sobjects/Product_Property__c/Reverse_ETL_ID__c/{key}"
        assert sandbox.salesforce("PATCH", path, json={"VOR_Start_Date__c": "2018-03-04"}).ok
    sandbox.control("POST", "replication", {})
    done = Gate.freeze(sandbox, warehouse, conf)
    release_payload(done.run_id)
    for number in (1, 2, 3):
        done.send(number)
    sandbox.control("POST", "replication", {})

    undo = Gate.freeze(sandbox, warehouse, {"undo_run_id": done.run_id})
    undo.send()

    assert len(undo.campaign.batches) == 3
    assert "the other 6 records are sent in 2 batches" in str(undo.question())
