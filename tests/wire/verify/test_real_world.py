"""The untidy organisation: what a verification says of it with the settings as shipped, and with those that fit."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_sync.checks.findings import Verdict
from feature_sync.verify.verification import Verification, verify
from tests.sandbox.client import FAST, Sandbox


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox.start(tmp_path_factory.mktemp("real") / "state", "--world", "real", **FAST)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def settings(
    real: Sandbox, environment: dict[str, str], process: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, str]:
    wanted = real.control("GET", "world")["settings"]
    own = {name: value.replace(str(process.port), str(real.port)) for name, value in environment.items() if "CONN" in name}
    for name, value in (environment | own | wanted | {"FEATURE_SYNC_OUTPUT_PATH": str(tmp_path)}).items():
        monkeypatch.setitem(os.environ, name, value)
    return wanted


def wrong(found: Verification) -> dict[str, str]:
    return {each.name: each.text for each in found.findings if each.verdict is Verdict.WRONG}


@pytest.mark.usefixtures("settings")
def test_with_its_settings_only_the_data_is_wrong() -> None:
    print(verify().page)
    assert set(wrong(verify())) == {"keys"}


def test_as_shipped_the_tables_and_the_sync_are_wrong(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings:
        monkeypatch.delenv(name)

    found = wrong(verify())

    print(found)
    assert {"tables that are read", "Census sync of the batches"} <= set(found)


@pytest.mark.usefixtures("settings")
def test_shared_objects_are_found_if_no_setting_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_TWIN_COLUMN", "")
    monkeypatch.setenv("FEATURE_SYNC_TWINS", "own")

    found = wrong(verify())

    assert "share" in found["twins"]
    assert "TWIN_COLUMN=sfdc_id" in found["twins"]
