"""The second world: what a real organisation looks like. README.md tells it; the modules beside this one hold its parts."""

from collections.abc import Mapping
from pathlib import Path

from sandbox.worlds.definition import WorldDefinition
from sandbox.worlds.real_census import BATCH_TABLE, FEATURE_SYNC, REGULAR_DATASET, REGULAR_SYNC, real_workspace
from sandbox.worlds.real_object import FIELDS_FILE, REPLICA, SCHEMA
from sandbox.worlds.real_records import org_records
from sandbox.worlds.real_warehouse import (
    FEATURES_TABLE,
    PROPERTIES_TABLE,
    finish_warehouse,
    rebuild_foreign_table,
    seed_warehouse,
)

PREFIX = "FEATURE_SYNC_"


def project_settings(project: Path) -> Mapping[str, str]:
    """The package's settings for this world. ``FIELDS_FILE`` is an absolute path below the project's folder."""
    settings = {
        "FIELDS_FILE": str(project / FIELDS_FILE),
        "PROPERTIES_TABLE": PROPERTIES_TABLE,
        "FEATURES_TABLE": FEATURES_TABLE,
        "SALESFORCE_TABLE": REPLICA.table,
        "PAYLOAD_TABLE": "crm.sfdc_dbx.feature_sync_payload",
        "BATCH_TABLE": BATCH_TABLE,
        "REJECTION_TABLE": "crm.sfdc_dbx.feature_sync_rejection",
        "SYNC_LOG_TABLE": "crm.sfdc_dbx.feature_sync_log",
        "DRIFT_TABLE": "crm.sfdc_dbx.feature_sync_drift",
        "DIFFERENCE_TABLE": "crm.sfdc_dbx.feature_sync_difference",
        "PARENT_COLUMN": "sfdc_id",
        "COMPANY_COLUMN": "",
        # What the people of this organisation answered when they were asked who belongs in Salesforce.
        "UNSYNCED_STATUSES": '["DELETED", ""]',
        "PLACEHOLDER_SFDC_IDS": "X{15}",
        "PROPERTIES_DELETED_COLUMN": "_fivetran_deleted",
        "FEATURES_DELETED_COLUMN": "_fivetran_deleted",
        "TWINS": "any_active_sibling",
        "TWIN_COLUMN": "sfdc_id",
        "CENSUS_SYNC_ID": str(FEATURE_SYNC),
        "CENSUS_DATASET_ID": str(REGULAR_DATASET),
        "CENSUS_PROPERTY_SYNC_ID": str(REGULAR_SYNC),
    }
    return {f"{PREFIX}{name}": value for name, value in settings.items()}


REAL_WORLD = WorldDefinition(
    name="real",
    schema=SCHEMA,
    replica=REPLICA,
    census=real_workspace(),
    seed_warehouse=seed_warehouse,
    org_records=org_records,
    parent_column="sfdc_id",
    settings={
        # 50 rows took 36 to 50 s, and `updated_at` moved for another 79 to 221 s. Here a second is about 30.
        "records_visible_seconds": 3.0,
        "census_updated_seconds": 5.0,
        "flow_fires": "trigger_rollups",
    },
    project_settings=project_settings,
    finish_warehouse=finish_warehouse,
    notebook=rebuild_foreign_table,
)
