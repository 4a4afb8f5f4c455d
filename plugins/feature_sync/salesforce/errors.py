"""What can go wrong between us and Salesforce, which we only read.

SalesforceError
├── SalesforceUnavailableError        no connection, 429 or 5xx after all retries: may be temporary
│   ├── SalesforceLimitError          the organisation's API calls are used up: trying again makes it worse
│   └── SalesforceLoginUnknownError   Airflow cannot say what the connection is now, so Salesforce was not asked, or not again
├── SalesforceAuthError               the login or the session is refused, although the connection was read again: it is wrong
├── SalesforceNotAllowedError         the user of the connection has no right to look at this, or it does not exist
├── SalesforceRefusedError            any other 4xx: the request itself is wrong
└── SalesforceProtocolError           an answer that the API does not document
"""


class SalesforceError(Exception):
    """Base of all errors of the Salesforce API. A message never contains a password, a token or a session."""


class SalesforceUnavailableError(SalesforceError):
    """Salesforce did not answer, or asked us to come back later, in each of the hook's attempts."""


class SalesforceLimitError(SalesforceUnavailableError):
    """The organisation has used up its API calls. They come back within 24 hours."""


class SalesforceLoginUnknownError(SalesforceUnavailableError):
    """Airflow cannot read the connection now."""


class SalesforceAuthError(SalesforceError):
    """Salesforce refuses the login of the connection, although the connection was just read again."""


class SalesforceNotAllowedError(SalesforceError):
    """
    The login works, but the user may not look at this.

    Salesforce answers in the same way if the object or the field does not exist, because it does not show what a user may not
    see.
    """


class SalesforceRefusedError(SalesforceError):
    """Salesforce understood the request and refused it."""


class SalesforceProtocolError(SalesforceError):
    """The answer is not JSON, or lacks what the API documents."""
