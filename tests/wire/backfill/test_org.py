"""What a run finds out from Salesforce itself before it sends, and after a person has spoken about the Flow."""

import logging
from typing import Any

import pytest

from feature_sync.backfill.flow_questions import FlowStateError, refuse_active_flow, refuse_inactive_flow
from feature_sync.backfill.preconditions import check_preconditions
from feature_sync.config.problems import GuardError, NotReadyError
from feature_sync.salesforce.errors import SalesforceUnavailableError
from tests.sandbox.client import Sandbox
from tests.wire.connections import salesforce_connection

INCIDENT = {"scope": "created_between", "created_from": "2025-11-21", "created_to": "2025-11-21"}
FLOW = "Product_Property_After_Rollup_Flow"
FLAG = "fraud_detection_enabled__c"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def problems_of(config: dict[str, Any] = INCIDENT, kind: type[GuardError | NotReadyError] = GuardError) -> list[str]:
    with pytest.raises(kind) as refused:
        check_preconditions(config, 1024)
    return refused.value.problems


@pytest.mark.usefixtures("sandbox")
def test_without_a_connection_the_log_says_what_was_not_checked(logged: pytest.LogCaptureFixture) -> None:
    assert check_preconditions(INCIDENT, 1024)["records"]

    assert "Not checked: Fields, limits and Flow in Salesforce itself, because there is no connection" in logged.text


@pytest.mark.usefixtures("connected")
def test_an_org_that_is_as_it_must_be_is_no_problem(logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_FLOW", FLOW)

    assert check_preconditions(INCIDENT, 1024)["records"]

    assert "API calls left in these 24 hours; this run may need 520." in logged.text
    assert f"The Flow is on: version 7 of {FLOW} is active." in logged.text
    assert "Not checked: whether Census's user may edit the fields of Product_Property__c." in logged.text


def test_every_problem_of_the_org_is_said_at_once(connected: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_FLOW", "Rollup")
    connected.settings(api_user_hidden_fields=[FLAG])

    missing, flow = problems_of()

    assert missing.startswith(f"Salesforce shows no field {FLAG} of Product_Property__c to the user of connection")
    assert flow == "Salesforce has no Flow with the developer name Rollup. Correct or empty SALESFORCE_FLOW."


def test_too_few_calls_for_the_batches_of_the_run_are_a_problem_but_not_for_a_dry_run(connected: Sandbox) -> None:
    used = connected.salesforce("GET", "limits").json()["DailyApiRequests"]
    connected.settings(salesforce_daily_requests=used["Max"] - used["Remaining"] + 200)

    [problem] = problems_of()

    assert "and this run may need 520: 20 for each of 26 batches." in problem
    assert check_preconditions(INCIDENT | {"dry_run": True}, 1024)["records"]


def test_what_the_user_may_not_see_is_said_and_no_problem(
    connected: Sandbox, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_FLOW", FLOW)
    connected.settings(api_user_views_setup=False)

    assert check_preconditions(INCIDENT, 1024)["records"]

    assert "Not checked: how many API calls are left." in logged.text
    assert f"Not checked: the Flow {FLOW}." in logged.text


def test_a_salesforce_that_is_down_is_temporary_and_a_login_that_is_refused_is_not(
    connected: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = connected.fault("salesforce", "status", code=503)
    [waits] = problems_of(kind=NotReadyError)
    connected.control("DELETE", f"faults/{down}")
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", salesforce_connection(connected, "secret-of-nobody"))
    [refused] = problems_of()

    assert "Salesforce cannot be asked (salesforce_default): Salesforce answered" in waits
    assert "Salesforce refuses the login of connection salesforce_default" in refused


class TestThePersonsWord:
    @pytest.fixture(autouse=True)
    def _named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_FLOW", FLOW)

    def test_is_not_believed_if_the_flow_is_on(self, connected: Sandbox) -> None:
        with pytest.raises(FlowStateError, match=f"the Flow is off, but Salesforce says: version 7 of {FLOW} is active") as said:
            refuse_active_flow("run")

        assert "Nothing was sent." in str(said.value)
        connected.settings(flow_enabled=False)
        refuse_active_flow("run")

    def test_is_not_believed_if_the_flow_is_still_off(self, connected: Sandbox) -> None:
        connected.settings(flow_enabled=False)
        with pytest.raises(FlowStateError, match=f"the Flow is on, but Salesforce says: {FLOW} has no active version"):
            refuse_inactive_flow("run")

        connected.settings(flow_enabled=True)
        refuse_inactive_flow("run")

    def test_counts_if_the_user_may_not_look(self, connected: Sandbox, logged: pytest.LogCaptureFixture) -> None:
        connected.settings(api_user_views_setup=False)

        refuse_active_flow("run")

        assert "run: not checked whether the Flow is off: Salesforce answered" in logged.text

    @pytest.mark.usefixtures("sandbox")
    def test_counts_without_a_connection(self, logged: pytest.LogCaptureFixture) -> None:
        refuse_active_flow("run")

        assert "was not asked whether the Flow is off: no connection salesforce_default" in logged.text

    @pytest.mark.usefixtures("connected")
    def test_counts_without_the_name_of_the_flow(self, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_FLOW", "")

        refuse_active_flow("run")

        assert "was not asked whether the Flow is off: no SALESFORCE_FLOW" in logged.text

    def test_does_not_count_alone_while_salesforce_is_down(self, connected: Sandbox) -> None:
        connected.fault("salesforce", "status", code=503)

        with pytest.raises(SalesforceUnavailableError):
            refuse_active_flow("run")


def test_records_that_wait_for_an_approval_are_named(connected: Sandbox, logged: pytest.LogCaptureFixture) -> None:
    [record] = connected.soql("SELECT Id FROM Product_Property__c ORDER BY Id LIMIT 1")["records"]
    connected.settings(records_in_approval=[record["Id"]])

    assert check_preconditions(INCIDENT, 1024)["records"]

    assert (
        f"Not checked: whether Census may change 1 record of Product_Property__c that waits for an approval: {record['Id']}."
        in (logged.text)
    )
