"""Lines for a person. Files and pipes get plain text, a terminal also gets colours and a status line that changes."""

import os
import shutil
from typing import TextIO

GREEN = "32"
RED = "31"
FAINT = "2"


class Terminal:
    """Writes to a stream and flushes it at once, so that progress is visible when it happens."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._interactive = stream.isatty()
        self._coloured = self._interactive and "NO_COLOR" not in os.environ

    def line(self, text: str = "", colour: str | None = None) -> None:
        """Write lines that stay on the screen."""
        self._erase_status()
        self._stream.write(f"{self._paint(text, colour)}\n")
        self._stream.flush()

    def status(self, text: str) -> None:
        """Show the current activity until the next line or status. Has an effect in a terminal only."""
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
