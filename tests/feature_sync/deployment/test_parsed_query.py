"""Only one query that reads may be run as a sub-query, and its text is what its author wrote."""

import pytest

from feature_sync.config.settings import SourceQuery, load_settings
from feature_sync.deployment.parsed_query import UnusableQueryError, inner_query, parse_query, quoted
from feature_sync.storage.warehouse import render_statement


class TestAccepted:
    @pytest.mark.parametrize(
        ("written", "text"),
        [
            ("SELECT * FROM a.b.c", "SELECT * FROM a.b.c"),
            ("-- of Census\nSELECT 1 AS x; -- end", "SELECT 1 AS x"),
            ("SELECT 'a;b' AS x /* ) */ FROM t;;", "SELECT 'a;b' AS x /* ) */ FROM t"),
            ("WITH x AS (SELECT 1 AS a) SELECT a FROM x", "WITH x AS (SELECT 1 AS a) SELECT a FROM x"),
            ("SELECT 1 AS a UNION ALL SELECT 2", "SELECT 1 AS a UNION ALL SELECT 2"),
            ("(SELECT 1 AS a)", "(SELECT 1 AS a)"),
            ("SELECT `Größe 東京` FROM t -- ende", "SELECT `Größe 東京` FROM t"),
        ],
    )
    def test_one_query_passes_as_it_was_written(self, written: str, text: str) -> None:
        assert parse_query(written).text == text

    @pytest.mark.parametrize("query", SourceQuery)
    def test_our_own_queries_pass(self, query: SourceQuery) -> None:
        assert parse_query(render_statement(query.statement, load_settings())).tables


class TestRefused:
    @pytest.mark.parametrize(
        ("written", "reason"),
        [
            ("", "is empty"),
            ("-- only words", "is empty"),
            ("SELECT 1; DROP TABLE a.b.c", "has 2 statements"),
            ("SELECT 1; SELECT 2", "has 2 statements"),
            ("DROP TABLE a.b.c", "is no SELECT but DROP"),
            ("INSERT INTO a SELECT 1", "is no SELECT but INSERT"),
            ("WITH x AS (SELECT 1) INSERT INTO a SELECT * FROM x", "is no SELECT but INSERT"),
            ("FROM a INSERT INTO b SELECT *", "is no SELECT but"),
            ("MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE", "is no SELECT but MERGE"),
            ("CREATE TABLE a AS SELECT 1", "is no SELECT but CREATE"),
            ("SHOW TABLES", "is no SELECT but SHOW"),
            ("CALL f()", "is no SELECT but CALL"),
            ("SELECT * INTO x FROM y", "does more than read: it has INTO"),
            ("SELECT * FROM a FOR UPDATE", "does more than read: it has LOCK"),
            ("SELECT * FROM a WHERE b = :day", "has a parameter"),
            ("SELECT * FROM a WHERE b = ?", "has a parameter"),
            ("SELECT * FROM {{ table }}", "has a template"),
            ("SELECT ${x}", "has a template"),
            ("SELECT a FROM (b.c", "cannot be parsed"),
            ("SELECT 1) AS x; DROP TABLE a --", "cannot be parsed"),
        ],
    )
    def test_anything_else_is_refused_by_name(self, written: str, reason: str) -> None:
        with pytest.raises(UnusableQueryError, match=reason.replace("(", r"\(")):
            parse_query(written)


def test_the_tables_and_views_that_it_reads_are_known_and_its_own_names_are_none_of_them() -> None:
    query = parse_query("WITH x AS (SELECT * FROM a.b.c) SELECT * FROM x JOIN `d d`.e.f ON TRUE JOIN a.b.c AS again ON TRUE")

    assert set(query.tables) == {"`a`.`b`.`c`", "`d d`.`e`.`f`"}


@pytest.mark.parametrize(
    ("written", "table"),
    [
        ("SELECT * FROM `a`.`b`.`c`", "`a`.`b`.`c`"),
        ("select * from a.b.c;", "`a`.`b`.`c`"),
        ("SELECT * FROM a.b.c LIMIT 10", None),
        ("SELECT x FROM a.b.c", None),
        ("SELECT * FROM a.b.c JOIN a.b.d ON TRUE", None),
        ("SELECT 1 AS x", None),
    ],
)
def test_a_plain_select_of_everything_stands_for_its_table(written: str, table: str | None) -> None:
    assert parse_query(written).only_table == table


def test_the_query_of_a_with_is_cut_out_as_it_was_written() -> None:
    query = parse_query("WITH one AS (\n    SELECT ')' AS a /* ( */, f(g(1)) AS b\n), two AS (SELECT 2) SELECT * FROM one")

    assert inner_query(query, "one") == "SELECT ')' AS a /* ( */, f(g(1)) AS b"
    assert inner_query(query, "three") is None


def test_a_name_cannot_end_its_quotes() -> None:
    assert quoted("a`; DROP TABLE b --") == "`a``; DROP TABLE b --`"
