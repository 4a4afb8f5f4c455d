"""Why a record that was sent differs: what Salesforce itself says, with who changed it, and what stays unknown without it."""

from collections import Counter

import pytest

from feature_sync.backfill.validation import SalesforceDiffersError
from feature_sync.config.settings import load_settings
from feature_sync.salesforce.causes import Cause
from tests.sandbox.client import Sandbox, eventually
from tests.wire.planned_runs import REPLICA, Plan, Run

FLAG, COLUMN = "Fraud_Detection_Enabled__c", "fraud_detection_enabled_c"
FEATURES = "crm.sfdc_dbx.product_property_w_features"


@pytest.fixture(autouse=True)
def _from_the_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run as large as those that are validated from the replica. ``test_asking.py`` has the others."""
    monkeypatch.setenv("FEATURE_SYNC_VALIDATE_BY_ASKING_RECORDS", "0")
    monkeypatch.setenv("FEATURE_SYNC_VALIDATION_SAMPLE_RECORDS", "0")


def failed(run: Run) -> str:
    """What the verdict says. The causes add up to the rows of the file."""
    with pytest.raises(SalesforceDiffersError) as differs:
        run.validate()
    report = run.report
    assert report["fields_mismatched"] == len(run.mismatches) == sum(report["causes"].values())
    assert Counter(row["cause"] for row in run.mismatches) == {name: n for name, n in report["causes"].items() if n}
    return str(differs.value)


def causes(run: Run, *keys: str) -> set[str]:
    return {row["cause"] for row in run.mismatches if row["reverse_etl_id_c"] in keys}


def edit(sandbox: Sandbox, key: str, value: bool) -> None:
    assert sandbox.salesforce("PATCH", f"sobjects/Product_Property__c/Reverse_ETL_ID__c/{key}", json={FLAG: value}).ok
    held = f"SELECT {COLUMN} FROM {REPLICA} WHERE reverse_etl_id_c = '{key}'"
    eventually(lambda: sandbox.sql(held)[0][0] is value)


def test_without_the_connection_a_replica_that_is_behind_proves_nothing(sandbox: Sandbox, plan: Plan) -> None:
    run = plan("causes-behind", 6)
    sandbox.fault("run", "silent_loss", skip=1, times=1)
    run.send()
    run.until_stale(1)

    said = failed(run)

    assert causes(run, *run.ids) == {Cause.NOT_KNOWN}
    assert "of a cause that is not known. Salesforce itself was not asked: there is no connection salesforce_default." in said


def test_salesforce_tells_a_lost_write_from_a_replica_that_is_behind(connected: Sandbox, plan: Plan) -> None:
    run = plan("causes-lost", 10)
    connected.settings(replication_stalled=True)
    connected.fault("run", "silent_loss", skip=1, times=1)
    run.send()

    said = failed(run)
    connected.settings(replication_stalled=False)

    assert causes(run, *run.ids[:5]) == {Cause.ONLY_IN_REPLICA}
    assert causes(run, *run.ids[5:]) == {Cause.NOT_WRITTEN}
    assert {row["changed_by"] for row in run.mismatches if row["cause"] == Cause.ONLY_IN_REPLICA} == {"Census Integration"}
    assert "accepted by Census but not written" in said
    assert "wrong in the replica only; Salesforce itself is right" in said
    assert "Salesforce itself was asked for 10 records." in said


def test_an_edit_has_the_name_of_who_changed_the_record_last(connected: Sandbox, plan: Plan) -> None:
    run = plan("causes-edited", 6)
    run.send()
    run.until_fresh()
    edit(connected, run.ids[1], False)

    said = failed(run)
    edit(connected, run.ids[1], True)

    [row] = run.mismatches
    assert (row["cause"], row["changed_by"], row["asked_value"]) == (Cause.EDITED_IN_SALESFORCE, "Avery Admin", "false")
    assert row["changed_at"] > row["sent_until"]
    assert "of 1 difference, 1 edited in Salesforce by a person or an automation" in said


@pytest.mark.parametrize(("runs_as", "name"), [("user", "Census Integration"), ("automated_process", "Automated Process")])
def test_an_automation_that_switches_a_flag_on_is_an_edit(connected: Sandbox, plan: Plan, runs_as: str, name: str) -> None:
    run = plan(f"causes-automation-{runs_as}", 6)
    run.send([1])
    connected.settings(automation_overwrites={"IDV_Only_Enabled__c": True}, automation_runs_as=runs_as)
    run.send([2])
    connected.settings(automation_overwrites={})
    last = run.ids[5]
    held = f"SELECT idv_only_enabled_c FROM {REPLICA} WHERE reverse_etl_id_c = '{last}'"
    eventually(lambda: connected.sql(held)[0][0])

    failed(run)

    flags = {row["field"]: row for row in run.mismatches if row["reverse_etl_id_c"] == last}
    assert flags["idv_only_enabled_c"]["cause"] == Cause.EDITED_IN_SALESFORCE
    assert flags["idv_only_enabled_c"]["changed_by"] == name


def test_a_field_that_census_may_not_edit_is_not_known_because_an_automation_may_have_put_it_back(
    connected: Sandbox, plan: Plan
) -> None:
    run = plan("causes-uneditable", 6)
    run.send([1])
    connected.settings(census_uneditable_fields=[FLAG], census_uneditable="drop")
    run.send([2])
    connected.settings(census_uneditable_fields=[])
    last = run.ids[5]
    eventually(
        lambda: connected.sql(f"SELECT fraud_detection_start_date_c FROM {REPLICA} WHERE reverse_etl_id_c = '{last}'")[0][0]
    )

    failed(run)

    assert {row["field"]: row["cause"] for row in run.mismatches if row["reverse_etl_id_c"] == last} == {COLUMN: Cause.NOT_KNOWN}


def test_rejected_and_never_sent(connected: Sandbox, plan: Plan) -> None:
    run = plan("causes-rejected", 10)
    connected.fault("run", "reject_rows", count=2, message="NO_GOOD", times=1)
    run.send([1])
    run.until_fresh()

    said = failed(run)

    assert causes(run, *run.ids[5:]) == {Cause.NEVER_SENT}
    assert Counter(row["cause"] for row in run.mismatches if row["field"] == COLUMN) == {Cause.REJECTED: 2, Cause.NEVER_SENT: 5}
    assert {row["rejection"] for row in run.mismatches if row["cause"] == Cause.REJECTED} == {"NO_GOOD"}
    assert "never sent" in said


def test_the_source_has_moved_and_salesforce_follows_it(sandbox: Sandbox, plan: Plan) -> None:
    run = plan("causes-moved", 6)
    run.send()
    run.until_fresh()
    key = run.ids[2]
    sandbox.sql(f"UPDATE {FEATURES} SET fraud_enabled = FALSE WHERE property_id = '{key}'")
    edit(sandbox, key, False)

    failed(run)
    sandbox.sql(f"UPDATE {FEATURES} SET fraud_enabled = TRUE WHERE property_id = '{key}'")
    edit(sandbox, key, True)

    assert {row["field"]: row["cause"] for row in run.mismatches} == {COLUMN: Cause.MOVED_IN_SOURCE}


def test_a_record_that_is_gone_has_no_other_cause(sandbox: Sandbox, plan: Plan) -> None:
    run = plan("causes-gone", 3)
    run.send()
    run.until_fresh()
    where = f"WHERE snappt_property_id_c = '{run.ids[0]}'"
    sandbox.sql(f"UPDATE {REPLICA} SET is_deleted = TRUE {where}")

    failed(run)
    sandbox.sql(f"UPDATE {REPLICA} SET is_deleted = FALSE {where}")

    assert causes(run, *run.ids) == {Cause.NO_RECORD}
    assert len(run.mismatches) == len(load_settings().fields.features)


def test_if_salesforce_does_not_answer_the_verdict_is_given_and_says_so(connected: Sandbox, plan: Plan) -> None:
    run = plan("causes-down", 3)
    run.send()
    run.until_fresh()
    edit(connected, run.ids[0], False)
    connected.fault("salesforce", "status", code=503)

    said = failed(run)
    connected.control("DELETE", "faults")
    edit(connected, run.ids[0], True)

    assert "Salesforce itself was not asked: Salesforce " in said
    assert causes(run, run.ids[0]) == {Cause.EDITED_IN_SALESFORCE}


def test_a_run_that_was_frozen_by_an_older_version_gets_its_verdict(sandbox: Sandbox, plan: Plan) -> None:
    run = plan("causes-older", 2)
    run.send()
    run.until_fresh()
    table = load_settings().payload_table
    marked = "TBLPROPERTIES ('feature_sync.table' = 'payload/1')"
    sandbox.sql(f"CREATE OR REPLACE TABLE {table} {marked} AS SELECT * EXCEPT (is_undo) FROM {table}")

    assert run.validate().result == "0 properties with mismatched feature data"
