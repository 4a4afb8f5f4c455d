from pathlib import Path

import pytest

from feature_sync.settings import SettingsError, load_settings


def test_the_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_CENSUS_SYNC_ID", "99")

    assert load_settings().census_sync_id == 99
    assert load_settings().batch_table == "crm.sfdc_dbx.product_property_feature_batch"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("BATCH_TABLE", "sfdc_dbx.batch", id="two-levels"),
        pytest.param("BATCH_TABLE", "crm.sfdc_dbx.batch; DROP TABLE x", id="sql"),
        pytest.param("BATCH_TABLE", "crm.sfdc_dbx.bätch", id="not-ascii"),
        pytest.param("CENSUS_SYNC_ID", "0", id="zero"),
        pytest.param("CENSUS_SYNC_ID", "", id="empty"),
        pytest.param("CENSUS_POLL_SECONDS", "60", id="poll-slower-than-10-s"),
        pytest.param("OUTPUT_PATH", "", id="no-path"),
        pytest.param("DATETIME_FIELDS", '["nonsense_c"]', id="unknown-field"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"FEATURE_SYNC_{name}", value)

    with pytest.raises((SettingsError, ValueError), match=name):
        _ = load_settings().fields


def test_a_relative_output_path_means_the_same_place_from_every_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = load_settings().output_url
    monkeypatch.chdir(tmp_path)

    assert load_settings().output_url == here
    assert Path(here).is_absolute()


def test_an_output_url_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", "s3://aws_default@bucket/payloads")

    assert load_settings().output_url == "s3://aws_default@bucket/payloads"
