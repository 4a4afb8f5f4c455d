"""The logins of Salesforce: OAuth 2.0 tokens, and the older one over SOAP."""

import html
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import JsonAnswer
from sandbox.salesforce.users import API_USER, ORGANIZATION, SESSIONS, User
from sandbox.settings import Settings
from sandbox.tokens import SALESFORCE_CLIENT_ID, SALESFORCE_PASSWORD, SALESFORCE_SECURITY_TOKEN, basic

TOKEN = "oauth2/token"  # noqa: S105 - a path
USER_INFO = "oauth2/userinfo"
SOAP_WITHOUT_LOGIN = 65
"""From this version on, the SOAP API has no login (Salesforce release notes, Winter '26: SOAP API)."""

_SOAP = re.compile(r"Soap/[uc]/(\d+)\.\d+(?:/.*)?")
_SOAP_VALUE = r"<(?:[\w-]+:)?{0}>([^<]*)</"


def is_login(method: str, path: str) -> bool:
    return method == "POST" and (path == TOKEN or _SOAP.fullmatch(path) is not None)


async def log_in(request: Request, path: str, settings: Settings) -> Response:
    """Answer a request for which `is_login` is true."""
    body = (await request.body()).decode(errors="replace")
    address = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if path == TOKEN:
        given = {name: values[0] for name, values in parse_qs(body).items()}
        return _token({**given, **_basic_client(request)}, address, settings)
    return _soap(path, body, address, settings)


def user_info(user: User, address: str) -> dict[str, Any]:
    """Salesforce help: User Info endpoint of OpenID Connect. It tells a client who it is."""
    return {
        "sub": f"{address}/id/{ORGANIZATION}/{user.id}",
        "user_id": user.id,
        "organization_id": ORGANIZATION,
        "preferred_username": user.username,
        "nickname": user.username.partition("@")[0],
        "name": user.name,
        "email": user.username,
        "user_type": user.user_type.upper(),
        "active": True,
        "is_app_installed": True,
    }


def _basic_client(request: Request) -> dict[str, str]:
    found = basic(request.headers.get("authorization"))
    return {"client_id": found[0], "client_secret": found[1]} if found else {}


def _token(given: Mapping[str, str], address: str, settings: Settings) -> Response:
    """Salesforce help: OAuth 2.0 client credentials flow, username-password flow, and OAuth 2.0 errors."""
    kind = given.get("grant_type")
    if kind not in ("client_credentials", "password"):
        return _refused("unsupported_grant_type", "grant type not supported")
    if given.get("client_id") != SALESFORCE_CLIENT_ID:
        return _refused("invalid_client_id", "client identifier invalid")
    if given.get("client_secret") != settings.salesforce_client_secret:
        return _refused("invalid_client", "invalid client credentials")
    # An app that logs in without a user runs as the user that its admin chose.
    user = API_USER if kind == "client_credentials" else _user(given.get("username"), given.get("password"))
    if user is None:
        return _refused("invalid_grant", "authentication failure")
    return JsonAnswer(
        {
            "access_token": _session(user),
            "signature": "bm90IGEgc2lnbmF0dXJl",
            "scope": "api",
            "instance_url": address,
            "id": f"{address}/id/{ORGANIZATION}/{user.id}",
            "token_type": "Bearer",
            "issued_at": str(int(time.time() * 1000)),
        }
    )


def _refused(error: str, description: str) -> Response:
    return JsonAnswer({"error": error, "error_description": description}, 400)


def _user(username: str | None, password: str | None) -> User | None:
    """The security token belongs behind the password. A caller from a trusted address need not give it."""
    if password not in (SALESFORCE_PASSWORD, SALESFORCE_PASSWORD + SALESFORCE_SECURITY_TOKEN):
        return None
    return next((user for user in SESSIONS.values() if user.username.lower() == (username or "").lower()), None)


def _session(user: User) -> str:
    return next(session for session, owner in SESSIONS.items() if owner is user)


def _soap(path: str, body: str, address: str, settings: Settings) -> Response:
    """Salesforce SOAP API: login() of the partner and enterprise WSDL."""
    matched = _SOAP.fullmatch(path)
    version = matched.group(1) if matched else ""
    if int(version) >= SOAP_WITHOUT_LOGIN:
        return _fault(
            "INVALID_OPERATION",
            f"The SOAP Login operation is not available in the API version specified ({version}.0). Refer to the documentation"
            " for supported versions.",
        )
    if not settings.salesforce_soap_login:
        return _fault(
            "INVALID_OPERATION",
            "SOAP API login() is disabled by default in this org. Contact the org administrator to enable SOAP API login().",
        )
    user = _user(_soap_value(body, "username"), _soap_value(body, "password"))
    if user is None:
        return _fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    server = f"{address}/services/Soap/u/{version}.0/{ORGANIZATION[:15]}"
    result = (
        f"<metadataServerUrl>{server.replace('/u/', '/m/')}</metadataServerUrl><passwordExpired>false</passwordExpired>"
        f"<sandbox>true</sandbox><serverUrl>{server}</serverUrl><sessionId>{_session(user)}</sessionId>"
        f"<userId>{user.id}</userId><userInfo><organizationId>{ORGANIZATION}</organizationId>"
        f"<userFullName>{html.escape(user.name)}</userFullName><userId>{user.id}</userId>"
        f"<userName>{html.escape(user.username)}</userName></userInfo>"
    )
    return _envelope(f"<loginResponse><result>{result}</result></loginResponse>", 200)


def _soap_value(body: str, name: str) -> str | None:
    found = re.search(_SOAP_VALUE.format(name), body)
    return html.unescape(found.group(1)) if found else None


def _fault(code: str, message: str) -> Response:
    said = html.escape(message, quote=False)
    return _envelope(
        f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {said}</faultstring><detail>"
        f'<sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{said}</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault>",
        500,
    )


def _envelope(body: str, status: int) -> Response:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns="urn:partner.soap.sforce.com" xmlns:sf="urn:fault.partner.soap.sforce.com"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )
    return Response(text, status, media_type="text/xml")
