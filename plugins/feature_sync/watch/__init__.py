"""DAG feature_sync_watch: tells people of a week without a verdict, and of a backfill that is late."""
