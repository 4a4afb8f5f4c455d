"""
``make test-next``: the tests on the newest pre-release of Airflow that the package index has, in an environment of its own.

This module installs that environment and starts pytest in it. There it is a plugin of pytest as well: it marks what is known to
fail, which ``next_airflow.toml`` lists with whose fault it is. A known failure that passes is a failure too.
"""

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import pytest
from packaging.version import Version

PROJECT = Path(__file__).resolve().parents[1]
PINNED = PROJECT / "requirements-dev.txt"
VENV = PROJECT / ".venv-next"
TAKEN = VENV / "requirements.txt"
INSTALLED = VENV / ".installed"
"""Holds the requirements that were installed, so that a second run installs nothing."""
AIRFLOW = ("apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk")
KNOWN_FAILURES = Path(__file__).with_suffix(".toml")
say = partial(print, flush=True)
STAGES = {
    "the tests that start no process, and those against the sandbox": [
        *("-n", "2", "tests/feature_sync", "tests/dags", "tests/sql", "tests/test_docs.py", "tests/test_layout.py"),
        *("tests/test_next_airflow.py", "tests/test_plugin_loading.py", "tests/test_statements.py", "tests/laptop", "tests/wire"),
    ],
    "whole runs, one Airflow at a time": ["tests/live", "--ignore", "tests/live/test_chaos.py"],
}
"""What can run: all but the tests of things that Airflow does not touch, such as Spark, and of the image, which is pinned."""


class Fault(StrEnum):
    """Whose fault a failure is."""

    OURS = "ours"
    AIRFLOW = "airflow"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """``test``: how the id of the test begins. ``reason``: what fails, why, and what would end it."""

    test: str
    fault: Fault
    reason: str


def known_failures() -> list[KnownFailure]:
    listed = tomllib.loads(KNOWN_FAILURES.read_text(encoding="utf-8")).get("known_failure", [])
    return [KnownFailure(each["test"], Fault(each["fault"]), each["reason"]) for each in listed]


def failures_by_chance() -> list[str]:
    """What was seen to fail and cannot be expected of a test, in words."""
    listed = tomllib.loads(KNOWN_FAILURES.read_text(encoding="utf-8")).get("by_chance", [])
    return [f"Fails by chance, fault of {Fault(each['fault'])}: {each['reason']}" for each in listed]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for known in known_failures():
        for item in items:
            if item.nodeid.startswith(known.test):
                item.add_marker(pytest.mark.xfail(strict=True, reason=f"fault of {known.fault}: {known.reason}"))


def pinned_versions(text: str) -> dict[str, str]:
    """The version of each package in a compiled file of requirements."""
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^\s;]+)", text, flags=re.MULTILINE))


def changes(pinned: dict[str, str], taken: dict[str, str]) -> list[str]:
    """The packages whose version is another one, a line for each."""
    return [
        f"  {name:<28}{pinned.get(name, 'none'):>14} -> {taken.get(name, 'none')}"
        for name in sorted(pinned | taken)
        if pinned.get(name) != taken.get(name)
    ]


def newest_release() -> Version:
    """The newest Airflow that the index has, with pre-releases. An index that does not answer is an error, and no answer."""
    found = _uv(
        "pip", "compile", "--no-deps", "--no-header", "--no-annotate", "--prerelease=allow", "--quiet", "-", given=AIRFLOW[0]
    )
    return Version(pinned_versions(found)[AIRFLOW[0]])


def install(release: Version) -> None:
    """Only what Airflow asks for differs from our pinned versions, so a failure is not another package's."""
    if not (VENV / "bin" / "python").exists():
        _uv("venv", "--quiet", "--python", sys.executable, str(VENV))
    TAKEN.write_text(PINNED.read_text(encoding="utf-8"), encoding="utf-8")  # uv keeps the versions that it finds there
    override = VENV / "airflow.txt"
    override.write_text(f"{AIRFLOW[0]}=={release}\n{AIRFLOW[1]}=={release}\n", encoding="utf-8")
    source = str(PINNED.with_suffix(".in"))
    as_pinned = ("--quiet", "--universal", "--python-version", "3.11")
    _uv("pip", "compile", *as_pinned, "--prerelease=allow", "--override", str(override), source, "--output-file", str(TAKEN))
    taken = TAKEN.read_text(encoding="utf-8")
    if not INSTALLED.exists() or INSTALLED.read_text(encoding="utf-8") != taken:
        say("Installing it into .venv-next (a minute or two) ...")
        _uv("pip", "sync", "--quiet", "--python", str(VENV / "bin" / "python"), "--compile-bytecode", str(TAKEN))
        INSTALLED.write_text(taken, encoding="utf-8")


def main() -> int:
    """:returns: 0 if nothing fails but what is known to, or if there is no newer Airflow."""
    pinned = pinned_versions(PINNED.read_text(encoding="utf-8"))
    used, newest = Version(pinned[AIRFLOW[0]]), newest_release()
    if newest <= used:
        say(f"The index has no Airflow that is newer than the one that we use, {used}. There is nothing to try.")
        return 0
    say(f"The newest Airflow of the index is {newest}; we use {used}.")
    install(newest)
    taken = pinned_versions(TAKEN.read_text(encoding="utf-8"))
    say("\n".join(["Other versions than in requirements-dev.txt:", *changes(pinned, taken)]))
    for known in known_failures():
        say(f"Known to fail, fault of {known.fault}: {known.test}: {known.reason}")
    say("\n".join(failures_by_chance()))
    failed = [stage for stage, arguments in STAGES.items() if not _passes(stage, arguments)]
    say("\n".join(f"Failed on Airflow {newest}: {stage}" for stage in failed) or f"Nothing new fails on Airflow {newest}.")
    return 1 if failed else 0


def _passes(stage: str, arguments: list[str]) -> bool:
    say(f"\n{stage[0].upper()}{stage[1:]}:")
    plugin = ("-p", f"tests.{Path(__file__).stem}")
    # What Airflow deprecates it announces with this warning.
    warnings = ("-W", "error::FutureWarning:feature_sync", "-W", "error::FutureWarning:dags")
    command = [str(VENV / "bin" / "python"), "-m", "pytest", "-q", "--show-capture=no", *plugin, *warnings, *arguments]
    return subprocess.run(command, cwd=PROJECT, check=False).returncode == 0


def _uv(*arguments: str, given: str | None = None) -> str:
    command = [sys.executable, "-m", "uv", *arguments]
    return subprocess.run(command, cwd=PROJECT, input=given, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as failed:
        sys.exit(f"{' '.join(failed.cmd[2:5])} failed, see above. Nothing was tested.")
