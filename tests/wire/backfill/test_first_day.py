"""docs/first_day.md, step by step, in a workspace that nobody has fitted to the package: each message that it quotes comes."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_sync.backfill.preconditions import check_preconditions
from feature_sync.config.problems import ProblemsError
from tests.sandbox.client import FAST, PROJECT, Sandbox

PAGE = (PROJECT / "docs" / "first_day.md").read_text(encoding="utf-8")
CONNECTIONS = ("AIRFLOW_CONN_CENSUS_DEFAULT", "AIRFLOW_CONN_DATABRICKS_DEFAULT")
Block = tuple[str, list[str]]


def blocks() -> list[Block]:
    """The quoted messages (``text``) and the settings (no language) in the order of the page."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    return [(language, text.splitlines()) for language, text in found]


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox.start(tmp_path / "state", "--world", "real", **FAST)
    yield sandbox
    sandbox.stop()


def said() -> str:
    """What the first task says, or nothing if it is green."""
    try:
        check_preconditions({"scope": "mismatched", "dry_run": True}, 1024)
    except ProblemsError as error:
        return str(error)
    return ""


def test_the_page_leads_from_nothing_to_a_green_first_task(
    real: Sandbox, environment: dict[str, str], process: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setitem(os.environ, name, value)
    for name in CONNECTIONS:
        monkeypatch.delenv(name)
    before = said()
    for number, (language, lines) in enumerate(blocks()):
        if language == "text":
            missing = [line for line in lines if line not in before]
            assert missing == [], before
            if number == 0:
                for name in CONNECTIONS:
                    monkeypatch.setitem(os.environ, name, environment[name].replace(str(process.port), str(real.port)))
                before = said()
        else:
            for name, _, value in (line.partition("=") for line in lines):
                monkeypatch.setitem(os.environ, name, value)
            before = said()

    assert before == ""


def test_the_page_sets_what_the_world_needs(real: Sandbox) -> None:
    wanted = real.control("GET", "world")["settings"]
    given = dict(line.split("=", 1) for language, lines in blocks() if not language for line in lines)
    # Our own tables have these names by default.
    ours = {name for name in wanted if name.endswith("_TABLE") and "feature_sync" in wanted[name]}
    sources = {"FEATURE_SYNC_PROPERTIES_TABLE", "FEATURE_SYNC_FEATURES_TABLE"}

    assert set(given) == set(wanted) - ours - sources
    wanted["FEATURE_SYNC_FIELDS_FILE"] = str(Path(wanted["FEATURE_SYNC_FIELDS_FILE"]).relative_to(PROJECT))
    assert {name: wanted[name] for name in given} == given
