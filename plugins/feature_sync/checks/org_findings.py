"""Salesforce itself, if there is a connection: the fields, the API calls that are left, the Flow."""

from feature_sync.checks.findings import Finding, not_checked, right, wrong
from feature_sync.config.names import SALESFORCE_CONN_ID
from feature_sync.config.settings import Settings
from feature_sync.salesforce.errors import SalesforceError, SalesforceLimitError, SalesforceUnavailableError
from feature_sync.salesforce.org_checks import look_at_org
from feature_sync.salesforce.reader import new_reader

NAME = "Salesforce"


def check_org(settings: Settings, batches: int) -> list[Finding]:
    """
    Ask Salesforce itself. What its user may not see is not checked, and no reason to stop.

    :param batches: how many batches a run may have.
    """
    reader = new_reader()
    try:
        if not reader.is_configured():
            missing = f"Fields, limits and Flow in Salesforce itself, because there is no connection {SALESFORCE_CONN_ID}."
            return [not_checked(NAME, missing)]
        seen = look_at_org(reader, settings, batches)
    except SalesforceError as error:
        is_temporary = isinstance(error, SalesforceUnavailableError) and not isinstance(error, SalesforceLimitError)
        return [wrong(NAME, f"Salesforce cannot be asked ({SALESFORCE_CONN_ID}): {error}", is_temporary=is_temporary)]
    return [
        *(wrong(NAME, sentence) for sentence in seen.problems),
        *(not_checked(NAME, sentence.removeprefix("Not checked: ")) for sentence in seen.not_checked),
        *(right(NAME, sentence) for sentence in seen.notes),
    ]
