"""The SQL against an independent computation, on random worlds. `make fuzz SEED=...` tries 500 more."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import pytest

from feature_sync.config.settings import Settings, load_settings
from tests.oracle.engine import Tables
from tests.oracle.expected import Expected, Judged
from tests.oracle.worlds import World, random_world

FIRST_SEED = int(os.environ.get("ORACLE_SEED", "1"))
SEEDS = range(FIRST_SEED, FIRST_SEED + int(os.environ.get("ORACLE_WORLDS", "50")))
GROUP = 10
"""Worlds that one test tries, so that a process makes its warehouse a few times only."""
SCOPES = ("all", "created_between", "property_ids", "mismatched")
ALL_DIFFERENCES = 1_000_000


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    tables = Tables(tmp_path_factory.mktemp("oracle"), load_settings())
    yield tables
    tables.close()


def mistakes(tables: Tables, seed: int) -> list[str]:
    """What the SQL answers otherwise than the computation does, in one world."""
    settings = tables.settings
    world = random_world(seed, settings.fields)
    expected = Expected(world, settings.fields)
    tables.load(world)
    checks: list[Callable[[Tables, Settings, World, Expected, Random], Iterator[str]]] = [
        wrong_differences,
        wrong_payload,
        wrong_option_a,
        wrong_option_b,
    ]
    random = Random(seed)  # noqa: S311 - data for tests
    return [f"world {seed}: {each}" for check in checks for each in check(tables, settings, world, expected, random)]


def wrong_differences(tables: Tables, settings: Settings, _: World, expected: Expected, __: Random) -> Iterator[str]:
    key = settings.fields.property_id.column
    rows = tables.run("reconciliation/select_differences", {"most": ALL_DIFFERENCES})
    found = Counter((row["class"], row["salesforce_id"], row[key], row["field"]) for row in rows)
    yield from compared("differences", found, expected.differences)


def wrong_payload(tables: Tables, settings: Settings, world: World, expected: Expected, random: Random) -> Iterator[str]:
    """Which records a scope freezes, with which values, in which places, and what preview and validation count of them."""
    fields, run = settings.fields, {"run_id": "oracle"}
    scope = random.choice(SCOPES)
    keys = [str(record[fields.property_id.column]) for record in world.replica]
    chosen = random.sample(keys, min(len(keys), 5))
    days = ("2024-11-03", "2025-11-21")
    values = {"scope": scope, "created_from": days[0], "created_to": days[1], "property_ids": ",".join(chosen)}
    size = random.choice((1, 3, 50))
    tables.run("backfill/freeze_payload", {**values, "skip_unmatched": False, **run, "batch_size": size})
    frozen = tables.sql(f"SELECT * FROM {settings.payload_table} ORDER BY record_number")
    wanted = expected.in_scope(scope, chosen, days)

    yield from compared(
        f"scope {scope}",
        Counter(signature(row["salesforce_id"], row, row, settings, "before_") for row in frozen),
        Counter(signature(one.record["id"], one.wanted or {}, one.record, settings, "") for one in wanted),
    )
    if [row["record_number"] for row in frozen] != list(range(1, len(frozen) + 1)):
        yield f"places {[row['record_number'] for row in frozen]}"
    yield from wrong_counts(tables, settings, wanted)


def wrong_counts(tables: Tables, settings: Settings, wanted: list[Judged]) -> Iterator[str]:
    [summary] = tables.run("backfill/summarize_payload", {"run_id": "oracle"})
    [validated] = tables.run("backfill/validate_payload", {"run_id": "oracle"})
    for product in settings.fields.products:
        flag = product.enabled.column
        pairs = [((one.wanted or {})[flag], one.record[flag]) for one in wanted]
        wrong = [
            one for one in wanted if any((one.wanted or {})[each.column] != one.record[each.column] for each in product.fields)
        ]
        counts = {
            "now": sum(before is True for _, before in pairs),
            "after": sum(after is True for after, _ in pairs),
            "to_enable": sum(after is True and before is False for after, before in pairs),
            "to_disable": sum(before is True and after is False for after, before in pairs),
        }
        found = {name: summary[f"{product.name}_{name}"] for name in counts}
        if found != counts:
            yield f"preview of {product.name}: {found}, expected {counts}"
        if validated[f"{product.name}_mismatched"] != len(wrong):
            yield f"validation of {product.name}: {validated[f'{product.name}_mismatched']}, expected {len(wrong)}"


def wrong_option_a(tables: Tables, settings: Settings, _: World, expected: Expected, __: Random) -> Iterator[str]:
    key = settings.fields.property_id.column
    found = Counter(signature(row[key], row, {}, settings) for row in tables.run("deployment/select_property_sync"))
    wanted = Counter(signature(property_id, row, {}, settings) for property_id, row in expected.synced.items())
    yield from compared("Option A", found, wanted)


def wrong_option_b(tables: Tables, settings: Settings, _: World, expected: Expected, __: Random) -> Iterator[str]:
    key = settings.fields.property_id.column
    found = Counter(signature(row[key], row, {}, settings) for row in tables.run("deployment/select_feature_sync"))
    wanted = Counter(
        signature(one.record[key], one.wanted or {}, {}, settings) for one in expected.records if expected.needs_repair(one)
    )
    yield from compared("Option B", found, wanted)


def signature(key: object, values: dict, before: dict, settings: Settings, prefix: str | None = None) -> tuple[object, ...]:
    """A row by its key, its values, and what Salesforce holds before it if there is a ``prefix``."""
    columns = [field.column for field in settings.fields.features]
    return (
        key,
        *(values[each] for each in columns),
        *(() if prefix is None else (before[f"{prefix}{each}"] for each in columns)),
    )


def compared(what: str, found: Counter, wanted: Counter) -> Iterator[str]:
    if found != wanted:
        yield f"{what}: too many {sorted(map(repr, found - wanted))[:3]}, missing {sorted(map(repr, wanted - found))[:3]}"


@pytest.mark.parametrize("first", SEEDS[::GROUP])
def test_the_sql_answers_what_the_computation_does(tables: Tables, first: int) -> None:
    found = [each for seed in SEEDS[first - FIRST_SEED :][:GROUP] for each in mistakes(tables, seed)]

    assert found == []


FAULTS = {
    "the join of the incident": ("LEFT JOIN feature_rows AS features", "INNER JOIN feature_rows AS features"),
    "a key of another column": (
        "CAST(properties.id AS STRING) = features.property_id",
        "properties.company_id = features.property_id",
    ),
    "a record that is deleted in Salesforce": ("WHERE NOT salesforce.is_deleted", "WHERE TRUE"),
    "equality that NULL escapes": ("IS DISTINCT FROM salesforce_fraud", "<> salesforce_fraud"),
    "a record of no property": ("properties.id IS NOT NULL AS has_property", "TRUE AS has_property"),
    "unequal feature rows": ("COUNT(*) > 1 AS is_ambiguous", "FALSE AS is_ambiguous"),
    "a status in another case": ("upper(trim(COALESCE(properties.status, '')))", "COALESCE(properties.status, '')"),
    "keys that disagree": ("AS key_mismatch", "AND FALSE AS key_mismatch"),
    "an empty flag": ("features.{flag} IS NOT NULL", "TRUE"),
    "the day before the last": ("BETWEEN CAST(:created_from AS DATE)", "BETWEEN CAST(:created_from AS DATE) + INTERVAL 1 DAY"),
    "a property that is there twice": ("QUALIFY COUNT(*) OVER (PARTITION BY properties.id) = 1", ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_sql_is_found(tables: Tables, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = tables.settings.fields.products[0].enabled.column
    old, new = (text.replace("{flag}", flag) for text in FAULTS[fault])
    hit = []

    def alter(text: str) -> str:
        hit.append(old in text)
        return text.replace(old, new)

    monkeypatch.setattr(tables, "alter", alter)

    assert any(mistakes(tables, seed) for seed in SEEDS)
    assert any(hit), "the fault was put into no statement"
