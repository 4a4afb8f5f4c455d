"""The first step of a run finds what is wrong before anything is written."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tenacity

from feature_sync.census import hook as hook_module
from feature_sync.census.errors import CensusUnavailableError
from feature_sync.guards import GuardError
from feature_sync.preconditions import check_preconditions
from feature_sync.run_config import RunConfigError
from feature_sync.warehouse import StatementError
from tests.sandbox.client import BACKFILL, Sandbox

MAX_BATCHES = 1024
INCIDENT = {"scope": "created_between", "created_from": "2025-11-21", "created_to": "2025-11-21"}
Conf = dict[str, Any]


@pytest.fixture(autouse=True)
def _nothing_is_written(sandbox: Sandbox) -> Iterator[None]:
    """Holds for every test of this file: the step reads."""
    before = sandbox.seq()
    yield
    entries = sandbox.journal(after=before)
    statements = [entry["sql"].lstrip().upper() for entry in entries if entry["kind"] == "warehouse.statement"]
    uncommented = ["\n".join(line for line in sql.splitlines() if not line.startswith("--")).lstrip() for sql in statements]
    assert [sql for sql in uncommented if not sql.startswith(("SELECT", "WITH"))] == []
    assert [entry["path"] for entry in entries if entry["kind"] == "census.request" and entry["method"] == "POST"] == []
    assert [entry for entry in entries if entry["kind"] in ("census.run.started", "salesforce.transaction")] == []


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the pauses between tries are shorter."""
    monkeypatch.setattr(hook_module, "_backoff", tenacity.wait_fixed(0.02))


@pytest.fixture
def change_sync(sandbox: Sandbox) -> Iterator[Callable[..., None]]:
    """Changes the sync as a person in Census would; restored afterwards."""
    original = sandbox.census("GET", f"syncs/{BACKFILL}").json()["data"]

    def change(make: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        answer = sandbox.census("PATCH", f"syncs/{BACKFILL}", json=make(json.loads(json.dumps(original))))
        assert answer.ok, answer.text

    yield change
    names = ("operation", "paused", "schedule_frequency", "mappings", "source_attributes", "destination_attributes")
    assert sandbox.census("PATCH", f"syncs/{BACKFILL}", json={name: original[name] for name in names}).ok


def with_mapping(sync: dict[str, Any], index: int, **changes: Any) -> dict[str, Any]:
    sync["mappings"][index] |= changes
    return {"mappings": sync["mappings"]}


def problems_of(conf: Conf) -> list[str]:
    with pytest.raises(GuardError) as refused:
        check_preconditions(conf, MAX_BATCHES)
    return refused.value.problems


@pytest.mark.parametrize(
    ("conf", "records"),
    [
        pytest.param(INCIDENT, 1_296, id="the-incident"),
        pytest.param({}, 1_252, id="mismatched-is-the-default"),
        pytest.param({"scope": "all"}, 10_000, id="all"),
        pytest.param(INCIDENT | {"unmatched": "skip"}, 1_256, id="without-the-unmatched"),
        pytest.param(INCIDENT | {"created_from": "2025-11-20", "created_to": "2025-11-20"}, None, id="the-day-before"),
    ],
)
def test_a_run_that_may_go_on_knows_how_many_records_it_has(sandbox: Sandbox, conf: Conf, records: int | None) -> None:
    if records is None:
        [[records]] = sandbox.sql(
            "SELECT count(*) FROM crm.salesforce.product_property_c WHERE NOT is_deleted"
            " AND created_date >= '2025-11-20T00:00:00Z' AND created_date < '2025-11-21T00:00:00Z'"
        )

    found = check_preconditions(conf, MAX_BATCHES)

    assert found["records"] == records
    assert found["scope"]


def test_ids_that_salesforce_does_not_have_are_named() -> None:
    conf = {"scope": "property_ids", "property_ids": ["999999998", "nonsense"]}

    with pytest.raises(RunConfigError, match=r"2 ids that no record in Salesforce has: 999999998, nonsense\.$"):
        check_preconditions(conf, MAX_BATCHES)


def test_of_many_unknown_ids_twenty_are_named() -> None:
    ids = [f"unknown-{number:02d}" for number in range(23)]

    with pytest.raises(RunConfigError) as refused:
        check_preconditions({"scope": "property_ids", "property_ids": ids}, MAX_BATCHES)

    [problem] = refused.value.problems
    assert "23 ids" in problem
    assert problem.endswith("unknown-19 and others.")
    assert "unknown-20" not in problem


def test_a_record_deleted_in_salesforce_is_unknown(sandbox: Sandbox) -> None:
    [[deleted]] = sandbox.sql("SELECT MIN(snappt_property_id_c) FROM crm.salesforce.product_property_c WHERE is_deleted")

    with pytest.raises(RunConfigError, match=f"1 ids that no record in Salesforce has: {deleted}"):
        check_preconditions({"scope": "property_ids", "property_ids": [deleted]}, MAX_BATCHES)


def test_a_day_without_records_leaves_nothing_to_send() -> None:
    with pytest.raises(RunConfigError, match="No record is in scope: records created in Salesforce from 1999-01-01"):
        check_preconditions(INCIDENT | {"created_from": "1999-01-01", "created_to": "1999-01-02"}, MAX_BATCHES)


def test_more_batches_than_airflow_maps_are_refused() -> None:
    assert check_preconditions(INCIDENT, 26)["records"] == 1_296

    with pytest.raises(RunConfigError, match=r"1,296 records in batches of 50 are 26 batches.* at most 25"):
        check_preconditions(INCIDENT, 25)


def test_a_run_config_that_is_wrong_asks_nobody(sandbox: Sandbox) -> None:
    before = sandbox.seq()

    with pytest.raises(RunConfigError, match="batch_size is 0"):
        check_preconditions({"batch_size": 0}, MAX_BATCHES)

    assert [entry for entry in sandbox.journal(after=before) if entry["kind"].startswith(("census", "warehouse"))] == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(lambda _: {"operation": "upsert"}, "its behavior is 'upsert'; it must be 'update'", id="operation"),
        pytest.param(
            lambda sync: {"mappings": sync["mappings"][:-1]}, "it does not map vor_updated_date__c", id="mapping-removed"
        ),
        pytest.param(
            lambda sync: {"mappings": [*sync["mappings"], sync["mappings"][0] | {"to": "Name", "is_primary_identifier": False}]},
            "it also maps Name",
            id="mapping-added",
        ),
        pytest.param(
            lambda sync: with_mapping(
                sync, 2, **{"from": {"type": "constant_value", "data": {"value": False, "basic_type": "boolean"}}}
            ),
            "mapped from a constant_value; it must be mapped from fraud_detection_enabled_c",
            id="constant-for-a-flag",
        ),
        pytest.param(
            lambda sync: with_mapping(sync, 2, **{"from": {"type": "column", "data": "idv_only_enabled_c"}}),
            "mapped from idv_only_enabled_c; it must be mapped from fraud_detection_enabled_c",
            id="crossed",
        ),
        pytest.param(lambda sync: with_mapping(sync, 3, sync_null_values=False), "does not sync null values", id="nulls-kept"),
        pytest.param(lambda _: {"paused": True}, "it is paused; resume it in Census", id="paused"),
        pytest.param(lambda _: {"schedule_frequency": "hourly"}, "on the schedule 'hourly'; it must be manual", id="schedule"),
        pytest.param(
            lambda sync: {
                "source_attributes": sync["source_attributes"] | {"object": {"type": "dataset", "id": 815}},
            },
            "it must read the table crm.sfdc_dbx.product_property_feature_batch",
            id="dataset-as-source",
        ),
        pytest.param(
            lambda sync: {"destination_attributes": sync["destination_attributes"] | {"object": "Account"}},
            "it writes to Account; it must write to Product_Property__c",
            id="other-object",
        ),
    ],
)
def test_a_sync_that_was_changed_in_census_is_refused_with_what_was_found(
    sandbox: Sandbox, change_sync: Callable[..., None], change: Callable[[dict[str, Any]], dict[str, Any]], complaint: str
) -> None:
    change_sync(change)
    before = sandbox.seq()

    [problem] = problems_of(INCIDENT)

    assert complaint in problem
    assert f"Census sync {BACKFILL}" in problem
    assert sandbox.journal("warehouse.statement", before) == []


def test_the_sync_as_it_stands_after_the_changes_is_good_again(change_sync: Callable[..., None]) -> None:
    change_sync(lambda _: {"paused": True})
    assert len(problems_of(INCIDENT)) == 1

    change_sync(lambda _: {"paused": False})

    assert check_preconditions(INCIDENT, MAX_BATCHES)["records"] == 1_296


def test_a_sync_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_SYNC_ID", "99")

    [problem] = problems_of(INCIDENT)

    assert problem == "Census sync 99 cannot be read: Census answered GET syncs/99 with 404"


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param({"fault": "token_expired"}, "with 401. Check the token of the connection", id="token-expired"),
        pytest.param({"fault": "not_json"}, "something else than JSON", id="not-json"),
    ],
)
def test_a_census_that_lets_nobody_in_is_reported_with_the_cause(sandbox: Sandbox, fault: dict[str, Any], said: str) -> None:
    sandbox.fault("fetch_sync", **fault)

    [problem] = problems_of(INCIDENT)

    assert problem.startswith(f"Census sync {BACKFILL} cannot be read: ")
    assert said in problem


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    "fault", [pytest.param({"fault": "refuse"}, id="down"), pytest.param({"fault": "status", "code": 503}, id="503")]
)
def test_an_outage_of_census_is_worth_another_try(sandbox: Sandbox, fault: dict[str, Any]) -> None:
    from airflow.sdk import RetryAction  # noqa: PLC0415 - slow, and only this test needs it

    from feature_sync.retry_policy import RETRY_POLICY  # noqa: PLC0415

    sandbox.fault("fetch_sync", **fault)

    with pytest.raises(CensusUnavailableError, match="GET syncs/4711") as failed:
        check_preconditions(INCIDENT, MAX_BATCHES)

    rule = next(rule for rule in RETRY_POLICY.rules if isinstance(failed.value, rule.exception))
    assert rule.action is RetryAction.RETRY


def test_a_wrong_token_is_reported_without_the_token(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "http", "host": sandbox.url, "password": "census-pat-wrong-and-secret"}
    monkeypatch.setenv("AIRFLOW_CONN_CENSUS_DEFAULT", json.dumps(connection))

    [problem] = problems_of(INCIDENT)

    assert "401" in problem
    assert "census-pat-wrong-and-secret" not in problem


def test_a_warehouse_that_fails_is_reported_with_the_statement_and_its_words(sandbox: Sandbox) -> None:
    sandbox.fault("warehouse", "fail", message="[TABLE_OR_VIEW_NOT_FOUND] nowhere", times=1)

    with pytest.raises(StatementError, match=r"count_scope\.sql failed: .*TABLE_OR_VIEW_NOT_FOUND"):
        check_preconditions(INCIDENT, MAX_BATCHES)


def test_a_table_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_FEATURES_TABLE", "crm.sfdc_dbx.not_there")

    with pytest.raises(StatementError, match="not_there"):
        check_preconditions(INCIDENT, MAX_BATCHES)
