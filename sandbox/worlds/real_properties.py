"""The properties of the real world: companies, twins that share a production object, and the products of each property."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from sandbox.worlds.real_object import products

SCALE = 0.1
"""The real organisation has 20,000 properties and 18,000 records. Every count below is multiplied by this."""


def scaled(count: int) -> int:
    return max(1, round(count * SCALE))


PROPERTIES = scaled(20_000)
NEW_IN_A_WEEK = scaled(190)
COMPANIES = scaled(1_200)
TWIN_GROUPS, TWINS = scaled(2_550), scaled(6_000)
PAIRS = round(0.85 * TWIN_GROUPS)
"""Groups of one ACTIVE and one DISABLED property."""
ACTIVE_GROUPS = scaled(316)
"""Groups with at least two ACTIVE properties."""
LARGEST_GROUP = 20
DELETED = ("DELETED",) * 5 + ("deleted", None)
TOMBSTONES = 8
ACTIVE_SHARE = 0.6

FIRST_DAY = dt.datetime(2019, 3, 4, tzinfo=dt.UTC)
WORLD_DAY = dt.datetime(2026, 1, 26, tzinfo=dt.UTC)
TEST_SFDC_ID = "X" * 15
"""The placeholder of test properties. It looks like a shared id and is none."""

SHARES = {
    "fraud_detection": 0.9,
    "income_verification": 0.7,
    "id_verification": 0.25,
    "idv_only": 0.05,
    "connected_payroll": 0.15,
    "bank_linking": 0.1,
    "verification_of_rent": 0.06,
}
DATE_PRODUCT = "idv_only"
"""The product whose times are DATE in the warehouse."""
NEVER_UPDATED_PRODUCT = "verification_of_rent"
"""The product whose `updated` is always NULL."""

DAY = 86_400
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PLACES = (
    *("Alder Crossing", "Birch & Main", "Cañon Vista", "Driftwood", "Eastgate", "Fox Hollow", "Granite Falls", "Hawthorne"),
    *(
        "Iron Works, The",
        "Juniper Flats",
        "Kestrel Point",
        "L'Avenue",
        "Mariner's Cove",
        "North Quay",
        "Orchard Row",
        "Pine Bluff",
    ),
)
KINDS = ("Apartments", "Lofts", "Residences", "Townhomes", "Senior Living", "Phase II", "at the Park", "Student Housing")
OWNERS = ("Residential", "Living, LLC", "Property Management", "Communities", "Asset Group", "Housing Partners")
CITIES = (("Austin", "TX", "78701"), ("Denver", "CO", "80202"), ("San José", "CA", "95113"), ("Raleigh", "NC", "27601"))


@dataclass(frozen=True, slots=True)
class Feature:
    """A product of one property, as its row says."""

    enabled: bool
    enabled_at: dt.datetime | None
    updated_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Company:
    id: str
    name: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class Property:
    """
    A property of the warehouse.

    ``features``: by product, or None if it has no row. ``group``: number of its twins' group. ``deleted``: by the replication.
    """

    id: str
    name: str
    inserted_at: dt.datetime
    updated_at: dt.datetime
    company: int | None
    status: str | None
    sfdc_id: str | None
    group: int | None
    features: Mapping[str, Feature] | None
    deleted: bool

    @property
    def is_test(self) -> bool:
        return self.sfdc_id == TEST_SFDC_ID


@cache
def companies() -> tuple[Company, ...]:
    # Only `random()` is used. Unlike the other methods, it returns the same sequence in every version of Python.
    random = Random(20260126).random  # noqa: S311 - data for tests
    return tuple(
        Company(uuid(random), f"{one(PLACES, random)} {one(OWNERS, random)} {number + 1}", deleted=number % 60 == 59)
        for number in range(COMPANIES)
    )


@cache
def properties() -> tuple[Property, ...]:
    """Every property, in no order. The last ones are tombstones of the replication."""
    random = Random(20260127).random  # noqa: S311 - data for tests
    groups = _groups(random)
    members = sum(len(statuses) for statuses in groups)
    active = round(ACTIVE_SHARE * PROPERTIES) - sum(statuses.count("ACTIVE") for statuses in groups)
    alone: list[str | None] = [*DELETED, *["ACTIVE"] * active]
    alone += ["DISABLED"] * (PROPERTIES - members - len(alone))
    planned: list[tuple[str | None, int | None]] = [
        *((status, number) for number, statuses in enumerate(groups) for status in statuses),
        *((status, None) for status in alone),
    ]
    made = [_property(planned[index], number, random) for number, index in enumerate(shuffled(PROPERTIES, random))]
    dead = [replace(_property(("ACTIVE", None), PROPERTIES + number, random), deleted=True) for number in range(TOMBSTONES)]
    return (*made, *dead)


def _groups(random: Callable[[], float]) -> list[list[str]]:
    """The statuses of the members of each group of twins."""
    groups = [["ACTIVE", "DISABLED"] for _ in range(PAIRS)]
    disabled = TWIN_GROUPS - PAIRS - ACTIVE_GROUPS
    groups += [["DISABLED", "DISABLED"] for _ in range(disabled)]
    left = TWINS - 2 * PAIRS - 2 * disabled - LARGEST_GROUP
    sizes = [LARGEST_GROUP, *(2 for _ in range(ACTIVE_GROUPS - 1))]
    for _ in range(left - 2 * (ACTIVE_GROUPS - 1)):
        sizes[1 + int(random() * (ACTIVE_GROUPS - 1))] += 1
    for size in sizes:
        groups.append(["ACTIVE", "ACTIVE", *("ACTIVE" if random() < 0.6 else "DISABLED" for _ in range(size - 2))])
    return groups


def _property(planned: tuple[str | None, int | None], number: int, random: Callable[[], float]) -> Property:
    status, group = planned
    inserted = WORLD_DAY - dt.timedelta(days=7) - dt.timedelta(seconds=int(random() ** 1.6 * (WORLD_DAY - FIRST_DAY).days * DAY))
    if number < NEW_IN_A_WEEK:
        inserted = WORLD_DAY - dt.timedelta(seconds=int(random() * 7 * DAY))
    sfdc_id = salesforce_id("a0F5Y", 900_000 + group) if group is not None else _lone_sfdc_id(number, random)
    name = f"{one(PLACES, random)} {one(KINDS, random)}"
    company = int(COMPANIES * random() ** 1.5) if group is None else group % COMPANIES
    return Property(
        id=uuid(random),
        name=f"TEST {name}" if sfdc_id == TEST_SFDC_ID else name,
        inserted_at=inserted,
        updated_at=inserted + dt.timedelta(seconds=int(random() * (WORLD_DAY - inserted).total_seconds())),
        company=None if random() < 0.004 else company,
        status=status,
        sfdc_id=sfdc_id,
        group=group,
        features=_features(status, group, random) if random() < (0.97 if status == "ACTIVE" else 0.92) else None,
        deleted=False,
    )


def _lone_sfdc_id(number: int, random: Callable[[], float]) -> str | None:
    kind = random()
    if kind < 0.12:
        return None
    if kind < 0.19:
        return ""
    return TEST_SFDC_ID if kind < 0.22 else salesforce_id("a0F5Y", 100_000 + number)


def _features(status: str | None, group: int | None, random: Callable[[], float]) -> Mapping[str, Feature]:
    """A DISABLED property has mostly nothing, but some keep what they had."""
    keeps = status == "ACTIVE" or random() < (0.25 if group is None else 0.05)
    return {product.name: _feature(product.name, keeps and random() < SHARES[product.name], random) for product in products()}


def _feature(product: str, enabled: bool, random: Callable[[], float]) -> Feature:
    moment = _moment(random)
    later = moment + dt.timedelta(seconds=60 + int(random() * 60 * DAY))
    updated = None if product == NEVER_UPDATED_PRODUCT or (not enabled and random() < 0.8) else later
    return Feature(enabled, moment if enabled else None, updated)


def _moment(random: Callable[[], float]) -> dt.datetime:
    """A time of the years before the world's day. One in six is so close to midnight UTC that America has another date."""
    day = FIRST_DAY + dt.timedelta(days=int(random() * ((WORLD_DAY - FIRST_DAY).days - 70)))
    kind = random()
    if kind < 0.08:
        return day + dt.timedelta(hours=23, minutes=18, seconds=int(random() * 60))
    if kind < 0.16:
        return day + dt.timedelta(hours=1, minutes=48, seconds=int(random() * 60))
    return day + dt.timedelta(seconds=int(random() * DAY), microseconds=int(random() * 1e6))


@cache
def siblings() -> Mapping[int, tuple[Property, ...]]:
    """The ACTIVE members of each group of twins."""
    found: dict[int, list[Property]] = {}
    for each in properties():
        if each.group is not None:
            found.setdefault(each.group, [])
            if each.status == "ACTIVE" and not each.deleted:
                found[each.group].append(each)
    return {group: tuple(members) for group, members in found.items()}


def business_value(each: Property, product: str) -> Feature:
    """
    A product as the business wants to see it in Salesforce.

    The shared object counts: any True of an ACTIVE sibling wins, with the earliest start and the latest update. A
    property alone, and one of a group without an ACTIVE member, have their own values.
    """
    active = siblings().get(each.group, ()) if each.group is not None else ()
    counted: Sequence[Property] = active or (each,)
    rows = [member.features[product] for member in counted if member.features]
    on = [row for row in rows if row.enabled]
    starts = [row.enabled_at for row in on if row.enabled_at]
    updates = [row.updated_at for row in (on or rows) if row.updated_at]
    return Feature(bool(on), min(starts, default=None), max(updates, default=None))


def salesforce_id(prefix: str, serial: int) -> str:
    """
    An id of 18 characters: prefix, serial number, and three check characters, as in `sandbox.seed`.
    """
    number, digits = 7 * serial, ""
    while number:
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    short = f"{prefix}{digits:0>{15 - len(prefix)}}"
    check = (sum(1 << bit for bit in range(5) if short[start + bit].isupper()) for start in (0, 5, 10))
    return short + "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits] for bits in check)


def uuid(random: Callable[[], float]) -> str:
    """A random UUID, version 4."""
    digits = "".join("0123456789abcdef"[int(random() * 16)] for _ in range(32))
    variant = "89ab"[int(random() * 4)]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def shuffled(count: int, random: Callable[[], float]) -> list[int]:
    keys = [random() for _ in range(count)]
    return sorted(range(count), key=keys.__getitem__)


def one(choices: Sequence[str], random: Callable[[], float]) -> str:
    return choices[int(random() * len(choices))]
