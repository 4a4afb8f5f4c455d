"""The Salesforce records of the real world: duplicates, an orphan, records without a key, old keys, and wrong records."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from sandbox.salesforce.schema import FieldType
from sandbox.salesforce.users import ADMIN
from sandbox.worlds.real_object import FIELDS, OLD_ID_VERIFICATION, products
from sandbox.worlds.real_properties import (
    NEW_IN_A_WEEK,
    WORLD_DAY,
    Property,
    business_value,
    companies,
    properties,
    salesforce_id,
    scaled,
    shuffled,
    uuid,
)

RECORDS = scaled(18_000)
DUPLICATES = scaled(270)
"""Records that share their property id with another record."""
WITHOUT_KEY = 5
ORPHANS = 1
IN_THE_BIN = 6
"""Deleted records that Salesforce still shows to queryAll. Each has the property id of a live record."""
WRONG_SHARE = 0.07
KEYS_ARE_EQUAL_SINCE = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
"""Records made before have another value, or none, in Reverse_ETL_ID__c."""
USER = ADMIN.id


@dataclass(frozen=True, slots=True)
class Plan:
    """What a record shall be. ``wrong``: what is wrong with its features, or None."""

    of: Property | None
    wrong: str | None = None
    has_key: bool = True
    in_the_bin: bool = False
    created_later: int = 0


def org_records() -> Iterator[Mapping[str, Any]]:
    """Every record, with the names of Salesforce."""
    return iter(_records())


@cache
def _records() -> tuple[Mapping[str, Any], ...]:
    random = Random(20260128).random  # noqa: S311 - data for tests
    plans = _plans(random)
    return tuple(_record(plans[index], serial, random) for serial, index in enumerate(shuffled(len(plans), random)))


def _plans(random: Callable[[], float]) -> list[Plan]:
    known = [each for each in properties()[NEW_IN_A_WEEK:] if each.status in ("ACTIVE", "DISABLED")]
    odd = [each for each in properties() if each.status not in ("ACTIVE", "DISABLED")]
    twice = (DUPLICATES - 3) // 2
    three_times = 1 if DUPLICATES % 2 else 0
    single = RECORDS - DUPLICATES - WITHOUT_KEY - ORPHANS
    chosen = [known[index] for index in shuffled(len(known), random)]
    alone, several = [*odd[:4], *chosen[: single - 4]], chosen[single - 4 :][: twice + three_times]
    plans = [Plan(each, _mistake(random)) for each in alone]
    for number, each in enumerate(several):
        plans.append(Plan(each))
        plans += [Plan(each, "off", created_later=days) for days in ((30, 90) if number == 0 and three_times else (30,))]
    plans += [Plan(alone[-1 - number], "off", has_key=False) for number in range(WITHOUT_KEY)]
    plans += [Plan(None, "off") for _ in range(ORPHANS)]
    plans += [Plan(alone[100 + number], "off", in_the_bin=True) for number in range(IN_THE_BIN)]
    return plans


def _mistake(random: Callable[[], float]) -> str | None:
    if random() >= WRONG_SHARE:
        return None
    kind = random()
    return "off" if kind < 0.6 else "on" if kind < 0.7 else "day" if kind < 0.85 else "start"


def _record(plan: Plan, serial: int, random: Callable[[], float]) -> Mapping[str, Any]:
    each = plan.of
    inserted = each.inserted_at if each else WORLD_DAY - dt.timedelta(days=700)
    created = min(
        inserted + dt.timedelta(days=plan.created_later, seconds=int(random() * 3 * 86_400)), WORLD_DAY - dt.timedelta(hours=2)
    )
    key = (each.id if each else uuid(random)) if plan.has_key else None
    values: dict[str, Any] = {field.name: False if field.type is FieldType.BOOLEAN else None for field in FIELDS.values()}
    values |= {
        "Id": salesforce_id("a2P8X", 4_000_000 + serial),
        "Name": each.name if each else "Unknown property",
        "OwnerId": USER,
        "CreatedById": USER,
        "LastModifiedById": USER,
        "CreatedDate": created,
        "SystemModstamp": created + dt.timedelta(seconds=int(random() * (WORLD_DAY - created).total_seconds())),
        "IsDeleted": plan.in_the_bin,
        FIELDS["snappt_property_id_c"].name: key,
        FIELDS["reverse_etl_id_c"].name: key if created >= KEYS_ARE_EQUAL_SINCE else _old_key(serial, random),
        FIELDS["exclude_from_flow_c"].name: random() < 0.01,
    }
    if each:
        values |= _of_property(each)
        values |= _features(each, plan.wrong, random)
        values[FIELDS[OLD_ID_VERIFICATION].name] = created.year < 2024 and random() < 0.3
    return values


def _old_key(serial: int, random: Callable[[], float]) -> str | None:
    kind = random()
    if kind < 0.5:
        return str(10_000 + 3 * serial)
    return None if kind < 0.8 else uuid(random)


def _of_property(each: Property) -> dict[str, Any]:
    company = companies()[each.company] if each.company is not None else None
    texts = {
        "product_c": each.sfdc_id if each.sfdc_id and not each.is_test else None,
        "company_id_c": company.id if company else None,
        "company_name_c": company.name if company else None,
        "property_name_c": each.name,
        "property_status_c": each.status,
        "source_system_c": "RDS",
        "is_test_c": each.is_test,
    }
    return {FIELDS[column].name: value for column, value in texts.items()}


def _features(each: Property, wrong: str | None, random: Callable[[], float]) -> dict[str, Any]:
    """The feature fields: as the business wants them, or with one of the mistakes that were seen."""
    values: dict[str, Any] = {}
    for product in products():
        feature = business_value(each, product.name)
        if wrong == "off":
            continue
        enabled, start, updated = feature.enabled, feature.enabled_at, feature.updated_at
        if wrong == "on" and not enabled and product.name == "income_verification":
            enabled, start = True, WORLD_DAY - dt.timedelta(days=40)
        if wrong == "start" and start:
            start -= dt.timedelta(days=1 + int(random() * 300))
        if wrong == "day" and start:
            start -= dt.timedelta(hours=8)  # somebody read the times as Pacific time
        held = {
            product.enabled: enabled,
            product.start: start.date() if start else None,
            **({product.updated: updated.date() if updated else None} if product.updated else {}),
        }
        values |= {FIELDS[column].name: value for column, value in held.items()}
    return values
