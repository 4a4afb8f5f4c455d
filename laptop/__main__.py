"""The command line: ``python -m laptop run|verify|up|down|status|story``. `make` calls it."""

import argparse
import os
import sys

from laptop.airflow_client import AirflowError
from laptop.background import down, status, story, up
from laptop.processes import ComponentError, Interrupted, PortError, signals_as_exceptions
from laptop.run import RUN_CONFIGS, BusyError, run, verify
from laptop.sandbox_client import SandboxError
from laptop.stack import DEFAULT_WORLD, PROJECT
from laptop.terminal import RED, Terminal

FOLDER = PROJECT / ".laptop"


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code. After a signal this is the shell's code for that signal."""
    parser = argparse.ArgumentParser(prog="python -m laptop", description="Airflow and the sandbox on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, description in (
        ("run", "repair the incident's records in a fresh Airflow, then stop everything"),
        ("verify", "look at everything that a run relies on in a fresh Airflow, print the page, then stop everything"),
        ("up", "start Airflow and the sandbox and leave them running"),
        ("down", "stop what `up` started"),
        ("status", "show the state of the parts that `up` started"),
        ("story", "tell what happened to one record, beside what `up` started"),
    ):
        command = commands.add_parser(name, help=description, description=description)
        if name in ("run", "verify", "up"):
            command.add_argument(
                "--world", choices=list(RUN_CONFIGS), default=DEFAULT_WORLD, help="the sandbox's world (default: %(default)s)"
            )
            command.add_argument("--port", type=int, help="Airflow's port (default: 8080, or a free one if 8080 is taken)")
        if name == "story":
            command.add_argument("record", help="a Salesforce id, a key, a property's id, or a part of the property's name")
    chosen = parser.parse_args(arguments)
    terminal = Terminal(sys.stdout)
    try:
        with signals_as_exceptions():
            return _obey(chosen, terminal)
    except (ComponentError, PortError, BusyError, AirflowError, SandboxError) as failure:
        terminal.line(str(failure), RED)
        return 1
    except BrokenPipeError:
        # The reader of the output is gone, as in `make up | head`. No further message can reach it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Interrupted as interrupted:
        terminal.line("Interrupted. Everything that this command started has been stopped.")
        return int(interrupted.code or 1)


def _obey(chosen: argparse.Namespace, terminal: Terminal) -> int:
    match chosen.command:
        case "run":
            return run(FOLDER / "run", terminal, port=chosen.port, world=chosen.world)
        case "verify":
            return verify(FOLDER / "verify", terminal, port=chosen.port, world=chosen.world)
        case "up":
            return up(FOLDER / "up", terminal, port=chosen.port, world=chosen.world)
        case "down":
            return down(FOLDER / "up", terminal)
        case "story":
            return story(FOLDER / "up", terminal, chosen.record)
        case _:
            return status(FOLDER / "up", terminal)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
