"""Stands in for a Databricks SQL warehouse: its wire protocol over DuckDB."""
