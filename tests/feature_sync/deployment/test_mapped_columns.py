"""Which column feeds which field."""

from typing import Any

import pytest

from feature_sync.census.models import Sync
from feature_sync.config.fields import load_fields
from feature_sync.deployment.mapped_columns import MappedColumns, UnknownKeyError, mapped_columns, property_column
from sandbox.census.syncs import _property_sync, make_mapping

FIELDS = load_fields()
COLUMNS = {"name", "street", *FIELDS.columns}
REPLICA = {"id": "string", "name": "string", "street_c": "string", "seen_at_c": "timestamp", "reverse_etl_id_c": "string"}


def sync(*others: dict[str, Any], without: str = "") -> Sync:
    body = _property_sync()
    mappings = [each for each in body["mappings"] if each["to"].lower() != without]
    return Sync.model_validate(body | {"mappings": [*mappings, *others]})


def mapped(wanted: Sync, columns: set[str] = COLUMNS) -> MappedColumns:
    return mapped_columns(wanted, FIELDS, columns, REPLICA, {"id", "name"})


def test_our_fields_are_found_by_the_field_they_feed_whatever_their_column_is_called() -> None:
    other = {**make_mapping("Fraud On", "Fraud_Detection_Enabled__c")}

    found = mapped(sync(other, without="fraud_detection_enabled__c"), COLUMNS | {"fraud on"})

    assert found.features["fraud_detection_enabled_c"] == "`Fraud On`"
    assert set(found.features) == {each.column for each in FIELDS.features}
    assert (found.key, found.property_id) == ("`reverse_etl_id_c`", "`snappt_property_id_c`")


def test_a_field_that_is_not_mapped_is_not_compared() -> None:
    assert "fraud_detection_enabled_c" not in mapped(sync(without="fraud_detection_enabled__c")).features


def test_other_columns_are_compared_with_the_replica_where_it_has_them() -> None:
    found = mapped(sync(make_mapping("street", "Street__c"), make_mapping("name", "Seen_At__c")))

    assert [(each.column, each.held, each.type) for each in found.others] == [
        ("name", "name", "STRING"),
        ("street", "street_c", "STRING"),
        ("name", None, None),
    ]
    assert [each.to for each in found.compared] == ["Name", "Street__c"]


def test_constants_and_look_ups_are_not_compared() -> None:
    constant = {**make_mapping("", "Is_Test__c"), "from": {"type": "constant_value", "data": {"value": True}}}
    look_up = {**make_mapping("street", "Account__c"), "lookup_object": "Account", "lookup_field": "Name"}

    assert [each.to for each in mapped(sync(constant, look_up)).others] == ["Name"]


def test_a_mapping_from_a_column_that_is_not_there_is_named() -> None:
    assert [each.to for each in mapped(sync(make_mapping("website", "Website__c"))).missing] == ["Website__c"]


@pytest.mark.parametrize("columns", [COLUMNS - {"reverse_etl_id_c"}, {"name"}])
def test_without_the_sync_key_nothing_can_be_said(columns: set[str]) -> None:
    with pytest.raises(UnknownKeyError, match="must be one column of its source; it is reverse_etl_id_c"):
        mapped(sync(), columns)


def test_the_property_is_named_by_the_key_if_its_own_field_is_not_mapped() -> None:
    without = sync(without="snappt_property_id__c")

    assert mapped(without).property_id == "`reverse_etl_id_c`"
    assert property_column(without, FIELDS) == "reverse_etl_id_c"
