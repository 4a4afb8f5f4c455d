"""Repairs product feature data in Salesforce through Census, and keeps it equal to the warehouse."""
