"""Properties that share one object in Salesforce, and whose features count for a record."""

from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, freeze_payload
from feature_sync.config.settings import BadSettingsError, load_settings
from feature_sync.storage.run_files import run_files
from tests.wire.backfill.payloads import rows_of
from tests.wire.few import Few

KEY = "snappt_property_id_c"
SHARED = "0018X00002abcdEQAQ"


@pytest.fixture
def family(few: Few, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, str]:
    """Three properties with one sfdc_id, two of them ACTIVE. The first has a product in Salesforce, but not by its own row."""
    first, second, third, *_ = few.ids()
    few.sql(f"UPDATE {{properties}} SET sfdc_id = '{SHARED}' WHERE id IN ({first}, {second}, {third})")
    few.sql(f"UPDATE {{properties}} SET status = 'ACTIVE' WHERE id IN ({first}, {second})")
    few.sql(f"UPDATE {{properties}} SET status = 'DISABLED' WHERE id = {third}")
    few.sql(f"UPDATE {{features}} SET fraud_enabled = FALSE, fraud_enabled_at = NULL WHERE property_id = '{first}'")
    monkeypatch.setenv("FEATURE_SYNC_TWIN_COLUMN", "sfdc_id")
    return first, second, third


def found(few: Few) -> dict[str, int]:
    return {name: count for name, count in few.compare()[0]["differences"].items() if count}


def in_property_sync(few: Few) -> dict[str, dict[str, Any]]:
    return {row[KEY]: row for row in few.query("deployment/select_property_sync")}


class TestOwn:
    def test_without_a_twin_column_a_record_is_held_against_its_own_row_alone(
        self, few: Few, family: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_TWIN_COLUMN", "")

        assert found(few) == {"wrongly_true": 1, "date_differs": 1}
        assert [row[KEY] for row in few.query("deployment/select_feature_sync")] == [family[0]]

    def test_a_flag_that_is_true_through_a_sibling_is_shown_and_left_alone(self, few: Few, family: tuple[str, str, str]) -> None:
        report, [row] = few.compare()

        assert {name: count for name, count in report["differences"].items() if count} == {"true_through_sibling": 1}
        assert report["properties_mismatched"] == 0
        assert (row["class"], row[KEY], row["field"]) == ("true_through_sibling", family[0], "fraud_detection_enabled_c")
        assert (row["in_salesforce_value"], row["in_warehouse_value"]) == ("true", "false")
        assert few.query("deployment/select_feature_sync") == []

    def test_its_record_is_left_out_of_scope_mismatched_and_listed_although_another_field_differs(
        self, few: Few, family: tuple[str, str, str]
    ) -> None:
        first, second, _ = family
        few.sql(f"UPDATE {{replica}} SET vor_updated_date_c = DATE'2001-02-03' WHERE {KEY} IN ('{first}', '{second}')")
        freeze_payload({}, "twins")
        checked = check_payload({}, "twins")

        files = run_files(load_settings(), "twins")
        sent = few.sql(f"SELECT {KEY} FROM {load_settings().payload_table} WHERE run_id = 'twins'")
        assert (checked.records, sent) == (1, [(second,)])
        assert [(row[KEY], row["reason"]) for row in rows_of(Path(str(files.records_left_out)))] == [
            (first, "true_through_sibling")
        ]
        assert '"records_true_through_sibling": 1' in files.preview.read_text()
        assert found(few) == {"date_differs": 2, "true_through_sibling": 1}
        assert [row[KEY] for row in few.query("deployment/select_feature_sync")] == [second]

    def test_a_person_may_name_it(self, few: Few, family: tuple[str, str, str]) -> None:
        conf = {"scope": "property_ids", "property_ids": [family[0]], "allow_mass_disable": True}
        freeze_payload(conf, "named")

        table = load_settings().payload_table
        assert few.sql(f"SELECT fraud_detection_enabled_c FROM {table} WHERE run_id = 'named'") == [(False,)]

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param("UPDATE {{properties}} SET status = 'DISABLED' WHERE id = {second}", id="no-sibling-is-active"),
            pytest.param("UPDATE {{properties}} SET sfdc_id = '' WHERE id IN ({first}, {second})", id="nothing-is-shared"),
            pytest.param("UPDATE {{properties}} SET sfdc_id = NULL WHERE id IN ({first}, {second})", id="null-is-not-shared"),
            pytest.param(
                "UPDATE {{properties}} SET sfdc_id = 'XXXXXXXXXXXXXXX' WHERE id IN ({first}, {second})", id="a-placeholder"
            ),
            pytest.param("UPDATE {{features}} SET fraud_enabled = FALSE WHERE property_id = '{second}'", id="it-has-it-not"),
        ],
    )
    def test_only_an_active_sibling_that_has_the_product_keeps_a_flag(
        self, few: Few, family: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        monkeypatch.setenv("FEATURE_SYNC_PLACEHOLDER_SFDC_IDS", "X{15}")
        few.sql(change.format(first=family[0], second=family[1], features="{features}", properties="{properties}"))

        differences = found(few)

        assert differences["wrongly_true"] >= 1
        assert "true_through_sibling" not in differences


class TestAnyActiveSibling:
    @pytest.fixture(autouse=True)
    def _rule(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_TWIN_COLUMN", "sfdc_id")
        monkeypatch.setenv("FEATURE_SYNC_TWINS", "any_active_sibling")

    def test_any_true_wins_with_the_earliest_start_and_the_latest_change(self, few: Few, family: tuple[str, str, str]) -> None:
        first, second, third = family
        for property_id, start, updated in ((second, "2024-03-01", "2024-05-01"), (third, "2023-03-01", "2025-05-01")):
            few.sql(
                f"UPDATE {{features}} SET fraud_enabled = TRUE, fraud_enabled_at = TIMESTAMP'{start} 12:00:00',"
                f" fraud_updated_at = TIMESTAMP'{updated} 12:00:00' WHERE property_id = '{property_id}'"
            )
        few.sql(f"UPDATE {{features}} SET fraud_updated_at = TIMESTAMP'2024-12-31 12:00:00' WHERE property_id = '{first}'")

        rows = in_property_sync(few)

        def fraud(property_id: str) -> tuple[Any, ...]:
            row = rows[property_id]
            return (
                row["fraud_detection_enabled_c"],
                *(str(row[f"fraud_detection_{day}_date_c"]) for day in ("start", "updated")),
            )

        assert fraud(first) == (True, "2024-03-01", "2024-12-31")
        assert fraud(second) == (True, "2024-03-01", "2024-12-31")
        assert fraud(third) == (True, "2023-03-01", "2025-05-01"), "its own row counts too, and a DISABLED one for itself alone"
        assert len(rows) == 8

    def test_a_flag_that_a_sibling_keeps_is_no_difference(self, few: Few, family: tuple[str, str, str]) -> None:  # noqa: ARG002
        assert "wrongly_true" not in found(few)
        assert "true_through_sibling" not in found(few)

    def test_a_property_without_a_row_has_what_its_siblings_have(self, few: Few, family: tuple[str, str, str]) -> None:
        few.sql(f"DELETE FROM {{features}} WHERE property_id = '{family[0]}'")

        assert in_property_sync(few)[family[0]]["fraud_detection_enabled_c"] is True

    def test_an_empty_flag_is_not_false_but_true_wins_over_it(self, few: Few, family: tuple[str, str, str]) -> None:
        first, second, third = family
        few.sql(f"UPDATE {{features}} SET fraud_enabled = NULL WHERE property_id = '{first}'")

        known = in_property_sync(few)[first]["fraud_detection_enabled_c"]
        few.sql(f"UPDATE {{features}} SET fraud_enabled = FALSE WHERE property_id IN ('{second}', '{third}')")

        assert known is True
        assert not {first, second, third} & set(in_property_sync(few)), "nobody knows, so nothing is sent"

    def test_unequal_rows_of_an_active_sibling_make_the_family_ambiguous(self, few: Few, family: tuple[str, str, str]) -> None:
        other = (
            f"SELECT * EXCEPT (idv_enabled), NOT idv_enabled AS idv_enabled FROM {{features}} WHERE property_id = '{family[1]}'"
        )
        few.sql(f"INSERT INTO {{features}} BY NAME {other}")

        assert found(few)["ambiguous_features"] == 3
        assert not set(family) & set(in_property_sync(few))


def test_siblings_must_share_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_TWINS", "any_active_sibling")

    with pytest.raises(BadSettingsError, match="TWIN_COLUMN must name the column"):
        load_settings()
