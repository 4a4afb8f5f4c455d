"""Each guard over the wire, and the incident's mistake, which no payload may repeat."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, freeze_payload
from feature_sync.backfill.payload_guards import Guard
from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import Attempt, AttemptStatus, Batch
from feature_sync.sending.sender import StagingError
from feature_sync.sending.sync_log import SyncLog
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import DATASET, Sandbox
from tests.wire.backfill import payloads
from tests.wire.backfill.payloads import (
    FEATURES,
    FIELDS,
    FLAGS,
    FRAUD,
    INCIDENT,
    RENT,
    REPLICA,
    SeenFromOutside,
    names,
    records_left,
    records_released,
    refusal,
)
from tests.wire.campaign import Campaign

AFTER_TODAY = "current_date() + INTERVAL 2 DAYS"
"""Later than today, also if midnight passes before the payload is checked."""


def each(columns: list[str], value: str) -> str:
    return ", ".join(f"{column} = {value}" for column in columns)


@pytest.fixture(scope="module")
def sound(world: Sandbox, incident_ids: list[str]) -> str:  # noqa: ARG001 - the environment
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATURE_SYNC_PARENT_COLUMN", "")  # so that the first records are those of the first ids
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, "sound")
    return "sound"


class TestGuards:
    """Each guard over the wire, on a payload of 20 records that is sound but for what a test changes in the first of them."""

    @pytest.fixture
    def frozen_with(self, sandbox: Sandbox, sound: str) -> Callable[[str, int], str]:
        def freeze(change: str, records: int) -> str:
            run_id, table = f"guarded-{uuid.uuid4()}", load_settings().payload_table
            pairs = [pair.split(" = ") for pair in change.split(", ")]
            changed = "".join(
                f", CASE WHEN record_number <= {records} THEN {value} ELSE {column} END AS {column}" for column, value in pairs
            )
            kept = ", ".join(["run_id", *(column for column, _ in pairs)])
            sandbox.sql(
                f"INSERT INTO {table} BY NAME SELECT '{run_id}' AS run_id, * EXCEPT ({kept}){changed}"
                f" FROM {table} WHERE run_id = '{sound}'"
            )
            return run_id

        return freeze

    @pytest.mark.parametrize(
        ("change", "records", "settings", "problem"),
        [
            pytest.param(
                "reverse_etl_id_c = NULL",
                3,
                {},
                "empty_keys: 3 records have no reverse_etl_id_c (named is the property), such as {first}.",
                id="empty-keys",
            ),
            pytest.param(
                "reverse_etl_id_c = '{first}'",
                3,
                {},
                "repeated_keys: 3 records share a reverse_etl_id_c with another, such as {first}.",
                id="repeated-keys",
            ),
            pytest.param(
                "reverse_etl_id_c = 'nobody-' || record_number",
                2,
                {},
                "missing_keys: 2 records have a reverse_etl_id_c that no record in Salesforce has, such as nobody-1.",
                id="missing-keys",
            ),
            *(
                pytest.param(
                    f"{product.enabled.column} = NULL",
                    2,
                    {},
                    "empty_flags: 2 records have an empty flag, and a Salesforce checkbox cannot be null, such as {first}.",
                    id=f"empty-flags-{product.name}",
                )
                for product in (FRAUD, RENT)
            ),
            pytest.param(
                "has_feature_row = FALSE",
                3,
                {},
                "feature_rows: only 85.0% of 20 properties have a feature row; GUARD_FEATURE_ROW_SHARE requires 90.0%.",
                id="feature-rows",
            ),
            pytest.param(
                "has_feature_row = FALSE",
                1,
                {"FEATURE_ROW_SHARE": "0.96"},
                "feature_rows: only 95.0% of 20 properties have a feature row; GUARD_FEATURE_ROW_SHARE requires 96.0%.",
                id="feature-rows-by-setting",
            ),
            pytest.param(
                each(FLAGS, "FALSE"),
                20,
                {},
                "no_product: 0 of 20 properties have any product; GUARD_ENABLED_RECORDS requires 1.",
                id="no-product",
            ),
            pytest.param(
                each(FLAGS, "FALSE"),
                17,
                {"ENABLED_RECORDS": "4"},
                "no_product: 3 of 20 properties have any product; GUARD_ENABLED_RECORDS requires 4.",
                id="no-product-by-setting",
            ),
            *(
                pytest.param(
                    f"{field.column} = {AFTER_TODAY}",
                    2,
                    {},
                    "future_dates: 2 records have a date in the future, such as {first}.",
                    id=f"future-dates-{field.column}",
                )
                for field in (FRAUD.start, RENT.updated)
            ),
            *(
                pytest.param(
                    f"{field.column} = DATE'2016-12-31'",
                    2,
                    {},
                    "early_dates: 2 records have a date before 2017-01-01 (GUARD_EARLIEST_DATE), such as {first}.",
                    id=f"early-dates-{field.column}",
                )
                for field in (FRAUD.start, RENT.updated)
            ),
            pytest.param(
                "vor_start_date_c = DATE'2019-01-31'",
                1,
                {"EARLIEST_DATE": "2019-02-01"},
                "early_dates: 1 record has a date before 2019-02-01 (GUARD_EARLIEST_DATE), such as {first}.",
                id="early-dates-by-setting",
            ),
            pytest.param(
                f"before_{RENT.enabled.column} = TRUE, {RENT.enabled.column} = FALSE",
                2,
                {},
                "mass_disable: Verification of Rent would turn from True to False for 2 of 20 records (10.0%); "
                "GUARD_DISABLE_SHARE allows 5.0%.",
                id="mass-disable",
            ),
            pytest.param(
                f"before_{FRAUD.enabled.column} = TRUE, {FRAUD.enabled.column} = FALSE",
                1,
                {"DISABLE_SHARE": "0"},
                "mass_disable: Fraud Detection would turn from True to False for 1 of 20 records (5.0%); "
                "GUARD_DISABLE_SHARE allows 0.0%.",
                id="mass-disable-by-setting",
            ),
        ],
    )
    def test_it_refuses_by_name_with_count_and_example(
        self,
        *,
        incident_ids: list[str],
        frozen_with: Callable[[str, int], str],
        monkeypatch: pytest.MonkeyPatch,
        change: str,
        records: int,
        settings: dict[str, str],
        problem: str,
    ) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"FEATURE_SYNC_GUARD_{name}", value)
        run_id = frozen_with(change.replace("{first}", incident_ids[0]), records)

        [found] = refusal(run_id)

        assert found.startswith(problem.replace("{first}", incident_ids[0]))

    @pytest.mark.parametrize(
        ("change", "records", "settings"),
        [
            pytest.param("has_feature_row = FALSE", 2, {}, id="feature-rows"),
            pytest.param("has_feature_row = FALSE", 5, {"FEATURE_ROW_SHARE": "0.75"}, id="feature-rows-by-setting"),
            pytest.param(each(FLAGS, "FALSE"), 19, {}, id="no-product"),
            pytest.param(each(FLAGS, "FALSE"), 16, {"ENABLED_RECORDS": "4"}, id="no-product-by-setting"),
            pytest.param(each(FLAGS, "FALSE"), 20, {"ENABLED_RECORDS": "0"}, id="no-product-switched-off"),
            pytest.param(f"{RENT.enabled.column} = TRUE, {FRAUD.enabled.column} = FALSE", 20, {}, id="any-product"),
            pytest.param(each([field.column for field in FIELDS.dates], "current_date()"), 20, {}, id="future-dates"),
            pytest.param(each([field.column for field in FIELDS.dates], "DATE'2017-01-01'"), 20, {}, id="early-dates"),
            pytest.param(each([field.column for field in FIELDS.dates], "NULL"), 20, {}, id="no-dates"),
            pytest.param(
                f"{FRAUD.start.column} = DATE'2016-12-31'", 1, {"EARLIEST_DATE": "2016-12-31"}, id="early-dates-by-setting"
            ),
            pytest.param(f"before_{FRAUD.enabled.column} = TRUE, {FRAUD.enabled.column} = FALSE", 1, {}, id="mass-disable"),
            pytest.param(
                f"before_{FRAUD.enabled.column} = TRUE, {FRAUD.enabled.column} = FALSE",
                5,
                {"DISABLE_SHARE": "0.25"},
                id="mass-disable-by-setting",
            ),
            pytest.param(
                each([f"before_{flag}" for flag in FLAGS], "TRUE") + ", " + each(FLAGS, "FALSE"),
                1,
                {},
                id="each-product-by-itself",
            ),
        ],
    )
    def test_it_accepts_a_payload_that_just_reaches_its_threshold(
        self,
        frozen_with: Callable[[str, int], str],
        monkeypatch: pytest.MonkeyPatch,
        change: str,
        records: int,
        settings: dict[str, str],
    ) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"FEATURE_SYNC_GUARD_{name}", value)
        run_id = frozen_with(change, records)

        checked = check_payload({}, run_id)

        assert (checked.records, checked.approval) == (20, None)

    @pytest.mark.parametrize("allowed", [False, True], ids=["", "mass-disable-allowed"])
    def test_every_guard_that_refuses_is_named_at_once_and_only_mass_disable_can_be_overridden(
        self, frozen_with: Callable[[str, int], str], allowed: bool
    ) -> None:
        key = "CASE WHEN record_number < 3 THEN NULL WHEN record_number < 5 THEN 'nobody' ELSE reverse_etl_id_c END"
        everything = [
            f"reverse_etl_id_c = {key}",
            "has_feature_row = FALSE",
            each([f"before_{FRAUD.enabled.column}"], "TRUE"),
            each([FRAUD.enabled.column], "FALSE"),
            each(FLAGS[1:], "NULL"),
            f"{FRAUD.start.column} = {AFTER_TODAY}",
            f"{RENT.start.column} = DATE'1999-12-31'",
        ]

        found = names(refusal(frozen_with(", ".join(everything), 20), {"allow_mass_disable": allowed}))

        of_tables = (Guard.UNKNOWN_PROPERTIES, Guard.UNMATCHED_FEATURES, Guard.MISSPELLED_FEATURES, Guard.LOST_PRODUCT)
        elsewhere = (Guard.EMPTY_PAYLOAD, Guard.MASS_DISABLE, Guard.CONSTANT_PRODUCT, *of_tables)
        others = [guard for guard in Guard if guard not in elsewhere]
        assert [name for name in found if name != "mass_disable"] == others
        assert "mass_disable" in found or allowed

    def test_a_record_deleted_in_salesforce_since_has_no_key_there(
        self, incident_ids: list[str], frozen_with: Callable[[str, int], str], change_table: Callable[[str, str], None]
    ) -> None:
        run_id = frozen_with("batch_number = 1", 20)
        change_table(REPLICA, f"UPDATE {{table}} SET is_deleted = TRUE WHERE reverse_etl_id_c = '{incident_ids[4]}'")

        [problem] = refusal(run_id)

        assert problem.startswith("missing_keys: 1 record has")
        assert f"such as {incident_ids[4]}." in problem

    @pytest.mark.parametrize("product", [FRAUD, RENT], ids=lambda product: product.name)
    def test_an_empty_flag_of_the_feature_table_is_refused(
        self, incident_ids: list[str], change_table: Callable[[str, str], None], product: Any
    ) -> None:
        flag = product.enabled.source
        change_table(FEATURES, f"UPDATE {{table}} SET {flag} = NULL WHERE property_id = '{incident_ids[2]}'")
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, f"empty-{flag}")

        [problem] = refusal(f"empty-{flag}")

        assert problem.startswith("empty_flags: 1 record has an empty flag")
        assert f"such as {incident_ids[2]}." in problem

    def test_a_second_feature_row_of_a_property_never_refuses_the_run(
        self, incident_ids: list[str], change_table: Callable[[str, str], None]
    ) -> None:
        # Equal rows are one. Of unequal ones nobody knows which is right, so this record alone is left out.
        change_table(FEATURES, f"INSERT INTO {{table}} SELECT * FROM {{table}} WHERE property_id IN {tuple(incident_ids[2:4])}")
        change_table(FEATURES, f"INSERT INTO {{table}} SELECT * FROM {{table}} WHERE property_id = '{incident_ids[4]}'")
        other = f"SELECT * EXCEPT (fraud_enabled), FALSE AS fraud_enabled FROM {{table}} WHERE property_id = '{incident_ids[2]}'"
        change_table(FEATURES, f"INSERT INTO {{table}} BY NAME {other}")
        conf = {"scope": "property_ids", "property_ids": incident_ids}
        freeze_payload(conf, "two-rows")

        assert check_payload(conf, "two-rows").records == 19

    @pytest.mark.parametrize(
        ("scope", "count"), [pytest.param(slice(0, 20), 2, id="both-in-scope"), pytest.param(slice(2, 20), 1, id="one-in-scope")]
    )
    def test_records_that_share_a_key_are_left_out(
        self, incident_ids: list[str], change_table: Callable[[str, str], None], scope: slice, count: int
    ) -> None:
        change_table(
            REPLICA,
            f"UPDATE {{table}} SET reverse_etl_id_c = '{incident_ids[1]}' WHERE snappt_property_id_c = '{incident_ids[2]}'",
        )
        chosen = incident_ids[scope]
        conf = {"scope": "property_ids", "property_ids": chosen}
        freeze_payload(conf, f"one-key-{count}")

        assert check_payload(conf, f"one-key-{count}").records == len(chosen) - count

    @pytest.mark.parametrize("key", ["NULL", "''", "'  '"])
    def test_a_record_without_a_key_is_left_out(
        self, incident_ids: list[str], change_table: Callable[[str, str], None], key: str
    ) -> None:
        change_table(REPLICA, f"UPDATE {{table}} SET reverse_etl_id_c = {key} WHERE snappt_property_id_c = '{incident_ids[2]}'")
        conf = {"scope": "property_ids", "property_ids": incident_ids}
        freeze_payload(conf, f"no-key-{len(key)}")

        assert check_payload(conf, f"no-key-{len(key)}").records == len(incident_ids) - 1

    def test_a_scope_that_vanished_is_refused(self, sandbox: Sandbox) -> None:  # noqa: ARG002
        freeze_payload({"scope": "property_ids", "property_ids": ["nobody"]}, "vanished")

        assert names(refusal("vanished")) == ["empty_payload"]

    def test_a_refused_payload_is_removed_until_it_is_frozen_again(
        self, sandbox: Sandbox, sound: str, incident_ids: list[str], frozen_with: Callable[[str, int], str]
    ) -> None:
        run_id = frozen_with("has_feature_row = FALSE", 20)
        first = names(refusal(run_id))
        left = records_left(sandbox, run_id)

        second = names(refusal(run_id))
        freeze_payload({"scope": "property_ids", "property_ids": incident_ids}, run_id)

        assert (first, left, second) == (["feature_rows"], 0, ["empty_payload"])
        assert records_released(sandbox, run_id) == 0, "before the check"
        assert check_payload({}, run_id).records == 20
        assert records_released(sandbox, run_id) == 20
        assert records_left(sandbox, sound) == 20, "of another run"

    def test_a_refused_payload_with_a_tried_batch_stays_so_that_it_can_be_undone(
        self, sandbox: Sandbox, frozen_with: Callable[[str, int], str]
    ) -> None:
        run_id = frozen_with("has_feature_row = FALSE, released_at = current_timestamp()", 20)
        with Warehouse(load_settings()) as warehouse:
            SyncLog(warehouse).record(Attempt(run_id, 1, 1, AttemptStatus.SUCCEEDED, 20))

        assert names(refusal(run_id)) == ["feature_rows"]
        assert (records_left(sandbox, run_id), records_released(sandbox, run_id)) == (20, 0)

    def test_the_preview_is_written_for_a_payload_that_is_refused_too(self, frozen_with: Callable[[str, int], str]) -> None:
        run_id = frozen_with(f"before_{FRAUD.enabled.column} = TRUE, {FRAUD.enabled.column} = FALSE", 4)

        refusal(run_id)

        preview = json.loads((Path(load_settings().output_url) / run_id / "preview.json").read_text())
        fraud = preview["products"][0]
        assert (fraud["enabled_now"], fraud["enabled_after"], fraud["to_enable"], fraud["to_disable"]) == (4, 16, 16, 4)


class TestTheIncidentAgain:
    """The mistake itself cannot be sent: neither the wrong SQL, nor a feature table that is empty."""

    BEFORE = ", ".join(f"before_{field.column}" for field in FIELDS.features)

    def freeze_what_the_wrong_sql_gives(self, sandbox: Sandbox, run_id: str, where: str) -> int:
        """
        The rows of the regular sync's dataset, as it stands in Census, in the place of what `freeze_payload` would write.

        They are released, as after a former check, so that nothing but the refusal keeps them from being sent.
        """
        query = sandbox.census("GET", f"datasets/{DATASET}").json()["data"]["query"]
        asks_for_features = str(FEATURES in query).upper()
        numbered = "row_number() OVER (ORDER BY replica.id)"
        sandbox.sql(
            f"INSERT INTO {load_settings().payload_table} (run_id, record_number, batch_number, frozen_at, released_at,"
            f" salesforce_id, has_feature_row, {', '.join(FIELDS.columns)}, {self.BEFORE})"
            f" SELECT '{run_id}', {numbered}, CAST(floor(({numbered} - 1) / 50) AS INT) + 1, current_timestamp(),"
            f" current_timestamp(), replica.id, {asks_for_features},"
            f" {', '.join(f'source.{column}' for column in FIELDS.columns)},"
            f" {', '.join(f'replica.{field.column}' for field in FIELDS.features)}"
            f" FROM ({query}) AS source INNER JOIN {REPLICA} AS replica ON replica.reverse_etl_id_c = source.reverse_etl_id_c"
            f" WHERE NOT replica.is_deleted AND {where}"
        )
        return records_left(sandbox, run_id)

    @pytest.mark.parametrize(
        ("where", "conf", "records", "guards"),
        [
            pytest.param(
                "CAST(replica.created_date AS DATE) = '2025-11-21'", {}, 1_296, ["feature_rows", "no_product"], id="of-the-day"
            ),
            pytest.param("TRUE", {}, 10_000, ["feature_rows", "no_product", "mass_disable"], id="all"),
            pytest.param(
                "TRUE", {"allow_mass_disable": True}, 10_000, ["feature_rows", "no_product"], id="all-and-mass-disable-allowed"
            ),
        ],
    )
    def test_the_wrong_sql_is_refused_by_name_and_nothing_goes_out(
        self, *, sandbox: Sandbox, where: str, conf: dict[str, Any], records: int, guards: list[str]
    ) -> None:
        run_id = f"wrong-sql-{uuid.uuid4()}"
        outside = SeenFromOutside(sandbox)
        frozen = self.freeze_what_the_wrong_sql_gives(sandbox, run_id, where)

        problems = refusal(run_id, conf)

        assert frozen == records
        assert [guard for guard in dict.fromkeys(names(problems)) if guard in guards] == guards
        assert f"no_product: 0 of {records:,} properties have any product" in problems[1]
        assert records_left(sandbox, run_id) == 0
        with Warehouse(load_settings()) as warehouse:
            sender = Campaign(sandbox, warehouse, run_id, [Batch(1, 1, 50, 50)], outside.after).sender(wait_seconds=-2)
            with pytest.raises(StagingError, match=r"0 of its 50 records .* Nothing was triggered\."):
                sender.begin()
        assert outside.effects == []

    def test_the_disabling_of_each_product_is_counted(self, sandbox: Sandbox) -> None:
        run_id = "wrong-sql-counted"
        self.freeze_what_the_wrong_sql_gives(sandbox, run_id, "TRUE")
        counts = ", ".join(f"COUNT_IF({flag})" for flag in FLAGS)
        [enabled] = sandbox.sql(f"SELECT {counts} FROM {REPLICA} WHERE NOT is_deleted")

        problems = [problem for problem in refusal(run_id) if problem.startswith("mass_disable")]

        # More than 5 % of all records, or more than 20 % of those that have the product, and more than 20 records.
        expected = [
            f"mass_disable: {product.label} would turn from True to False for {count:,} of "
            + ("10,000 records" if count > 500 else f"the {count:,} records that have it")
            for product, count in zip(FIELDS.products, enabled, strict=True)
            if count > 20
        ]
        assert [problem.partition(" (")[0] for problem in problems] == expected
        assert len(expected) >= 4

    def test_an_empty_feature_table_is_refused_by_name_and_nothing_goes_out(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outside = SeenFromOutside(sandbox)
        sandbox.sql(f"CREATE OR REPLACE TABLE crm.sfdc_dbx.no_features AS SELECT * FROM {FEATURES} WHERE FALSE")
        monkeypatch.setenv("FEATURE_SYNC_FEATURES_TABLE", "crm.sfdc_dbx.no_features")

        frozen = freeze_payload(INCIDENT, "no-features")
        problems = refusal("no-features")

        sandbox.sql("DROP TABLE crm.sfdc_dbx.no_features")
        assert frozen == payloads.frozen(1_296)
        assert names(problems) == ["feature_rows", "no_product"]
        assert problems[0].startswith("feature_rows: only 0.0% of 1,296 properties have a feature row")
        assert records_left(sandbox, "no-features") == 0
        assert outside.effects == []
