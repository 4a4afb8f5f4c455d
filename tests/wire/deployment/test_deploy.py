"""The incident replayed on the sandbox: the wrong query writes False, the right one is deployed, the next sync is right."""

from collections.abc import Iterator
from typing import Any

import pytest

from feature_sync.census.hook import CensusHook
from feature_sync.config.settings import load_settings
from feature_sync.deployment.deploy import (
    DeployError,
    SourceQueryError,
    check_source_query,
    deploy_mappings,
    deploy_query,
    plan_deployment,
)
from feature_sync.deployment.source_query import query_difference
from feature_sync.storage.warehouse import render_statement
from sandbox.census.syncs import _property_dataset, _property_sync
from tests.sandbox.client import DATASET, PROPERTIES, Sandbox, eventually

INCIDENT_QUERY = _property_dataset()["query"]


@pytest.fixture
def census(sandbox: Sandbox) -> Iterator[Sandbox]:
    """The dataset and the sync as on the day of the incident."""
    restore(sandbox)
    yield sandbox
    restore(sandbox)


def restore(sandbox: Sandbox) -> None:
    assert sandbox.census("PATCH", f"datasets/{DATASET}", json={"query": INCIDENT_QUERY}).ok
    original = _property_sync()
    changes = {name: original[name] for name in ("mappings", "operation", "source_attributes")}
    assert sandbox.census("PATCH", f"syncs/{PROPERTIES}", json=changes).ok


def live_query() -> str:
    return CensusHook().get_dataset(DATASET).query


def enabled(sandbox: Sandbox) -> int:
    return sandbox.soql("SELECT COUNT() FROM Product_Property__c WHERE Fraud_Detection_Enabled__c = true")["totalSize"]


def changes(sandbox: Sandbox, after: int) -> list[str]:
    return [
        f"{entry['method']} {entry['path']}" for entry in sandbox.journal("census.request", after) if entry["method"] != "GET"
    ]


def test_the_weekly_check_fails_with_the_difference(census: Sandbox) -> None:  # noqa: ARG001
    with pytest.raises(SourceQueryError) as refused:
        check_source_query()

    text = str(refused.value)
    assert text.startswith(
        "Census dataset 815 (Product properties) would write wrong values to Salesforce through Census sync 4712"
    )
    assert "The column is True in no row, although the feature table has the product for" in text
    assert "has another text than include/sql/deployment/select_property_sync.sql" in text
    assert "+LEFT JOIN feature_rows AS features" in text
    assert "census_dataset_deploy" in text


def test_the_incident_is_replayed_and_made_impossible(census: Sandbox) -> None:
    census.control("POST", "reset")
    census.settings(flow_enabled=False, replication_seconds=0.2)
    before = enabled(census)
    first = census.send(PROPERTIES)
    broken = enabled(census)

    plan = plan_deployment()
    assert live_query() == INCIDENT_QUERY, "nothing changes before a person has said yes"
    assert deploy_query(plan) == {"changed": True}
    second = census.send(PROPERTIES, full=False)

    should_be = census.sql("SELECT COUNT_IF(fraud_enabled) FROM crm.sfdc_dbx.product_property_w_features")[0][0]
    unsynced = census.sql(
        "SELECT COUNT_IF(fraud_enabled) FROM crm.sfdc_dbx.product_property_w_features AS features "
        "JOIN rds.pg_rds_public.properties AS properties ON CAST(properties.id AS STRING) = features.property_id "
        "WHERE properties.status = 'DELETED'"
    )[0][0]
    assert before > 5_000
    assert (first["status"], second["status"]) == ("completed", "completed")
    assert broken < 20, "the query without the join turns the product off, for every property that it has"
    assert enabled(census) - broken == should_be - unsynced
    assert check_source_query()["text_differs"] is False
    census.control("POST", "reset")


def test_the_question_shows_the_difference_and_the_mappings_that_are_wrong(census: Sandbox) -> None:
    mappings = _property_sync()["mappings"]
    census.census("PATCH", f"syncs/{PROPERTIES}", json={"mappings": mappings[:-1]})

    question = plan_deployment().question

    assert question is not None
    assert "```diff\n--- in Census\n+++ in this repository\n" in question
    assert "it does not map vor_updated_date__c" in question


def test_missing_mappings_are_patched_whole_and_the_others_stay(census: Sandbox) -> None:
    mappings = _property_sync()["mappings"]
    census.census("PATCH", f"syncs/{PROPERTIES}", json={"mappings": mappings[:-3]})
    approved = plan_deployment()
    before = census.seq()

    assert deploy_mappings(approved) == {"changed": True}

    after = census.census("GET", f"syncs/{PROPERTIES}").json()["data"]["mappings"]
    assert after[:-3] == mappings[:-3]
    assert [(each["from"]["data"], each["to"].lower()) for each in after[-3:]] == [
        (each["from"]["data"], each["to"].lower()) for each in mappings[-3:]
    ]
    assert changes(census, before) == [f"PATCH /api/v2/syncs/{PROPERTIES}"]
    assert deploy_mappings(approved) == {"changed": False}


def test_mappings_that_were_changed_after_the_approval_are_left_alone(census: Sandbox) -> None:
    approved = plan_deployment()
    mappings = _property_sync()["mappings"][:-1]
    census.census("PATCH", f"syncs/{PROPERTIES}", json={"mappings": mappings})

    with pytest.raises(DeployError, match=rf"Those of sync {PROPERTIES} have changed since they were shown and approved"):
        deploy_mappings(approved)

    assert census.census("GET", f"syncs/{PROPERTIES}").json()["data"]["mappings"] == mappings


def test_a_sync_that_became_another_one_after_the_approval_stops_the_deployment(census: Sandbox) -> None:
    approved = plan_deployment()
    census.census("PATCH", f"syncs/{PROPERTIES}", json={"operation": "mirror"})

    for deploy in (deploy_query, deploy_mappings):
        with pytest.raises(DeployError, match="its behavior is 'mirror'"):
            deploy(approved)

    assert live_query() == INCIDENT_QUERY


def test_a_query_that_is_deployed_already_is_neither_asked_for_nor_changed(census: Sandbox) -> None:
    deploy_query(plan_deployment())
    before = census.seq()

    plan = plan_deployment()

    assert plan.question is None
    assert deploy_query(plan) == {"changed": False}
    assert changes(census, before) == []


def test_a_patch_whose_answer_was_lost_is_sent_again_and_succeeds(census: Sandbox) -> None:
    plan = plan_deployment()
    census.fault("patch_dataset", "lost_response", times=1)

    assert deploy_query(plan) == {"changed": True}
    assert query_difference(live_query(), render_statement("deployment/select_property_sync", load_settings())) is None


def test_a_query_that_was_changed_after_the_approval_is_left_alone(census: Sandbox) -> None:
    plan = plan_deployment()
    other = INCIDENT_QUERY.replace("'DELETED'", "'GONE'")
    census.census("PATCH", f"datasets/{DATASET}", json={"query": other})

    with pytest.raises(DeployError, match=r"The query of Census dataset 815 .* has changed since it was shown and approved"):
        deploy_query(plan)

    assert live_query() == other


def test_a_repository_that_was_changed_after_the_approval_is_not_deployed(
    census: Sandbox,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = plan_deployment()
    monkeypatch.setenv("FEATURE_SYNC_FEATURES_TABLE", "crm.sfdc_dbx.another_table")

    with pytest.raises(DeployError, match="or the one of the repository, has changed since it was shown and approved"):
        deploy_query(plan)

    assert live_query() == INCIDENT_QUERY


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"operation": "mirror"}, "its behavior is 'mirror'"),
        (
            {
                "source_attributes": {
                    "connection_id": 31,
                    "object": {"type": "table", "table_catalog": "c", "table_schema": "s", "table_name": "t"},
                }
            },
            "it reads c.s.t",
        ),
    ],
)
def test_a_sync_that_is_another_one_is_refused_before_anything_is_asked(
    census: Sandbox, change: dict[str, Any], reason: str
) -> None:
    census.census("PATCH", f"syncs/{PROPERTIES}", json=change)

    with pytest.raises(DeployError, match=reason):
        plan_deployment()
    with pytest.raises(SourceQueryError, match=reason):
        check_source_query()


def test_the_feature_sync_holds_only_what_differs_and_the_next_runs_empty_it(
    census: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SOURCE_QUERY", "feature_sync")
    census.control("POST", "reset")
    census.settings(flow_enabled=False, replication_seconds=0.2)
    mappings = _property_sync()["mappings"][1:]  # without the name, which the query does not have
    census.census("PATCH", f"syncs/{PROPERTIES}", json={"operation": "update", "mappings": mappings})

    deploy_query(plan_deployment())
    first = census.send(PROPERTIES, full=False)

    assert 1_226 <= first["records_updated"] <= 1_296
    wanted = render_statement("deployment/select_feature_sync", load_settings())
    eventually(lambda: census.sql(f"SELECT COUNT(*) FROM ({wanted}) AS source")[0][0] == 0)
    census.control("POST", "reset")
