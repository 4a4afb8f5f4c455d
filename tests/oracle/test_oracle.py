"""The SQL against an independent computation, on random worlds. `make fuzz SEED=...` tries 500 more."""

import datetime as dt
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from feature_sync.backfill.plan import batch_sizes
from feature_sync.config.run_config import Strategy
from feature_sync.config.settings import Settings, load_settings
from sandbox.warehouse.engine import Engine
from tests.oracle.engine import Tables
from tests.oracle.expected import Expected, Judged
from tests.oracle.expected_pilot import expected_pilot
from tests.oracle.expected_runs import BEFORE, GONE, KEY, OTHER, SENT, History, guard_facts, later, spoiled, undo_state
from tests.oracle.worlds import World, random_world

FIRST_SEED = int(os.environ.get("ORACLE_SEED", "1"))
SEEDS = range(FIRST_SEED, FIRST_SEED + int(os.environ.get("ORACLE_WORLDS", "50")))
GROUP = 10
"""Worlds that one test tries, so that a process makes its warehouse a few times only."""
SCOPES = ("all", "created_between", "property_ids", "mismatched")
TWINS = ("own", "any_active_sibling")
ALL_DIFFERENCES = 1_000_000
WEEK = "week"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    tables = Tables(Engine(tmp_path_factory.mktemp("oracle")), load_settings())
    yield tables
    tables.close()


@pytest.fixture(params=TWINS)
def twins(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    """The same with properties that share a company."""
    monkeypatch.setenv("FEATURE_SYNC_TWINS", request.param)
    monkeypatch.setenv("FEATURE_SYNC_TWIN_COLUMN", "sfdc_id")
    tables = Tables(Engine(tmp_path), load_settings())
    yield tables
    tables.close()


def mistakes(tables: Tables, seed: int, checks: "Sequence[Check] | None" = None) -> Iterator[str]:
    """What the SQL answers otherwise than the computation does, in one world. Without ``checks`` everything is asked."""
    settings = tables.settings
    world = random_world(seed, settings.fields)
    expected = Expected(world, settings)
    tables.load(world)
    random = Random(seed)  # noqa: S311 - data for tests
    for check in checks or CHECKS:
        yield from (f"world {seed}: {each}" for each in check(tables, settings, world, expected, random))


def keep_differences(tables: Tables) -> None:
    tables.run("reconciliation/delete_differences", {"run_id": WEEK})
    tables.run("reconciliation/record_differences", {"run_id": WEEK})


def wrong_differences(tables: Tables, settings: Settings, _: World, expected: Expected, __: Random) -> Iterator[str]:
    key = settings.fields.property_id.column
    keep_differences(tables)
    asked = {"compared_by": WEEK, "most": ALL_DIFFERENCES, "run_id": None, "asked_at": None}
    rows = tables.run("reconciliation/select_differences", asked)
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


def wrong_pilot(tables: Tables, settings: Settings, world: World, expected: Expected, random: Random) -> Iterator[str]:
    """Which records go first, and that every record has one place."""
    fields, run = settings.fields, {"run_id": "pilot"}
    keys = [str(record[fields.property_id.column]) for record in world.replica]
    sentinels = random.sample(keys, min(len(keys), 2))
    size = random.choice((1, 3, 12))
    scope = {"scope": "all", "created_from": None, "created_to": None, "property_ids": "", "skip_unmatched": False}
    tables.run("backfill/freeze_payload", {**scope, **run, "batch_size": size})
    tables.run("pilot/assign_pilot", {**run, "batch_size": size, "sentinels": ",".join(sentinels)})
    frozen = tables.sql(f"SELECT * FROM {settings.payload_table} WHERE run_id = 'pilot' ORDER BY record_number")
    ids = [row[fields.property_id.column] for row in frozen]
    shared = Counter(twin for each in expected.statuses if (twin := expected.twin(each)))
    twins = {each for each in ids if settings.twin_column and shared[expected.twin(each) or ""] > 1}

    if [row["record_number"] for row in frozen] != list(range(1, len(frozen) + 1)):
        yield f"places with a pilot: {[row['record_number'] for row in frozen]}"
    if ids[:size] != (wanted := expected_pilot(frozen, fields, size, sentinels, twins)):
        yield f"pilot {ids[:size]}, expected {wanted}"
    tables.sql(f"DELETE FROM {settings.payload_table} WHERE run_id = 'pilot'")


def wrong_counts(tables: Tables, settings: Settings, wanted: list[Judged]) -> Iterator[str]:
    [summary] = tables.run("backfill/summarize_payload", {"run_id": "oracle"})
    [validated] = tables.run("backfill/validate_payload", {"run_id": "oracle", "asked_at": None})
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


def wrong_guards(tables: Tables, settings: Settings, _: World, expected: Expected, random: Random) -> Iterator[str]:
    """What the guards count in a payload that has gone wrong."""
    if settings.merges_siblings:
        return  # what the whole feature table says is worked out for single properties alone
    frozen = tables.sql(f"SELECT * FROM {settings.payload_table}")
    payload = spoiled(frozen, expected, random)
    tables.sql(f"DELETE FROM {settings.payload_table}")
    tables.add(settings.payload_table, payload)
    earliest = settings.guard_earliest_date
    [found] = tables.run("backfill/check_payload", {"run_id": "oracle", "earliest_date": earliest.isoformat()})
    for name, count in guard_facts(payload, expected, earliest).items():
        if found[name] != count:
            yield f"guard {name}: {found[name]}, expected {count}"


def wrong_undo(tables: Tables, settings: Settings, world: World, expected: Expected, random: Random) -> Iterator[str]:
    """Which records of a run an undo restores, after its batches had all sorts of outcomes and people have changed records."""
    run, upsert = "to-undo", settings.fields.upsert_key.column
    scope = {"scope": "all", "created_from": None, "created_to": None, "property_ids": "", "skip_unmatched": False}
    tables.run("backfill/freeze_payload", {**scope, "run_id": run, "batch_size": 3})
    records = len(expected.in_scope("all"))
    if records:
        sizes = ",".join(map(str, batch_sizes(Strategy.BATCHED, records, 3)))
        tables.run("backfill/assign_batches", {"run_id": run, "sizes": sizes})
    payload = tables.sql(f"SELECT * FROM {settings.payload_table} WHERE run_id = '{run}' ORDER BY record_number")
    history = History(run, upsert, random)
    for number in sorted({row["batch_number"] for row in payload} - {None}):
        history.add(number, [row[upsert] for row in payload if row["batch_number"] == number])
    tables.add(settings.sync_log_table, history.attempts)
    tables.add(settings.rejection_table, history.rejections)
    columns = [field.column for field in settings.fields.features]
    sent = {row["salesforce_id"]: {each: row[each] for each in columns} for row in payload}
    now = {
        record["id"]: later(record, sent[record["id"]], random.choice((SENT, BEFORE, OTHER, GONE, KEY)), expected)
        if record["id"] in sent
        else record
        for record in world.replica
    }
    tables.show(list(now.values()))
    wanted = {row[upsert]: undo_state(row, now[row["salesforce_id"]], history.written, expected) for row in payload}
    rows = tables.run("backfill/select_records_not_undone", {"undo_run_id": run})
    [counts] = tables.run("backfill/count_undone_records", {"undo_run_id": run})
    tables.show(world.replica)

    left = Counter((key, *state) for key, state in wanted.items() if state[0] != "to_undo")
    yield from compared("undo", Counter((row[upsert], row["reason"], row["changed_fields"]) for row in rows), left)
    states = Counter(state for state, _ in wanted.values())
    if {name: counts[name] for name in states} != states or counts["records"] != len(payload):
        yield f"undo: {counts}, expected {states}"


def wrong_drift(tables: Tables, settings: Settings, world: World, expected: Expected, random: Random) -> Iterator[str]:
    """What the weekly run counts while people have accepted some differences, and what it would heal."""
    fields = settings.fields
    products = {field.column: product for product in fields.products for field in product.fields}
    by_id = {record["id"]: record for record in world.replica}
    accepted, rows = set(), []
    for kind, record, property_id, field in expected.differences:
        if (record is None and not (property_id or "").strip(" ")) or random.random() > 0.3:
            continue
        product = products[field] if field else None
        keys = [fields.property_id.column, fields.upsert_key.column]
        named = [by_id[record][key] for key in keys] if record else [property_id, None]
        accepted.add((kind, record, property_id, product.enabled.column if product else None))
        rows.append(
            {
                "class": kind,
                "salesforce_id": record,
                **dict(zip(keys, named, strict=True)),
                "product": product and product.name,
                "reason": "known",
                "accepted_by": "ada",
                "accepted_until": dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1),  # midnight may pass meanwhile
                "accepted_at": dt.datetime.now(dt.UTC) - dt.timedelta(days=1),
            }
        )
    tables.add(settings.accepted_table, rows)
    keep_differences(tables)
    wanted = expected.drift(accepted)
    at_once = tables.run("reconciliation/compare_systems")
    for how, rows in (("counted", at_once), ("kept", tables.run("reconciliation/measure_drift", {"compared_by": WEEK}))):
        found = {row["product"]: row for row in rows}
        for product, counts in wanted.items():
            for name, count in counts.items():
                if found[product][name] != count:
                    yield f"drift of {product}, {how}, {name}: {found[product][name]}, expected {count}"
    scope = {"scope": "mismatched", "created_from": None, "created_to": None, "property_ids": "", "skip_unmatched": False}
    [healed] = tables.run("backfill/count_scope", scope)
    if healed["records"] != wanted[fields.products[0].name]["properties_to_send"]:
        yield f"healing sends {healed['records']}, expected {wanted[fields.products[0].name]['properties_to_send']}"


Check = Callable[[Tables, Settings, World, Expected, Random], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    wrong_differences,
    wrong_payload,
    wrong_pilot,
    wrong_guards,
    wrong_option_a,
    wrong_option_b,
    wrong_undo,
    wrong_drift,
)


@pytest.mark.parametrize("first", SEEDS[::GROUP])
def test_the_sql_answers_what_the_computation_does(tables: Tables, first: int) -> None:
    found = [each for seed in SEEDS[first - FIRST_SEED :][:GROUP] for each in mistakes(tables, seed)]

    assert found == []


def test_so_it_does_if_properties_share_an_object(twins: Tables) -> None:
    assert [each for seed in SEEDS[:GROUP] for each in mistakes(twins, seed)] == []


FAULTS: dict[str, tuple[Check, str, str]] = {
    "the join of the incident": (wrong_differences, "LEFT JOIN feature_rows AS features", "INNER JOIN feature_rows AS features"),
    "a key of another column": (
        wrong_differences,
        "CAST(properties.id AS STRING) = features.property_id",
        "properties.company_id = features.property_id",
    ),
    "a record that is deleted in Salesforce": (wrong_differences, "WHERE NOT salesforce.is_deleted", "WHERE TRUE"),
    "equality that NULL escapes": (wrong_differences, "IS DISTINCT FROM salesforce_fraud", "<> salesforce_fraud"),
    "a record of no property": (wrong_differences, "properties.id IS NOT NULL AS has_property", "TRUE AS has_property"),
    "unequal feature rows": (wrong_differences, "COUNT(*) > 1 AS is_ambiguous", "FALSE AS is_ambiguous"),
    "a status in another case": (
        wrong_differences,
        "upper(trim(COALESCE(properties.status, '')))",
        "COALESCE(properties.status, '')",
    ),
    "keys that disagree": (wrong_differences, "AS key_mismatch", "AND FALSE AS key_mismatch"),
    "an empty flag": (wrong_option_a, "features.{flag} IS NOT NULL", "TRUE"),
    "a parent that gives twice before another gives once": (wrong_pilot, "ORDER BY shared_out.sibling, ", "ORDER BY "),
    "strata that do not take turns": (
        wrong_pilot,
        "queued.turn * 1000 + queued.stratum.number",
        "queued.stratum.number * 1000 + queued.turn",
    ),
    "sentinels in the row": (wrong_pilot, "called.first_stratum = 0 THEN 0", "called.first_stratum = 0 THEN 1"),
    "the day before the last": (
        wrong_payload,
        "BETWEEN CAST(:created_from AS DATE)",
        "BETWEEN CAST(:created_from AS DATE) + INTERVAL 1 DAY",
    ),
    "a payload with a key twice": (wrong_guards, "(shared_keys.{key} IS NOT NULL OR", "(FALSE OR"),
    "a product that the feature table has lost": (wrong_guards, "COUNT_IF(feature_rows.{flag})", "COUNT_IF(TRUE)"),
    "an undo over somebody's change": (wrong_undo, "WHEN changed_fields = '' THEN 'to_undo'", "WHEN TRUE THEN 'to_undo'"),
    "an undo of what was rejected": (wrong_undo, "WHERE NOT tried.is_rejected", ""),
    "an undo to an unknown flag": (wrong_undo, "WHEN was_written AND is_before_unknown", "WHEN FALSE"),
    "what is accepted counts as new": (wrong_drift, "COUNT_IF(any_differs AND NOT any_new)", "COUNT_IF(FALSE)"),
    "a flag that the warehouse has and Salesforce has not": (
        wrong_drift,
        "COUNT_IF(field = '{flag}' AND in_warehouse_value = 'true')",
        "COUNT_IF(FALSE)",
    ),
    "a record that is not compared": (wrong_drift, "held.records - counted.not_compared", "held.records"),
    "a property that is there twice": (wrong_option_a, "QUALIFY COUNT(*) OVER (PARTITION BY properties.id) = 1", ""),
}


def needed(check: Check) -> list[Check]:
    """A check with what has to be asked before it: the guards look at what was frozen."""
    return [wrong_payload, check] if check is wrong_guards else [check]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_sql_is_found(tables: Tables, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = tables.settings.fields.products[0].enabled.column
    key = tables.settings.fields.upsert_key.column
    check, *texts = FAULTS[fault]
    old, new = (text.replace("{flag}", flag).replace("{key}", key) for text in texts)
    hit = []

    def alter(text: str) -> str:
        hit.append(old in text)
        return text.replace(old, new)

    monkeypatch.setattr(tables, "alter", alter)

    is_found = any(any(mistakes(tables, seed, needed(check))) for seed in SEEDS)

    assert any(hit), "the fault was put into no statement"
    assert is_found
