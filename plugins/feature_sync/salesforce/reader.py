"""Who asks Salesforce gets the hook here. Its libraries take a third of a second to load, so only a task that asks loads them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feature_sync.salesforce.hook import SalesforceReader


def new_reader() -> "SalesforceReader":
    """A reader of Salesforce with the connection of `feature_sync.config.names.SALESFORCE_CONN_ID`."""
    from feature_sync.salesforce.hook import SalesforceReader  # noqa: PLC0415 - slow

    return SalesforceReader()
