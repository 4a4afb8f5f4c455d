"""The untidy organisation: what a verification says of it with the settings as shipped, and with those that fit."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_sync.checks.findings import Verdict
from feature_sync.config.settings import load_settings
from feature_sync.reconciliation.accepting import accept
from feature_sync.storage.marks import own_tables
from feature_sync.verify.verification import Verification, verify
from tests.sandbox.client import FAST, Sandbox
from tests.wire.backfill.checking import MAX_BATCHES

REPLICA = "crm.sfdc_replica.product_property_c"


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
    found = verify(MAX_BATCHES)

    assert set(wrong(found)) == {"keys", "regular sync"}
    assert (
        "600 properties of rds.pg_rds_public.properties share 255 values of sfdc_id. TWINS is any_active_sibling." in found.page
    )
    assert found.page.count("Census sync ") >= 4, "the neighbours"


@pytest.mark.usefixtures("settings")
def test_what_people_have_accepted_is_not_wrong(real: Sandbox) -> None:
    before = [each.text for each in verify(MAX_BATCHES).findings if each.name == "keys"]
    [orphan] = real.sql(
        f"SELECT MIN(held.id) FROM {REPLICA} AS held LEFT JOIN rds.pg_rds_public.properties AS known"
        " ON known.id = held.snappt_property_id_c WHERE known.id IS NULL AND NOT held.is_deleted"
        " AND held.snappt_property_id_c IS NOT NULL"
    )
    until = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()
    form = {"class": "missing_in_warehouse", "ids": [orphan[0]], "reason": "no longer needed", "accepted_until": until}
    accept(form, "manual__1", "me")

    after = [each.text for each in verify(MAX_BATCHES).findings if each.name == "keys"]
    for table in own_tables(load_settings()):
        real.sql(f"DROP TABLE {table.name}")

    assert any(text.startswith("13 records in Salesforce belong to no property") for text in before)
    assert any(
        text.startswith("12 records in Salesforce belong to no property that the warehouse knows (and 1 accepted).")
        for text in after
    )
    others = [text for text in before if "belong to no property" not in text]
    assert [text for text in after if "belong to no property" not in text] == others


def test_as_shipped_the_tables_and_the_sync_are_wrong(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings:
        monkeypatch.delenv(name)

    found = wrong(verify(MAX_BATCHES))

    assert {"tables that are read", "Census sync of the batches"} <= set(found)


@pytest.mark.usefixtures("settings")
def test_shared_objects_are_found_if_no_setting_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_TWIN_COLUMN", "")
    monkeypatch.setenv("FEATURE_SYNC_TWINS", "own")

    found = wrong(verify(MAX_BATCHES))

    assert "share" in found["twins"]
    assert "TWIN_COLUMN=sfdc_id" in found["twins"]
