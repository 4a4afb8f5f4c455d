"""What Airflow's API server says about the pool counts only if it says all of it; tests/live asks a real API server."""

import json
import socket
from typing import Any

import pytest
import requests
from airflow.sdk import conf
from requests_mock import Mocker

from feature_sync.config.names import CENSUS_POOL
from feature_sync.config.settings import load_settings
from feature_sync.orchestration import pool
from feature_sync.orchestration.pool import Pool, PoolUnknownError, fetch_pool, pool_problems

SERVER = "http://airflow.example:8080"
ADDRESS = f"{SERVER}/feature-sync/pool"
GOOD = {"name": CENSUS_POOL, "exists": True, "slots": 1, "include_deferred": True}
CURE = 'airflow pools set census_sync 1 "One Census run at a time" --include-deferred'


@pytest.fixture(autouse=True)
def _server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_AIRFLOW_API_URL", SERVER)


def fetch() -> Pool | None:
    return fetch_pool(load_settings())


def test_a_pool_is_read_as_it_is(requests_mock: Mocker) -> None:
    requests_mock.get(ADDRESS, json=GOOD | {"slots": 3, "include_deferred": False})

    assert fetch() == Pool(slots=3, include_deferred=False)


def test_a_pool_that_does_not_exist_is_nothing(requests_mock: Mocker) -> None:
    requests_mock.get(ADDRESS, json={"name": CENSUS_POOL, "exists": False})

    assert fetch() is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"text": ""}, id="nothing"),
        pytest.param({"text": "<html>Sign in</html>"}, id="html"),
        pytest.param({"text": '{"name": "census_sync", "exi'}, id="half-of-it"),
        pytest.param({"json": None}, id="null"),
        pytest.param({"json": []}, id="list"),
        pytest.param({"json": [GOOD]}, id="list-of-one"),
        pytest.param({"json": "census_sync"}, id="text"),
        pytest.param({"json": 1}, id="number"),
        pytest.param({"json": {}}, id="empty"),
        pytest.param({"json": {"detail": "Not Found"}}, id="not-about-a-pool"),
        pytest.param({"json": {"name": CENSUS_POOL}}, id="only-a-name"),
        pytest.param({"json": {"name": CENSUS_POOL, "exists": True}}, id="no-numbers"),
        pytest.param({"json": {key: value for key, value in GOOD.items() if key != "include_deferred"}}, id="no-deferred"),
        pytest.param({"json": GOOD | {"name": "default_pool"}}, id="another-pool"),
        pytest.param({"json": GOOD | {"slots": None}}, id="slots-null"),
        pytest.param({"json": GOOD | {"slots": "one"}}, id="slots-in-words"),
        pytest.param({"json": GOOD | {"slots": [1]}}, id="slots-in-a-list"),
        pytest.param({"json": {"name": CENSUS_POOL, "exists": None}}, id="exists-null"),
    ],
)
def test_an_answer_that_is_no_pool_is_never_taken_for_one(requests_mock: Mocker, answer: dict[str, Any]) -> None:
    requests_mock.get(ADDRESS, **answer)

    with pytest.raises(PoolUnknownError, match=ADDRESS):
        fetch()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"include_deferred": "false"}, id="deferred-as-text"),
        pytest.param({"include_deferred": None}, id="deferred-null"),
        pytest.param({"slots": 1.9}, id="half-a-slot"),
        pytest.param({"slots": True}, id="slots-as-bool"),
        pytest.param({"slots": float("inf")}, id="endless-slots"),
    ],
)
def test_a_value_of_another_type_is_never_taken_for_a_pool(requests_mock: Mocker, wrong: dict[str, Any]) -> None:
    requests_mock.get(ADDRESS, text=json.dumps(GOOD | wrong))

    with pytest.raises(PoolUnknownError, match=ADDRESS):
        fetch()


@pytest.mark.parametrize("status", [302, 401, 403, 404, 500, 503])
def test_a_status_that_is_no_answer_is_named(requests_mock: Mocker, status: int) -> None:
    requests_mock.get(ADDRESS, status_code=status, json=GOOD, headers={"Location": f"{SERVER}/login"})

    with pytest.raises(PoolUnknownError, match=f"{ADDRESS} answers with {status}"):
        fetch()


@pytest.mark.parametrize("error", [requests.ConnectionError, requests.ReadTimeout, requests.exceptions.ChunkedEncodingError])
def test_no_answer_is_named_with_its_kind(requests_mock: Mocker, error: type[Exception]) -> None:
    requests_mock.get(ADDRESS, exc=error)

    with pytest.raises(PoolUnknownError, match=rf"{ADDRESS} does not answer \({error.__name__}\)"):
        fetch()


@pytest.mark.parametrize("address", ["nonsense", "http://[::1", "http://host:99999", "file:///etc/passwd", "http://"])
def test_an_address_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("FEATURE_SYNC_AIRFLOW_API_URL", address)

    with pytest.raises(PoolUnknownError, match="/feature-sync/pool does not answer"):
        fetch()


def test_a_server_that_takes_the_request_and_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pool.TIMEOUT <= 10
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("FEATURE_SYNC_AIRFLOW_API_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")

        with pytest.raises(PoolUnknownError, match=r"does not answer \(ReadTimeout\)"):
            fetch_pool(load_settings(), timeout=0.2)


@pytest.mark.parametrize(
    ("setting", "airflow", "asked"),
    [
        pytest.param("http://own:1/af/", ("http://execution:2/execution/", "http://base:3"), "http://own:1/af", id="setting"),
        pytest.param("", ("http://execution:2/execution/", "http://base:3"), "http://execution:2", id="beside-execution-api"),
        pytest.param("", ("https://execution/af/execution", "http://base:3"), "https://execution/af", id="below-a-path"),
        pytest.param("", ("", "http://base:3/af/"), "http://base:3/af", id="base-url"),
        pytest.param("", (None, None), "http://localhost:8080", id="nothing-is-set"),
    ],
)
def test_the_api_server_is_where_the_setting_or_airflow_says(
    monkeypatch: pytest.MonkeyPatch, requests_mock: Mocker, setting: str, airflow: tuple[str | None, str | None], asked: str
) -> None:
    said = dict(zip([("core", "execution_api_server_url"), ("api", "base_url")], airflow, strict=True))
    monkeypatch.setattr(conf, "get", lambda *key, fallback: fallback if said[key] is None else said[key])
    monkeypatch.setenv("FEATURE_SYNC_AIRFLOW_API_URL", setting)
    requests_mock.get(f"{asked}/feature-sync/pool", json=GOOD)

    assert fetch() == Pool(slots=1, include_deferred=True)


@pytest.mark.parametrize(
    ("pool", "complaints"),
    [
        pytest.param(Pool(1, include_deferred=True), [], id="as-it-must-be"),
        pytest.param(None, [f"Pool census_sync does not exist, so no batch would ever start. Create it: {CURE}"], id="missing"),
        pytest.param(
            Pool(2, include_deferred=True),
            [f"Pool census_sync has 2 slots; it must have 1, so that batches go one at a time: {CURE}"],
            id="two-slots",
        ),
        pytest.param(
            Pool(-1, include_deferred=True),
            [f"Pool census_sync has -1 slots; it must have 1, so that batches go one at a time: {CURE}"],
            id="endless-slots",
        ),
        pytest.param(
            Pool(0, include_deferred=False),
            [
                f"Pool census_sync has 0 slots; it must have 1, so that batches go one at a time: {CURE}",
                f"Pool census_sync does not count deferred tasks, so a batch that waits would let the next one in: {CURE}",
            ],
            id="both",
        ),
    ],
)
def test_a_pool_that_does_not_keep_runs_apart_is_reported_with_the_command_that_solves_it(
    pool: Pool | None, complaints: list[str]
) -> None:
    assert pool_problems(pool) == complaints
