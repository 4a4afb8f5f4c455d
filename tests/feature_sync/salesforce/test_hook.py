"""What the hook makes of answers, from a local server over HTTP; the real dialogue is tested with the sandbox."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from feature_sync.salesforce import hook
from feature_sync.salesforce.errors import (
    SalesforceAuthError,
    SalesforceError,
    SalesforceLimitError,
    SalesforceNotAllowedError,
    SalesforceProtocolError,
    SalesforceRefusedError,
    SalesforceUnavailableError,
)
from feature_sync.salesforce.hook import MAX_KEYS, SalesforceReader, _parts, _ReadOnlySession

SECRET = "00Dlocal!a-session-that-nobody-may-see"


class Server:
    """Answers each request with the next of its answers, and the last one for ever."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        self.requests: list[tuple[str, str, str]] = []

    def answer(self, status: int, body: Any = "", **headers: str) -> None:
        self.answers.append((status, body, {name.replace("_", "-"): value for name, value in headers.items()}))

    def error(self, status: int, code: str, message: str = "said") -> None:
        self.answer(status, [{"message": message, "errorCode": code}])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    scripted = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scripted.requests.append((self.command, self.path, self.headers.get("Authorization", "")))
            status, body, headers = scripted.answers.pop(0) if len(scripted.answers) > 1 else scripted.answers[0]
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            """A login that is refused by something that repeats it."""
            content = self.rfile.read(int(self.headers["Content-Length"]))[-250:]
            scripted.requests.append((self.command, self.path, ""))
            self.send_response(scripted.answers[0][0])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
        port = http.server_address[1]
        # simple-salesforce speaks https only. This server has no certificate, so the scheme is changed on the way.
        request = hook.requests.Session.request
        monkeypatch.setattr(
            hook.requests.Session,
            "request",
            lambda self, method, url, **options: request(self, method, url.replace("https:", "http:"), **options),
        )
        extra = {"session_id": SECRET, "instance_url": f"https://127.0.0.1:{port}", "backoff_seconds": 0.01, "attempts": 3}
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", json.dumps({"conn_type": "salesforce", "extra": extra}))
        scripted.port = port
        yield scripted
        http.shutdown()


@pytest.mark.parametrize(
    ("answer", "kind", "requests"),
    [
        pytest.param((503, "SERVER_UNAVAILABLE", ""), SalesforceUnavailableError, 3, id="503"),
        pytest.param((500, "UNKNOWN_EXCEPTION", ""), SalesforceUnavailableError, 3, id="500"),
        pytest.param((429, "", ""), SalesforceUnavailableError, 3, id="429"),
        pytest.param((400, "QUERY_TIMEOUT", ""), SalesforceUnavailableError, 3, id="query-timeout"),
        pytest.param((403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit"), SalesforceUnavailableError, 3, id="concurrent"),
        pytest.param((403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), SalesforceLimitError, 1, id="daily-limit"),
        pytest.param((401, "INVALID_SESSION_ID", ""), SalesforceAuthError, 1, id="401"),
        pytest.param((403, "INSUFFICIENT_ACCESS", ""), SalesforceNotAllowedError, 1, id="no-access"),
        pytest.param((403, "API_DISABLED_FOR_ORG", ""), SalesforceNotAllowedError, 1, id="no-api"),
        pytest.param((400, "INVALID_TYPE", ""), SalesforceNotAllowedError, 1, id="no-object"),
        pytest.param((400, "INVALID_FIELD", ""), SalesforceNotAllowedError, 1, id="no-field"),
        pytest.param((404, "NOT_FOUND", ""), SalesforceNotAllowedError, 1, id="404"),
        pytest.param((400, "MALFORMED_QUERY", "unexpected token"), SalesforceRefusedError, 1, id="malformed"),
        pytest.param((414, "", ""), SalesforceRefusedError, 1, id="too-long"),
    ],
)
def test_an_error_has_its_kind_and_what_may_pass_is_asked_again(
    server: Server, answer: tuple[int, str, str], kind: type[SalesforceError], requests: int
) -> None:
    server.error(*answer)

    with pytest.raises(kind) as raised:
        SalesforceReader().limits()

    status, code, _ = answer
    assert isinstance(raised.value, SalesforceLimitError) is (kind is SalesforceLimitError)
    assert len(server.requests) == requests
    assert f"Salesforce answered GET limits/ with {status} {code}".strip() in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("<html>Down for maintenance</html>", id="html"),
        pytest.param({}, id="empty"),
        pytest.param([], id="list"),
        pytest.param({"DailyApiRequests": {"Max": 15000}}, id="no-remaining"),
        pytest.param({"DailyApiRequests": {"Max": 15000, "Remaining": "many"}}, id="no-number"),
    ],
)
def test_an_answer_that_the_api_does_not_document_is_an_error(server: Server, body: Any) -> None:
    server.answer(200, body)

    with pytest.raises(SalesforceProtocolError):
        SalesforceReader().limits()


def test_a_redirect_is_not_followed(server: Server) -> None:
    server.answer(302, Location="https://login.example/")

    with pytest.raises(SalesforceProtocolError, match=r"leads to another address\. Check the domain or the instance_url"):
        SalesforceReader().limits()
    assert len(server.requests) == 1


def test_it_goes_on_when_salesforce_answers_again(server: Server) -> None:
    server.error(503, "SERVER_UNAVAILABLE")
    server.answer(200, {"DailyApiRequests": {"Max": 15000, "Remaining": 14998}})

    assert SalesforceReader().limits().remaining == 14_998
    assert SalesforceReader().test_connection() == (True, "Salesforce accepts the login; 14,998 of 15,000 API calls are left")


def test_an_error_page_is_no_key_to_the_wrong_kind(server: Server) -> None:
    server.answer(403, "<html>no</html>")

    with pytest.raises(SalesforceNotAllowedError, match="answered GET limits/ with 403"):
        SalesforceReader().limits()


def test_a_netrc_file_does_not_replace_the_session(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.answer(200, {"DailyApiRequests": {"Max": 1, "Remaining": 1}})

    SalesforceReader().limits()

    assert server.requests[0][2] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("status", "kind", "requests"), [(500, SalesforceAuthError, 1), (503, SalesforceUnavailableError, 5)], ids=["500", "503"]
)
def test_a_login_that_is_refused_repeats_no_secret_and_is_sent_again_only_if_salesforce_is_down(
    server: Server, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[SalesforceError], requests: int
) -> None:
    """A refused login over SOAP is a 500 too. If it were sent again and again, Salesforce would lock the user out."""
    server.answer(status)
    extra = {
        "domain": f"127.0.0.1:{server.port}/services/Soap/u/59.0?",
        "security_token": "token-of-ours",
        "backoff_seconds": 0.01,
    }
    connection = {"conn_type": "salesforce", "login": "user", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", json.dumps(connection))

    with pytest.raises(kind) as raised:
        SalesforceReader().limits()

    assert len(server.requests) == requests
    assert SECRET not in str(raised.value)
    assert "token-of-ours" not in str(raised.value)


def test_there_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", raising=False)

    assert not SalesforceReader().is_configured()
    with pytest.raises(SalesforceAuthError, match="Connection salesforce_default is missing"):
        SalesforceReader().limits()


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"consumer_key": "key", "private_key": SECRET}, id="no-user"),
        pytest.param({"session_id": SECRET}, id="no-address"),
        pytest.param({"consumer_key": "key", "private_key": SECRET, "user": "u"}, id="private-key-alone"),
    ],
)
def test_a_connection_that_has_no_login_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, extra: dict[str, str]) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", json.dumps({"conn_type": "salesforce", "extra": extra}))

    with pytest.raises(SalesforceAuthError, match="cannot be used to log in") as raised:
        SalesforceReader().limits()
    assert SECRET not in str(raised.value)


def test_a_private_key_that_is_none_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "salesforce", "login": "u", "extra": {"consumer_key": "key", "private_key": SECRET}}
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", json.dumps(connection))

    with pytest.raises(SalesforceAuthError) as raised:
        SalesforceReader().limits()
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_nothing_but_the_login_is_sent_that_is_no_get(method: str) -> None:
    session = _ReadOnlySession("salesforce_default", {})

    with pytest.raises(SalesforceRefusedError, match="was not sent, because this connection is only for reading"):
        session.request(method, "https://127.0.0.1:1/services/data/v59.0/sobjects/Product_Property__c/a2P1")


@pytest.mark.parametrize(
    ("keys", "most", "parts"),
    [
        pytest.param([], 100, [], id="none"),
        pytest.param(["a", "b", "a"], 100, [["a", "b"]], id="each-once"),
        pytest.param(["a" * 40, "b" * 40, "c" * 40], 110, [["a" * 40, "b" * 40], ["c" * 40]], id="as-many-as-fit"),
        pytest.param(["東" * 10, "京" * 10], 110, [["東" * 10], ["京" * 10]], id="measured-as-it-is-sent"),
        pytest.param(["x" * 500], 100, [["x" * 500]], id="one-that-is-too-long-goes-alone"),
    ],
)
def test_keys_are_asked_for_in_parts(keys: list[str], most: int, parts: list[list[str]]) -> None:
    assert list(_parts(keys, most)) == parts


def test_a_part_has_no_more_keys_than_a_transaction() -> None:
    assert [len(part) for part in _parts([str(number) for number in range(450)], 100_000)] == [MAX_KEYS, MAX_KEYS, 50]
