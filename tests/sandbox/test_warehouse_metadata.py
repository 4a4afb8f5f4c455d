"""What a client learns about tables and views: texts, comments, properties, times, and the information schema."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from databricks.sql.client import Connection
from databricks.sql.exc import ServerOperationError

from sandbox.warehouse.engine import Engine
from sandbox.warehouse.statements import Namespace, Statement
from tests.sandbox.warehouse_client import ask

TABLE, VIEW = "crm.sfdc_dbx.described", "crm.sfdc_dbx.described_v"
QUERY = "-- one row per property\nSELECT p.id AS id, (SELECT 1) AS one\nFROM rds.pg_rds_public.properties AS p"


@pytest.fixture
def table(connection: Connection) -> Iterator[str]:
    ask(
        connection,
        f"CREATE TABLE {TABLE} (id STRING NOT NULL COMMENT 'the key', seen TIMESTAMP) USING DELTA COMMENT 'ours'"
        " TBLPROPERTIES ('feature_sync.owner' = 'me')",
    )
    yield TABLE
    ask(connection, f"DROP TABLE IF EXISTS {TABLE}")


@pytest.fixture
def view(connection: Connection) -> Iterator[str]:
    ask(connection, f"CREATE OR REPLACE VIEW {VIEW} COMMENT 'for Census' AS {QUERY}")
    yield VIEW
    ask(connection, f"DROP VIEW IF EXISTS {VIEW}")


def properties(connection: Connection, name: str) -> dict[str, str]:
    return dict(ask(connection, f"SHOW TBLPROPERTIES {name}"))


def details(connection: Connection, name: str) -> dict[str, str]:
    rows = ask(connection, f"DESCRIBE TABLE EXTENDED {name}")
    start = [row[0] for row in rows].index("# Detailed Table Information")
    return {row[0]: row[1] for row in rows[start + 1 :]}


def detail(connection: Connection, name: str) -> dict[str, object]:
    with connection.cursor() as cursor:
        [row] = cursor.execute(f"DESCRIBE DETAIL {name}").fetchall()
        return row.asDict()


def history(connection: Connection, name: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        return [(row.version, row.operation) for row in cursor.execute(f"DESCRIBE HISTORY {name}").fetchall()]


class TestViews:
    def test_its_text_comes_back_as_it_was_written(self, connection: Connection, view: str) -> None:
        [(statement,)] = ask(connection, f"SHOW CREATE TABLE {view}")

        assert statement.startswith(f"CREATE VIEW {VIEW} (\n  id,\n  one)\nCOMMENT 'for Census'\n")
        assert statement.rstrip().endswith(f"\nAS {QUERY}")
        assert details(connection, view)["View Text"] == QUERY
        assert details(connection, view)["Type"] == "VIEW"
        assert ask(connection, "SELECT view_definition FROM crm.information_schema.views WHERE table_name = 'described_v'") == [
            (QUERY,)
        ]

    def test_what_show_create_table_says_makes_the_view_again(self, connection: Connection, view: str) -> None:
        [(statement,)] = ask(connection, f"SHOW CREATE TABLE {view}")
        before = ask(connection, f"SELECT count(*), sum(one) FROM {view}")

        ask(connection, statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW").replace("WITH SCHEMA COMPENSATION\n", ""))

        assert ask(connection, f"SELECT count(*), sum(one) FROM {view}") == before

    def test_it_can_be_replaced_and_altered(self, connection: Connection, view: str) -> None:
        ask(connection, f"ALTER VIEW {view} AS SELECT 2 AS one")
        altered = (ask(connection, f"SELECT * FROM {view}"), details(connection, view))

        ask(connection, f"CREATE OR REPLACE VIEW {view} AS SELECT 3 AS one")

        assert altered[0] == [(2,)]
        assert (altered[1]["View Text"], altered[1]["Comment"]) == ("SELECT 2 AS one", "for Census")
        assert ask(connection, f"SELECT * FROM {view}") == [(3,)]
        assert "Comment" not in details(connection, view)

    @pytest.mark.parametrize("statement", ["DESCRIBE DETAIL", "DESCRIBE HISTORY"])
    def test_it_has_no_delta_log(self, connection: Connection, view: str, statement: str) -> None:
        with pytest.raises(ServerOperationError, match=r"\[EXPECT_TABLE_NOT_VIEW"):
            ask(connection, f"{statement} {view}")

    def test_every_catalog_lists_it(self, connection: Connection, view: str) -> None:
        name = view.rpartition(".")[2]

        assert ("sfdc_dbx", name, False) in ask(connection, "SHOW TABLES IN crm.sfdc_dbx")
        assert ("sfdc_dbx", name, False, False) in ask(connection, "SHOW VIEWS IN crm.sfdc_dbx LIKE 'described*'")


class TestTables:
    def test_comments_and_properties(self, connection: Connection, table: str) -> None:
        assert details(connection, table)["Comment"] == "ours"
        assert "feature_sync.owner=me" in details(connection, table)["Table Properties"]
        assert properties(connection, table)["feature_sync.owner"] == "me"
        assert ask(connection, f"SHOW TBLPROPERTIES {table} ('feature_sync.owner')") == [("feature_sync.owner", "me")]
        assert ask(connection, f"DESCRIBE EXTENDED {table}")[0] == ("id", "string", "the key")
        assert detail(connection, table)["description"] == "ours"
        assert detail(connection, table)["properties"] == [("feature_sync.owner", "me")]

    def test_they_can_be_changed(self, connection: Connection, table: str) -> None:
        ask(connection, f"COMMENT ON TABLE {table} IS 'it\\'s ours'")
        ask(connection, f"ALTER TABLE {table} SET TBLPROPERTIES ('feature_sync.owner' = 'you', a.b = '1')")
        ask(connection, f"ALTER TABLE {table} UNSET TBLPROPERTIES IF EXISTS ('a.b')")

        assert details(connection, table)["Comment"] == "it's ours"
        assert properties(connection, table)["feature_sync.owner"] == "you"
        assert "a.b" not in properties(connection, table)

    def test_a_property_that_is_missing_is_told_as_databricks_does(self, connection: Connection, table: str) -> None:
        assert ask(connection, f"SHOW TBLPROPERTIES {table} ('none')") == [
            ("none", f"Table {table} does not have property: none"),
        ]

    def test_replacing_a_table_drops_its_comment_and_keeps_its_history(self, connection: Connection, table: str) -> None:
        ask(connection, f"CREATE OR REPLACE TABLE {table} AS SELECT 1 AS id")

        assert "Comment" not in details(connection, table)
        assert "feature_sync.owner" not in properties(connection, table)
        assert history(connection, table) == [(1, "CREATE OR REPLACE TABLE AS SELECT"), (0, "CREATE TABLE")]

    def test_creating_it_again_if_it_does_not_exist_changes_nothing(self, connection: Connection, table: str) -> None:
        before = str(detail(connection, table))

        ask(connection, f"CREATE TABLE IF NOT EXISTS {table} (other BIGINT) COMMENT 'theirs'")

        assert str(detail(connection, table)) == before

    def test_every_write_is_a_version(self, connection: Connection, table: str) -> None:
        created = detail(connection, table)
        for statement in (
            "INSERT INTO {t} (id) VALUES ('a')",
            "UPDATE {t} SET id = 'b'",
            "MERGE INTO {t} AS t USING (SELECT 'c' AS id) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
            "DELETE FROM {t} WHERE id = 'b'",
            "ALTER TABLE {t} ADD COLUMNS (more STRING)",
        ):
            ask(connection, statement.format(t=table))

        assert [operation for _, operation in history(connection, table)] == [
            *("ADD COLUMNS", "DELETE", "MERGE", "UPDATE", "WRITE", "CREATE TABLE")
        ]
        assert detail(connection, table)["lastModified"] > created["lastModified"]
        assert detail(connection, table)["createdAt"] == created["createdAt"]

    def test_its_statement_says_everything(self, connection: Connection, table: str) -> None:
        [(statement,)] = ask(connection, f"SHOW CREATE TABLE {table}")

        assert statement.startswith(
            f"CREATE TABLE {table} (\n  id STRING NOT NULL COMMENT 'the key',\n  seen TIMESTAMP)\nUSING delta\n"
        )
        assert "COMMENT 'ours'" in statement
        assert "'feature_sync.owner' = 'me'" in statement


class TestInformationSchema:
    def test_tables(self, connection: Connection, table: str, view: str) -> None:
        found = ask(
            connection,
            "SELECT table_name, table_type, comment, last_altered >= created, data_source_format FROM"
            " crm.information_schema.tables WHERE table_schema = 'sfdc_dbx' AND table_name LIKE 'described%' ORDER BY 1",
        )

        assert [f"crm.sfdc_dbx.{row[0]}" for row in found] == [table, view]
        assert found[0][1:] == ("MANAGED", "ours", True, "DELTA")
        assert found[1][1:] == ("VIEW", "for Census", True, "UNKNOWN_DATA_SOURCE_FORMAT")

    def test_a_catalog_shows_its_own_and_system_shows_all(self, connection: Connection) -> None:
        of = "SELECT DISTINCT t.table_catalog FROM {}.information_schema.tables AS t ORDER BY 1"

        assert ask(connection, of.format("rds")) == [("rds",)]
        assert ask(connection, of.format("system")) == [("crm",), ("rds",)]

    def test_altering_a_definition_shows(self, connection: Connection, table: str) -> None:
        altered = "SELECT last_altered FROM system.information_schema.tables WHERE table_name = 'described'"
        [(created,)] = ask(connection, altered)
        ask(connection, f"INSERT INTO {table} (id) VALUES ('a')")
        [(written,)] = ask(connection, altered)
        ask(connection, f"ALTER TABLE {table} ADD COLUMNS (more STRING)")
        [(changed,)] = ask(connection, altered)

        assert created == written < changed

    def test_columns(self, connection: Connection, table: str) -> None:
        assert ask(
            connection,
            "SELECT column_name, ordinal_position, is_nullable, full_data_type, comment FROM crm.information_schema.columns"
            f" WHERE table_name = '{table.rpartition('.')[2]}' ORDER BY ordinal_position",
        ) == [("id", 1, "NO", "string", "the key"), ("seen", 2, "YES", "timestamp", None)]

    def test_schemas_and_catalogs(self, connection: Connection) -> None:
        assert ("sfdc_dbx",) in ask(connection, "SHOW SCHEMAS IN crm")
        assert ("rds", "pg_rds_public") in ask(
            connection, "SELECT catalog_name, schema_name FROM rds.information_schema.schemata"
        )
        assert [row[0] for row in ask(connection, "SHOW CATALOGS")] == ["crm", "rds", "system"]

    @pytest.mark.parametrize(
        ("statement", "error"),
        [
            ("SHOW TABLES IN crm.nowhere", "SCHEMA_NOT_FOUND"),
            ("SHOW CREATE TABLE crm.sfdc_dbx.nothing", "TABLE_OR_VIEW_NOT_FOUND"),
            ("COMMENT ON TABLE crm.sfdc_dbx.nothing IS 'a'", "TABLE_OR_VIEW_NOT_FOUND"),
            ("SELECT * FROM crm.information_schema.nothing", "TABLE_OR_VIEW_NOT_FOUND"),
        ],
    )
    def test_what_does_not_exist_is_named(self, connection: Connection, statement: str, error: str) -> None:
        with pytest.raises(ServerOperationError, match=rf"\[{error}\]"):
            ask(connection, statement)


def test_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    engine = Engine(tmp_path)

    def run(engine: Engine, text: str) -> list[dict[str, object]]:
        statement = Statement(engine, Namespace(), text, ())
        rows = [row for batch in statement.run().batches for row in batch.to_pylist()]
        statement.close()
        return rows

    run(engine, "CREATE TABLE crm.default.kept (id STRING) COMMENT 'kept' TBLPROPERTIES ('a' = 'b')")
    run(engine, "CREATE VIEW crm.default.kept_v AS SELECT id FROM crm.default.kept")
    before = run(engine, "DESCRIBE DETAIL crm.default.kept")
    engine.close()

    engine = Engine(tmp_path)

    assert run(engine, "DESCRIBE DETAIL crm.default.kept") == before
    assert "SELECT id FROM crm.default.kept" in str(run(engine, "SHOW CREATE TABLE crm.default.kept_v"))
    engine.close()


def test_what_does_not_fit_into_its_memory_is_written_into_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    engine = Engine(tmp_path / "warehouse", "40MB")

    with engine.writing() as cursor:
        cursor.execute("CREATE TABLE crm.default.sorted AS SELECT hash(range) AS number FROM range(10000000) ORDER BY number")

    assert (tmp_path / "warehouse" / "spilled").is_dir()
    assert list(elsewhere.iterdir()) == []
    engine.close()
