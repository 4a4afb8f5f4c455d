"""What the org says about itself: who changed a record, who may do what, which flows are active, how many requests are left."""

from pathlib import Path
from typing import Any

import pytest
import requests
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceRefusedRequest

from sandbox.faults import Faults
from sandbox.journal import Journal
from sandbox.salesforce.org import MADE_BY, Org
from sandbox.salesforce.users import CENSUS, USERS
from sandbox.settings import SettingsStore
from sandbox.state import State
from sandbox.worlds.incident import INCIDENT_WORLD
from sandbox.worlds.real import REAL_WORLD
from tests.sandbox.client import SALESFORCE_SESSION, Sandbox
from tests.sandbox.salesforce_client import client, reader

OBJECT = "Product_Property__c"
FLAG, DAY = "id_verification_enabled__c", "vor_start_date__c"
ROLLUP_FLOW = "Product_Property_After_Rollup_Flow"
DEFAULTS_FLOW = "Product_Property_After_Field_Defaults"
WHO = f"SELECT Id, LastModifiedBy.Name, LastModifiedDate, {FLAG}, {DAY} FROM {OBJECT}"


def records(sandbox: Sandbox, query: str) -> list[Any]:
    return client(sandbox).query(query)["records"]


def record_of(sandbox: Sandbox, key: str) -> Any:
    [record] = records(sandbox, f"{WHO} WHERE Reverse_ETL_ID__c = '{key}'")
    return record


def refusal(call: Any, *arguments: Any) -> tuple[int, str, str]:
    """The status, the code and the message with which Salesforce refuses a call."""
    with pytest.raises((SalesforceMalformedRequest, SalesforceRefusedRequest)) as refused:
        call(*arguments)
    [problem] = refused.value.content
    return refused.value.status, problem["errorCode"], problem["message"]


def tooling(sandbox: Sandbox, query: str) -> Any:
    return client(sandbox).toolingexecute("query", params={"q": query})


# Who changed a record


def test_a_record_says_whether_census_or_the_admin_changed_it_last(sandbox: Sandbox) -> None:
    [key] = sandbox.stage(1, offset=500)
    sandbox.send()
    by_census = record_of(sandbox, key)

    client(sandbox).Product_Property__c.update(by_census["Id"], {DAY: "2025-03-04"})

    by_admin = record_of(sandbox, key)
    assert by_census["LastModifiedBy"]["Name"] == "Census Integration"
    assert by_admin["LastModifiedBy"]["Name"] == "Avery Admin"
    assert by_admin["LastModifiedDate"] > by_census["LastModifiedDate"]


def test_related_records_stand_in_objects_of_their_own(sandbox: Sandbox) -> None:
    [record] = records(
        sandbox,
        f"SELECT Name, p.LastModifiedBy.Name, LastModifiedBy.Profile.Name, LastModifiedById FROM {OBJECT} p"
        " WHERE lastmodifiedby.name = 'CENSUS integration' ORDER BY LastModifiedBy.Username, Id LIMIT 1",
    )

    user = record["LastModifiedBy"]
    assert list(record) == ["attributes", "Name", "LastModifiedBy", "LastModifiedById"]
    assert user["attributes"] == {"type": "User", "url": f"/services/data/v59.0/sobjects/User/{record['LastModifiedById']}"}
    assert (user["Name"], user["Profile"]["Name"], user["Profile"]["attributes"]["type"]) == (
        "Census Integration",
        "Census Integration",
        "Profile",
    )


def test_a_relationship_without_a_record_is_null(sandbox: Sandbox) -> None:
    found = records(sandbox, "SELECT Name, Profile.Name FROM User WHERE Profile.Name = null")

    assert [(one["Name"], one["Profile"]) for one in found] == [("Automated Process", None)]


def test_users_are_found_by_what_they_are_called(sandbox: Sandbox) -> None:
    found = records(sandbox, "SELECT Id, Name, Username, IsActive, UserType FROM User ORDER BY Name")

    assert [one["Name"] for one in found] == ["Automated Process", "Avery Admin", "Census Integration", "Feature Sync"]
    assert all(one["IsActive"] is True and len(one["Id"]) == 18 for one in found)
    assert found[0]["UserType"] == "AutomatedProcess"


def test_records_are_counted_by_who_changed_them(sandbox: Sandbox) -> None:
    found = records(
        sandbox, f"SELECT LastModifiedBy.Name, COUNT(Id) n, MAX(LastModifiedDate) FROM {OBJECT} GROUP BY LastModifiedBy.Name"
    )

    assert sum(one["n"] for one in found) == 10_000
    assert "Census Integration" in {one["Name"] for one in found}
    assert all(one["expr0"].endswith("+0000") for one in found)


def test_a_state_folder_that_is_older_than_the_users_is_completed(tmp_path: Path) -> None:
    state, schema = State(tmp_path / "sandbox.sqlite"), INCIDENT_WORLD.schema
    older = schema.without(MADE_BY)
    with state.transaction() as tx:
        tx.execute(older.create_table().partition(";")[0])
        names = [field.name for field in older]
        tx.execute(f"INSERT INTO org_record VALUES ({', '.join('?' * len(names))}, 1)", ["a2P"] + [0] * (len(names) - 1))

    Org(state, Journal(state), Faults(state), SettingsStore(state), schema=schema, companies=lambda _: {})

    [record] = state.query("SELECT CreatedById, LastModifiedById FROM org_record")
    assert tuple(record) == (CENSUS.id, CENSUS.id)
    state.close()


def test_the_records_of_the_real_world_were_changed_by_users_of_the_org() -> None:
    changed_by = {record["LastModifiedById"] for record in REAL_WORLD.org_records()}

    assert changed_by <= {user.id for user in USERS}


@pytest.mark.parametrize(
    ("field", "message"),
    [
        pytest.param("Nobody.Name", "Didn't understand relationship 'Nobody' in field path.", id="relationship"),
        pytest.param("LastModifiedBy.Shoes", "No such column 'Shoes' on entity 'User'.", id="field"),
    ],
)
def test_an_unknown_part_of_a_path_is_named(sandbox: Sandbox, field: str, message: str) -> None:
    status, code, said = refusal(client(sandbox).query, f"SELECT {field} FROM {OBJECT}")

    assert (status, code) == (400, "INVALID_FIELD")
    assert said.startswith(message)


# A flow that overwrites


@pytest.mark.parametrize(
    ("runs_as", "name"),
    [
        pytest.param("user", "Census Integration", id="as-the-user-who-saved"),
        pytest.param("automated_process", "Automated Process", id="later-on-its-own"),
    ],
)
def test_a_flow_overwrites_what_census_wrote(sandbox: Sandbox, runs_as: str, name: str) -> None:
    [key] = sandbox.stage(1, offset=510)
    sandbox.settings(automation_overwrites={FLAG: False}, automation_runs_as=runs_as)

    run = sandbox.send()

    record = record_of(sandbox, key)
    assert (run["records_updated"], run["records_failed"]) == (1, 0)
    assert (record[FLAG], record[DAY], record["LastModifiedBy"]["Name"]) == (False, "2025-06-01", name)


def test_the_flow_leaves_a_record_alone_that_has_its_values(sandbox: Sandbox) -> None:
    [key] = sandbox.stage(1, offset=511, flag="FALSE")
    sandbox.settings(automation_overwrites={FLAG: False}, automation_runs_as="automated_process")

    sandbox.send()

    assert record_of(sandbox, key)["LastModifiedBy"]["Name"] == "Census Integration"


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        pytest.param("automation_overwrites", {"shoes__c": 1}, "'automation_overwrites'", id="no-such-field"),
        pytest.param("automation_overwrites", {DAY: "soon"}, "value not of required type", id="not-a-date"),
        pytest.param("api_user_hidden_fields", ["Id"], "no custom field 'Id'", id="a-field-that-all-may-read"),
        pytest.param("census_uneditable_fields", ["shoes__c"], "no custom field 'shoes__c'", id="misspelled"),
    ],
)
def test_a_setting_with_a_wrong_field_is_refused(sandbox: Sandbox, setting: str, value: Any, said: str) -> None:
    answer = requests.patch(f"{sandbox.url}/sandbox/settings", json={setting: value}, timeout=20)

    assert answer.status_code == 400
    assert said in answer.json()["error"]


# Rights on fields


def test_a_field_that_census_may_not_edit_rejects_the_row(sandbox: Sandbox) -> None:
    [key] = sandbox.stage(1, offset=520, day="DATE'2032-02-02'")
    sandbox.settings(census_uneditable_fields=[DAY])

    run = sandbox.send()

    assert run["records_failed"] == 1
    assert sandbox.records(run["id"])[0]["status_message"] == (
        f"INVALID_FIELD_FOR_INSERT_UPDATE: Unable to create/update fields: {DAY}. Please check the security settings of this"
        " field and verify that it is read/write for your profile or permission set."
    )
    assert record_of(sandbox, key)[DAY] != "2032-02-02"


def test_or_census_leaves_the_field_out_and_reports_success(sandbox: Sandbox) -> None:
    [key] = sandbox.stage(1, offset=521, day="DATE'2032-02-02'")
    sandbox.settings(census_uneditable_fields=["VOR_Start_Date__c"], census_uneditable="drop")

    run = sandbox.send()

    record = record_of(sandbox, key)
    assert (run["records_updated"], run["records_failed"]) == (1, 0)
    assert record[FLAG] is True
    assert record[DAY] != "2032-02-02"


def test_the_rights_of_census_on_each_field_can_be_queried(sandbox: Sandbox) -> None:
    sandbox.settings(census_uneditable_fields=[DAY])

    found = records(
        sandbox,
        "SELECT SobjectType, Field, PermissionsRead, PermissionsEdit, Parent.ProfileId, Parent.Profile.Name FROM FieldPermissions"
        f" WHERE SobjectType = '{OBJECT}' AND Parent.Profile.Name = 'Census Integration' AND Field IN"
        f" ('{OBJECT}.{DAY}', '{OBJECT}.{FLAG}') ORDER BY Field",
    )

    rights = {one["Field"]: (one["PermissionsRead"], one["PermissionsEdit"]) for one in found}
    assert rights == {f"{OBJECT}.{DAY}": (True, False), f"{OBJECT}.{FLAG}": (True, True)}
    assert {one["Parent"]["Profile"]["Name"] for one in found} == {"Census Integration"}
    assert records(sandbox, f"SELECT Id FROM FieldPermissions WHERE Field = '{OBJECT}.CreatedDate'") == []


def test_the_rights_on_the_object_can_be_queried(sandbox: Sandbox) -> None:
    found = records(
        sandbox,
        "SELECT PermissionsRead, PermissionsEdit, Parent.Profile.Name FROM ObjectPermissions"
        f" WHERE SobjectType = '{OBJECT}' ORDER BY Parent.Profile.Name",
    )

    assert [(one["Parent"]["Profile"]["Name"], one["PermissionsRead"], one["PermissionsEdit"]) for one in found] == [
        ("Census Integration", True, True),
        ("Feature Sync Read Only", True, False),
        ("System Administrator", True, True),
    ]


def test_the_rights_of_a_user_are_found_through_the_user(sandbox: Sandbox) -> None:
    [assigned] = records(
        sandbox,
        "SELECT PermissionSetId, PermissionSet.IsOwnedByProfile FROM PermissionSetAssignment"
        " WHERE Assignee.Username = 'census@crm.example'",
    )

    held = records(sandbox, f"SELECT PermissionsEdit FROM ObjectPermissions WHERE ParentId = '{assigned['PermissionSetId']}'")
    assert assigned["PermissionSet"]["IsOwnedByProfile"] is True
    assert [one["PermissionsEdit"] for one in held] == [True]


def test_a_field_that_the_user_may_not_read_does_not_exist_for_him(sandbox: Sandbox) -> None:
    sandbox.settings(api_user_hidden_fields=[DAY])
    mine, theirs = reader(sandbox), client(sandbox)
    record_id = theirs.query(f"SELECT Id FROM {OBJECT} LIMIT 1")["records"][0]["Id"]

    names = {field["name"] for field in mine.Product_Property__c.describe()["fields"]}

    assert DAY not in names
    assert FLAG in names
    assert refusal(mine.query, f"SELECT {DAY} FROM {OBJECT}")[:2] == (400, "INVALID_FIELD")
    assert refusal(mine.query, f"SELECT Id FROM {OBJECT} WHERE {DAY} = null")[2].startswith(f"No such column '{DAY}' on entity")
    assert DAY not in mine.Product_Property__c.get(record_id)
    assert DAY in theirs.Product_Property__c.get(record_id)
    assert mine.query(f"SELECT Id FROM FieldPermissions WHERE Field = '{OBJECT}.{DAY}'")["totalSize"] == 2


def test_describe_says_what_the_asking_user_may_change(sandbox: Sandbox) -> None:
    described = {who: ask(sandbox).Product_Property__c.describe() for who, ask in (("admin", client), ("reader", reader))}

    updateable = {who: {one["name"] for one in answer["fields"] if one["updateable"]} for who, answer in described.items()}
    assert (described["admin"]["updateable"], described["reader"]["updateable"]) == (True, False)
    assert {FLAG, DAY} < updateable["admin"]
    assert updateable["reader"] == set()
    [changed_by] = [one for one in described["reader"]["fields"] if one["name"] == "LastModifiedById"]
    assert (changed_by["type"], changed_by["relationshipName"], changed_by["referenceTo"]) == (
        "reference",
        "LastModifiedBy",
        ["User"],
    )


def test_the_reader_changes_nothing(sandbox: Sandbox) -> None:
    org = reader(sandbox)
    record = org.query(f"{WHO} LIMIT 1")["records"][0]

    status, code, _ = refusal(org.Product_Property__c.update, record["Id"], {DAY: "2033-03-03"})

    assert (status, code) == (403, "INSUFFICIENT_ACCESS_OR_READONLY")
    assert org.Product_Property__c.get(record["Id"])[DAY] == record[DAY]


@pytest.mark.parametrize("name", ["FieldPermissions", "ObjectPermissions", "PermissionSet", "FlowDefinitionView"])
def test_without_the_right_to_see_the_setup_its_objects_do_not_exist(sandbox: Sandbox, name: str) -> None:
    query = f"SELECT Id FROM {name}"
    assert reader(sandbox).query(query)["totalSize"] > 0
    sandbox.settings(api_user_views_setup=False)

    status, code, said = refusal(reader(sandbox).query, query)

    assert (status, code) == (400, "INVALID_TYPE")
    assert said.startswith(f"sObject type '{name}' is not supported.")
    assert client(sandbox).query(query)["totalSize"] > 0
    assert reader(sandbox).query(f"SELECT LastModifiedBy.Name FROM {OBJECT} LIMIT 1")["totalSize"] == 1


def test_without_that_right_neither_flows_nor_limits_are_shown(sandbox: Sandbox) -> None:
    sandbox.settings(api_user_views_setup=False)
    org = reader(sandbox)

    flows = org.toolingexecute
    assert refusal(lambda: flows("query", params={"q": "SELECT Id FROM FlowDefinition"}))[:2] == (400, "INVALID_TYPE")
    assert refusal(org.limits)[:2] == (403, "INSUFFICIENT_ACCESS")


# Flows


@pytest.mark.parametrize("enabled", [True, False])
def test_the_tooling_api_says_whether_the_flow_is_active(sandbox: Sandbox, enabled: bool) -> None:
    sandbox.settings(flow_enabled=enabled)

    answer = tooling(
        sandbox,
        "SELECT Id, DeveloperName, ActiveVersionId, ActiveVersion.VersionNumber, ActiveVersion.Status, LatestVersionId,"
        f" LatestVersion.Status FROM FlowDefinition WHERE DeveloperName = '{ROLLUP_FLOW}'",
    )

    [flow] = answer["records"]
    assert (answer["size"], answer["totalSize"], answer["entityTypeName"]) == (1, 1, "FlowDefinition")
    assert flow["attributes"]["url"] == f"/services/data/v59.0/tooling/sobjects/FlowDefinition/{flow['Id']}"
    if enabled:
        assert flow["ActiveVersionId"] == flow["LatestVersionId"]
        assert (flow["ActiveVersion"]["VersionNumber"], flow["ActiveVersion"]["Status"]) == (7, "Active")
    else:
        assert (flow["ActiveVersionId"], flow["ActiveVersion"]) == (None, None)
        assert flow["LatestVersion"]["Status"] == "Obsolete"


def test_the_view_of_flows_says_the_same_over_the_rest_api(sandbox: Sandbox) -> None:
    query = (
        "SELECT ApiName, Label, IsActive, ProcessType, TriggerType, TriggerObjectOrEventLabel FROM FlowDefinitionView"
        " WHERE TriggerObjectOrEventLabel = 'Product Property' AND IsActive = true ORDER BY ApiName"
    )

    [flow] = records(sandbox, query)
    sandbox.settings(automation_overwrites={FLAG: False})
    both = records(sandbox, query)
    sandbox.settings(flow_enabled=False)
    other = records(sandbox, query)

    assert (flow["ApiName"], flow["Label"]) == (ROLLUP_FLOW, "Product Property | After | Rollup Flow")
    assert (flow["ProcessType"], flow["TriggerType"]) == ("AutoLaunchedFlow", "RecordAfterSave")
    assert [one["ApiName"] for one in both] == [DEFAULTS_FLOW, ROLLUP_FLOW]
    assert [one["ApiName"] for one in other] == [DEFAULTS_FLOW]


def test_a_client_must_choose_among_flows(sandbox: Sandbox) -> None:
    """Others are inactive, belong to another object, or have a draft that is newer than the active version."""
    flows = tooling(
        sandbox, "SELECT DeveloperName, ActiveVersion.VersionNumber, LatestVersion.VersionNumber FROM FlowDefinition"
    )["records"]

    versions = {
        one["DeveloperName"]: tuple((one[which] or {}).get("VersionNumber") for which in ("ActiveVersion", "LatestVersion"))
        for one in flows
    }
    assert versions[f"{ROLLUP_FLOW}_v1"] == (None, 12)
    assert versions["Product_After_Status_Flow"] == (3, 4)
    assert len(versions) == 6


def test_each_api_has_its_own_objects(sandbox: Sandbox) -> None:
    assert refusal(client(sandbox).query, "SELECT Id FROM FlowDefinition")[1] == "INVALID_TYPE"
    assert refusal(lambda: tooling(sandbox, "SELECT Id FROM FieldPermissions"))[1] == "INVALID_TYPE"


# Limits


def test_requests_count_down(sandbox: Sandbox) -> None:
    org = client(sandbox)

    before = org.limits()["DailyApiRequests"]
    org.query("SELECT COUNT() FROM User")
    after = org.limits()

    assert before["Max"] == 15_000
    assert after["DailyApiRequests"] == {"Max": 15_000, "Remaining": before["Remaining"] - 2}
    assert org.api_usage["api-usage"] == (15_000 - after["DailyApiRequests"]["Remaining"], 15_000)
    assert {"DailyBulkApiBatches", "DailyBulkV2QueryJobs", "HourlyTimeBasedWorkflow", "DataStorageMB"} < set(after)
    assert "DataStorageMB" not in reader(sandbox).limits()


def test_every_answer_with_a_session_says_how_many_requests_were_made(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {SALESFORCE_SESSION}"}
    paths = ("data/v59.0/limits", "data/v59.0/query?q=nonsense", "data/v59.0/nowhere", "data", "oauth2/userinfo")

    said = [
        requests.get(f"{sandbox.url}/services/{path}", headers=headers, timeout=20).headers.get("Sforce-Limit-Info")
        for path in paths
    ]

    used = [int(text.partition("=")[2].partition("/")[0]) for text in said[:3] if text]
    assert used == [used[0], used[0] + 1, used[0] + 2]
    assert said[3:] == [None, None]


def test_a_request_too_many_is_refused(sandbox: Sandbox) -> None:
    org = client(sandbox)
    org.limits()
    used = org.api_usage["api-usage"].used
    sandbox.settings(salesforce_daily_requests=used + 1)

    org.query("SELECT COUNT() FROM User")

    assert refusal(org.query, "SELECT COUNT() FROM User") == (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    assert refusal(org.limits)[1] == "REQUEST_LIMIT_EXCEEDED"
    sandbox.settings(salesforce_daily_requests=used + 3)
    assert org.limits()["DailyApiRequests"]["Remaining"] == 1


# Who am I?


def test_a_client_learns_who_it_is(sandbox: Sandbox) -> None:
    admin, mine = (ask(sandbox).oauth2("userinfo") for ask in (client, reader))

    assert (admin["preferred_username"], mine["name"]) == ("avery.admin@crm.example", "Feature Sync")
    assert [one["Name"] for one in records(sandbox, f"SELECT Name FROM User WHERE Id = '{mine['user_id']}'")] == ["Feature Sync"]


# Approvals


def test_a_record_that_waits_for_an_approval_is_locked_for_all_but_an_administrator(sandbox: Sandbox) -> None:
    [key] = sandbox.stage(1, offset=520)
    record = record_of(sandbox, key)
    sandbox.settings(records_in_approval=[record["Id"]])
    pending = (
        f"SELECT TargetObjectId, SubmittedBy.Name FROM ProcessInstance WHERE Status = 'Pending' "
        f"AND ProcessDefinition.TableEnumOrId = '{OBJECT}'"
    )

    [waiting] = records(sandbox, pending)
    run = sandbox.send()

    assert (waiting["TargetObjectId"], waiting["SubmittedBy"]["Name"]) == (record["Id"], "Avery Admin")
    assert run["records_failed"] == 1
    client(sandbox).Product_Property__c.update(record["Id"], {DAY: "2025-03-05"})
    assert record_of(sandbox, key)[DAY] == "2025-03-05"


def test_decided_approvals_and_those_of_other_objects_are_there_too(sandbox: Sandbox) -> None:
    sandbox.settings(records_in_approval=["a2P5Y00000000001AAA"])

    found = records(sandbox, "SELECT Status, ProcessDefinition.TableEnumOrId FROM ProcessInstance ORDER BY Id")

    assert {(one["Status"], one["ProcessDefinition"]["TableEnumOrId"]) for one in found} == {
        ("Pending", OBJECT),
        ("Rejected", OBJECT),
        ("Pending", "Product__c"),
    }
