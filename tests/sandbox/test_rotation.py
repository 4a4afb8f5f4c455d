"""Tokens that are rotated, and sessions that expire."""

from collections.abc import Iterator

import pytest
import requests

from tests.sandbox.client import BACKFILL, CENSUS_TOKEN, Sandbox


@pytest.fixture(autouse=True)
def _as_before(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.settings(census_token=CENSUS_TOKEN, warehouse_token="dapi-local", warehouse_client_secret="dose-local")


def ask_census(sandbox: Sandbox, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{sandbox.url}/api/v2/syncs/{BACKFILL}", headers=headers, timeout=30).status_code


def ask_for_token(sandbox: Sandbox, secret: str) -> requests.Response:
    return requests.post(f"{sandbox.url}/oidc/v1/token", auth=("anybody", secret), timeout=30)


def test_census_takes_the_token_of_the_setting_alone(sandbox: Sandbox) -> None:
    before = ask_census(sandbox, CENSUS_TOKEN)

    sandbox.settings(census_token="census-pat-of-today")

    assert (before, ask_census(sandbox, CENSUS_TOKEN), ask_census(sandbox, "census-pat-of-today")) == (200, 401, 200)


def test_a_service_principal_gets_the_warehouses_token_for_its_secret(sandbox: Sandbox) -> None:
    sandbox.settings(warehouse_token="dapi-of-today", warehouse_client_secret="dose-of-today")

    refused, given = ask_for_token(sandbox, "dose-local"), ask_for_token(sandbox, "dose-of-today")

    assert refused.status_code == 401
    assert given.json() == {"access_token": "dapi-of-today", "token_type": "Bearer", "expires_in": 3600}


def test_dropping_sessions_says_how_many_there_were(sandbox: Sandbox) -> None:
    sandbox.control("DELETE", "sessions")

    assert sandbox.control("DELETE", "sessions") == {"sessions": 0}
