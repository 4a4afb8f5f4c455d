"""What other DAGs can be scheduled on."""

from airflow.sdk import Asset

VALIDATED_FEATURES = Asset(name="validated_product_features", uri="x-feature-sync://salesforce/product_property")
"""Product features in Salesforce that were just found equal to the warehouse. An event says of how many records."""
