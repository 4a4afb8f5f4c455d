"""A run that is validated from Salesforce itself, at once, and a larger one with a sample. Both say which."""

from typing import Any

import pytest

from feature_sync.backfill.payload import freeze_payload
from feature_sync.backfill.validation import SalesforceDiffersError
from feature_sync.config.problems import NotReadyError
from feature_sync.config.settings import load_settings
from feature_sync.replica.asking import why_replica
from feature_sync.salesforce.causes import Cause
from feature_sync.salesforce.errors import SalesforceError
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox
from tests.wire.connections import salesforce_connection
from tests.wire.planned_runs import Plan, Run

FLAG = "fraud_detection_enabled__c"
READ_BACK = "crm.sfdc_dbx.feature_sync_read_back"


@pytest.fixture
def stalled(connected: Sandbox) -> Any:
    """The replica shows nothing that is sent from now on."""
    connected.settings(replication_stalled=True)
    yield connected
    connected.settings(replication_stalled=False)


def edit(sandbox: Sandbox, key: str, value: bool) -> None:
    assert sandbox.salesforce("PATCH", f"sobjects/Product_Property__c/Reverse_ETL_ID__c/{key}", json={FLAG: value}).ok


def failed(run: Run) -> str:
    with pytest.raises(SalesforceDiffersError) as differs:
        run.validate()
    return str(differs.value)


def reason_for_replica(run: Run) -> str:
    with Warehouse(load_settings()) as warehouse:
        return why_replica(warehouse, run.id)


class TestSmallRun:
    @pytest.mark.usefixtures("stalled")
    def test_it_is_green_at_once_although_the_replica_stands_still(self, plan: Plan) -> None:
        run = plan("asked", 6)
        run.send()
        assert run.replica_state().records_stale == 6

        assert reason_for_replica(run) == ""
        assert run.validate().result == "0 properties with mismatched feature data"

        assert run.report["compared_with"]["source"] == "salesforce"
        assert run.report["compared_with"]["records_read_from_salesforce"] == 6
        assert "The replica was not used" in run.report["compared_with"]["note"]
        assert run.report["products"][0]["enabled_in_salesforce"] == 6

    def test_what_it_held_is_kept_once_for_each_look(self, connected: Sandbox, plan: Plan) -> None:
        run = plan("asked-kept", 6)
        run.send()
        run.validate()

        rows = connected.sql(
            f"SELECT purpose, COUNT(*), COUNT(DISTINCT salesforce_id), MIN(modified_by), BOOL_AND(fraud_detection_enabled_c) "
            f"FROM {READ_BACK} WHERE run_id = 'asked-kept' GROUP BY purpose ORDER BY purpose"
        )
        assert [list(row) for row in rows] == [
            ["canary", 5, 5, "Census Integration", True],
            ["validation", 6, 6, "Census Integration", True],
        ]

    def test_a_lost_write_and_an_edit_are_found_with_their_causes_without_the_replica(self, stalled: Sandbox, plan: Plan) -> None:
        run = plan("asked-lost", 10)
        stalled.fault("run", "silent_loss", skip=1, times=1)
        run.send()
        edit(stalled, run.ids[1], False)

        said = failed(run)
        edit(stalled, run.ids[1], True)

        causes = {row["reverse_etl_id_c"]: row["cause"] for row in run.mismatches if row["field"] == "fraud_detection_enabled_c"}
        assert causes == {run.ids[1]: Cause.EDITED_IN_SALESFORCE, **dict.fromkeys(run.ids[5:], Cause.NOT_WRITTEN)}
        assert "6 of 10 properties differ from the warehouse." in said

    def test_a_record_that_is_gone_differs(self, connected: Sandbox, plan: Plan) -> None:
        run = plan("asked-gone", 6)
        run.send()
        path = f"sobjects/Product_Property__c/Reverse_ETL_ID__c/{run.ids[0]}"
        record_id = connected.salesforce("GET", path).json()["Id"]
        assert connected.salesforce("PATCH", path, json={"Reverse_ETL_ID__c": "gone"}).ok

        said = failed(run)
        assert connected.salesforce(
            "PATCH", f"sobjects/Product_Property__c/{record_id}", json={"Reverse_ETL_ID__c": run.ids[0]}
        ).ok

        assert "1 of 6 properties differ from the warehouse." in said
        assert {row["cause"] for row in run.mismatches} == {Cause.NO_RECORD}
        assert "6 records, of which it shows 5." in run.report["compared_with"]["note"]

    def test_another_run_for_its_records_waits_until_the_replica_shows_them(self, stalled: Sandbox, plan: Plan) -> None:
        run = plan("asked-first", 6)
        run.send()
        run.validate()
        again = {"scope": "property_ids", "property_ids": run.ids, "batch_size": 5}

        with pytest.raises(NotReadyError, match="asked-first"):
            freeze_payload(again, "asked-again", lambda _: False)

        stalled.settings(replication_stalled=False)
        run.until_fresh()
        assert freeze_payload(again, "asked-again", lambda _: False)["records"] == 6


class TestLargerRun:
    @pytest.fixture(autouse=True)
    def _limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_VALIDATE_BY_ASKING_RECORDS", "5")
        monkeypatch.setenv("FEATURE_SYNC_VALIDATION_SAMPLE_RECORDS", "3")

    def test_it_waits_for_the_replica_and_reads_a_sample(self, connected: Sandbox, plan: Plan) -> None:
        run = plan("sampled", 12)
        run.send()
        assert reason_for_replica(run) == "the run has more than 5 records (VALIDATE_BY_ASKING_RECORDS)"
        run.until_fresh()

        run.validate()

        compared = run.report["compared_with"]
        assert (compared["source"], compared["records_read_from_salesforce"]) == ("replica", 3)
        assert compared["note"] == (
            "Read from the replica. Of the records that it shows as right, 3 were read from Salesforce itself too, "
            "and all are right."
        )
        sampled = connected.sql(f"SELECT reverse_etl_id_c FROM {READ_BACK} WHERE run_id = 'sampled' AND purpose = 'sample'")
        assert sorted(row[0] for row in sampled) == sorted(run.ids[::4])

    def test_a_sample_that_differs_is_no_green(self, connected: Sandbox, plan: Plan) -> None:
        run = plan("sampled-edited", 12)
        run.send()
        run.until_fresh()
        connected.settings(replication_stalled=True)
        edit(connected, run.ids[4], False)

        said = failed(run)
        edit(connected, run.ids[4], True)
        connected.settings(replication_stalled=False)

        assert run.report["properties_mismatched"] == 0, "the replica does not show it"
        assert f"Of 3 records that the replica shows as right, 1 differs in Salesforce itself: {FLAG} in" in said
        assert f"{run.ids[4]} (" in said
        assert "changed last by Avery Admin" in said

    def test_without_a_sample_the_report_says_why_only_the_replica_was_read(
        self, connected: Sandbox, plan: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_VALIDATION_SAMPLE_RECORDS", "0")
        run = plan("unsampled", 6)
        run.send()
        run.until_fresh()
        began = connected.seq()

        run.validate()

        assert run.report["compared_with"]["note"].startswith("Read from the replica alone: the run has more than")
        assert not [entry for entry in connected.journal("salesforce.request", began) if "SELECT" in str(entry)]


class TestWithoutAnswer:
    def test_a_salesforce_that_does_not_answer_fails_the_verdict_if_the_replica_is_behind(
        self, stalled: Sandbox, plan: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = plan("unanswered", 6)
        run.send()
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", salesforce_connection(stalled, "a secret of last year"))

        with pytest.raises(SalesforceError):
            run.validate()

    def test_and_the_replica_is_used_if_it_shows_what_was_sent(
        self, connected: Sandbox, plan: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = plan("unanswered-fresh", 6)
        run.send()
        run.until_fresh()
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", salesforce_connection(connected, "a secret of last year"))

        run.validate()

        assert run.report["compared_with"]["source"] == "replica"
        assert run.report["compared_with"]["note"].startswith("Read from the replica alone: Salesforce refuses")

    def test_a_field_that_is_hidden_makes_it_wait(self, connected: Sandbox, plan: Plan) -> None:
        run = plan("hidden", 6)
        run.send()
        connected.settings(api_user_hidden_fields=[FLAG])

        assert reason_for_replica(run) == f"Salesforce does not show {FLAG} to the user of connection salesforce_default"

    def test_without_a_connection_everything_is_as_before(self, sandbox: Sandbox, plan: Plan) -> None:
        assert sandbox
        run = plan("unconnected", 6)
        run.send()
        assert reason_for_replica(run) == "there is no connection salesforce_default"
        run.until_fresh()

        run.validate()

        assert run.report["compared_with"]["note"] == ("Read from the replica alone: there is no connection salesforce_default.")
