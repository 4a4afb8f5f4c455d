"""Settings by which the SQL changes in more than names."""

import pytest

from feature_sync.config.settings import Settings, load_settings

DATETIME = "fraud_detection_start_date_c"
VARIANTS = {
    "no parent": {"FEATURE_SYNC_PARENT_COLUMN": ""},
    "a date is a point in time": {"FEATURE_SYNC_DATETIME_FIELDS": f'["{DATETIME}"]'},
    "other fields": {"FEATURE_SYNC_FIELDS_FILE": "tests/sql/fewer_fields.toml"},
}

variants = pytest.mark.parametrize("variant", VARIANTS)


def change_settings(variant: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in VARIANTS[variant].items():
        monkeypatch.setenv(name, value)
    return load_settings()
