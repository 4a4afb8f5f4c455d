"""Salesforce over TLS: the provider's hook with the printed connection, and the logins that it knows."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
import requests
from airflow.providers.salesforce.hooks.salesforce import SalesforceHook
from requests.exceptions import SSLError
from simple_salesforce.exceptions import SalesforceAuthenticationFailed

from tests.sandbox.client import FAST, SALESFORCE_SESSION, Sandbox, command

OBJECT = "Product_Property__c"
CLIENT = {"consumer_key": "3MVG9local.feature-sync", "consumer_secret": "salesforce-secret-local"}
ADMIN = "avery.admin@crm.example"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox.start(tmp_path_factory.mktemp("tls") / "state", "--tls-port", "0", **FAST)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def secure(process: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(process.state / "authority.pem"))
    yield process
    process.control("DELETE", "faults")
    process.settings(salesforce_client_secret=CLIENT["consumer_secret"], salesforce_soap_login=True)


def printed(sandbox: Sandbox) -> tuple[list[str], str]:
    process = command("connections", "--port", str(sandbox.port), "--tls-port", sandbox.secure_url.rpartition(":")[2])
    lines, said = process.communicate(timeout=60)
    return lines.splitlines(), said


def connect(monkeypatch: pytest.MonkeyPatch, login: str | None = None, password: str | None = None, **extra: str) -> None:
    connection = {"conn_type": "salesforce", "login": login, "password": password, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", json.dumps(connection))


def test_the_hook_logs_in_and_reads_with_the_printed_connection(secure: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, said = printed(secure)
    name, _, uri = lines[2].partition("=")
    monkeypatch.setenv(name, uri)

    hook = SalesforceHook("salesforce_default")
    records = hook.make_query(f"SELECT Id, LastModifiedBy.Name FROM {OBJECT}")

    assert [line.partition("=")[0] for line in lines] == [
        "AIRFLOW_CONN_DATABRICKS_DEFAULT",
        "AIRFLOW_CONN_CENSUS_DEFAULT",
        "AIRFLOW_CONN_SALESFORCE_DEFAULT",
    ]
    assert "REQUESTS_CA_BUNDLE" in said
    assert records["totalSize"] == len(records["records"]) == 10_000
    assert hook.get_conn().auth_type == "client-credentials"
    assert hook.get_conn().oauth2("userinfo")["name"] == "Feature Sync"
    assert "vor_start_date__c" in hook.get_available_fields(OBJECT)
    assert hook.get_conn().limits()["DailyApiRequests"]["Max"] == 15_000
    flows = hook.get_conn().toolingexecute("query", params={"q": "SELECT DeveloperName FROM FlowDefinition"})
    assert flows["size"] == 6


def test_the_printed_line_comes_out_of_a_shell_as_it_went_in(secure: Sandbox) -> None:
    line = printed(secure)[0][2]

    out = subprocess.run(["sh", "-c", f"set -a\n{line}\nexec env"], capture_output=True, text=True, check=True, env={}).stdout

    assert line in out.splitlines()


def test_the_hook_logs_in_again_when_its_session_has_expired(secure: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, domain=f"{host(secure)}/services/oauth2/token?", **CLIENT)
    org = SalesforceHook().get_conn()
    secure.fault("salesforce", "token_expired", times=1)
    before = secure.seq()

    answer = org.query("SELECT COUNT() FROM User")

    paths = [entry["path"].partition("?")[0] for entry in secure.journal("salesforce.request", before)]
    assert answer["totalSize"] == 4
    assert paths == ["/services/data/v59.0/query/", "/services/oauth2/token", "/services/data/v59.0/query/"]


def test_the_hook_uses_a_session_and_an_instance_url_with_a_port(secure: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, instance_url=secure.secure_url)

    org = SalesforceHook(session_id=SALESFORCE_SESSION).get_conn()

    assert (org.auth_type, org.oauth2("userinfo")["preferred_username"]) == ("direct", ADMIN)


def host(sandbox: Sandbox) -> str:
    return sandbox.secure_url.removeprefix("https://")


@pytest.mark.parametrize(
    ("path", "extra"),
    [
        pytest.param("Soap/u/59.0?", {"security_token": "security-token-local"}, id="soap-with-security-token"),
        pytest.param("Soap/u/59.0?", {"organization_id": "00D5Y00000LOCALEAU"}, id="soap-from-a-trusted-address"),
        pytest.param("oauth2/token?", CLIENT, id="oauth-password"),
    ],
)
def test_the_hook_logs_in_with_a_password(
    secure: Sandbox, monkeypatch: pytest.MonkeyPatch, path: str, extra: dict[str, str]
) -> None:
    connect(monkeypatch, ADMIN, "password-local", domain=f"{host(secure)}/services/{path}", **extra)

    org = SalesforceHook().get_conn()

    assert org.oauth2("userinfo")["preferred_username"] == ADMIN
    assert org.query("SELECT COUNT() FROM User")["totalSize"] == 4


@pytest.mark.parametrize(
    ("version", "settings", "said"),
    [
        pytest.param("65.0", {}, "INVALID_OPERATION.*The SOAP Login operation is not available in the API version", id="v65"),
        pytest.param(
            "59.0", {"salesforce_soap_login": False}, "INVALID_OPERATION.*is disabled by default in this org", id="switched-off"
        ),
        pytest.param("59.0", {}, "INVALID_LOGIN.*Invalid username, password, security token", id="wrong-password"),
    ],
)
def test_a_login_over_soap_is_refused(
    secure: Sandbox, monkeypatch: pytest.MonkeyPatch, version: str, settings: dict[str, bool], said: str
) -> None:
    secure.settings(**settings)
    domain = f"{host(secure)}/services/Soap/u/{version}?"
    connect(monkeypatch, ADMIN, "secret-of-nobody", domain=domain, security_token="security-token-local", version=version)

    with pytest.raises(SalesforceAuthenticationFailed, match=said):
        SalesforceHook().get_conn()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        pytest.param({"grant_type": "client_credentials", "client_id": "other"}, "invalid_client_id", id="client"),
        pytest.param({"grant_type": "client_credentials", "client_secret": "wrong"}, "invalid_client", id="secret"),
        pytest.param({"grant_type": "password", "username": ADMIN, "password": "wrong"}, "invalid_grant", id="password"),
        pytest.param({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, "unsupported_grant_type", id="jwt"),
    ],
)
def test_a_token_is_refused(secure: Sandbox, given: dict[str, str], error: str) -> None:
    body = {"client_id": CLIENT["consumer_key"], "client_secret": CLIENT["consumer_secret"], **given}

    answer = requests.post(f"{secure.secure_url}/services/oauth2/token", data=body, timeout=20)

    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_secret_that_was_changed_is_refused_until_the_connection_has_it(
    secure: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = f"{host(secure)}/services/oauth2/token?"
    connect(monkeypatch, domain=domain, **CLIENT)
    secure.settings(salesforce_client_secret="rotated")

    with pytest.raises(SalesforceAuthenticationFailed, match="invalid client credentials"):
        SalesforceHook().get_conn()

    connect(monkeypatch, domain=domain, **{**CLIENT, "consumer_secret": "rotated"})
    assert SalesforceHook().get_conn().query("SELECT COUNT() FROM User")["totalSize"] == 4


def test_the_sandbox_is_trusted_by_nobody_who_was_not_told(process: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)

    with pytest.raises(SSLError, match="certificate verify failed"):
        requests.get(f"{process.secure_url}/services/data", timeout=20)


def test_the_strictest_python_accepts_the_certificate(process: Sandbox) -> None:
    context = ssl.create_default_context(cafile=str(process.state / "authority.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    port = int(process.secure_url.rpartition(":")[2])

    for name in ("127.0.0.1", "localhost", "sandbox"):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain, context.wrap_socket(plain, server_hostname=name):
            pass


def test_all_services_answer_over_tls_and_a_fault_still_closes_the_connection(secure: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {SALESFORCE_SESSION}"}
    query = urlencode({"q": "SELECT COUNT() FROM User"})
    secure.fault("salesforce", "refuse", times=1)

    with pytest.raises(requests.ConnectionError):
        requests.get(f"{secure.secure_url}/services/data/v59.0/query?{query}", headers=headers, timeout=20)

    assert requests.get(f"{secure.secure_url}/sandbox/health", timeout=20).json()["status"] == "ok"
    assert requests.get(f"{secure.url}/sandbox/health", timeout=20).json()["status"] == "ok"


def test_a_restart_keeps_the_authority(tmp_path_factory: pytest.TempPathFactory) -> None:
    state = tmp_path_factory.mktemp("again") / "state"
    first = Sandbox.start(state, "--tls-port", "0")
    authority = state / "authority.pem"
    held = authority.read_bytes()
    first.kill()

    again = Sandbox.start(state, "--tls-port", "0")
    answer = requests.get(f"{again.secure_url}/services/data", timeout=20, verify=str(authority))
    again.stop()

    assert authority.read_bytes() == held
    assert answer.status_code == 200
    assert (state / "authority-key.pem").stat().st_mode & 0o077 == 0
