"""A payload that takes a product from too many of the records that have it, or makes it the same everywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, freeze_payload
from feature_sync.config.problems import GuardError
from feature_sync.config.settings import load_settings
from feature_sync.storage.run_files import run_files
from tests.sandbox.client import Sandbox
from tests.wire.backfill.payloads import FEATURES, INCIDENT, REPLICA, names, rows_of

ALL = {"scope": "all"}


def refused(conf: dict[str, Any], run_id: str) -> list[str]:
    freeze_payload(conf, run_id)
    with pytest.raises(GuardError) as error:
        check_payload(conf, run_id)
    return error.value.problems


def test_a_small_product_that_is_false_in_every_feature_row_is_refused(
    sandbox: Sandbox,  # noqa: ARG001
    change_table: Callable[[str, str], None],
) -> None:
    change_table(FEATURES, "UPDATE {table} SET vor_enabled = FALSE")

    [of_all] = refused(ALL, "small-false-all")
    [of_incident] = refused(INCIDENT, "small-false-incident")

    assert of_all.startswith("mass_disable: Verification of Rent would turn from True to False for ")
    assert "records that have it (100.0%); GUARD_PRODUCT_DISABLE_SHARE allows 20.0%" in of_all
    assert of_incident.startswith(
        "lost_product: Verification of Rent is True in 438 records in Salesforce, but only for 0 properties"
    )
    assert "allow_mass_disable" in of_incident


@pytest.mark.parametrize("conf", [ALL, {"scope": "mismatched"}, INCIDENT], ids=["all", "mismatched", "incident"])
def test_a_product_that_is_true_in_every_feature_row_is_refused(
    sandbox: Sandbox,  # noqa: ARG001
    change_table: Callable[[str, str], None],
    conf: dict[str, Any],
) -> None:
    change_table(FEATURES, "UPDATE {table} SET vor_enabled = TRUE")
    change_table(
        FEATURES,
        f"INSERT INTO {{table}} BY NAME SELECT DISTINCT snappt_property_id_c AS property_id, {every_flag()} FROM "
        f"{REPLICA} WHERE NOT is_deleted AND snappt_property_id_c NOT IN (SELECT property_id FROM {{table}})",
    )

    problems = refused(conf, f"all-true-{conf['scope']}")

    assert names(problems) == ["constant_product"]
    assert problems[0].startswith("constant_product: Verification of Rent would be True in all ")


def every_flag() -> str:
    flags = ("fraud", "iv", "idv", "idv_only", "payroll_linking", "bank_linking")
    return ", ".join(f"FALSE AS {flag}_enabled" for flag in flags) + ", TRUE AS vor_enabled"


def test_records_of_a_wrong_feature_row_are_repaired_although_all_of_them_become_true(
    sandbox: Sandbox,  # noqa: ARG001
    change_table: Callable[[str, str], None],
) -> None:
    change_table(
        REPLICA,
        "UPDATE {table} SET fraud_detection_enabled_c = FALSE WHERE fraud_detection_enabled_c AND CAST(created_date AS DATE) <"
        " DATE'2025-11-20' AND id LIKE '%0AAA'",
    )
    conf = {"scope": "mismatched"}

    freeze_payload(conf, "all-become-true")

    assert check_payload(conf, "all-become-true").approval is None


class TestMisspelledFeatures:
    def test_eighty_of_the_incident_with_a_blank_are_refused_or_left_out(
        self,
        sandbox: Sandbox,
        change_table: Callable[[str, str], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ids = [
            row[0]
            for row in sandbox.sql(
                f"SELECT snappt_property_id_c FROM {REPLICA} WHERE CAST(created_date AS DATE) = '2025-11-21' AND NOT is_deleted"
                f" AND snappt_property_id_c IN (SELECT property_id FROM {FEATURES} WHERE fraud_enabled) ORDER BY 1 LIMIT 80"
            )
        ]
        listed = ", ".join(f"'{one}'" for one in ids)
        change_table(FEATURES, f"UPDATE {{table}} SET property_id = property_id || ' ' WHERE property_id IN ({listed})")

        [problem] = refused(INCIDENT, "blanks")
        assert problem.startswith(
            "unmatched_features: 80 of 9,735 properties in the feature table (0.82%) are not in the properties"
        )
        assert f"such as '{ids[0]} '; GUARD_UNMATCHED_FEATURE_ROWS allows 75 and" in problem

        # With another limit the rest can be sent.
        monkeypatch.setenv("FEATURE_SYNC_GUARD_UNMATCHED_FEATURE_ROWS", "80")
        freeze_payload(INCIDENT, "the-rest")
        assert check_payload(INCIDENT, "the-rest").records == 1_296 - 80
        listed = rows_of(Path(str(run_files(load_settings(), "the-rest").records_left_out)))
        assert sorted(row["snappt_property_id_c"] for row in listed if row["reason"] == "ambiguous_features") == sorted(ids)

    def test_a_row_that_is_misspelled_after_the_freeze_refuses_the_payload(
        self,
        sandbox: Sandbox,  # noqa: ARG002
        change_table: Callable[[str, str], None],
        incident_ids: list[str],
    ) -> None:
        conf = {"scope": "property_ids", "property_ids": incident_ids}
        freeze_payload(conf, "misspelled-late")
        change_table(FEATURES, f"UPDATE {{table}} SET property_id = property_id || ' ' WHERE property_id = '{incident_ids[0]}'")

        with pytest.raises(GuardError) as error:
            check_payload(conf, "misspelled-late")

        assert names(error.value.problems) == ["misspelled_features"]
        assert f"1 record has a feature row that names the property in another spelling, such as {incident_ids[0]}." in str(
            error.value
        )
