"""How the sync that sends the batches must be configured."""

from dataclasses import replace
from typing import Any

import pytest

from feature_sync.census.models import Sync
from feature_sync.census.sync_checks import batch_sync_problems
from feature_sync.config.fields import load_fields

FIELDS = load_fields()
BATCH_TABLE = "crm.sfdc_dbx.feature_sync_batch"


def mappings() -> list[dict[str, Any]]:
    return [
        {
            "from": {"type": "column", "data": field.column},
            "to": field.salesforce_name.upper(),
            "is_primary_identifier": field == FIELDS.upsert_key,
            "sync_null_values": True,
        }
        for field in FIELDS
    ]


def sync(**changes: Any) -> Sync:
    catalog, schema, name = BATCH_TABLE.split(".")
    return Sync.model_validate(
        {
            "id": 4711,
            "operation": "update",
            "paused": False,
            "schedule_frequency": "never",
            "source_attributes": {
                "object": {"type": "table", "table_catalog": catalog, "table_schema": schema, "table_name": name}
            },
            "destination_attributes": {"object": "product_property__C"},
            "mappings": mappings(),
        }
        | changes
    )


def problems(**changes: Any) -> list[str]:
    return batch_sync_problems(sync(**changes), FIELDS, BATCH_TABLE, "Product_Property__c")


def test_a_correct_sync_passes_whatever_the_case_of_its_names() -> None:
    assert problems() == []


@pytest.mark.parametrize("kind", ["business_object_source", "dataset", "model"])
def test_a_dataset_that_is_the_whole_table_counts_as_the_table(kind: str) -> None:
    object_ = {"type": kind, "id": 815, "dataset_id": 815, "query": f"SELECT * FROM {BATCH_TABLE}"}

    assert problems(source_attributes={"object": object_}) == []


def test_a_query_is_believed_rather_than_a_table_beside_it() -> None:
    catalog, schema, name = BATCH_TABLE.split(".")
    object_ = {"table_catalog": catalog, "table_schema": schema, "table_name": name, "query": "SELECT * FROM a.b.c"}

    [problem] = problems(source_attributes={"object": object_})

    assert "whose query reads a.b.c" in problem


def with_mapping(index: int, **changes: Any) -> list[dict[str, Any]]:
    changed = mappings()
    changed[index] |= changes
    return changed


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"operation": "upsert"}, "behavior is 'upsert'; it must be 'update'", id="upsert"),
        pytest.param({"operation": "mirror"}, "behavior is 'mirror'", id="mirror"),
        pytest.param({"destination_attributes": {"object": "Account"}}, "writes to Account", id="other-object"),
        pytest.param(
            {"source_attributes": {"object": {"type": "dataset", "dataset_id": 815, "query": "SELECT 1"}}},
            "reads dataset 815, whose query reads no table; it must read all of the table crm.sfdc_dbx",
            id="dataset-of-another-query",
        ),
        pytest.param(
            {"source_attributes": {"object": {"type": "dataset", "id": 815}}},
            "reads a dataset that is not a table and does not show its query",
            id="dataset-without-its-query",
        ),
        pytest.param(
            {"source_attributes": {"object": {"type": "table", "table_catalog": "crm", "table_schema": "x", "table_name": "y"}}},
            "reads crm.x.y",
            id="other-table",
        ),
        pytest.param({"paused": True}, "is paused", id="paused"),
        pytest.param({"schedule_frequency": "hourly"}, "schedule 'hourly'", id="scheduled"),
        pytest.param(
            {"mappings": mappings()[:-1]},
            "it does not map vor_updated_date__c. If Salesforce has no such field, remove `updated` from verification_of_rent in "
            "feature_fields.toml (line 18).",
            id="mapping-missing",
        ),
        pytest.param({"mappings": []}, "it does not map snappt_property_id__c, reverse_etl_id__c, fraud_", id="no-mapping"),
        pytest.param(
            {"mappings": [*mappings(), {"from": {"type": "column", "data": "name"}, "to": "Name"}]},
            "also maps Name",
            id="mapping-too-many",
        ),
        pytest.param({"mappings": [*mappings(), mappings()[5]]}, "maps a field more than once", id="mapping-twice"),
        pytest.param(
            {"mappings": with_mapping(2, **{"from": {"type": "column", "data": "idv_only_enabled_c"}})},
            "mapped from idv_only_enabled_c; it must be mapped from fraud_detection_enabled_c",
            id="crossed-mapping",
        ),
        pytest.param(
            {"mappings": with_mapping(2, **{"from": {"type": "constant_value", "data": {"value": False}}})},
            "mapped from a constant_value",
            id="constant",
        ),
        pytest.param({"mappings": with_mapping(3, sync_null_values=False)}, "does not sync null values", id="nulls-kept"),
        pytest.param({"mappings": with_mapping(1, is_primary_identifier=False)}, "sync key is missing", id="no-key"),
        pytest.param({"mappings": with_mapping(0, is_primary_identifier=True)}, "sync key is SNAPPT", id="two-keys"),
    ],
)
def test_a_sync_that_differs_is_refused_with_what_was_found(changes: dict[str, Any], complaint: str) -> None:
    found = problems(**changes)

    assert any(complaint in problem for problem in found), found
    assert all("4711" in problem for problem in found)


def test_one_column_that_is_both_keys_is_mapped_once() -> None:
    one_key = replace(FIELDS, upsert_key=FIELDS.property_id)
    right = [each | {"is_primary_identifier": number == 0} for number, each in enumerate(mappings()) if number != 1]

    def found(all_: list[dict[str, Any]]) -> list[str]:
        return batch_sync_problems(sync(mappings=all_), one_key, BATCH_TABLE, "Product_Property__c")

    assert found(right) == []
    assert found(mappings())[0].partition("also maps ")[2] == "REVERSE_ETL_ID__C; remove them."


def test_all_differences_are_reported_at_once() -> None:
    assert len(problems(operation="mirror", paused=True, schedule_frequency="daily")) == 3
