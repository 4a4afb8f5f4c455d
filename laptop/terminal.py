"""Lines for a person: plain text in a file or a pipe, colour and a line that changes in a terminal."""

import os
import shutil
from typing import TextIO

GREEN = "32"
RED = "31"
FAINT = "2"


class Terminal:
    """Writes to a stream and never keeps anything back, so that progress is seen when it happens."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._interactive = stream.isatty()
        self._coloured = self._interactive and "NO_COLOR" not in os.environ

    def line(self, text: str = "", colour: str | None = None) -> None:
        """Write lines that stay."""
        self._erase_status()
        self._stream.write(f"{self._paint(text, colour)}\n")
        self._stream.flush()

    def status(self, text: str) -> None:
        """Show what goes on now, until the next line or status; nothing where lines cannot change."""
        if not self._interactive:
            return
        self._erase_status()
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(self._paint(text[:width], FAINT))
        self._stream.flush()

    def _erase_status(self) -> None:
        if self._interactive:
            self._stream.write("\r\x1b[K")

    def _paint(self, text: str, colour: str | None) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured and colour else text
