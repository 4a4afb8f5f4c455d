"""What :class:`laptop.processes.Leash` starts: wait for the end of the standard input, then end what it named."""

import sys

from laptop.processes import end_sessions, read_sessions

GRACE_SECONDS = 5.0


def main() -> None:
    end_sessions(read_sessions(sys.stdin), grace_seconds=GRACE_SECONDS)


if __name__ == "__main__":
    main()
