"""The command line: ``python -m sandbox`` and ``python -m sandbox connections``."""

import argparse
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from sandbox.connections import connection_lines
from sandbox.settings import SettingError, Settings, parse_settings
from sandbox.worlds.catalogue import INCIDENT, WORLDS, settings_lines

if TYPE_CHECKING:
    from types import FrameType

DEFAULT_PORT = 18_100
WRONG_USE = 2
GRACE_SECONDS = 1


class StartError(Exception):
    """The reason why the sandbox does not start, in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.command == "connections":
        print("\n".join(connection_lines(options.host, options.port)))
        return 0
    if options.command == "settings":
        print("\n".join(settings_lines(options.world or INCIDENT)))
        return 0
    try:
        return _serve(options)
    except StartError as problem:
        print(f"sandbox: {problem}", file=sys.stderr)
        return WRONG_USE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Stands in for Databricks, Census and Salesforce on one port of this machine. See sandbox/README.md.",
        epilog="settings:\n"
        + "\n".join(f"  {name}={field.default!s:<10} {field.description}" for name, field in Settings.model_fields.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command="serve")
    _add_address(parser)
    parser.add_argument("--state", type=Path, metavar="DIR", help="folder for all state (required); created if it is missing")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="change a setting and keep it in the state; may be repeated",
    )
    _add_world(parser, default="the one in DIR, else incident")
    commands = parser.add_subparsers(title="other commands", metavar="connections | settings")
    connections = commands.add_parser("connections", help="print the two Airflow connections as environment lines")
    connections.set_defaults(command="connections")
    _add_address(connections)
    settings = commands.add_parser("settings", help="print the package's settings for a world as environment lines")
    settings.set_defaults(command="settings")
    _add_world(settings, default=INCIDENT)
    return parser


def _add_world(parser: argparse.ArgumentParser, *, default: str) -> None:
    parser.add_argument("--world", choices=WORLDS, help=f"which world: see sandbox/README.md (default: {default})")


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port of all services; 0 picks a free one (default: %(default)s)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)")


def _serve(options: argparse.Namespace) -> int:
    changed = _settings(options.settings)
    if options.state is None:
        raise StartError("--state DIR is required: the folder for all state")
    lock = _lock(options.state)
    listener = _listen(options.host, options.port)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    # The warehouse takes a second to import. Mistakes on the command line are reported before that.
    import uvicorn  # noqa: PLC0415

    from sandbox.app import create_app  # noqa: PLC0415
    from sandbox.world import World, WorldError  # noqa: PLC0415

    try:
        world = World(options.state, options.world)
    except WorldError as error:
        raise StartError(str(error)) from error
    world.settings.change(changed)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            address, port = listener.getsockname()[:2]
            print(f"The sandbox listens on http://{address}:{port} and keeps its state in {options.state}", flush=True)

    config = uvicorn.Config(
        create_app(world),
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    try:
        Server(config).run(sockets=[listener])
    except SystemExit:
        pass
    finally:
        lock.close()
    logging.shutdown()
    sys.stdout.flush()
    # Everything is written. A request that still waits in a thread must not keep the process alive.
    os._exit(0)


def _leave(_: int, __: "FrameType | None") -> NoReturn:
    raise SystemExit(0)


def _settings(given: Sequence[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if wrong := next((one for one, pair in zip(given, pairs, strict=True) if not pair[1]), None):
        raise StartError(f"--set {wrong}: must be NAME=VALUE")
    values = {name.strip(): value.strip() for name, _, value in pairs}
    try:
        parse_settings(values)
    except SettingError as error:
        raise StartError(f"--set: {error}") from error
    return values


def _lock(folder: Path) -> IO[str]:
    """Lock the state folder. The lock ends with the process, even after a kill."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w", encoding="utf-8")
    except OSError as error:
        raise StartError(f"cannot write to the state folder {folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StartError(f"another sandbox uses the state folder {folder}") from error
    return lock


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        raise StartError(f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}") from error
    return listener
