"""The reader of Salesforce over TLS."""

from typing import Any

import pytest

from feature_sync.config.settings import load_settings
from feature_sync.salesforce.errors import (
    SalesforceAuthError,
    SalesforceLimitError,
    SalesforceNotAllowedError,
    SalesforceUnavailableError,
)
from feature_sync.salesforce.hook import SalesforceReader
from feature_sync.salesforce.models import RecordsRead
from tests.sandbox.client import Sandbox
from tests.wire.campaign import incident_keys
from tests.wire.connections import salesforce_connection

OBJECT, KEY, FLAG = "Product_Property__c", "reverse_etl_id__c", "fraud_detection_enabled__c"
FLOW = "Product_Property_After_Rollup_Flow"


def read(*keys: str, fields: tuple[str, ...] = (FLAG,), key_field: str = KEY) -> RecordsRead:
    return SalesforceReader().read_records(OBJECT, key_field, keys, fields)


def requests(sandbox: Sandbox, after: int) -> list[dict[str, Any]]:
    return sandbox.journal("salesforce.request", after)


@pytest.mark.usefixtures("connected")
def test_it_describes_the_object_with_the_names_and_types_of_our_fields() -> None:
    described = SalesforceReader().describe(OBJECT)

    assert not described.updateable, "the user only reads"
    for field in load_settings().fields:
        shown = described.find(field.salesforce_name)
        assert shown is not None
        assert shown.external_id or field != load_settings().fields.upsert_key


def test_it_reads_records_by_key_with_who_changed_them_last(connected: Sandbox) -> None:
    one, two = incident_keys(connected, 2)
    path = f"sobjects/{OBJECT}/Reverse_ETL_ID__c/{one}"
    assert connected.salesforce("PATCH", path, json={"Fraud_Detection_Enabled__c": True}).ok

    found = read(one, two)

    [changed], [other] = found.records[one], found.records[two]
    assert (changed.key, changed.values[FLAG], changed.modified_by) == (one, True, "Avery Admin")
    assert other.values[FLAG] is False
    assert changed.modified_at > other.modified_at
    assert found.unreadable == frozenset()


def test_a_key_without_a_record_is_there_and_empty(connected: Sandbox) -> None:
    [key] = incident_keys(connected, 1)

    found = read(key, "no-such-key")

    assert (len(found.records[key]), found.records["no-such-key"]) == (1, ())


def test_several_records_of_a_key_are_all_there(connected: Sandbox) -> None:
    one, two = incident_keys(connected, 2)
    field = "Snappt_Property_ID__c"
    [row] = connected.soql(f"SELECT {field} FROM {OBJECT} WHERE Reverse_ETL_ID__c = '{one}'")["records"]
    [held] = connected.soql(f"SELECT {field} FROM {OBJECT} WHERE Reverse_ETL_ID__c = '{two}'")["records"]
    path = f"sobjects/{OBJECT}/Reverse_ETL_ID__c/{two}"
    assert connected.salesforce("PATCH", path, json={field: row[field]}).ok
    try:
        found = read(row[field], key_field="snappt_property_id__c")
    finally:
        assert connected.salesforce("PATCH", path, json={field: held[field]}).ok

    assert len(found.records[row[field]]) == 2


@pytest.mark.parametrize(
    "hostile",
    [
        "it's",
        "' OR Id != '",
        "\\' OR Id != '",
        'say "no"',
        "back\\slash",
        "a\nb\tc",
        "100 %_",
        "東京",
        "a&b=c+d#e?f",
        "{0} {keys} %s",
        "",
    ],
)
def test_a_hostile_key_finds_nothing_and_harms_nobody(connected: Sandbox, hostile: str) -> None:
    [key] = incident_keys(connected, 1)

    found = read(hostile, key)

    assert (found.records[hostile], len(found.records[key])) == ((), 1)


def test_many_keys_are_asked_for_in_addresses_that_salesforce_takes(connected: Sandbox) -> None:
    keys = incident_keys(connected, 250)
    long = [f"{key}-{'東' * 60}" for key in keys]
    before = connected.seq()

    found = read(*keys, *long)

    queries = [len(entry["path"]) for entry in requests(connected, before) if "/query/" in entry["path"]]
    assert sum(len(records) for records in found.records.values()) == 250
    assert len(queries) > 2
    assert max(queries) < 16_384


def test_every_page_is_read(connected: Sandbox) -> None:
    before = connected.seq()

    rows = list(SalesforceReader()._query(f"SELECT Id FROM {OBJECT} WHERE CreatedDate >= 2000-01-01T00:00:00Z"))

    assert len({row["Id"] for row in rows}) == len(rows) > 4_000
    assert len([entry for entry in requests(connected, before) if "/query/" in entry["path"]]) > 2


def test_a_field_that_the_user_may_not_see_is_named_and_the_others_are_read(connected: Sandbox) -> None:
    [key] = incident_keys(connected, 1)
    connected.settings(api_user_hidden_fields=[FLAG])

    found = read(key, fields=(FLAG, "vor_start_date__c"))

    assert found.unreadable == {FLAG}
    assert set(found.records[key][0].values) == {KEY, "vor_start_date__c"}


def test_a_key_that_the_user_may_not_see_is_a_right_that_is_missing(connected: Sandbox) -> None:
    connected.settings(api_user_hidden_fields=[KEY])

    with pytest.raises(SalesforceNotAllowedError, match=r"shows no field reverse_etl_id__c .* the right to read this field"):
        read("1")


def test_a_flow_is_on_or_off_or_not_there(connected: Sandbox) -> None:
    on = SalesforceReader().flow(FLOW)
    connected.settings(flow_enabled=False)
    off = SalesforceReader().flow(FLOW)

    assert on is not None
    assert (on.is_active, on.active_version) == (True, 7)
    assert off is not None
    assert (off.is_active, str(off)) == (False, f"{FLOW} has no active version")
    assert SalesforceReader().flow("no' OR DeveloperName != 'x") is None


def test_what_needs_the_right_to_view_the_setup_says_so_without_it(connected: Sandbox) -> None:
    connected.settings(api_user_views_setup=False)

    for look in (SalesforceReader().limits, lambda: SalesforceReader().flow(FLOW)):
        with pytest.raises(SalesforceNotAllowedError, match="Give the user of connection salesforce_default the right"):
            look()


def test_the_limit_says_what_is_left_and_is_an_error_of_its_own_once_it_is_reached(connected: Sandbox) -> None:
    limit = SalesforceReader().limits()
    connected.settings(salesforce_daily_requests=1)
    before = connected.seq()

    with pytest.raises(SalesforceLimitError, match="come back within 24 hours"):
        SalesforceReader().limits()

    assert 0 < limit.remaining < limit.max == 15_000
    assert [entry["status"] for entry in requests(connected, before)][1:] == [403], "it is not asked again"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"fault": "status", "code": 503}, id="503"),
        pytest.param({"fault": "status", "code": 429, "retry_after": 1}, id="429"),
        pytest.param({"fault": "refuse"}, id="connection-closed"),
        pytest.param({"fault": "token_expired"}, id="session-ended"),
    ],
)
def test_what_passes_is_asked_again(connected: Sandbox, fault: dict[str, Any]) -> None:
    [key] = incident_keys(connected, 1)
    reader = SalesforceReader()
    reader.describe(OBJECT)
    connected.fault("salesforce", times=1, **fault)

    assert len(reader.read_records(OBJECT, KEY, [key], [FLAG]).records[key]) == 1


def test_a_salesforce_that_stays_down_is_unavailable(connected: Sandbox) -> None:
    connected.fault("salesforce", "status", code=503)

    with pytest.raises(SalesforceUnavailableError, match="503 SERVER_UNAVAILABLE"):
        SalesforceReader().limits()


class TestRotation:
    def test_a_secret_that_was_replaced_is_taken_from_the_connection(
        self, connected: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader = SalesforceReader()
        assert reader.limits().remaining
        connected.settings(salesforce_client_secret="of-today")
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", salesforce_connection(connected, "of-today"))
        connected.fault("salesforce", "token_expired", times=1)

        assert reader.limits().remaining

    def test_a_secret_that_is_stored_and_refused_is_tried_once(self, connected: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", salesforce_connection(connected, "of-last-year"))
        before = connected.seq()

        with pytest.raises(SalesforceAuthError, match=r"refuses the login of connection salesforce_default.*invalid") as raised:
            SalesforceReader().limits()

        assert [entry["path"].partition("?")[0] for entry in requests(connected, before)] == ["/services/oauth2/token"]
        assert "of-last-year" not in str(raised.value)

    def test_the_test_button_says_what_is_wrong(self, connected: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        assert SalesforceReader().test_connection()[0]
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", salesforce_connection(connected, "secret-of-nobody"))

        works, said = SalesforceReader().test_connection()

        assert not works
        assert "Salesforce refuses the login" in said


@pytest.mark.usefixtures("connected")
def test_nobody_is_trusted_without_the_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")

    with pytest.raises(SalesforceUnavailableError, match=r"did not answer the login at 127\.0\.0\.1:\d+: SSLError"):
        SalesforceReader().limits()
