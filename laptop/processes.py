"""
Processes that start together, are watched, and end without leftovers.

Each component leads its own session. Airflow's children change their process group, but not their session. So the session
finds every process of a component, even a child whose parent has died.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

HOST = "127.0.0.1"
RELEASE = "release"
END = "end"
COLLECT_SECONDS = 30
"""How long a process that was killed, or a leash that was told to end, may take. Longer is a fault of this program."""


class ComponentError(RuntimeError):
    """A component could not be started, or ended unexpectedly. The message has the end of its log."""


class PortError(RuntimeError):
    """The requested port is taken, or is not a port number."""


def process_birth(pid: int) -> str | None:
    """
    A mark that distinguishes a process from a later one with the same id, or None if there is no such process.

    On Linux it is a number of ticks since boot, which a changed clock does not affect.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        pass
    else:
        return f"ticks:{stat.rpartition(')')[2].split()[19]}"
    try:
        return f"time:{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return None


def _is_alive(pid: int) -> bool:
    # A zombie only keeps its process id. In a container without an init no process ever collects it.
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Session:
    """All processes of one component. ``leader`` is the id of its first process, ``birth`` is that process's mark."""

    name: str
    leader: int
    birth: str

    @classmethod
    def led_by(cls, name: str, pid: int) -> "Session":
        """The session of a process that was just started. :raises ComponentError: it has already ended."""
        birth = process_birth(pid)
        if birth is None:
            raise ComponentError(f"{name} ended before it could be watched")
        return cls(name, pid, birth)

    def leader_runs(self) -> bool:
        return process_birth(self.leader) == self.birth and _is_alive(self.leader)

    def members(self) -> list[int]:
        """
        Ids of the living processes of this session. Empty if the leader's id now belongs to another process.

        As long as a session has members, the system does not give its id to a new process.
        """
        if process_birth(self.leader) not in (self.birth, None):
            return []
        return [pid for pid in psutil.pids() if _session_of(pid) == self.leader and _is_alive(pid)]

    def terminate(self) -> None:
        """Ask the leader to end. It ends its own children."""
        if self.leader_runs():
            _signal(self.leader, signal.SIGTERM)

    def kill(self) -> None:
        """Kill every process of the session. Return when they are gone, after at most 5 seconds."""
        deadline = time.monotonic() + 5
        while (members := self.members()) and time.monotonic() < deadline:
            for pid in members:
                _signal(pid, signal.SIGKILL)
            time.sleep(0.02)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def end_sessions(sessions: Collection[Session], *, grace_seconds: float) -> None:
    """Ask all leaders to end, wait at most ``grace_seconds`` in total, then kill every process that is left."""
    for session in sessions:
        session.terminate()
    deadline = time.monotonic() + grace_seconds
    while any(session.leader_runs() for session in sessions) and time.monotonic() < deadline:
        time.sleep(0.05)
    for session in sessions:
        session.kill()


class Leash:
    """
    A helper process that outlives this process by a moment. After any end of this process it ends the sessions that it holds.

    It notices the end because a pipe closes. That works on every system that has pipes.
    """

    def __init__(self, folder: Path) -> None:
        """Start the helper process. It imports ``laptop`` from ``folder``."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "laptop.leash"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def hold(self, session: Session) -> None:
        if self._process.stdin is None:
            raise RuntimeError("The leash has no pipe")
        self._process.stdin.write(f"{session.name} {session.leader} {session.birth}\n")
        self._process.stdin.flush()

    def release(self) -> None:
        """Let the sessions live on after the end of this program."""
        if self._process.stdin is not None:
            self._process.stdin.write(f"{RELEASE}\n")
        self.close()

    def close(self) -> None:
        """End the sessions that still run, unless they were released. Wait for their end."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(BrokenPipeError):
                # The pipe's end is not enough: a process that this one has forked may hold the pipe open.
                self._process.stdin.write(f"{END}\n")
                self._process.stdin.close()
        self._process.wait(COLLECT_SECONDS)


@dataclass(slots=True)
class Component:
    """
    One part of the stack: a command, its environment, its log.

    :meth:`restart` calls ``wait_until_ready(component, since)`` with the time of the new start in epoch seconds.
    :meth:`start` calls ``on_start`` with the new session.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    wait_until_ready: Callable[["Component", float], None] = lambda _component, _since: None
    on_start: Callable[[Session], None] = lambda _session: None
    session: Session | None = field(default=None, init=False)
    ended_on_purpose: bool = field(default=False, init=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def start(self) -> None:
        """Start it and append to its log. :raises ComponentError: it is already running, or ends at once."""
        if self.runs():
            raise ComponentError(f"{self.name} is already running")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.ended_on_purpose = False
        self.session = Session.led_by(self.name, self._process.pid)
        self.on_start(self.session)

    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """:raises ComponentError: it was started and has ended unexpectedly."""
        if self._process is None or self.ended_on_purpose or self._process.poll() is None:
            return
        raise ComponentError(
            f"{self.name} ended unexpectedly ({_exit_text(self._process.returncode)}). The end of {self.log}:\n{tail(self.log)}"
        )

    def wait_for_end(self, timeout_seconds: float) -> None:
        """For commands that end on their own. :raises ComponentError: the command fails or takes too long."""
        if self._process is None:
            raise ComponentError(f"{self.name} was not started")
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ComponentError(
                f"{self.name} took longer than {timeout_seconds:.0f} s. The end of {self.log}:\n{tail(self.log)}"
            ) from None
        if self._process.returncode:
            self.check()

    def kill(self) -> None:
        """Send SIGKILL to all of its processes, as if its machine had crashed."""
        self.ended_on_purpose = True
        if self.session is not None:
            self.session.kill()
        if self._process is not None:
            self._process.wait(COLLECT_SECONDS)

    def stop(self, *, grace_seconds: float = 6) -> None:
        stop_components([self], grace_seconds=grace_seconds)

    def restart(self) -> None:
        """End it if it runs, start it, and return when it works. :raises ComponentError: it does not work."""
        if self.runs():
            self.stop()
        since = time.time()
        self.start()
        self.wait_until_ready(self, since)


def stop_components(components: Collection[Component], *, grace_seconds: float = 6) -> None:
    """Ask all to end, kill every process that is left after ``grace_seconds``, and collect them."""
    for component in components:
        component.ended_on_purpose = True
    end_sessions([component.session for component in components if component.session], grace_seconds=grace_seconds)
    for component in components:
        if component._process is not None:
            component._process.wait(COLLECT_SECONDS)


def _exit_text(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log, or a remark if it is empty."""
    try:
        text = log.read_text(errors="replace").rstrip()
    except OSError:
        text = ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (empty)"


def choose_port(preferred: int | None = None, *, taken: Collection[int] = ()) -> int:
    """
    Return ``preferred`` if it is free, otherwise a random free port. It is never one of ``taken``.

    Random ports are below the range of outgoing connections. So no connection takes the port before its server does.
    """
    if preferred is not None and preferred not in taken and port_is_free(preferred):
        return preferred
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        if port not in taken and port_is_free(port):
            return port


def require_port(port: int) -> int:
    """Return the port. :raises PortError: it is taken, or is not a port number."""
    if not 1 <= port <= 65535:
        raise PortError(f"PORT={port}: a port is a number from 1 to 65535")
    if not port_is_free(port):
        raise PortError(f"PORT={port} is in use. Choose another port, or leave PORT out to get a free one")
    return port


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set this too. Without it a port stays "in use" for a minute after its server has ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class Interrupted(SystemExit):
    """A signal asked this program to end. The exit code is the shell's code for that signal."""


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the program as Ctrl-C does, so that it stops everything that it started."""

    def unwind(number: int, _frame: object) -> None:
        raise Interrupted(128 + number)

    before = {number: signal.signal(number, unwind) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore signals: a second Ctrl-C must not cut the cleanup short. Has no effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def read_sessions(pipe: IO[str]) -> list[Session]:
    """The sessions that a :class:`Leash` holds when it is told to end, or its pipe closes. Empty if it has released them."""
    sessions: list[Session] = []
    for line in pipe:
        if line.strip() == RELEASE:
            return []
        if line.strip() == END:
            return sessions
        name, leader, birth = line.split()
        sessions.append(Session(name, int(leader), birth))
    return sessions
