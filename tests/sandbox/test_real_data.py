"""The data of the real world: its proportions, its oddities, and that it is the same on every machine."""

import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.world import World
from sandbox.worlds.real_object import FIELDS, SCHEMA, feature_columns, products
from sandbox.worlds.real_properties import business_value, properties
from sandbox.worlds.real_records import org_records

PROPERTIES = "rds.pg_rds_public.properties"
FEATURES = "crm.sfdc_dbx.product_property_w_features"
LIVE, STALE = "crm.sfdc_replica.product_property_c", "crm.salesforce.product_property_c"
DIGEST = """
import hashlib
from sandbox.worlds.real_records import org_records
from sandbox.worlds.real_warehouse import _companies, _features, _properties, _stale_replica
data = [list(org_records()), *(make().to_pylist() for make in (_companies, _features, _properties, _stale_replica))]
print(hashlib.sha256(repr(data).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("real")
    world = World(folder, "real")
    yield world
    world.engine.close()
    world.state.close()


def rows(world: World, sql: str) -> list[tuple[Any, ...]]:
    with world.engine.cursor() as cursor:
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor.execute(sql).fetchall()


def one(world: World, sql: str) -> tuple[Any, ...]:
    [row] = rows(world, sql)
    return tuple(int(value) if isinstance(value, int) or str(type(value).__name__) == "Decimal" else value for value in row)


def columns(world: World, table: str) -> dict[str, str]:
    return {row[0]: row[1] for row in rows(world, f"DESCRIBE {table}")}


@pytest.fixture(scope="module")
def live() -> list[Any]:
    return [record for record in org_records() if not record["IsDeleted"]]


class TestProperties:
    def test_it_has_32_columns_and_neither_a_company_name_nor_created_at(self, world: World) -> None:
        found = columns(world, PROPERTIES)

        assert len(found) == 32
        assert {"company_name", "created_at"} & set(found) == set()
        assert {found[name] for name in ("id", "company_id", "sfdc_id", "status")} == {"VARCHAR"}
        assert found["inserted_at"] == "TIMESTAMP WITH TIME ZONE"

    def test_ids_are_uuids(self, world: World) -> None:
        assert one(
            world,
            "SELECT count(*), count(DISTINCT id), count_if(try_cast(id AS UUID) IS NULL), count_if(_fivetran_deleted)"
            f" FROM {PROPERTIES}",
        ) == (2_008, 2_008, 0, 8)

    def test_statuses(self, world: World) -> None:
        found = dict(rows(world, f"SELECT status, count(*) FROM {PROPERTIES} WHERE NOT _fivetran_deleted GROUP BY 1"))

        assert (found["ACTIVE"], found["DISABLED"]) == (1_200, 793)
        assert (found["DELETED"], found["deleted"], found[None]) == (5, 1, 1)

    def test_about_a_hundredth_is_new_in_a_week(self, world: World) -> None:
        assert one(world, f"SELECT count_if(inserted_at >= '2026-01-19') FROM {PROPERTIES} WHERE NOT _fivetran_deleted") == (19,)

    def test_sfdc_id_is_null_empty_a_placeholder_or_a_production_object(self, world: World) -> None:
        nulls, empty, tests, ids, others = one(
            world,
            "SELECT count_if(sfdc_id IS NULL), count_if(sfdc_id = ''), count_if(sfdc_id = 'XXXXXXXXXXXXXXX'),"
            " count_if(length(sfdc_id) = 18 AND sfdc_id LIKE 'a0F5Y%'),"
            f" count_if(sfdc_id IN (SELECT id FROM {LIVE})) FROM {PROPERTIES}",
        )

        assert nulls + empty + tests + ids == 2_008
        assert min(nulls, empty) > 90
        assert 30 < tests < 60
        assert others == 0

    def test_twins(self, world: World) -> None:
        groups = rows(
            world,
            f"SELECT count(*), count_if(status = 'ACTIVE'), count(DISTINCT company_id) FROM {PROPERTIES}"
            " WHERE length(sfdc_id) = 18 GROUP BY sfdc_id HAVING count(*) > 1",
        )
        pairs = [group for group in groups if group[:2] == (2, 1)]
        active = [group for group in groups if group[1] > 1]

        assert (len(groups), sum(group[0] for group in groups)) == (255, 600)
        assert len(pairs) / len(groups) == pytest.approx(0.85, abs=0.01)
        assert len(active) == 32
        assert max(group[0] for group in groups) == 20

    def test_companies_join_but_not_all(self, world: World) -> None:
        joined, without, dead = one(
            world,
            f"SELECT count(c.id), count_if(p.company_id IS NULL), count_if(c._fivetran_deleted) FROM {PROPERTIES} p"
            " LEFT JOIN rds.pg_rds_public.companies c ON c.id = p.company_id",
        )

        assert joined + without == 2_008
        assert 0 < without < 20
        assert dead > 0


class TestFeatures:
    def test_types(self, world: World) -> None:
        found = columns(world, FEATURES)
        kinds = {
            product.source: {found[f"{product.source}_{what}_at"] for what in ("enabled", "updated")} for product in products()
        }

        assert {found[f"{product.source}_enabled"] for product in products()} == {"BOOLEAN"}
        assert kinds.pop("idv_only") == {"DATE"}
        assert set().union(*kinds.values()) == {"TIMESTAMP WITH TIME ZONE"}

    def test_17_percent_of_the_rows_are_surplus_and_some_disagree(self, world: World) -> None:
        of_live = f"FROM {FEATURES} f JOIN {PROPERTIES} p ON p.id = f.property_id WHERE NOT f._fivetran_deleted"
        total, distinct = one(world, f"SELECT count(*), count(DISTINCT property_id) {of_live}")
        flags = "||".join(f"{product.source}_enabled" for product in products())
        disagreeing = rows(world, f"SELECT property_id {of_live} GROUP BY 1 HAVING count(DISTINCT {flags}) > 1")
        [(ids,)] = rows(world, f"SELECT count(DISTINCT product_property_id) FROM {FEATURES}")
        [(every,)] = rows(world, f"SELECT count(*) FROM {FEATURES}")

        assert (total - distinct) / distinct == pytest.approx(0.17, abs=0.005)
        assert 10 <= len(disagreeing) <= 15
        assert ids == every

    def test_tombstones_stand_beside_live_rows_and_alone(self, world: World) -> None:
        dead = f"SELECT property_id FROM {FEATURES} WHERE _fivetran_deleted"
        beside, every = one(
            world,
            f"SELECT count(DISTINCT property_id), (SELECT count(*) FROM ({dead})) FROM {FEATURES}"
            f" WHERE NOT _fivetran_deleted AND property_id IN ({dead})",
        )

        assert (beside, every) == (9, 15)

    def test_some_rows_have_no_property(self, world: World) -> None:
        assert one(world, f"SELECT count(*) FROM {FEATURES} WHERE property_id NOT IN (SELECT id FROM {PROPERTIES})") == (7,)

    def test_one_product_has_never_an_update(self, world: World) -> None:
        counts = one(world, f"SELECT {', '.join(f'count({each.source}_updated_at)' for each in products())} FROM {FEATURES}")

        assert [each.source for each, count in zip(products(), counts, strict=True) if count == 0] == ["vor"]

    def test_the_time_zone_decides_the_day(self, world: World) -> None:
        late, early = one(
            world,
            "SELECT count_if(minute = '23:18'), count_if(minute = '01:48')"
            f" FROM (SELECT strftime(fraud_enabled_at, '%H:%M') AS minute FROM {FEATURES})",
        )

        assert min(late, early) > 50

    def test_the_aggregated_view_has_whole_numbers(self, world: World) -> None:
        view = "crm.sfdc_dbx.product_features_by_object_v"

        assert columns(world, view)["fraud_enabled"] == "INTEGER"
        assert one(world, f"SELECT min(fraud_enabled), max(fraud_enabled), min(length(sfdc_id)) FROM {view}") == (0, 1, 18)


class TestSalesforce:
    def test_fields(self) -> None:
        names = {field.name for field in SCHEMA}

        assert {"Trigger_Rollups__c", "Exclude_From_Flow__c", "IDV_Enabled__c", "ID_Verification_Enabled__c"} <= names
        assert len(feature_columns()) == 18
        assert not {name for name in names if name.lower().startswith(("fraud", "id_ver", "idv_only")) and "Updated" in name}

    def test_records_share_ids_have_none_or_an_unknown_one(self, live: list[Any]) -> None:
        keys = Counter(record["Snappt_Property_ID__c"] for record in live)
        known = {each.id for each in properties()}
        shared = [count for key, count in keys.items() if count > 1 and key is not None]

        assert len(live) == 1_800
        assert (sum(shared), max(shared), keys[None]) == (27, 3, 5)
        assert len([key for key in keys if key and key not in known]) == 1

    def test_the_keys_are_equal_for_newer_records_alone(self, live: list[Any]) -> None:
        newer = [record for record in live if record["CreatedDate"].isoformat() >= "2025-06-01"]
        older = [record for record in live if record["CreatedDate"].isoformat() < "2025-06-01"]
        old_keys = [record["Reverse_ETL_ID__c"] for record in older]

        assert all(record["Reverse_ETL_ID__c"] == record["Snappt_Property_ID__c"] for record in newer)
        assert not set(old_keys) & {record["Snappt_Property_ID__c"] for record in older if record["Snappt_Property_ID__c"]}
        assert 0.2 < old_keys.count(None) / len(older) < 0.4
        assert min(len(newer), len(older)) > 300

    def test_some_records_are_wrong_by_the_business_rule(self, live: list[Any]) -> None:
        keys = Counter(record["Snappt_Property_ID__c"] for record in live)
        of = {each.id: each for each in properties()}
        wrong = 0
        for record in live:
            if keys[record["Snappt_Property_ID__c"]] > 1 or record["Snappt_Property_ID__c"] not in of:
                continue
            each = of[record["Snappt_Property_ID__c"]]
            wrong += any(
                record[FIELDS[product.enabled].name] != (value := business_value(each, product.name)).enabled
                or record[FIELDS[product.start].name] != (value.enabled_at.date() if value.enabled_at else None)
                for product in products()
            )

        assert 80 < wrong < 140

    def test_a_tool_that_trusts_a_records_own_row_would_turn_flags_off(self) -> None:
        own, wanted = 0, 0
        for each in properties():
            if each.group is None or not each.features or each.deleted:
                continue
            for product in products():
                own += each.features[product.name].enabled
                wanted += business_value(each, product.name).enabled

        assert wanted - own > 300

    def test_the_live_replica_has_69_columns(self, world: World) -> None:
        found = columns(world, LIVE)

        assert len(found) == 69
        assert {found[name] for name in ("is_deleted", "_fivetran_deleted")} == {"BOOLEAN"}
        assert {found[product.start] for product in products()} == {"DATE"}
        assert one(world, f"SELECT count(*), count_if(is_deleted), count_if(_fivetran_deleted) FROM {LIVE}") == (1_810, 6, 4)

    def test_the_other_replica_is_stale_and_has_fewer_columns(self, world: World) -> None:
        [(newest,)] = rows(world, f"SELECT CAST(max(_fivetran_synced) AS VARCHAR) FROM {STALE}")

        assert newest.startswith("2025-09-30")
        assert set(columns(world, STALE)) < set(columns(world, LIVE))
        assert 1_200 < one(world, f"SELECT count(*) FROM {STALE}")[0] < 1_700


def test_the_data_is_the_same_in_every_process() -> None:
    project = Path(__file__).parents[2]

    def digest(seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", DIGEST],
            cwd=project,
            env={"PYTHONPATH": f"{project}:{project / 'plugins'}", "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    first = digest("1")
    assert len(first.strip()) == len(hashlib.sha256().hexdigest())
    assert first == digest("7")
