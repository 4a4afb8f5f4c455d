"""Plain text where nobody looks; colour and a changing line in a terminal."""

import io

import pytest

from laptop.terminal import RED, Terminal


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_file_gets_plain_lines_and_no_status() -> None:
    file = io.StringIO()
    terminal = Terminal(file)

    terminal.status("now: sending")
    terminal.line("failed", RED)

    assert file.getvalue() == "failed\n"


def test_a_line_replaces_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    terminal = Terminal(screen)

    terminal.status("now: sending")
    terminal.line("failed", RED)

    assert screen.getvalue().endswith("now: sending\x1b[0m\r\x1b[K\x1b[31mfailed\x1b[0m\n")


def test_a_status_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen()

    Terminal(screen).status("x" * 100)

    assert screen.getvalue() == "\r\x1b[K" + "x" * 19
