"""Which queries of a dataset are our batch table, and why any other is not."""

import pytest

from feature_sync.census.sources import query_problem
from feature_sync.config.fields import load_fields

TABLE = "crm.sfdc_dbx.batch"
COLUMNS = ["id_c", "flag_c", "day_c"]


def problem(query: str) -> str | None:
    return query_problem(query, TABLE, COLUMNS)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("SELECT * FROM `crm`.`sfdc_dbx`.`batch`", id="as-census-writes-it"),
        pytest.param("select * from crm.sfdc_dbx.batch", id="without-quotes"),
        pytest.param('SELECT * FROM "crm"."sfdc_dbx"."batch"', id="ansi-quotes"),
        pytest.param("SELECT * FROM CRM.Sfdc_DBX.`BATCH`;", id="other-case-and-a-semicolon"),
        pytest.param("-- by Census\nSELECT /* all */ *\nFROM crm.sfdc_dbx.batch -- ours\n;\n-- end", id="comments"),
        pytest.param("SELECT ALL * FROM crm.sfdc_dbx.batch", id="select-all"),
        pytest.param("SELECT b.* FROM crm.sfdc_dbx.batch AS b", id="star-of-an-alias"),
        pytest.param("SELECT batch.* FROM crm.sfdc_dbx.batch", id="star-of-the-table"),
        pytest.param("SELECT crm.sfdc_dbx.batch.* FROM crm.sfdc_dbx.batch", id="star-of-the-whole-name"),
        pytest.param("SELECT ID_C, `flag_c`, day_c FROM crm.sfdc_dbx.batch", id="the-mapped-columns"),
        pytest.param("SELECT day_c, b.flag_c AS flag_c, id_c, run_id FROM crm.sfdc_dbx.batch b", id="all-columns-by-name"),
    ],
)
def test_a_plain_copy_of_the_table_is_the_table(query: str) -> None:
    assert problem(query) is None


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch LIMIT 10", "has a LIMIT", id="limit"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch OFFSET 10", "has an OFFSET", id="offset"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch WHERE flag_c", "has a WHERE", id="where"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch WHERE flag_c LIMIT 1", "has a LIMIT and a WHERE", id="where-and-limit"),
        pytest.param("SELECT DISTINCT * FROM crm.sfdc_dbx.batch", "has a DISTINCT", id="distinct"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch JOIN a.b.c USING (id_c)", "has a join", id="join"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch, a.b.c", "has a join", id="comma-join"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch GROUP BY ALL", "has a GROUP BY", id="group-by"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch QUALIFY TRUE", "has a QUALIFY", id="qualify"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch ORDER BY id_c", "has an ORDER BY", id="order-by"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch TABLESAMPLE (5 ROWS)", "has a TABLESAMPLE", id="sample"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch VERSION AS OF 3", "has a version in the past", id="time-travel"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch@v3", "reads another version of the table", id="time-travel-by-name"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch LATERAL VIEW explode(x) AS y", "has a LATERAL VIEW", id="lateral-view"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch FOR UPDATE", "has LOCKS", id="a-part-without-a-word-of-ours"),
        pytest.param("SELECT * FROM a.b.c AS x WHERE y", "reads a.b.c and has a WHERE", id="other-table-and-where"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batches", "reads crm.sfdc_dbx.batches", id="other-table"),
        pytest.param("SELECT * FROM sfdc_dbx.batch", "reads sfdc_dbx.batch", id="catalog-not-named"),
        pytest.param("SELECT * FROM `crm.sfdc_dbx.batch`", "reads `crm.sfdc_dbx.batch`", id="one-name-with-dots"),
        pytest.param("SELECT * FROM a.crm.sfdc_dbx.batch", "reads a.crm.sfdc_dbx.batch", id="four-levels"),
        pytest.param("SELECT * FROM identifier('crm.sfdc_dbx.batch')", "reads IDENTIFIER('crm.sfdc_dbx.batch')", id="function"),
        pytest.param("SELECT * FROM (SELECT * FROM crm.sfdc_dbx.batch)", "has a sub-query", id="sub-query"),
        pytest.param("WITH b AS (SELECT 1) SELECT * FROM crm.sfdc_dbx.batch", "has a WITH", id="cte"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch UNION ALL SELECT * FROM a.b.c", "is not a single SELECT", id="union"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch; SELECT 1", "has 2 statements", id="two-statements"),
        pytest.param("DELETE FROM crm.sfdc_dbx.batch", "is not a single SELECT", id="delete"),
        pytest.param("SELECT 1", "reads no table", id="no-table"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch WHERE", "cannot be parsed", id="half-a-query"),
        pytest.param("{{ source }}", "is not a single SELECT", id="template"),
        pytest.param("  \n-- nothing", "is empty", id="empty"),
        pytest.param("SELECT * EXCEPT (day_c) FROM crm.sfdc_dbx.batch", "selects '* EXCEPT", id="star-except"),
        pytest.param("SELECT id_c, day_c FROM crm.sfdc_dbx.batch", "leaves out flag_c", id="column-left-out"),
        pytest.param("SELECT id_c FROM crm.sfdc_dbx.batch", "leaves out flag_c, day_c", id="columns-left-out"),
        pytest.param("SELECT *, id_c FROM crm.sfdc_dbx.batch", "selects '*', which is not", id="star-and-a-column"),
        pytest.param("SELECT id_c, flag_c, day_c, ID_C FROM crm.sfdc_dbx.batch", "selects id_c more than once", id="twice"),
        pytest.param(
            "SELECT id_c, NOT flag_c AS flag_c, day_c FROM crm.sfdc_dbx.batch", "selects 'NOT flag_c AS flag_c'", id="expression"
        ),
        pytest.param(
            'SELECT id_c, "flag_c", day_c FROM crm.sfdc_dbx.batch', "selects \"'flag_c'\"", id="a-text-and-not-a-column"
        ),
        pytest.param(
            "SELECT id_c, day_c AS flag_c, flag_c AS day_c FROM crm.sfdc_dbx.batch", "selects 'day_c AS flag_c'", id="swapped"
        ),
        pytest.param("SELECT id_c, x.flag_c, day_c FROM crm.sfdc_dbx.batch", "selects 'x.flag_c'", id="a-field-of-a-struct"),
        pytest.param(
            "SELECT id_c, batch.flag_c, day_c FROM crm.sfdc_dbx.batch b", "selects 'batch.flag_c'", id="hidden-by-an-alias"
        ),
        pytest.param("SELECT x.* FROM crm.sfdc_dbx.batch", "selects 'x.*'", id="star-of-a-struct"),
        pytest.param("SELECT * FROM crm.sfdc_dbx.batch AS b(flag_c, id_c)", "renames columns", id="columns-renamed-by-an-alias"),
    ],
)
def test_any_other_query_is_refused_with_the_reason(query: str, reason: str) -> None:
    found = problem(query)

    assert found is not None
    assert reason in found


def test_a_query_that_names_every_mapped_column_of_the_field_table_passes() -> None:
    columns = [field.column for field in load_fields()]

    assert query_problem(f"SELECT {', '.join(columns)} FROM {TABLE}", TABLE, columns) is None
    assert query_problem(f"SELECT {', '.join(columns[:-1])} FROM {TABLE}", TABLE, columns) == f"leaves out {columns[-1]}"
