"""What the client does when Airflow's database gives up, and reading a task's log for its error."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from laptop.airflow_client import ROLLED_BACK_ATTEMPTS, AirflowClient, AirflowError, error_in_log

FAILURE = {"level": "error", "event": "Task failed with exception"}


def test_the_exception_comes_before_its_causes() -> None:
    details = [{"exc_type": "SendError", "exc_value": "Batch 7 failed"}, {"exc_type": "ConnectionError", "exc_value": "reset"}]

    assert error_in_log([{"event": "Sending"}, FAILURE | {"error_detail": details}]) == "SendError: Batch 7 failed"


def test_without_an_exception_the_last_error_counts() -> None:
    log = [{"level": "error", "event": "first"}, {"level": "error", "event": "last"}, {"level": "info", "event": "Bye"}]

    assert error_in_log(log) == "last"


def test_a_log_without_errors_has_none() -> None:
    assert error_in_log([{"level": "info", "event": "Sent"}, {"event": "plain"}]) is None


LOCKED = (500, {"detail": {"reason": "Database error", "statement": "hidden"}})
BROKEN = (500, {"detail": "Internal Server Error"})
TOKEN = (201, {"access_token": "t"})
DONE = (200, {"answered": True})


@contextmanager
def airflow_that_answers(*answers: tuple[int, object]) -> Iterator[tuple[str, list[str]]]:
    """A server with these answers, in this order. The list gets each request's method and path."""
    left, seen = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            seen.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = left.pop(0)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PATCH = answer  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            """Keep the test's output clean."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def test_a_request_that_the_database_rolled_back_is_sent_again() -> None:
    with airflow_that_answers(TOKEN, LOCKED, LOCKED, DONE) as (url, seen):
        assert AirflowClient(url, "admin", "p").request("PATCH", "hitlDetails", json={"chosen": "Approve"}) == {"answered": True}

    assert seen == ["POST /auth/token", *["PATCH /api/v2/hitlDetails"] * 3]


def test_a_database_that_always_gives_up_is_an_error_with_its_reason() -> None:
    with (
        airflow_that_answers(TOKEN, *[LOCKED] * ROLLED_BACK_ATTEMPTS) as (url, seen),
        pytest.raises(AirflowError, match=r"HTTP 500: .*Database error"),
    ):
        AirflowClient(url, "admin", "p").request("PATCH", "hitlDetails", json={})

    assert len(seen) == 1 + ROLLED_BACK_ATTEMPTS


def test_any_other_error_is_not_sent_again() -> None:
    with airflow_that_answers(TOKEN, BROKEN) as (url, seen), pytest.raises(AirflowError, match="HTTP 500: Internal"):
        AirflowClient(url, "admin", "p").request("PATCH", "hitlDetails", json={})

    assert len(seen) == 2
