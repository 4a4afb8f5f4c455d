"""The tokens that the sandbox requires. They are no secrets: the sandbox listens on the laptop only, and its data is invented."""

import base64
import binascii

WAREHOUSE_TOKEN = "dapi-local"  # noqa: S105 - not a secret
WAREHOUSE_CLIENT_SECRET = "dose-local"  # noqa: S105 - not a secret
CENSUS_PERSONAL_TOKEN = "census-pat-local"  # noqa: S105 - not a secret
CENSUS_WORKSPACE_KEY = "secret-token:local"
SALESFORCE_SESSION = "00Dlocal0000001.session"
SALESFORCE_API_SESSION = "00Dlocal0000001.api-user"
SALESFORCE_CLIENT_ID = "3MVG9local.feature-sync"
SALESFORCE_CLIENT_SECRET = "salesforce-secret-local"  # noqa: S105 - not a secret
SALESFORCE_PASSWORD = "password-local"  # noqa: S105 - not a secret
SALESFORCE_SECURITY_TOKEN = "security-token-local"  # noqa: S105 - not a secret


def bearer(authorization: str | None) -> str | None:
    """The token of an ``Authorization: Bearer`` header."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def basic(authorization: str | None) -> tuple[str, str] | None:
    """User and password of an ``Authorization: Basic`` header."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password


def census_token(authorization: str | None) -> str | None:
    """A Census token: bearer, or basic with user ``bearer`` and the token as password (Census API: authorization)."""
    found = basic(authorization)
    if found is None:
        return bearer(authorization)
    user, password = found
    return password if user == "bearer" else None
