"""DAG product_feature_reconciliation: compare, judge, heal, report."""
