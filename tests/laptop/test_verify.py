"""What `make verify` prints, and its exit code."""

import io
from types import SimpleNamespace
from typing import Any

import pytest

from laptop.airflow_client import AirflowError
from laptop.run import shown_page
from laptop.terminal import Terminal


def shown(state: str, page: str | None, failure: Exception | None = None) -> tuple[bool, str]:
    def wait(*_: object, **__: object) -> Any:
        if failure:
            raise failure
        return SimpleNamespace(state=state)

    airflow: Any = SimpleNamespace(trigger=lambda *_, **__: "manual__1", wait_for_run=wait, xcom=lambda *_, **__: page)
    out = io.StringIO()
    return shown_page(airflow, Terminal(out)), out.getvalue()


@pytest.mark.parametrize(
    ("state", "good", "result"), [("success", True, "RESULT: nothing is wrong"), ("failed", False, "RESULT: something is wrong")]
)
def test_the_page_is_printed_whatever_it_says(state: str, good: bool, result: str) -> None:
    is_good, text = shown(state, "# Verification of today")

    assert is_good is good
    assert "# Verification of today" in text
    assert text.rstrip().endswith(result)


def test_a_run_without_a_page_is_not_good() -> None:
    is_good, text = shown("failed", None)

    assert not is_good
    assert "ended before it had a page" in text


def test_a_run_that_does_not_end_is_not_good() -> None:
    is_good, text = shown("running", None, AirflowError("it has not ended"))

    assert not is_good
    assert "it has not ended" in text
