"""The columns that a run needs of the tables it reads."""

import pytest

from feature_sync.config.fields import load_fields
from feature_sync.config.settings import load_settings
from feature_sync.storage.descriptions import parse_description
from feature_sync.storage.source_tables import column_problems, source_columns, source_problems

FIELDS = load_fields()
SHOWN = {"id", "status", "name", "company_name"}


def described(*columns: tuple[str | None, str | None]) -> dict[str, str]:
    return parse_description([{"col_name": name, "data_type": kind, "comment": None} for name, kind in columns])


class TestDescription:
    @pytest.mark.parametrize(
        ("found", "kind"),
        [
            ("STRING", "string"),
            ("varchar(255)", "string"),
            ("char(18)", "string"),
            ("decimal(38,0)", "decimal"),
            ("NUMERIC(10, 2)", "decimal"),
            ("INTEGER", "int"),
            ("long", "bigint"),
            ("bool", "boolean"),
            ("timestamp_ntz", "timestamp_ntz"),
        ],
    )
    def test_types_have_one_name_and_no_precision(self, found: str, kind: str) -> None:
        assert described(("A", found)) == {"a": kind}

    @pytest.mark.parametrize("end", [("", ""), (None, None), ("# Partition Information", ""), ("# col_name", "data_type")])
    def test_rows_after_the_columns_are_no_columns(self, end: tuple[str | None, str | None]) -> None:
        assert described(("id", "bigint"), ("day", "date"), end, ("day", "string"), ("Owner", "someone")) == {
            "id": "bigint",
            "day": "date",
        }


class TestSources:
    def source(self, settings_name: str) -> tuple[str, dict[str, frozenset[str]]]:
        table = getattr(load_settings(), settings_name)
        return table, dict(source_columns(load_settings())[table])

    def test_every_field_of_the_field_table_is_looked_for(self) -> None:
        _, features = self.source("features_table")
        _, replica = self.source("salesforce_table")

        assert set(features) == {"property_id", *(field.source for field in FIELDS.features)}
        assert set(FIELDS.columns) < set(replica)

    @pytest.mark.parametrize(("column", "needed"), [("parent_account", SHOWN | {"parent_account"}), ("", SHOWN)])
    def test_the_column_of_the_parent_is_looked_for_if_there_is_one(
        self, monkeypatch: pytest.MonkeyPatch, column: str, needed: set[str]
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_PARENT_COLUMN", column)

        assert set(self.source("properties_table")[1]) == needed

    @pytest.mark.parametrize(("setting", "column"), [("NAME_COLUMN", "name"), ("COMPANY_COLUMN", "company_name")])
    def test_what_is_only_shown_is_not_looked_for_if_there_is_none(
        self, monkeypatch: pytest.MonkeyPatch, setting: str, column: str
    ) -> None:
        monkeypatch.setenv(f"FEATURE_SYNC_{setting}", "")

        assert column not in self.source("properties_table")[1]

    @pytest.mark.parametrize(("setting", "column"), [("NAME_COLUMN", "name"), ("COMPANY_COLUMN", "company_name")])
    def test_a_missing_column_that_is_only_shown_is_refused_with_its_setting(self, setting: str, column: str) -> None:
        table, needed = self.source("properties_table")
        found = {name: min(kinds, default="binary") for name, kinds in needed.items() if name != column}

        assert source_problems(load_settings(), table, found) == [
            f"{table} lacks the column {column}. {setting} names it, and it is only shown: name another one, or leave {setting} "
            "empty."
        ]

    def test_of_another_table_no_column_is_said_to_be_only_shown(self) -> None:
        table, needed = self.source("properties_table")

        [problem] = source_problems(load_settings(), table, {"other": "string"})

        assert problem.startswith(f"{table} lacks the columns {', '.join(needed)}.")

    @pytest.mark.parametrize("name", ["properties_table", "features_table", "salesforce_table"])
    def test_a_table_with_the_columns_it_needs_and_others_is_right(self, name: str) -> None:
        table, needed = self.source(name)
        found = {column: min(kinds, default="binary") for column, kinds in needed.items()}

        assert column_problems(table, needed, found | {"_rescued_data": "map"}, FIELDS) == []

    @pytest.mark.parametrize("name", ["properties_table", "features_table", "salesforce_table"])
    def test_each_column_that_is_missing_is_named(self, name: str) -> None:
        table, needed = self.source(name)

        [problem] = column_problems(table, needed, {}, FIELDS)

        assert problem.startswith(f"{table} lacks the columns {', '.join(needed)}.")

    @pytest.mark.parametrize(
        ("name", "column", "cure"),
        [
            pytest.param(
                "salesforce_table",
                "fraud_detection_updated_date_c",
                "If Salesforce has no such field, remove `updated` from fraud_detection in feature_fields.toml (line 12).",
                id="date-in-salesforce",
            ),
            pytest.param(
                "salesforce_table",
                "verification_of_rent_enabled_c",
                "If Salesforce has no such field, remove verification_of_rent from feature_fields.toml (line 18).",
                id="flag-in-salesforce",
            ),
            pytest.param(
                "salesforce_table",
                "snappt_property_id_c",
                "If Salesforce has no such field, correct `property_id` in feature_fields.toml (line 7).",
                id="key-in-salesforce",
            ),
            pytest.param(
                "features_table",
                "idv_updated_at",
                "If there is no such column, remove `updated` from id_verification in feature_fields.toml (line 14).",
                id="date-in-the-feature-table",
            ),
        ],
    )
    def test_a_missing_column_of_the_field_table_says_which_line_to_change(self, name: str, column: str, cure: str) -> None:
        table, needed = self.source(name)
        found = {each: min(kinds, default="binary") for each, kinds in needed.items() if each != column}

        assert column_problems(table, needed, found, FIELDS) == [f"{table} lacks {column}. {cure}"]

    def test_flags_that_are_numbers_are_looked_for_as_such_and_the_entry_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        table, needed = self.source("features_table")
        found = {each: min(kinds) for each, kinds in needed.items()} | {"iv_enabled": "int"}

        [problem] = column_problems(table, needed, found, FIELDS)
        monkeypatch.setenv("FEATURE_SYNC_FIELDS_FILE", "tests/sql/fewer_fields.toml")
        _, needed = self.source("features_table")
        [other] = column_problems(
            table,
            needed,
            dict.fromkeys(needed, "int")
            | {"fraud_enabled": "boolean", "property_id": "string"}
            | {each: "date" for each in needed if each.endswith("_at")},
            load_settings().fields,
        )

        assert problem.endswith(
            "iv_enabled is int; it must be boolean. "
            'If the flags are stored so, write flag_type = "number" in feature_fields.toml.'
        )
        assert other.endswith(
            "fraud_enabled is boolean; it must be bigint or decimal or int or smallint or tinyint. "
            'If the flags are stored so, write flag_type = "boolean" in fewer_fields.toml.'
        )

    @pytest.mark.parametrize("name", ["features_table", "salesforce_table"])
    def test_each_column_of_another_type_is_named_with_that_type(self, name: str) -> None:
        table, needed = self.source(name)

        problems = column_problems(table, needed, dict.fromkeys(needed, "binary"), FIELDS)

        assert [problem.partition(";")[0] for problem in problems] == [f"{table}: {column} is binary" for column in needed]

    @pytest.mark.parametrize(
        ("datetime_fields", "kind", "hint"),
        [
            pytest.param([], "timestamp", "is a Date/Time field in Salesforce, add it to DATETIME_FIELDS.", id="time"),
            pytest.param([], "timestamp_ntz", "is a Date/Time field in Salesforce, add it to DATETIME_FIELDS.", id="ntz"),
            pytest.param(
                ["vor_start_date_c"], "date", "is a Date field in Salesforce, remove it from DATETIME_FIELDS.", id="day"
            ),
            pytest.param([], "string", "must be date.", id="text"),
            pytest.param(["vor_start_date_c"], "bigint", "must be timestamp or timestamp_ntz.", id="number"),
        ],
    )
    def test_only_a_day_for_a_time_or_the_reverse_points_to_the_setting(
        self, datetime_fields: list[str], kind: str, hint: str
    ) -> None:
        fields = load_fields(frozenset(datetime_fields))
        settings = load_settings().model_copy(update={"datetime_fields": frozenset(datetime_fields)})
        needed = {"vor_start_date_c": source_columns(settings)[settings.salesforce_table]["vor_start_date_c"]}

        [problem] = column_problems("crm.s.t", needed, {"vor_start_date_c": kind}, fields)

        assert problem.startswith(f"crm.s.t: vor_start_date_c is {kind}; it must be ")
        assert problem.endswith(hint)

    @pytest.mark.parametrize("kind", ["date", "timestamp", "timestamp_ntz"])
    def test_the_source_of_a_date_may_be_a_day_or_a_time(self, kind: str) -> None:
        table, needed = self.source("features_table")

        assert column_problems(table, {"iv_enabled_at": needed["iv_enabled_at"]}, {"iv_enabled_at": kind}, FIELDS) == []
