"""Records of which nobody can say what they should hold. No run sends them, whatever its scope."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from feature_sync.backfill.payload import check_payload, freeze_payload
from feature_sync.backfill.scope import count_records_left_out, count_scope
from feature_sync.config.problems import GuardError, RunConfigError
from feature_sync.config.run_config import parse_run_config
from feature_sync.config.settings import load_settings
from feature_sync.storage.run_files import run_files
from feature_sync.storage.warehouse import Warehouse
from tests.wire.backfill.payloads import names, rows_of
from tests.wire.few import Few

pytestmark = pytest.mark.usefixtures("three_products")
KEY, UPSERT = "snappt_property_id_c", "reverse_etl_id_c"
SCOPES: dict[str, dict[str, Any]] = {
    "mismatched": {},
    "all": {},
    "created_between": {"created_from": "2020-01-01", "created_to": "2030-01-01"},
    "property_ids": {},
}
every_scope = pytest.mark.parametrize("scope", SCOPES)

UNCERTAIN = {
    "no_property": ["DELETE FROM {properties} WHERE id = {one}"],
    "tombstone": [
        "CREATE OR REPLACE TABLE {properties} AS SELECT *, id = {one} AS _fivetran_deleted FROM {properties}",
    ],
    "keys_disagree": [
        f"UPDATE {{replica}} SET {UPSERT} = '{{gone}}' WHERE {KEY} = '{{one}}'",
        "DELETE FROM {replica} WHERE {is_gone}",
    ],
    "no_upsert_key": [f"UPDATE {{replica}} SET {UPSERT} = NULL WHERE {KEY} = '{{one}}'"],
    "empty_upsert_key": [f"UPDATE {{replica}} SET {UPSERT} = ' ' WHERE {KEY} = '{{one}}'"],
    "repeated_property": ["INSERT INTO {properties} SELECT * FROM {properties} WHERE id = {one}"],
    "shared_keys": [
        "INSERT INTO {replica} SELECT * REPLACE ('a0Xanother' AS id) FROM {replica} WHERE snappt_property_id_c = '{one}'"
    ],
    "shared_upsert_key": [
        "INSERT INTO {replica} SELECT * REPLACE ('a0Xanother' AS id, 'another' AS snappt_property_id_c) FROM {replica}"
        " WHERE snappt_property_id_c = '{one}'"
    ],
    "upsert_key_shared_but_for_a_blank": [
        "INSERT INTO {replica} SELECT * REPLACE ('a0Xanother' AS id, 'another' AS snappt_property_id_c, '{one} ' AS"
        " reverse_etl_id_c) FROM {replica} WHERE snappt_property_id_c = '{one}'"
    ],
}
"""What makes the record of property ``one`` uncertain. Property ``gone`` has no record of its own then."""
REASONS = {"no_property": "no_property", "tombstone": "no_property"}


class Prepared:
    """A few records. That of ``one`` is uncertain; those of ``one`` and of ``sound`` hold a wrong flag."""

    def __init__(self, few: Few, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.few = few
        monkeypatch.setenv("FEATURE_SYNC_GUARD_UNMATCHED_FEATURE_SHARE", "1")  # one property of eight is a large share
        self.one, self.sound, self.gone, *self.others = few.ids()
        few.sql(f"UPDATE {{replica}} SET fraud_detection_enabled_c = FALSE WHERE {KEY} IN ('{self.one}', '{self.sound}')")
        for statement in UNCERTAIN[kind]:
            values = {"one": self.one, "gone": self.gone, "is_gone": f"{KEY} = '{self.gone}'"}
            few.sql(statement.format(**values, properties="{properties}", replica="{replica}"))
        if kind == "tombstone":
            monkeypatch.setenv("FEATURE_SYNC_PROPERTIES_DELETED_COLUMN", "_fivetran_deleted")

    def conf(self, scope: str, ids: list[str]) -> dict[str, Any]:
        return {"scope": scope, **SCOPES[scope], **({"property_ids": ids} if scope == "property_ids" else {})}


@pytest.fixture
def prepared(few: Few, kind: str, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    return Prepared(few, kind, monkeypatch)


def payload(few: Few, run_id: str) -> list[str]:
    return [row[0] for row in few.sql(f"SELECT {KEY} FROM {load_settings().payload_table} WHERE run_id = '{run_id}' ORDER BY 1")]


def left_out(run_id: str) -> Path:
    return Path(str(run_files(load_settings(), run_id).records_left_out))


@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        *((kind, scope) for kind in ("no_property", "keys_disagree") for scope in SCOPES),
        *((kind, "all") for kind in UNCERTAIN if kind not in ("no_property", "keys_disagree")),
    ],
)
def test_it_is_never_sent_but_listed_and_the_others_are_sent(prepared: Prepared, kind: str, scope: str) -> None:
    conf = prepared.conf(scope, [prepared.one, prepared.sound])
    run_id = f"{kind}-{scope}"
    reason = REASONS.get(kind, "key_mismatch")

    frozen = freeze_payload(conf, run_id)
    check_payload(conf, run_id, frozen=frozen)

    with Warehouse(load_settings()) as warehouse:
        assert frozen["left_out"] == asdict(count_records_left_out(warehouse, parse_run_config(conf)))
    sent = payload(prepared.few, run_id)
    assert prepared.one not in sent
    assert "another" not in sent
    assert prepared.sound in sent
    assert (prepared.one, reason) in {(row[KEY], row["reason"]) for row in rows_of(left_out(run_id))}
    counted = json.loads((left_out(run_id).parent / "preview.json").read_text())
    column = {"no_property": "records_without_property", "key_mismatch": "records_with_key_mismatch"}
    assert counted[column[reason]] == [row["reason"] for row in rows_of(left_out(run_id))].count(reason) > 0


@pytest.mark.parametrize("unmatched", ["skip", "send_false"])
@every_scope
@pytest.mark.parametrize("kind", ["no_property"])
def test_a_run_with_no_other_record_is_refused_and_says_why(prepared: Prepared, scope: str, unmatched: str) -> None:
    few = prepared.few
    few.sql(f"DELETE FROM {{replica}} WHERE {KEY} <> '{prepared.one}'")
    conf = prepared.conf(scope, [prepared.one]) | {"unmatched": unmatched}

    with Warehouse(load_settings()) as warehouse, pytest.raises(RunConfigError) as refused:
        count_scope(warehouse, parse_run_config(conf), 100)

    text = str(refused.value)
    assert "No record can be sent" in text
    assert f"1 record is left out, because {few.properties} does not have the property." in text


@pytest.mark.parametrize("kind", ["keys_disagree"])
def test_a_run_of_a_record_whose_keys_disagree_is_refused_and_says_why(prepared: Prepared) -> None:
    with Warehouse(load_settings()) as warehouse, pytest.raises(RunConfigError) as refused:
        count_scope(warehouse, parse_run_config(prepared.conf("property_ids", [prepared.one])), 100)

    assert "1 record is left out, because the two keys disagree, or another record has one of them too." in str(refused.value)


def test_a_property_that_vanishes_after_the_freeze_refuses_the_payload(few: Few) -> None:
    one, *_ = few.ids()
    freeze_payload({"scope": "all"}, "vanished")
    few.sql(f"DELETE FROM {{properties}} WHERE id = {one}")

    with pytest.raises(GuardError) as refused:
        check_payload({"scope": "all"}, "vanished")

    assert names(refused.value.problems) == ["unknown_properties", "unmatched_features"]
    assert f"1 record has a property that the properties table does not have, such as {one}." in refused.value.problems[0]
    assert payload(few, "vanished") == []


@pytest.mark.parametrize("kind", ["no_property"])
def test_the_preview_has_the_numbers_that_the_freeze_has_counted(prepared: Prepared) -> None:
    conf = prepared.conf("all", [])
    frozen = freeze_payload(conf, "counted")

    check_payload(conf, "counted", frozen={"left_out": frozen["left_out"] | {"records_ambiguous": 7}})

    counted = json.loads((left_out("counted").parent / "preview.json").read_text())
    assert (counted["records_without_property"], counted["records_ambiguous"]) == (1, 7)
