"""DAG census_dataset_deploy: the regular sync's query and mappings."""
