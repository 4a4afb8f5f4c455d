"""Stands in for Databricks, Census and Salesforce on one port, so that a laptop can run and test the project."""
