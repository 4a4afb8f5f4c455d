"""Which table is provably ours, and what a person reads about one that is not."""

import tomllib

import pytest

from feature_sync.config.settings import SETTINGS_FILE, load_settings
from feature_sync.storage.descriptions import Description, read_description
from feature_sync.storage.marks import FORMER_NAMES, OwnTable, former_table_problem, mark_problem, own_tables, written_table

TABLE = OwnTable("crm.sfdc_dbx.feature_sync_payload", "PAYLOAD_TABLE", "payload", ("run_id", "record_number"))
COLUMNS = {"run_id": "string", "record_number": "bigint", "note": "string"}


def described(*details: tuple[str, str]) -> Description:
    rows = [("run_id", "string"), ("", ""), ("# Detailed Table Information", ""), *details]
    return read_description([{"col_name": name, "data_type": kind, "comment": None} for name, kind in rows])


class TestDescription:
    @pytest.mark.parametrize(
        ("text", "mark"),
        [
            ("[delta.minReaderVersion=1,delta.minWriterVersion=2,feature_sync.table=payload/1]", "payload/1"),
            ("[feature_sync.table=batch/1,owner=me]", "batch/1"),
            ("[a=b, feature_sync.table=batch/2]", "batch/2"),
            ("[delta.minReaderVersion=1]", None),
            ("[not_feature_sync.table=payload/1]", None),
            ("[feature_syncXtable=payload/1]", None),
            ("", None),
        ],
    )
    def test_the_mark_is_one_of_the_properties(self, text: str, mark: str | None) -> None:
        assert described(("Type", "MANAGED"), ("Table Properties", text)) == Description({"run_id": "string"}, False, mark)

    def test_without_details_a_table_has_no_mark(self) -> None:
        rows = [{"col_name": "Table Properties", "data_type": "[feature_sync.table=payload/1]", "comment": None}]

        assert read_description(rows).mark is None

    @pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED_VIEW", "view"])
    def test_a_view_is_known(self, kind: str) -> None:
        assert described(("Type", kind)).is_view


class TestMark:
    def test_a_table_with_the_mark_and_its_keys_is_ours(self) -> None:
        assert mark_problem(TABLE, Description(COLUMNS, False, "payload/1")) is None

    @pytest.mark.parametrize(
        ("found", "said"),
        [
            pytest.param(Description(COLUMNS, True, "payload/1"), "is a view, so it is not ours", id="a-view"),
            pytest.param(Description({"note": "string"}, False, "payload/1"), "has our mark but lacks run_id", id="rebuilt"),
            pytest.param(Description(COLUMNS, False, "batch/1"), "is marked as 'batch/1', but PAYLOAD_TABLE", id="another-role"),
            pytest.param(Description(COLUMNS, False, "payload/2"), "is marked as 'payload/2'", id="another-layout"),
            pytest.param(
                Description({"run_id": "string"}, False, None), "belongs to somebody else: it has no mark", id="somebody-elses"
            ),
        ],
    )
    def test_any_other_is_refused_by_name_and_no_statement_takes_it_over(self, found: Description, said: str) -> None:
        problem = mark_problem(TABLE, found)

        assert problem is not None
        assert problem.startswith(f"{TABLE.name} {said}")
        assert "It is neither written nor changed." in problem
        assert "ALTER TABLE" not in problem

    def test_one_with_our_columns_is_taken_over_by_a_statement_that_a_person_runs(self) -> None:
        problem = mark_problem(TABLE, Description(COLUMNS, False, None))

        assert problem is not None
        assert (
            "\n    ALTER TABLE crm.sfdc_dbx.feature_sync_payload SET TBLPROPERTIES ('feature_sync.table' = 'payload/1');\n"
            in (problem)
        )


class TestFormerNames:
    def test_they_belong_to_the_default_names(self) -> None:
        defaults = tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8"))
        names = [defaults[table.setting.lower()] for table in own_tables(load_settings())]

        assert all(name.startswith("crm.sfdc_dbx.feature_sync_") for name in names)
        # The other tables have always had their names.
        always = {"feature_sync_accepted", "feature_sync_approval", "feature_sync_difference", "feature_sync_read_back"}
        assert {name.rpartition(".")[2] for name in names} == {*FORMER_NAMES, *always}

    def test_they_are_looked_for_in_the_same_schema_and_only_beside_a_default_name(self) -> None:
        own = OwnTable("ours.sync.mine", "PAYLOAD_TABLE", "payload", ())
        moved = OwnTable("ours.sync.feature_sync_log", "SYNC_LOG_TABLE", "sync_log", ())

        assert own.former_name is None
        assert moved.former_name == "ours.sync.product_property_feature_sync_log"

    def test_the_message_has_both_statements(self) -> None:
        problem = former_table_problem(TABLE)

        assert (
            "\n    ALTER TABLE crm.sfdc_dbx.product_property_feature_backfill RENAME TO crm.sfdc_dbx.feature_sync_payload;"
            "\n    ALTER TABLE crm.sfdc_dbx.feature_sync_payload SET TBLPROPERTIES ('feature_sync.table' = 'payload/1');\n"
        ) in problem


class TestWrittenTable:
    @pytest.mark.parametrize(
        ("text", "table"),
        [
            ("-- UPDATE nothing.at.all\nMERGE INTO a.b.c AS d\nUSING x", "a.b.c"),
            ("UPDATE a.b.c\nSET x = 1", "a.b.c"),
            ("delete from a.b.c WHERE FALSE", "a.b.c"),
            ("INSERT OVERWRITE a.b.c (\n    x\n)\nSELECT 1", "a.b.c"),
            ("ALTER TABLE a.b.c ADD COLUMNS (x INT)", "a.b.c"),
            ("SELECT 'DELETE FROM a.b.c'", None),
            ("CREATE TABLE IF NOT EXISTS a.b.c (x INT)", None),
        ],
    )
    def test_it_is_the_target_of_the_statement(self, text: str, table: str | None) -> None:
        assert written_table(text) == table
