"""Salesforce over its REST API, read-only: what a record holds now, and what the org allows."""
