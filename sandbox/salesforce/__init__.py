"""The Salesforce org: one object, its rollup Flow, and the REST API to read it."""
