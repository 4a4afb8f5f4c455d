"""The Salesforce org: the Flow's limits and locks, what a field takes, and the REST API through simple-salesforce."""

import pytest
import requests
from simple_salesforce.exceptions import SalesforceExpiredSession, SalesforceMalformedRequest, SalesforceResourceNotFound

from tests.sandbox.client import BACKFILL, BATCH_TABLE, Sandbox, eventually
from tests.sandbox.salesforce_client import client

OBSERVED = (
    'CANNOT_EXECUTE_FLOW_TRIGGER: We can\'t save this record because the "Product Property | After | Rollup Flow" process failed.'
)


@pytest.mark.parametrize(
    ("rows", "accepted"), [pytest.param(50, 50, id="50-pass"), pytest.param(51, 0, id="51-fail-all-of-them")]
)
def test_the_flow_takes_50_records_in_a_transaction_and_refuses_51(sandbox: Sandbox, rows: int, accepted: int) -> None:
    sandbox.stage(rows)

    run = sandbox.send()

    assert run["status"] == "completed"
    assert (run["records_updated"], run["records_failed"]) == (accepted, rows - accepted)
    messages = {record["status_message"] for record in sandbox.records(run["id"], status="rejected")}
    if accepted:
        assert messages == set()
    else:
        [message] = messages
        assert message.startswith(f"{OBSERVED}\n\nLimit Exceeded\nError ID: ")
        assert sandbox.journal("salesforce.transaction")[-1]["error"] == message


def test_a_refused_transaction_changes_no_record(sandbox: Sandbox) -> None:
    keys = sandbox.stage(51, offset=200, day="DATE'2031-02-28'")

    sandbox.send()

    assert sandbox.soql("SELECT COUNT() FROM Product_Property__c WHERE vor_start_date__c = 2031-02-28")["totalSize"] == 0
    assert len(keys) == 51


def test_without_the_flow_a_transaction_takes_200_records(sandbox: Sandbox) -> None:
    sandbox.settings(flow_enabled=False, census_work_seconds=0.3)
    sandbox.stage(201, offset=300)

    run = sandbox.send()

    sizes = [entry["records"] for entry in sandbox.journal("salesforce.transaction") if entry["sync_run_id"] == run["id"]]
    assert sizes == [200, 1]
    assert run["records_updated"] == 201


def test_the_batch_size_of_the_sync_makes_the_transactions(sandbox: Sandbox) -> None:
    sandbox.settings(census_work_seconds=0.3)
    sandbox.stage(70, offset=300)
    sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"advanced_configuration": {"bulk_id_lookup": True, "batch_size": 30}})

    run = sandbox.send()

    sandbox.census("PATCH", f"syncs/{BACKFILL}", json={"advanced_configuration": {"bulk_id_lookup": True}})
    sizes = [entry["records"] for entry in sandbox.journal("salesforce.transaction") if entry["sync_run_id"] == run["id"]]
    assert sizes == [30, 30, 10]


def test_a_batch_that_comes_while_the_rollup_runs_is_locked_out(sandbox: Sandbox) -> None:
    sandbox.settings(rollup_seconds=1.2)
    sandbox.stage(2)
    first = sandbox.send()

    during = sandbox.send()
    eventually(lambda: sandbox.send()["records_failed"] == 0)

    assert first["records_failed"] == 0
    assert during["records_failed"] == 2
    message = sandbox.records(during["id"])[0]["status_message"]
    assert message.startswith(OBSERVED)
    assert "UNABLE_TO_LOCK_ROW" in message


def test_more_than_12_siblings_fail_when_that_limit_is_on(sandbox: Sandbox) -> None:
    """The whole staged batch belongs to one company then."""
    sandbox.settings(flow_duplicate_parents_limit=12)
    [[company]] = sandbox.sql(
        "SELECT company_id FROM rds.pg_rds_public.properties p JOIN crm.salesforce.product_property_c c"
        " ON c.snappt_property_id_c = CAST(p.id AS STRING) WHERE NOT c.is_deleted"
        " GROUP BY company_id HAVING count(*) >= 14 ORDER BY company_id LIMIT 1"
    )
    sandbox.stage(1)
    columns = [row[0] for row in sandbox.sql(f"DESCRIBE {BATCH_TABLE}")][2:]
    source = (
        "SELECT c.snappt_property_id_c, c.reverse_etl_id_c, "
        + ", ".join(f"c.{column}" for column in columns)
        + " FROM crm.salesforce.product_property_c c JOIN rds.pg_rds_public.properties p"
        " ON c.snappt_property_id_c = CAST(p.id AS STRING)"
        f" WHERE p.company_id = {company} AND NOT c.is_deleted ORDER BY c.id LIMIT "
    )

    failed = {}
    for rows in (13, 14):
        sandbox.sql(f"CREATE OR REPLACE TABLE {BATCH_TABLE} AS {source}{rows}")
        failed[rows] = sandbox.send()["records_failed"]

    assert failed == {13: 0, 14: 14}


@pytest.mark.parametrize(
    ("staged", "outcome"),
    [
        pytest.param({"flag": "CAST(NULL AS BOOLEAN)"}, "value not of required type: null", id="null-checkbox"),
        pytest.param(
            {"day": "TIMESTAMP'2025-06-01 10:00:00'"}, "value not of required type: 2025-06-01T10:00:00Z", id="time-in-date"
        ),
    ],
)
def test_a_value_that_the_field_does_not_take_rejects_the_row(sandbox: Sandbox, staged: dict[str, str], outcome: str) -> None:
    sandbox.stage(2, **staged)

    run = sandbox.send()

    assert run["records_failed"] == 2
    assert outcome in sandbox.records(run["id"])[0]["status_message"]


def test_null_clears_and_an_empty_text_changes_nothing(sandbox: Sandbox) -> None:
    [key] = sandbox.stage(1, offset=400)
    sandbox.send()
    sandbox.stage(1, offset=400, day="CAST(NULL AS DATE)")
    sandbox.sql(
        f"CREATE OR REPLACE TABLE {BATCH_TABLE} AS"
        f" SELECT '' AS snappt_property_id_c, * EXCEPT (snappt_property_id_c) FROM {BATCH_TABLE}"
    )

    sandbox.send()

    [record] = sandbox.soql(
        "SELECT Snappt_Property_ID__c, vor_start_date__c, fraud_detection_enabled__c, SystemModstamp, LastModifiedDate"
        f" FROM Product_Property__c WHERE Reverse_ETL_ID__c = '{key}'"
    )["records"]
    assert record["vor_start_date__c"] is None
    assert record["Snappt_Property_ID__c"] != ""
    assert record["fraud_detection_enabled__c"] is True
    assert record["SystemModstamp"] == record["LastModifiedDate"] > "2026"


def test_simple_salesforce_pages_through_all_records(sandbox: Sandbox) -> None:
    org = client(sandbox)

    count = org.query("SELECT COUNT() FROM Product_Property__c")["totalSize"]
    first = org.query("SELECT Id FROM Product_Property__c ORDER BY Id")
    records = org.query_all("SELECT Id FROM Product_Property__c ORDER BY Id")["records"]
    with_deleted = org.query_all("SELECT Id, IsDeleted FROM Product_Property__c", include_deleted=True)["records"]

    assert len(first["records"]) == 2000
    assert first["done"] is False
    assert len({record["Id"] for record in records}) == count == 10_000
    assert sum(record["IsDeleted"] for record in with_deleted) == 10


def test_simple_salesforce_describes_the_object(sandbox: Sandbox) -> None:
    fields = {field["name"].lower(): field for field in client(sandbox).Product_Property__c.describe()["fields"]}

    assert fields["fraud_detection_enabled__c"]["type"] == "boolean"
    assert fields["vor_start_date__c"]["type"] == "date"
    assert (fields["reverse_etl_id__c"]["externalId"], fields["reverse_etl_id__c"]["unique"]) == (True, True)
    assert fields["snappt_property_id__c"]["externalId"] is False


def test_an_admin_changes_one_record_and_the_flow_runs(sandbox: Sandbox) -> None:
    org = client(sandbox)
    record = org.query("SELECT Id, Reverse_ETL_ID__c FROM Product_Property__c ORDER BY Id DESC LIMIT 1")["records"][0]

    status = org.Product_Property__c.update(record["Id"], {"bank_linking_start_date__c": "2025-03-04"})

    assert status == 204
    assert org.Product_Property__c.get(record["Id"])["bank_linking_start_date__c"] == "2025-03-04"
    assert org.Product_Property__c.get_by_custom_id("Reverse_ETL_ID__c", record["Reverse_ETL_ID__c"])["Id"] == record["Id"]
    entry = sandbox.journal("salesforce.transaction")[-1]
    assert (entry["source"], entry["records"], entry["sync_run_id"]) == ("rest", 1, None)
    with pytest.raises(SalesforceMalformedRequest, match="value not of required type"):
        org.Product_Property__c.update(record["Id"], {"bank_linking_start_date__c": "4 March"})
    with pytest.raises(SalesforceResourceNotFound):
        org.Product_Property__c.get("a2P000000000000AAA")
    sandbox.settings(flow_soql_limit=1)
    with pytest.raises(SalesforceMalformedRequest, match="CANNOT_EXECUTE_FLOW_TRIGGER"):
        org.Product_Property__c.update(record["Id"], {"bank_linking_start_date__c": "2025-03-05"})


@pytest.mark.parametrize(
    ("where", "same_as"),
    [
        pytest.param("vor_start_date__c = null", "NOT vor_start_date__c != null", id="null"),
        pytest.param("idv_only_enabled__c = TRUE", "idv_only_enabled__c != FALSE", id="boolean"),
        pytest.param(
            "CreatedDate >= 2025-11-21T00:00:00Z", "CreatedDate >= 2025-11-21T02:00:00+02:00", id="datetime-with-offset"
        ),
        pytest.param(
            "vor_start_date__c > 2025-01-01",
            "NOT vor_start_date__c <= 2025-01-01 AND vor_start_date__c != NULL",
            id="date",
        ),
        pytest.param("Name LIKE 'MAPLE, oak%'", "Name LIKE 'Maple, Oak%'", id="like-in-any-case"),
        pytest.param(r"Name LIKE '%d\'Alene%'", "Name LIKE '%d_Alene%'", id="escaped-quote"),
    ],
)
def test_soql_conditions_mean_what_they_mean_in_salesforce(sandbox: Sandbox, where: str, same_as: str) -> None:
    one = sandbox.soql(f"SELECT COUNT() FROM Product_Property__c WHERE {where}")["totalSize"]
    other = sandbox.soql(f"SELECT COUNT() FROM Product_Property__c WHERE {same_as}")["totalSize"]

    assert one == other
    assert 0 < one < 10_000


def test_soql_counts_by_group(sandbox: Sandbox) -> None:
    answer = sandbox.soql(
        "SELECT idv_only_enabled__c, COUNT(Id), MAX(CreatedDate) newest FROM Product_Property__c"
        " GROUP BY idv_only_enabled__c ORDER BY COUNT(Id) DESC"
    )

    assert [record["idv_only_enabled__c"] for record in answer["records"]] == [False, True]
    assert sum(record["expr0"] for record in answer["records"]) == 10_000
    assert answer["records"][0]["attributes"] == {"type": "AggregateResult"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param("SELECT Nothing__c FROM Product_Property__c", "INVALID_FIELD", id="unknown-field"),
        pytest.param("SELECT Id FROM Account", "INVALID_TYPE", id="unknown-object"),
        pytest.param("SELECT * FROM Product_Property__c", "MALFORMED_QUERY", id="star"),
        pytest.param("SELECT Id FROM Product_Property__c WHERE CreatedDate > '2025-01-01'", "INVALID_FIELD", id="quoted-date"),
        pytest.param("SELECT Id FROM Product_Property__c WHERE", "MALFORMED_QUERY", id="cut-off"),
        pytest.param("DELETE FROM Product_Property__c", "MALFORMED_QUERY", id="delete"),
        pytest.param("SELECT Id FROM Product_Property__c WHERE Id IN (SELECT Id FROM Account)", "MALFORMED_QUERY", id="nested"),
    ],
)  # fmt: skip
def test_soql_mistakes_are_named_as_salesforce_does(sandbox: Sandbox, query: str, code: str) -> None:
    answer = sandbox.salesforce("GET", "query/", params={"q": query})

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code


def test_a_session_is_demanded(sandbox: Sandbox) -> None:
    with pytest.raises(SalesforceExpiredSession):
        client(sandbox, "wrong").query("SELECT Id FROM Product_Property__c LIMIT 1")
    answer = requests.get(f"{sandbox.url}/services/data/v59.0/query/", timeout=5)
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
