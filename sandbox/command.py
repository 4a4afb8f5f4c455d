"""The command line: ``python -m sandbox`` and ``python -m sandbox connections``."""

import argparse
import asyncio
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
from sandbox.settings import WAREHOUSE_MEMORY, SettingError, Settings, parse_settings
from sandbox.worlds.catalogue import INCIDENT, WORLDS, settings_lines

if TYPE_CHECKING:
    from types import FrameType

DEFAULT_PORT = 18_100
WRONG_USE = 2
GRACE_SECONDS = 1
TRUST = (
    "The sandbox signs its own certificate. Set REQUESTS_CA_BUNDLE to the file authority.pem in its state folder, so that"
    " Airflow's SalesforceHook trusts it."
)


class StartError(Exception):
    """The reason why the sandbox does not start, in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.command == "connections":
        print("\n".join(connection_lines(options.host, options.port, options.tls_port)))
        if options.tls_port is not None:
            print(TRUST, file=sys.stderr)
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
    connections = commands.add_parser(
        "connections", help="print the Airflow connections as environment lines; the one to Salesforce needs --tls-port"
    )
    connections.set_defaults(command="connections")
    _add_address(connections)
    settings = commands.add_parser("settings", help="print the package's settings for a world as environment lines")
    settings.set_defaults(command="settings")
    _add_world(settings, default=INCIDENT)
    return parser


def _add_world(parser: argparse.ArgumentParser, *, default: str) -> None:
    parser.add_argument(
        "--warehouse-memory",
        default=WAREHOUSE_MEMORY,
        metavar="SIZE",
        help="memory of the warehouse, such as 8GB; ten million rows need about that (default: %(default)s)",
    )
    parser.add_argument("--world", choices=WORLDS, help=f"which world: see sandbox/README.md (default: {default})")


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port of all services; 0 picks a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--tls-port",
        type=int,
        help="port of the same services over TLS, for clients of Salesforce, which speak https only; 0 picks a free one"
        " (default: no TLS)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)")


def _serve(options: argparse.Namespace) -> int:
    changed = _settings(options.settings)
    if options.state is None:
        raise StartError("--state DIR is required: the folder for all state")
    lock = _lock(options.state)
    listener = _listen(options.host, options.port)
    secure = _listen(options.host, options.tls_port) if options.tls_port is not None else None
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    # The warehouse takes a second to import. Mistakes on the command line are reported before that.
    import uvicorn  # noqa: PLC0415

    from sandbox.app import create_app  # noqa: PLC0415
    from sandbox.certificates import server_context  # noqa: PLC0415
    from sandbox.world import World, WorldError  # noqa: PLC0415

    try:
        world = World(options.state, options.world, options.warehouse_memory)
    except WorldError as error:
        raise StartError(str(error)) from error
    try:
        world.settings.change(changed)
    except SettingError as error:
        raise StartError(f"--set: {error}") from error

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            addresses = [_address("http", listener)]
            if secure is not None:
                await self._listen_with_tls(secure)
                addresses.append(_address("https", secure))
            print(f"The sandbox listens on {' and '.join(addresses)} and keeps its state in {options.state}", flush=True)

        async def _listen_with_tls(self, secure: socket.socket) -> None:
            """uvicorn serves either with or without TLS. Its connections take both, so they get one more server."""

            def connect() -> asyncio.Protocol:
                return self.config.http_protocol_class(  # type: ignore[call-arg]
                    config=self.config, server_state=self.server_state, app_state=self.lifespan.state
                )

            context = server_context(options.state, options.host)
            loop = asyncio.get_running_loop()
            self.servers.append(await loop.create_server(connect, sock=secure, ssl=context, backlog=self.config.backlog))

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


def _address(scheme: str, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{host}:{port}"


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
