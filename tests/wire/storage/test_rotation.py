"""The warehouse's token is replaced, a session expires, a service principal's secret is rotated."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from feature_sync.config import connections
from feature_sync.config.settings import load_settings
from feature_sync.storage.warehouse import AccessError, ConnectError, StatementError, Warehouse
from tests.late_secrets import use_site_backend
from tests.sandbox.client import Sandbox

TOKEN, NEW_TOKEN = "dapi-local", "dapi-of-today"
SECRET, NEW_SECRET = "dose-local", "dose-of-today"
Connect = Callable[..., str]


@pytest.fixture
def connection(sandbox: Sandbox) -> Connect:
    """A connection to the sandbox, as in an environment variable."""

    def made(password: str = TOKEN, login: str | None = None, **extra: Any) -> str:
        extras = {
            "http_path": "/sql/1.0/warehouses/local",
            "_connection_uri": f"{sandbox.url}/sql/1.0/warehouses/local",
            "enable_telemetry": False,
            "_retry_stop_after_attempts_count": 3,
            "_retry_delay_min": 0.1,
        }
        return json.dumps(
            {"conn_type": "databricks", "host": "127.0.0.1", "login": login, "password": password, "extra": extras | extra}
        )

    return made


@pytest.fixture
def store(sandbox: Sandbox, connection: Connect, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Stores credentials in Airflow. The warehouse takes its usual ones again afterwards."""

    def stored(*credentials: Any, **extra: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", connection(*credentials, **extra))

    stored()
    yield stored
    sandbox.settings(warehouse_token=TOKEN, warehouse_client_secret=SECRET)


@pytest.fixture
def warehouse(store: Callable[..., None]) -> Iterator[Warehouse]:  # noqa: ARG001 - the environment
    with Warehouse(load_settings()) as opened:
        yield opened


def look(warehouse: Warehouse) -> int:
    """A small question."""
    return len(warehouse.fetch_all("tables/describe_table", names={"table": warehouse.settings.salesforce_table}))


def statements(sandbox: Sandbox, after: int) -> int:
    return len(sandbox.journal("warehouse.statement", after))


def test_a_session_goes_on_with_the_token_that_is_stored_now(
    sandbox: Sandbox, store: Callable[..., None], warehouse: Warehouse
) -> None:
    columns = look(warehouse)
    before = sandbox.seq()

    sandbox.settings(warehouse_token=NEW_TOKEN)
    store(NEW_TOKEN)

    assert look(warehouse) == columns > 0
    assert statements(sandbox, before) == 1
    assert warehouse._hook.session_config == {"TIMEZONE": "UTC"}


def test_a_stream_begins_with_the_new_token(sandbox: Sandbox, store: Callable[..., None], warehouse: Warehouse) -> None:
    look(warehouse)
    sandbox.settings(warehouse_token=NEW_TOKEN)
    store(NEW_TOKEN)

    [table] = warehouse.stream("sending/select_rejections", {"run_id": "none"})

    assert table.num_rows == 0


def test_credentials_that_are_stored_and_refused_are_final(sandbox: Sandbox, warehouse: Warehouse) -> None:
    look(warehouse)
    sandbox.settings(warehouse_token=NEW_TOKEN)

    with pytest.raises(AccessError, match="refuses the credentials of connection databricks_default") as raised:
        look(warehouse)
    assert not raised.value.is_temporary
    assert TOKEN not in str(raised.value)


def test_two_wrong_tokens_are_final(sandbox: Sandbox, store: Callable[..., None], warehouse: Warehouse) -> None:
    look(warehouse)
    sandbox.settings(warehouse_token=NEW_TOKEN)
    store("dapi-of-nobody")

    with pytest.raises(AccessError):
        look(warehouse)


def test_a_session_that_has_expired_is_opened_again(sandbox: Sandbox, warehouse: Warehouse) -> None:
    columns = look(warehouse)
    assert sandbox.control("DELETE", "sessions")["sessions"] >= 1

    assert look(warehouse) == columns
    assert sandbox.control("DELETE", "sessions")["sessions"] >= 1
    assert look(warehouse) == columns, "the next one too"


def test_a_session_and_its_token_may_expire_together(sandbox: Sandbox, store: Callable[..., None], warehouse: Warehouse) -> None:
    columns = look(warehouse)
    sandbox.control("DELETE", "sessions")
    sandbox.settings(warehouse_token=NEW_TOKEN)
    store(NEW_TOKEN)

    assert look(warehouse) == columns


def test_a_statement_that_the_warehouse_refuses_is_no_refused_login(sandbox: Sandbox, warehouse: Warehouse) -> None:
    before = sandbox.seq()
    sandbox.fault("warehouse", "fail", message="[INSUFFICIENT_PERMISSIONS] 403 for this table")

    with pytest.raises(StatementError) as raised:
        look(warehouse)
    assert type(raised.value) is StatementError
    assert statements(sandbox, before) == 1


class TestAServicePrincipal:
    """The provider's hook keeps its access token for an hour."""

    @pytest.fixture(autouse=True)
    def plain_http(self, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
        """The provider asks for tokens over https only, and the sandbox has no certificate."""
        post = requests.post
        address = f"{sandbox.url}/oidc/v1/token"
        monkeypatch.setattr(
            requests, "post", lambda url, **options: post(address if url.endswith("/oidc/v1/token") else url, **options)
        )

    @pytest.fixture
    def principal(self, store: Callable[..., None]) -> Iterator[Warehouse]:
        store(SECRET, "sandbox-client", service_principal_oauth=True)
        with Warehouse(load_settings()) as opened:
            look(opened)
            yield opened

    def test_an_access_token_that_was_revoked_is_asked_for_again(self, sandbox: Sandbox, principal: Warehouse) -> None:
        sandbox.settings(warehouse_token=NEW_TOKEN)

        assert look(principal) > 0

    def test_a_rotated_secret_is_read_again(self, sandbox: Sandbox, store: Callable[..., None], principal: Warehouse) -> None:
        sandbox.settings(warehouse_token=NEW_TOKEN, warehouse_client_secret=NEW_SECRET)
        store(NEW_SECRET, "sandbox-client", service_principal_oauth=True)

        assert look(principal) > 0

    def test_a_secret_that_is_stored_and_refused_is_final(self, sandbox: Sandbox, principal: Warehouse) -> None:
        sandbox.settings(warehouse_token=NEW_TOKEN, warehouse_client_secret=NEW_SECRET)

        with pytest.raises(AccessError) as raised:
            look(principal)
        assert SECRET not in str(raised.value)


class TestASecretsBackend:
    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch, store: Callable[..., None]) -> None:  # noqa: ARG002 - before it
        monkeypatch.setattr(connections, "PAUSES", (0.2, 0.2))
        monkeypatch.delenv("AIRFLOW_CONN_DATABRICKS_DEFAULT")

    def test_that_fails_for_a_moment_is_waited_for(self, connection: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        use_site_backend(monkeypatch, databricks_default=connection()).failures = 2

        with Warehouse(load_settings()) as warehouse:
            assert look(warehouse) > 0

    def test_that_fails_for_good_is_temporary(self, monkeypatch: pytest.MonkeyPatch) -> None:
        use_site_backend(monkeypatch).failures = 1000

        with Warehouse(load_settings()) as warehouse, pytest.raises(ConnectError, match="cannot be read now") as raised:
            look(warehouse)
        assert raised.value.is_temporary

    def test_that_has_no_such_connection_is_believed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        use_site_backend(monkeypatch)

        with Warehouse(load_settings()) as warehouse, pytest.raises(AccessError, match=r"databricks_default is missing\. It"):
            look(warehouse)
