"""A setting that cannot be meant is refused when it is read, by its name."""

import json
from datetime import date
from pathlib import Path

import pytest

from feature_sync.config.fields import FieldTableError
from feature_sync.config.settings import BadSettingsError, load_settings


def test_the_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_SYNC_ID", "99")

    assert load_settings().census_sync_id == 99
    assert load_settings().batch_table == "crm.sfdc_dbx.feature_sync_batch"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("BATCH_TABLE", "sfdc_dbx.batch", id="two-levels"),
        pytest.param("BATCH_TABLE", "crm.sfdc_dbx.batch; DROP TABLE x", id="sql"),
        pytest.param("BATCH_TABLE", "crm.sfdc_dbx.batch\n", id="line-end"),
        pytest.param("BATCH_TABLE", "crm.sfdc_dbx.`batch`", id="quoted"),
        pytest.param("BATCH_TABLE", "crm.sfdc_dbx.b\u00e4tch", id="not-ascii"),
        pytest.param("PAYLOAD_TABLE", "crm..payload", id="no-schema"),
        pytest.param("PARENT_COLUMN", "company_id) FROM x; --", id="sql-in-a-column"),
        pytest.param("PARENT_COLUMN", "company_id\n", id="column-with-a-line-end"),
        pytest.param("PARENT_COLUMN", "properties.company_id", id="qualified-column"),
        pytest.param("PARENT_COLUMN", "firmen_id\u00e4", id="column-not-ascii"),
        pytest.param("SALESFORCE_OBJECT", "Product_Property", id="no-custom-object"),
        pytest.param("CENSUS_SYNC_ID", "0", id="zero"),
        pytest.param("CENSUS_SYNC_ID", "", id="empty"),
        pytest.param("CENSUS_SYNC_ID", "-4711", id="negative-id"),
        pytest.param("CENSUS_POLL_SECONDS", "60", id="poll-slower-than-10-s"),
        pytest.param("CENSUS_POLL_SECONDS", "-1", id="negative-poll"),
        pytest.param("CENSUS_INLINE_POLL_SECONDS", "-1", id="negative-inline-poll"),
        pytest.param("CENSUS_RUN_LIMIT_SECONDS", "-1", id="negative-run-limit"),
        pytest.param("COPY_POLL_SECONDS", "-1", id="negative-copy-poll"),
        pytest.param("COPY_POLL_SECONDS", "nan", id="copy-poll-that-is-no-number"),
        pytest.param("COPY_LIMIT_SECONDS", "0", id="no-copy-limit"),
        pytest.param("APPROVAL_LIMIT_SECONDS", "-1", id="negative-approval-limit"),
        pytest.param("PAYLOAD_DAYS", "0", id="payload-kept-for-no-day"),
        pytest.param("PAYLOAD_DAYS", "-90", id="negative-days"),
        pytest.param("PAYLOAD_DAYS", "1.5", id="half-days"),
        pytest.param("GUARD_FEATURE_ROW_SHARE", "1.01", id="share-above-1"),
        pytest.param("GUARD_FEATURE_ROW_SHARE", "-0.01", id="share-below-0"),
        pytest.param("GUARD_FEATURE_ROW_SHARE", "nan", id="share-that-is-no-number"),
        pytest.param("GUARD_FEATURE_ROW_SHARE", "90%", id="share-in-percent"),
        pytest.param("GUARD_DISABLE_SHARE", "5", id="disable-share-in-percent"),
        pytest.param("GUARD_DISABLE_SHARE", "-1", id="disable-share-below-0"),
        pytest.param("GUARD_DISABLE_SHARE", "inf", id="endless-share"),
        pytest.param("GUARD_ENABLED_RECORDS", "-1", id="negative-records"),
        pytest.param("GUARD_ENABLED_RECORDS", "some", id="records-in-words"),
        pytest.param("GUARD_EARLIEST_DATE", "2017-02-29", id="no-such-day"),
        pytest.param("GUARD_EARLIEST_DATE", "01.01.2017", id="day-in-another-form"),
        pytest.param("GUARD_EARLIEST_DATE", "", id="no-day"),
        pytest.param("RECONCILIATION_SCHEDULE", "0 25 * * 1", id="25-o-clock"),
        pytest.param("RECONCILIATION_SCHEDULE", "every Monday", id="cron-in-words"),
        pytest.param("RECONCILIATION_SCHEDULE", "", id="no-cron"),
        pytest.param("OUTPUT_PATH", "", id="no-path"),
        pytest.param("FIELDS_FILE", "", id="no-field-table"),
        pytest.param("HEALING", "sometimes", id="unknown-mode"),
        pytest.param("SOURCE_QUERY", "properties", id="unknown-query"),
        pytest.param("HEALING_SHARE_LIMIT", "1.5", id="more-than-all"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"FEATURE_SYNC_{name}", value)

    with pytest.raises(BadSettingsError) as refused:
        load_settings()

    assert str(refused.value).partition("): ")[2].startswith(f"{name}: ")
    assert str(refused.value).endswith(f"(found {value!r})")


def test_a_date_column_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_DATETIME_FIELDS", '["nonsense_c"]')

    with pytest.raises(FieldTableError, match=r"DATETIME_FIELDS names \['nonsense_c'\]"):
        _ = load_settings().fields


def test_the_field_table_is_that_of_the_setting_below_the_project_or_anywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "ours.toml"
    other.write_text(
        'property_id = "id_c"\nupsert_key = "id_c"\n[products]\na = {label = "A", source = "a", enabled = "a_c", start = "b_c"}\n'
    )
    shipped = load_settings().fields
    monkeypatch.chdir(tmp_path)

    monkeypatch.setenv("FEATURE_SYNC_FIELDS_FILE", "include/feature_fields.toml")
    below = load_settings().fields
    monkeypatch.setenv("FEATURE_SYNC_FIELDS_FILE", str(other))
    monkeypatch.setenv("FEATURE_SYNC_DATETIME_FIELDS", '["b_c"]')
    anywhere = load_settings().fields

    assert below == shipped
    assert anywhere.columns == ("id_c", "a_c", "b_c")
    assert [each.kind for each in anywhere.dates] == ["datetime"]


def test_a_field_table_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_FIELDS_FILE", "include/nothing.toml")

    with pytest.raises(FieldTableError, match=r"include/nothing\.toml \(FIELDS_FILE\) cannot be read"):
        _ = load_settings().fields


def test_all_wrong_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_GUARD_DISABLE_SHARE", "2")
    monkeypatch.setenv("FEATURE_SYNC_PAYLOAD_DAYS", "-1")

    with pytest.raises(BadSettingsError, match=r"GUARD_DISABLE_SHARE: .* \(found '2'\); PAYLOAD_DAYS: .* \(found '-1'\)"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        pytest.param("GUARD_FEATURE_ROW_SHARE", "0", 0.0, id="share-0"),
        pytest.param("GUARD_DISABLE_SHARE", "1", 1.0, id="share-1"),
        pytest.param("GUARD_ENABLED_RECORDS", "0", 0, id="guard-off"),
        pytest.param("GUARD_EARLIEST_DATE", "2020-02-29", date(2020, 2, 29), id="day"),
        pytest.param("RECONCILIATION_SCHEDULE", "30 5 1 * *", "30 5 1 * *", id="cron"),
        pytest.param("PAYLOAD_DAYS", "1", 1, id="one-day"),
        pytest.param("PARENT_COLUMN", "", "", id="no-column"),
        pytest.param("APPROVAL_USERS", '["7", "8"]', ("7", "8"), id="users"),
    ],
)
def test_a_value_that_is_just_allowed_is_read(monkeypatch: pytest.MonkeyPatch, name: str, value: str, read: object) -> None:
    monkeypatch.setenv(f"FEATURE_SYNC_{name}", value)

    assert getattr(load_settings(), name.lower()) == read


@pytest.mark.parametrize("name", ["APPROVAL_USERS", "DATETIME_FIELDS"])
def test_a_list_that_is_not_written_as_one_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"FEATURE_SYNC_{name}", "alice,bob")

    with pytest.raises(BadSettingsError, match=f"(?i){name}"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"), [("GUARD_EARLIEST_DATE", "0"), ("GUARD_EARLIEST_DATE", "-86400"), ("COPY_POLL_SECONDS", "inf")]
)
def test_a_value_that_can_only_be_a_slip_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"FEATURE_SYNC_{name}", value)

    with pytest.raises(BadSettingsError, match=name):
        load_settings()


def test_a_relative_output_path_means_the_same_place_from_every_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = load_settings().output_url
    monkeypatch.chdir(tmp_path)

    assert load_settings().output_url == here
    assert Path(here).is_absolute()


def test_an_output_url_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", "s3://aws_default@bucket/payloads")

    assert load_settings().output_url == "s3://aws_default@bucket/payloads"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param('{"scope": "all"}', "has scope; allowed are batch_size, wait_seconds,", id="what-not-how"),
        pytest.param('{"batch_size": 201}', "batch_size is 201; allowed is a whole number from 1 to 200", id="out-of-range"),
    ],
)
def test_the_run_that_heals_may_be_paced_but_not_pointed_elsewhere(
    monkeypatch: pytest.MonkeyPatch, value: str, reason: str
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_HEALING_RUN_CONFIG", value)

    with pytest.raises(BadSettingsError, match=f"HEALING_RUN_CONFIG: .*{reason}"):
        load_settings()


class TestSentinels:
    def test_blanks_do_not_matter_and_none_is_named_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_PILOT_SENTINELS", '["17", " a-b_c ", "17"]')

        assert load_settings().pilot_sentinels == ("17", "a-b_c")

    @pytest.mark.parametrize("each", ["17,18", "", "x'y", "a" * 65])
    def test_what_is_no_id_is_refused(self, monkeypatch: pytest.MonkeyPatch, each: str) -> None:
        monkeypatch.setenv("FEATURE_SYNC_PILOT_SENTINELS", json.dumps([each]))

        with pytest.raises(BadSettingsError, match=r"PILOT_SENTINELS: .*must be a list of ids"):
            load_settings()


class TestStatuses:
    def test_case_and_blanks_do_not_matter_and_none_is_named_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_KNOWN_STATUSES", '["active", "On Hold ", "ACTIVE", "disabled"]')
        monkeypatch.setenv("FEATURE_SYNC_UNSYNCED_STATUSES", '["Disabled", "deleted"]')

        settings = load_settings()

        assert settings.synced_statuses == ("ACTIVE", "ON HOLD")
        assert settings.all_known_statuses == ("ACTIVE", "ON HOLD", "DISABLED", "DELETED")

    def test_all_but_deleted_are_synced_as_shipped(self) -> None:
        settings = load_settings()

        assert settings.unsynced_statuses == ("DELETED",)
        assert set(settings.all_known_statuses) - set(settings.synced_statuses) == {"DELETED"}

    @pytest.mark.parametrize("known", ["[]", '["deleted"]'])
    def test_settings_by_which_no_property_is_synced_are_refused(self, monkeypatch: pytest.MonkeyPatch, known: str) -> None:
        monkeypatch.setenv("FEATURE_SYNC_KNOWN_STATUSES", known)

        with pytest.raises(BadSettingsError, match="KNOWN_STATUSES has no status that is not in UNSYNCED_STATUSES"):
            load_settings()

    @pytest.mark.parametrize("name", ["KNOWN_STATUSES", "UNSYNCED_STATUSES"])
    @pytest.mark.parametrize("status", ["A'); DROP TABLE x; --", "a\nb", "{{ settings }}", "gel\u00f6scht"])
    def test_what_is_no_status_is_refused(self, monkeypatch: pytest.MonkeyPatch, name: str, status: str) -> None:
        monkeypatch.setenv(f"FEATURE_SYNC_{name}", json.dumps([status]))

        with pytest.raises(BadSettingsError, match=f"{name}: .*must be a list of statuses"):
            load_settings()

    @pytest.mark.parametrize("pattern", ["X{15}'", "(X", "[X", "X{15}\\", "a b"])
    def test_a_pattern_that_is_none_is_refused(self, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
        monkeypatch.setenv("FEATURE_SYNC_PLACEHOLDER_SFDC_IDS", pattern)

        with pytest.raises(BadSettingsError, match=r"PLACEHOLDER_SFDC_IDS: .*must be a regular expression"):
            load_settings()


@pytest.mark.parametrize("address", ["https://acme.my.salesforce.com", "https://acme--test.sandbox.my.salesforce.com:8443/", ""])
def test_the_address_of_salesforce_is_one_that_an_id_can_follow(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_URL", address)

    assert load_settings().salesforce_url == address.removesuffix("/")


@pytest.mark.parametrize(
    "address",
    [
        "http://acme.my.salesforce.com",
        "acme.my.salesforce.com",
        "https://user:secret@acme.my.salesforce.com",
        "https://acme.my.salesforce.com/lightning",
        "https://acme.my.salesforce.com/?next=x",
        "https://acme.my.salesforce.com#x",
        "https://acme.my.salesforce.com\n",
        "javascript:alert(1)",
    ],
)
def test_any_other_address_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("FEATURE_SYNC_SALESFORCE_URL", address)

    with pytest.raises(BadSettingsError, match=r"SALESFORCE_URL: .*must be an address such as https://acme\.my\.salesforce\.com"):
        load_settings()
