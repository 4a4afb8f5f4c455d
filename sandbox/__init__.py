"""Stands in for Databricks, Census and Salesforce on one port, so that the project runs and is tested on a laptop."""
