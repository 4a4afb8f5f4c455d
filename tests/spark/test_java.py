"""Which Java the tests of Spark take."""

from pathlib import Path

import pytest

from tests.spark import java
from tests.spark.java import find_java


def install(home: Path, version: str, *, compiler: bool = True) -> Path:
    programs = {"java": f'echo "    java.home = {home}"', **({"javac": f"echo javac {version}"} if compiler else {})}
    (home / "bin").mkdir(parents=True)
    for name, does in programs.items():
        program = home / "bin" / name
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    return home


@pytest.fixture
def usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only one, on a machine without any Java."""
    place = tmp_path / "jvm"
    monkeypatch.setattr(java, "_INSTALLED", (str(place),))
    monkeypatch.setattr(java, "_MACOS", str(tmp_path / "no-mac"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return place


@pytest.mark.usefixtures("usual_place")
def test_none_is_found_where_there_is_none() -> None:
    assert find_java() is None


def test_one_at_a_usual_place_is_found_beside_another_version_and_one_without_compiler(usual_place: Path) -> None:
    install(usual_place / "temurin-25", "25.0.1")
    install(usual_place / "jre-17", "17.0.1", compiler=False)
    home = install(usual_place / "openjdk-17", "17.0.15")

    assert find_java() == home


def test_java_home_is_taken_before_the_one_in_the_path(usual_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = install(usual_place.with_name("chosen"), "17.0.2")
    in_path = install(usual_place.with_name("in-path"), "17.0.3")
    monkeypatch.setenv("PATH", f"{in_path / 'bin'}:/usr/bin:/bin")

    without = find_java()
    monkeypatch.setenv("JAVA_HOME", str(chosen))

    assert without == in_path
    assert find_java() == chosen


def test_another_version_in_java_home_or_path_does_not_count(usual_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = install(usual_place.with_name("other"), "21.0.1")
    home = install(usual_place / "java-17", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(other))
    monkeypatch.setenv("PATH", f"{other / 'bin'}:/usr/bin:/bin")

    assert find_java() == home
