"""What Airflow's API server says about the pool counts only if it says all of it; tests/live asks a real API server."""

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import conf
from airflow.sdk.api import client

from feature_sync.config.names import CENSUS_POOL
from feature_sync.config.settings import load_settings
from feature_sync.orchestration import pool
from feature_sync.orchestration.pool import Pool, PoolUnknownError, fetch_pool, pool_problems
from tests.certificates import Authority, Certificate
from tests.wire.airflow_api import GOOD, AirflowApi

CURE = 'airflow pools set census_sync 1 "One Census run at a time" --include-deferred'
PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowApi]:
    with AirflowApi().serving() as server:
        monkeypatch.setenv("FEATURE_SYNC_AIRFLOW_API_URL", server.url)
        yield server


def fetch() -> Pool | None:
    return fetch_pool(load_settings())


def test_a_pool_is_read_as_it_is(server: AirflowApi) -> None:
    server.pool = GOOD | {"slots": 3, "include_deferred": False}

    assert fetch() == Pool(slots=3, include_deferred=False)
    [headers] = server.requests
    assert "authorization" not in {name.lower() for name in headers}


def test_a_pool_that_does_not_exist_is_nothing(server: AirflowApi) -> None:
    server.pool = {"name": CENSUS_POOL, "exists": False}

    assert fetch() is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("", id="nothing"),
        pytest.param("<html>Sign in</html>", id="html"),
        pytest.param('{"name": "census_sync", "exi', id="half-of-it"),
        pytest.param(None, id="null"),
        pytest.param([], id="list"),
        pytest.param([GOOD], id="list-of-one"),
        pytest.param('"census_sync"', id="text"),
        pytest.param(1, id="number"),
        pytest.param({}, id="empty"),
        pytest.param({"detail": "Not Found"}, id="not-about-a-pool"),
        pytest.param({"name": CENSUS_POOL}, id="only-a-name"),
        pytest.param({"name": CENSUS_POOL, "exists": True}, id="no-numbers"),
        pytest.param({key: value for key, value in GOOD.items() if key != "include_deferred"}, id="no-deferred"),
        pytest.param(GOOD | {"name": "default_pool"}, id="another-pool"),
        pytest.param(GOOD | {"slots": None}, id="slots-null"),
        pytest.param(GOOD | {"slots": "one"}, id="slots-in-words"),
        pytest.param(GOOD | {"slots": [1]}, id="slots-in-a-list"),
        pytest.param({"name": CENSUS_POOL, "exists": None}, id="exists-null"),
        pytest.param(GOOD | {"include_deferred": "false"}, id="deferred-as-text"),
        pytest.param(GOOD | {"include_deferred": None}, id="deferred-null"),
        pytest.param(GOOD | {"slots": 1.9}, id="half-a-slot"),
        pytest.param(GOOD | {"slots": True}, id="slots-as-bool"),
        pytest.param(GOOD | {"slots": float("inf")}, id="endless-slots"),
    ],
)
def test_an_answer_that_is_no_pool_is_never_taken_for_one(server: AirflowApi, answer: Any) -> None:
    server.text = answer if isinstance(answer, str) else json.dumps(answer)

    with pytest.raises(PoolUnknownError, match=server.address):
        fetch()


@pytest.mark.parametrize("status", [302, 401, 403, 404, 500, 503])
def test_a_status_that_is_no_answer_is_named(server: AirflowApi, status: int) -> None:
    server.status = status
    server.headers = {"Location": f"{server.url}/login"}

    with pytest.raises(PoolUnknownError, match=f"{server.address} answers with {status}"):
        fetch()
    assert len(server.requests) == 1, "the task tries again, not the client"


def test_no_answer_is_named_with_its_kind(server: AirflowApi) -> None:
    server.shutdown()
    server.server_close()

    with pytest.raises(PoolUnknownError, match=rf"{server.address} does not answer \(ConnectError\)"):
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
        pytest.param("", ("", "/af/"), "http://localhost:8080/af", id="only-a-path"),
        pytest.param("", (None, None), "http://localhost:8080", id="nothing-is-set"),
        pytest.param("", (None, ""), "http://localhost:8080", id="base-url-is-empty"),
    ],
)
def test_the_api_server_is_where_the_setting_or_airflow_says(
    monkeypatch: pytest.MonkeyPatch, setting: str, airflow: tuple[str | None, str | None], asked: str
) -> None:
    said = dict(zip([("core", "execution_api_server_url"), ("api", "base_url")], airflow, strict=True))
    monkeypatch.setattr(conf, "get", lambda *key, fallback: fallback if said[key] is None else said[key])
    monkeypatch.setenv("FEATURE_SYNC_AIRFLOW_API_URL", setting)

    assert pool._api_url(load_settings()) == asked


class TestCompanyCertificates:
    """The API server is behind a proxy with a certificate of the company's own authority, which asks its callers for one too."""

    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    @pytest.fixture
    def caller(self, authority: Authority) -> Certificate:
        return authority.sign("worker")

    @pytest.fixture
    def proxy(self, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowApi]:
        own = authority.sign("proxy")
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_cert_chain(own.certificate, own.key)
        with AirflowApi("/airflow", tls).serving() as server:
            monkeypatch.setenv("FEATURE_SYNC_AIRFLOW_API_URL", "")
            monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", f"{server.url}/execution/")
            yield server

    def test_what_tasks_trust_and_show_is_enough(
        self, proxy: AirflowApi, authority: Authority, caller: Certificate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW__API__SSL_CA_FILE", str(authority.file))
        monkeypatch.setenv("AIRFLOW__API__CLIENT_SSL_CERT", str(caller.certificate))
        monkeypatch.setenv("AIRFLOW__API__CLIENT_SSL_KEY", str(caller.key))
        code = (
            "import sys; sys.path.insert(0, 'plugins')\n"
            "from feature_sync.config.settings import load_settings\n"
            "from feature_sync.orchestration.pool import fetch_pool\n"
            "print('FOUND', fetch_pool(load_settings()))"
        )

        # Airflow reads these options once, when a process begins.
        run = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)

        assert "FOUND Pool(slots=1, include_deferred=True)" in run.stdout, run.stderr
        assert len(proxy.requests) == 1

    @pytest.mark.parametrize("lacks", ["authority", "certificate"])
    def test_without_them_the_error_names_the_options(
        self, proxy: AirflowApi, authority: Authority, caller: Certificate, monkeypatch: pytest.MonkeyPatch, lacks: str
    ) -> None:
        shown = (None, None) if lacks == "certificate" else (str(caller.certificate), str(caller.key))
        monkeypatch.setattr(client, "API_SSL_CA_FILE_PATH", None if lacks == "authority" else str(authority.file))
        monkeypatch.setattr(client, "API_CLIENT_SSL_CERT", shown[0])
        monkeypatch.setattr(client, "API_CLIENT_SSL_KEY", shown[1])

        with pytest.raises(PoolUnknownError, match=rf"{proxy.address} does not answer .*SSL") as refused:
            fetch()

        assert "[api] ssl_ca_file and ssl_cert" in str(refused.value)
        assert "[api] client_ssl_cert and client_ssl_key" in str(refused.value)
        assert proxy.requests == []


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
