"""DAG product_feature_backfill: from the form to the verdict."""
