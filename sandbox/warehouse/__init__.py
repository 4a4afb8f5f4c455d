"""Stands in for a Databricks SQL warehouse: its wire protocol on top of DuckDB."""
