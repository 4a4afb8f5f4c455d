"""The SQL in Census compared with the SQL of the repository."""

import pytest
import sqlglot
from sqlglot import exp

from feature_sync.config.fields import load_fields
from feature_sync.config.settings import SourceQuery, load_settings
from feature_sync.deployment.source_query import query_before_ours, query_difference, wanted_query_beside
from feature_sync.storage.warehouse import render_statement
from sandbox.census.syncs import _property_dataset

FIELDS = load_fields()
WANTED = render_statement("deployment/select_property_sync", load_settings())


class TestDifference:
    @pytest.mark.parametrize(
        "live",
        [
            pytest.param("SELECT a AS x FROM c.s.t AS t WHERE t.b <> 'D'", id="the-same"),
            pytest.param("-- of Census\nselect  a as x\n\tfrom c.s.T t /* all */ where T.B != 'D'\n", id="layout"),
            pytest.param("SELECT a AS x FROM c.s.t AS t WHERE t.b <> 'D';", id="semicolon"),
        ],
    )
    def test_a_difference_in_layout_is_none(self, live: str) -> None:
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
    def test_another_meaning_is_a_difference(self, live: str) -> None:
        assert query_difference(live, "SELECT a AS x FROM c.s.t AS t WHERE t.b <> 'D'")

    def test_the_query_of_the_incident_is_different_and_the_missing_join_is_shown(self) -> None:
        difference = query_difference(_property_dataset()["query"], WANTED)

        assert difference is not None
        added = [line for line in difference.splitlines() if line.startswith("+")]
        assert "+LEFT JOIN feature_rows AS features" in added
        assert "-  FALSE AS fraud_detection_enabled_c," in difference.splitlines()

    def test_the_query_without_its_join_is_different(self) -> None:
        lines = [line for line in WANTED.splitlines() if "JOIN" not in line and "ON CAST" not in line]

        assert query_difference("\n".join(lines), WANTED)


class TestQueryBesideOurs:
    """The query that is deployed if the sync maps more columns than ours has."""

    COLUMNS = ("name", "Phone", "snappt_property_id_c", "fraud_detection_enabled_c")

    def deployed(self, live: str) -> str:
        return wanted_query_beside(load_settings(), query_before_ours(live), self.COLUMNS, "snappt_property_id_c")

    @pytest.mark.parametrize(
        "live",
        [
            "SELECT * FROM c.s.v",
            "-- theirs\nSELECT a /* ) */, ')' AS b, f(g(1)) FROM c.s.v; -- end",
            "WITH feature_rows AS (SELECT 1 AS a) SELECT a FROM feature_rows UNION ALL (SELECT 2)",
        ],
    )
    def test_a_second_deployment_finds_the_same_query_of_others_and_puts_none_around_its_own(self, live: str) -> None:
        first = self.deployed(live)

        assert self.deployed(first) == first
        assert query_before_ours(first).text == query_before_ours(live).text
        assert query_difference(first, self.deployed(first)) is None

    def test_it_has_each_other_column_once_as_it_was_and_ours_from_the_feature_table(self) -> None:
        tree = sqlglot.parse_one(self.deployed("SELECT * FROM c.s.v"), dialect="databricks")

        assert tree.named_selects == ["name", "Phone", *FIELDS.columns]
        others = [each.table for each in tree.selects[:2]]
        assert others == ["feature_sync_others", "feature_sync_others"]
        assert {each.table for each in tree.selects[2:]} == {"feature_sync_values"}


class TestQueries:
    @pytest.mark.parametrize("query", SourceQuery)
    def test_it_has_every_column_of_the_field_table_once(self, query: SourceQuery) -> None:
        names = sqlglot.parse_one(render_statement(query.statement, load_settings()), dialect="databricks").named_selects

        assert [name for name in names if name in FIELDS.columns] == list(FIELDS.columns)
        assert len(names) == len(set(names))

    @pytest.mark.parametrize("query", SourceQuery)
    def test_census_can_run_it_unchanged(self, query: SourceQuery) -> None:
        tree = sqlglot.parse_one(render_statement(query.statement, load_settings()), dialect="databricks")

        assert list(tree.find_all(exp.Placeholder, exp.Parameter)) == []
