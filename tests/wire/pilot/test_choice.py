"""Which records a pilot has, against a computation of its own."""

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from feature_sync.backfill.payload import freeze_payload
from feature_sync.backfill.plan import plan_batches, plan_probes
from feature_sync.config.settings import load_settings
from feature_sync.pilot.result import check_pilot
from tests.oracle.expected_pilot import expected_pilot, kinds
from tests.sandbox.client import Sandbox

SIZE = 15
FIELDS = load_settings().fields
ID = FIELDS.property_id.column
SHARED = "0018X00002abcdEQAQ"


@pytest.fixture(scope="module")
def ids(world: Sandbox) -> list[str]:
    """Records of the incident with and without products, and others that are as they should be."""
    replica, features = load_settings().salesforce_table, load_settings().features_table
    day = "CAST(replica.created_date AS DATE) = '2025-11-21'"
    queries = [
        f"SELECT replica.{ID} FROM {replica} AS replica WHERE {day} ORDER BY 1 LIMIT 90",
        f"SELECT replica.{ID} FROM {replica} AS replica LEFT JOIN {features} AS features ON features.property_id = replica.{ID}"
        f" WHERE features.property_id IS NULL AND {day} ORDER BY 1 LIMIT 5",
        f"SELECT replica.{ID} FROM {replica} AS replica WHERE NOT {day} ORDER BY 1 LIMIT 12",
    ]
    return list(dict.fromkeys(row[0] for query in queries for row in world.sql(query)))


@pytest.fixture
def twins(sandbox: Sandbox, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Three properties of the run that share an object in Salesforce."""
    members = ids[40:43]
    table = load_settings().properties_table
    former = dict(sandbox.sql(f"SELECT id, sfdc_id FROM {table} WHERE id IN ({', '.join(members)})"))
    sandbox.sql(f"UPDATE {table} SET sfdc_id = '{SHARED}' WHERE id IN ({', '.join(members)})")
    monkeypatch.setenv("FEATURE_SYNC_TWIN_COLUMN", "sfdc_id")
    yield set(members)
    for each, value in former.items():
        sandbox.sql(f"UPDATE {table} SET sfdc_id = {'NULL' if value is None else repr(value)} WHERE id = {each}")


Frozen = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def frozen(sandbox: Sandbox, ids: list[str]) -> Frozen:
    """Freezes the payload of a run with a pilot, and returns it in its order."""

    def freeze(run_id: str, size: int = SIZE, **conf: Any) -> list[dict[str, Any]]:
        freeze_payload({"scope": "property_ids", "property_ids": ids, "batch_size": size, "strategy": "pilot"} | conf, run_id)
        return payload(sandbox, run_id)

    return freeze


def payload(sandbox: Sandbox, run_id: str) -> list[dict[str, Any]]:
    columns = ["record_number", "batch_number", "salesforce_id", "parent_id", *FIELDS.columns]
    columns += [f"before_{each.column}" for each in FIELDS.features]
    table = load_settings().payload_table
    rows = sandbox.sql(f"SELECT {', '.join(columns)} FROM {table} WHERE run_id = '{run_id}' ORDER BY record_number")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def pilot_of(rows: list[dict[str, Any]]) -> list[str]:
    return [row[ID] for row in rows if row["batch_number"] == 1]


@pytest.mark.parametrize(
    ("size", "sentinels", "spreads"),
    [
        pytest.param(1, [], True, id="one-record"),
        pytest.param(4, [3, 17, 55], True, id="fewer-records-than-kinds"),
        pytest.param(4, [3, 17, 55, 60, 61], False, id="more-sentinels-than-records"),
        pytest.param(SIZE, [], False, id="no-parent"),
        pytest.param(50, [3, 17], True, id="usual"),
        pytest.param(200, [3], True, id="all-records"),
    ],
)
def test_it_is_what_a_computation_of_its_own_chooses(
    frozen: Frozen, ids: list[str], size: int, sentinels: list[int], spreads: bool
) -> None:
    chosen = {ids[each] for each in sentinels}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATURE_SYNC_PILOT_SENTINELS", json.dumps([*sorted(chosen), "nobody"]))
        patch.setenv("FEATURE_SYNC_PARENT_COLUMN", "company_id" if spreads else "")
        rows = frozen(f"computed-{size}-{len(sentinels)}", size)

    assert pilot_of(rows) == expected_pilot(rows, FIELDS, size, chosen, set())
    assert [row["record_number"] for row in rows] == list(range(1, len(ids) + 1)), "each record has one place"
    assert [row["batch_number"] for row in rows] == [position // size + 1 for position in range(len(ids))]


def test_every_kind_of_records_is_in_it_and_the_sentinels_are_its_first(
    frozen: Frozen, ids: list[str], twins: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sentinels = {ids[7], ids[77]}
    monkeypatch.setenv("FEATURE_SYNC_PILOT_SENTINELS", json.dumps(sorted(sentinels)))

    rows = frozen("kinds", SIZE)

    pilot = pilot_of(rows)
    whole = {kind for row in rows for kind in kinds(row, FIELDS, sentinels, twins)}
    assert len(whole) >= 9, "the data has too few kinds"
    assert {kind for row in rows if row["batch_number"] == 1 for kind in kinds(row, FIELDS, sentinels, twins)} == whole
    assert set(pilot[:2]) == sentinels
    assert set(pilot) & twins
    assert pilot == expected_pilot(rows, FIELDS, SIZE, sentinels, twins)


def test_the_same_payload_has_the_same_pilot_in_every_run_and_however_often_it_is_frozen(frozen: Frozen) -> None:
    first, second, again = frozen("same-1"), frozen("same-2"), frozen("same-1")

    assert pilot_of(first) == pilot_of(second) == pilot_of(again)
    assert len(set(pilot_of(first))) == SIZE


def test_no_parent_has_many_records_in_it_if_others_have_some(frozen: Frozen) -> None:
    rows = [row for row in frozen("parents") if row["batch_number"] == 1]

    parents = [row["parent_id"] for row in rows if row["parent_id"]]
    assert len(set(parents)) >= len(parents) - 2


def test_what_follows_is_spread_over_its_batches_as_in_any_run(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = frozen("spread", 20)
    monkeypatch.setenv("FEATURE_SYNC_PARENT_COLUMN", "")
    plain = frozen("plain", 20)

    def siblings(given: list[dict[str, Any]]) -> int:
        batches: dict[int, list[str]] = defaultdict(list)
        for row in given:
            if row["batch_number"] > 1 and row["parent_id"]:
                batches[row["batch_number"]].append(row["parent_id"])
        return sum(len(parents) - len(set(parents)) for parents in batches.values())

    assert siblings(rows) <= siblings(plain)
    assert siblings(rows) == 0


class TestDryRun:
    def test_it_shows_the_choice_and_sends_nothing(
        self, frozen: Frozen, ids: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "feature_sync")
        monkeypatch.setenv("FEATURE_SYNC_PILOT_SENTINELS", json.dumps([ids[5], "nobody"]))
        conf = {"scope": "property_ids", "property_ids": ids, "batch_size": SIZE, "strategy": "pilot", "dry_run": True}
        rows = frozen("dry", dry_run=True)

        assert plan_probes(conf, "dry") == []
        assert plan_batches(conf, "dry") == []
        assert check_pilot(conf, "dry") is None
        assert "- sentinel records: 1 of 1" in caplog.text
        assert "PILOT_SENTINELS names 2 properties; this run has 1 of them" in caplog.text
        products = [each.enabled.column for each in FIELDS.products]
        without = [row for row in rows if not any(row[each] for each in products)]
        in_pilot = sum(row["batch_number"] == 1 for row in without)
        assert f"- no product: {in_pilot} of {len(without)}" in caplog.text


class TestPlan:
    def test_the_first_batch_alone_is_planned_before_the_question(self, frozen: Frozen, ids: list[str]) -> None:
        conf = {"scope": "property_ids", "property_ids": ids, "batch_size": SIZE, "strategy": "pilot"}
        frozen("planned")

        assert [each["label"] for each in plan_probes(conf, "planned")] == [f"batch 001: records 1-{SIZE}"]
