"""simple-salesforce as a client of the sandbox."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce

from tests.sandbox.client import SALESFORCE_SESSION, Sandbox

API_SESSION = "00Dlocal0000001.api-user"
"""The session of the user who only reads."""


class _PlainHttp(HTTPAdapter):
    """simple-salesforce knows https alone."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = (request.url or "").replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


def client(sandbox: Sandbox, session_id: str = SALESFORCE_SESSION) -> Salesforce:
    session = requests.Session()
    session.mount("https://", _PlainHttp())
    return Salesforce(instance_url=sandbox.url, session_id=session_id, session=session)


def reader(sandbox: Sandbox) -> Salesforce:
    return client(sandbox, API_SESSION)
