"""Settings by which the SQL changes in more than names."""

import pytest

from feature_sync.config.settings import Settings, load_settings

DATETIME = "fraud_detection_start_date_c"
VARIANTS = {
    "no parent": {"FEATURE_SYNC_PARENT_COLUMN": ""},
    "a date is a point in time": {"FEATURE_SYNC_DATETIME_FIELDS": f'["{DATETIME}"]'},
    "columns of the replication": {
        "FEATURE_SYNC_PROPERTIES_DELETED_COLUMN": "_fivetran_deleted",
        "FEATURE_SYNC_FEATURES_DELETED_COLUMN": "_fivetran_deleted",
        "FEATURE_SYNC_FEATURES_ORDER_COLUMN": "seen_last",
    },
    "other statuses": {
        "FEATURE_SYNC_KNOWN_STATUSES": '["Active", "paused", "INACTIVE"]',
        "FEATURE_SYNC_UNSYNCED_STATUSES": '["DELETED", "INACTIVE"]',
        "FEATURE_SYNC_PLACEHOLDER_SFDC_IDS": "X{15}",
    },
    "any active sibling": {
        "FEATURE_SYNC_TWINS": "any_active_sibling",
        "FEATURE_SYNC_TWIN_COLUMN": "company_id",
    },
    "own row beside siblings": {
        "FEATURE_SYNC_TWIN_COLUMN": "sfdc_id",
        "FEATURE_SYNC_PLACEHOLDER_SFDC_IDS": "X{15}",
        "FEATURE_SYNC_PROPERTIES_DELETED_COLUMN": "_fivetran_deleted",
    },
    "an order without deleted rows": {"FEATURE_SYNC_FEATURES_ORDER_COLUMN": "seen_last"},
    "other fields": {"FEATURE_SYNC_FIELDS_FILE": "tests/sql/fewer_fields.toml"},
}

variants = pytest.mark.parametrize("variant", VARIANTS)


FEWER = {"FEATURE_SYNC_FIELDS_FILE": "tests/sql/three_products.toml"}
"""
Fields for the variants. Spark needs minutes to plan the statements of all fields. The whole script has all of them, and no
variant depends on their number.
"""


def usual_settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What a variant is compared with."""
    for name, value in FEWER.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def change_settings(variant: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in (FEWER | VARIANTS[variant]).items():
        monkeypatch.setenv(name, value)
    return load_settings()
