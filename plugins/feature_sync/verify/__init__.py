"""DAG feature_sync_verify: every check at once on one page, without writing anything anywhere."""
