"""
The helper process that :class:`laptop.processes.Leash` starts.

It waits until its standard input closes. Then it ends the sessions that the input has named.
"""

import sys

from laptop.processes import end_sessions, read_sessions

GRACE_SECONDS = 5.0


def main() -> None:
    end_sessions(read_sessions(sys.stdin), grace_seconds=GRACE_SECONDS)


if __name__ == "__main__":
    main()
