"""What this package calls things in Airflow: connections, the pool, the DAGs, its routes."""

DATABRICKS_CONN_ID = "databricks_default"
CENSUS_CONN_ID = "census_default"
CENSUS_POOL = "census_sync"
BACKFILL_DAG_ID = "product_feature_backfill"
RECONCILIATION_DAG_ID = "product_feature_reconciliation"
DEPLOY_DAG_ID = "census_dataset_deploy"
ACCEPT_DAG_ID = "feature_sync_accept"
DAG_IDS = frozenset({BACKFILL_DAG_ID, RECONCILIATION_DAG_ID, DEPLOY_DAG_ID, ACCEPT_DAG_ID})
URL_PREFIX = "/feature-sync"
"""Where Airflow's API server mounts our routes, see ``plugins/feature_sync_plugin.py``."""
SETTINGS_PREFIX = "FEATURE_SYNC_"
"""Environment variables that override a setting begin with it."""
