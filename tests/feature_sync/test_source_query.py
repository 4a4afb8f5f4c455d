"""The SQL in Census against the one of the repository, and the mappings that are sent whole."""

from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from feature_sync.census.models import Sync
from feature_sync.fields import load_fields
from feature_sync.settings import SourceQuery, load_settings
from feature_sync.source_query import corrected_mappings, query_difference, regular_mapping_problems, sync_problems
from feature_sync.warehouse import render_statement
from sandbox.census.syncs import _property_dataset, _property_sync

FIELDS = load_fields()
DATASET = 815
WANTED = render_statement("select_property_sync", load_settings())


def sync(**changes: Any) -> Sync:
    body = _property_sync()
    body["source_attributes"]["object"] |= {"dataset_id": DATASET}
    return Sync.model_validate(body | changes)


def with_mappings(change: Any) -> Sync:
    return sync(mappings=change(_property_sync()["mappings"]))


class TestDifference:
    @pytest.mark.parametrize(
        "live",
        [
            pytest.param("SELECT a AS x FROM c.s.t AS t WHERE t.b <> 'D'", id="the-same"),
            pytest.param("-- of Census\nselect  a as x\n\tfrom c.s.T t /* all */ where T.B != 'D'\n", id="layout"),
            pytest.param("SELECT a AS x FROM c.s.t AS t WHERE t.b <> 'D';", id="semicolon"),
        ],
    )
    def test_what_only_looks_different_is_the_same(self, live: str) -> None:
        assert query_difference(live, "SELECT a AS x FROM c.s.t AS t WHERE t.b <> 'D'") is None

    @pytest.mark.parametrize(
        "live",
        [
            pytest.param("SELECT a AS x FROM c.s.t AS t WHERE t.b <> 'd'", id="case-of-a-text"),
            pytest.param("SELECT a AS x FROM c.s.t AS t", id="without-the-condition"),
            pytest.param("SELECT a AS y FROM c.s.t AS t WHERE t.b <> 'D'", id="name"),
            pytest.param("SELECT a AS x FROM c.s.t AS t WHERE t.b <> 'D'; DROP TABLE c.s.t", id="a-second-statement"),
            pytest.param("SELECT a AS x FROM (c.s.t", id="does-not-parse"),
            pytest.param("", id="empty"),
        ],
    )
    def test_what_means_something_else_is_different(self, live: str) -> None:
        assert query_difference(live, "SELECT a AS x FROM c.s.t AS t WHERE t.b <> 'D'")

    def test_the_query_of_the_incident_is_different_and_the_missing_join_is_shown(self) -> None:
        difference = query_difference(_property_dataset()["query"], WANTED)

        assert difference is not None
        added = [line for line in difference.splitlines() if line.startswith("+")]
        assert "+LEFT JOIN crm.sfdc_dbx.product_property_w_features AS features" in added
        assert "-  FALSE AS fraud_detection_enabled_c," in difference.splitlines()

    def test_the_query_without_its_join_is_different(self) -> None:
        lines = [line for line in WANTED.splitlines() if "JOIN" not in line and "ON CAST" not in line]

        assert query_difference("\n".join(lines), WANTED)


class TestQueries:
    @pytest.mark.parametrize("query", SourceQuery)
    def test_it_has_every_column_of_the_field_table_once(self, query: SourceQuery) -> None:
        names = sqlglot.parse_one(render_statement(f"select_{query}", load_settings()), dialect="databricks").named_selects

        assert [name for name in names if name in FIELDS.columns] == list(FIELDS.columns)
        assert len(names) == len(set(names))

    @pytest.mark.parametrize("query", SourceQuery)
    def test_census_can_run_it_as_it_stands(self, query: SourceQuery) -> None:
        tree = sqlglot.parse_one(render_statement(f"select_{query}", load_settings()), dialect="databricks")

        assert list(tree.find_all(exp.Placeholder, exp.Parameter)) == []


class TestSync:
    def problems(self, sync: Sync, query: SourceQuery = SourceQuery.PROPERTY_SYNC) -> list[str]:
        return sync_problems(sync, DATASET, query, WANTED, "Product_Property__c")

    def test_the_regular_sync_is_right(self) -> None:
        assert self.problems(sync()) == []
        assert regular_mapping_problems(sync(), FIELDS) == []

    def test_one_that_reads_something_else_is_told(self) -> None:
        table = {"type": "table", "table_catalog": "c", "table_schema": "s", "table_name": "t"}

        [problem] = self.problems(sync(source_attributes={"object": table}))

        assert "it reads c.s.t, not dataset 815" in problem

    def test_one_that_writes_elsewhere_or_may_delete_is_told(self) -> None:
        problems = self.problems(sync(operation="mirror", destination_attributes={"object": "Account"}))

        assert ["'mirror'" in problem or "Account" in problem for problem in problems] == [True, True]

    def test_a_sync_of_features_alone_must_not_create_records(self) -> None:
        [problem] = self.problems(sync(operation="upsert"), SourceQuery.FEATURE_SYNC)

        assert "it must be 'update'" in problem

    def test_a_mapping_from_a_column_that_the_query_lacks_is_told_before_the_query_is_changed(self) -> None:
        website = {"from": {"type": "column", "data": "website"}, "to": "Website__c"}

        [problem] = self.problems(with_mappings(lambda mappings: [*mappings, website]))

        assert "it maps Website__c from website" in problem


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
        ],
    )
    def test_wrong_ones_are_corrected_and_others_stay(self, change: Any) -> None:
        wrong = with_mappings(change)

        corrected = self.corrected(wrong)

        assert regular_mapping_problems(wrong, FIELDS)
        assert regular_mapping_problems(corrected, FIELDS) == []
        assert corrected.mappings[0].attributes == _property_sync()["mappings"][0]

    def test_what_we_do_not_know_of_a_mapping_is_kept(self) -> None:
        wrong = with_mappings(lambda all_: [each | {"sync_null_values": False, "array_field": True} for each in all_])

        assert all(mapping["array_field"] for mapping in corrected_mappings(wrong, FIELDS))
