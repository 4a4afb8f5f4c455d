"""What this package calls things in Airflow: connections, the pool, the DAGs, its routes."""

DATABRICKS_CONN_ID = "databricks_default"
CENSUS_CONN_ID = "census_default"
SALESFORCE_CONN_ID = "salesforce_default"
"""Optional. Without it, nothing is asked of Salesforce itself."""
CENSUS_POOL = "census_sync"
BACKFILL_DAG_ID = "product_feature_backfill"
RECONCILIATION_DAG_ID = "product_feature_reconciliation"
HEALING_QUESTION = "approve_healing"
"""The task of the weekly run whose approval counts in the backfill that it starts."""
DEPLOY_DAG_ID = "census_dataset_deploy"
ACCEPT_DAG_ID = "feature_sync_accept"
VERIFY_DAG_ID = "feature_sync_verify"
DAG_IDS = frozenset({BACKFILL_DAG_ID, RECONCILIATION_DAG_ID, DEPLOY_DAG_ID, ACCEPT_DAG_ID, VERIFY_DAG_ID})
HEALING = "healing__{number}__{weekly_run_id}"
"""
The id of a backfill that a weekly run starts to heal. ``number``: of the healings that this weekly run has started, from 0.
``story/select_answers.sql`` and ``report/select_approvals.sql`` know the form too.
"""
URL_PREFIX = "/feature-sync"
"""Where Airflow's API server mounts our routes, see ``plugins/feature_sync_plugin.py``."""
SETTINGS_PREFIX = "FEATURE_SYNC_"
"""Environment variables that override a setting begin with it."""
