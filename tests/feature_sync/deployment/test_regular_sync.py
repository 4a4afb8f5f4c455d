"""How the regular sync must be configured, and its corrected mappings."""

from typing import Any

import pytest

from feature_sync.census.models import Sync
from feature_sync.config.fields import load_fields
from feature_sync.config.settings import SourceQuery, load_settings
from feature_sync.deployment.regular_sync import (
    corrected_mappings,
    regular_mapping_problems,
    regular_sync_problems,
    unknown_column_problems,
)
from sandbox.census.syncs import _property_sync

FIELDS = load_fields()
DATASET = 815


def sync(**changes: Any) -> Sync:
    body = _property_sync()
    body["source_attributes"]["object"] |= {"dataset_id": DATASET}
    return Sync.model_validate(body | changes)


def with_mappings(change: Any) -> Sync:
    return sync(mappings=change(_property_sync()["mappings"]))


class TestSync:
    def problems(self, sync: Sync, query: SourceQuery = SourceQuery.PROPERTY_SYNC) -> list[str]:
        return regular_sync_problems(sync, DATASET, query, "Product_Property__c")

    def test_the_regular_sync_is_right(self) -> None:
        assert self.problems(sync()) == []
        assert regular_mapping_problems(sync(), load_settings()) == []

    def test_one_with_another_source_is_reported(self) -> None:
        table = {"type": "table", "table_catalog": "c", "table_schema": "s", "table_name": "t"}

        [problem] = self.problems(sync(source_attributes={"object": table}))

        assert "it reads c.s.t, not dataset 815" in problem

    def test_one_that_writes_elsewhere_or_may_delete_is_reported(self) -> None:
        problems = self.problems(sync(operation="mirror", destination_attributes={"object": "Account"}))

        assert ["'mirror'" in problem or "Account" in problem for problem in problems] == [True, True]

    def test_a_sync_of_features_alone_must_not_create_records(self) -> None:
        [problem] = self.problems(sync(operation="upsert"), SourceQuery.FEATURE_SYNC)

        assert "it must be 'update'" in problem

    def test_one_that_reads_a_view_has_no_dataset_to_be_compared_with(self) -> None:
        view = {"type": "table", "table_catalog": "c", "table_schema": "s", "table_name": "v"}
        reading = sync(source_attributes={"object": view})

        assert regular_sync_problems(reading, 0, SourceQuery.PROPERTY_SYNC, "Product_Property__c") == []

    def test_a_mapping_from_a_column_that_the_query_lacks_is_reported_before_the_query_is_changed(self) -> None:
        website = {"from": {"type": "column", "data": "Website"}, "to": "Website__c"}
        wanted = with_mappings(lambda mappings: [*mappings, website])

        [problem] = unknown_column_problems(wanted, SourceQuery.PROPERTY_SYNC, {"name"}, FIELDS)

        assert "it maps Website__c from Website" in problem
        assert unknown_column_problems(wanted, SourceQuery.PROPERTY_SYNC, {"name", "website"}, FIELDS) == []


class TestMappings:
    def corrected(self, sync: Sync) -> Sync:
        return with_mappings(lambda _: corrected_mappings(sync, FIELDS))

    def test_right_ones_stay_as_they_are(self) -> None:
        assert corrected_mappings(sync(), FIELDS) == _property_sync()["mappings"]

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda all_: all_[:-5], id="missing"),
            pytest.param(
                lambda all_: [all_[0], *(each | {"sync_null_values": False} for each in all_[1:])], id="nulls-not-synced"
            ),
            pytest.param(
                lambda all_: [*all_[:-1], all_[-1] | {"from": {"type": "column", "data": "name"}}], id="from-another-column"
            ),
            pytest.param(
                lambda all_: [*all_[:-1], all_[-1] | {"from": {"type": "constant_value", "data": {"value": None}}}], id="constant"
            ),
            pytest.param(lambda all_: [*all_, all_[-1]], id="twice"),
            pytest.param(
                lambda all_: [each | {"is_primary_identifier": each["to"] == "Name"} for each in all_], id="another-key"
            ),
            pytest.param(lambda all_: [all_[0], *(each | {"preserve_values": True} for each in all_[1:])], id="set-if-empty"),
        ],
    )
    def test_wrong_ones_are_corrected_and_others_stay(self, change: Any) -> None:
        wrong = with_mappings(change)

        corrected = self.corrected(wrong)

        assert regular_mapping_problems(wrong, load_settings())
        assert regular_mapping_problems(corrected, load_settings()) == []
        assert corrected.mappings[0].attributes == _property_sync()["mappings"][0]

    def test_unknown_attributes_of_a_mapping_are_kept(self) -> None:
        wrong = with_mappings(lambda all_: [each | {"sync_null_values": False, "color": "red"} for each in all_])

        assert all(mapping["color"] == "red" for mapping in corrected_mappings(wrong, FIELDS))
