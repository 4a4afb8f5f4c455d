"""Finds the JDK 17 that Spark runs on. Executed, it prints its folder, or says what to install."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MISSING = (
    "Spark needs a JDK 17 (java and javac), and none is found: not by JAVA_HOME or PATH, nor at the usual places. "
    "On Debian and Ubuntu: apt install openjdk-17-jdk-headless. On macOS: brew install openjdk@17."
)
_INSTALLED = ("/usr/lib/jvm", "/opt/homebrew/opt", "/usr/local/opt", "~/.sdkman/candidates/java", "~/.jdks")
_MACOS = "/usr/libexec/java_home"


def find_java() -> Path | None:
    """What JAVA_HOME should be."""
    return next((home for home in _candidates() if _is_jdk_17(home)), None)


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java"):
        # It may be a script that chooses one of many, so it is asked.
        settings = _answer(java, "-XshowSettings:properties", "-version")
        yield from (Path(line.partition("=")[2].strip()) for line in settings.splitlines() if "java.home =" in line)
    if Path(_MACOS).exists() and (home := _answer(_MACOS, "-v", "17").strip()):
        yield Path(home)
    for folder in _INSTALLED:
        for found in sorted(Path(folder).expanduser().glob("*17*")):
            yield from (found, found / "Contents/Home", found / "libexec/openjdk.jdk/Contents/Home")


def _is_jdk_17(home: Path) -> bool:
    # The version of the compiler, because a JRE has none.
    javac = home / "bin/javac"
    return (home / "bin/java").exists() and javac.exists() and _answer(str(javac), "-version").startswith("javac 17.")


def _answer(*command: str) -> str:
    """What a command prints; nothing if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


if __name__ == "__main__":
    print(find_java() or sys.exit(MISSING))  # noqa: T201
