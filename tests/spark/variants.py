"""Settings by which the SQL changes in more than names."""

import os

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

OTHER_FIELDS = "other fields"
TOGETHER = {
    "one half together": ("a date is a point in time", "any active sibling", "an order without deleted rows"),
    "the other half together": ("no parent", "columns of the replication", "other statuses", "own row beside siblings"),
}
"""
Variants that do not contradict each other. `test_comparison.py` proves that each line of SQL which any variant has is in one of
these texts, so two scripts execute what seven would.
"""

every_variant = pytest.mark.parametrize("variant", [*VARIANTS, *TOGETHER])
variants = every_variant if os.environ.get("EACH_VARIANT") else pytest.mark.parametrize("variant", [*TOGETHER, OTHER_FIELDS])
"""`make test-spark` takes each of them by itself as well."""


FEWER = {"FEATURE_SYNC_FIELDS_FILE": "tests/sql/three_products.toml"}
"""
Fields for the variants. Spark needs minutes to plan the statements of all fields. The whole script has all of them, and no
variant depends on their number.
"""


def settings_of(variant: str) -> dict[str, str]:
    """The environment variables of a variant, or of some together."""
    return {name: value for each in TOGETHER.get(variant, (variant,)) for name, value in VARIANTS[each].items()}


def usual_settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What a variant is compared with."""
    for name, value in FEWER.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def change_settings(variant: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in (FEWER | settings_of(variant)).items():
        monkeypatch.setenv(name, value)
    return load_settings()
