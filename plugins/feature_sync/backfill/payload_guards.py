"""
What a frozen payload must fulfil before any of it is sent: counts in, problems out. Each problem begins with its guard's
name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any

from feature_sync.config.fields import FieldTable
from feature_sync.config.wording import count_of


class Guard(StrEnum):
    """The checks of a frozen payload. A refusal names them."""

    EMPTY_PAYLOAD = "empty_payload"
    EMPTY_KEYS = "empty_keys"
    REPEATED_KEYS = "repeated_keys"
    MISSING_KEYS = "missing_keys"
    EMPTY_FLAGS = "empty_flags"
    UNKNOWN_PROPERTIES = "unknown_properties"
    FEATURE_ROWS = "feature_rows"
    NO_PRODUCT = "no_product"
    FUTURE_DATES = "future_dates"
    EARLY_DATES = "early_dates"
    MASS_DISABLE = "mass_disable"

    @property
    def description(self) -> str:
        """What the guard refuses."""
        return {
            Guard.EMPTY_PAYLOAD: "a payload without a record",
            Guard.EMPTY_KEYS: "a record without an upsert key",
            Guard.REPEATED_KEYS: "a record that shares its upsert key with another one",
            Guard.MISSING_KEYS: "a record whose upsert key no record in Salesforce has",
            Guard.UNKNOWN_PROPERTIES: "a record whose property the properties table does not have",
            Guard.EMPTY_FLAGS: "an empty flag, which would go into a checkbox",
            Guard.FEATURE_ROWS: "fewer properties with a feature row than GUARD_FEATURE_ROW_SHARE",
            Guard.NO_PRODUCT: "fewer records with any product than GUARD_ENABLED_RECORDS",
            Guard.FUTURE_DATES: "a date after today",
            Guard.EARLY_DATES: "a date before GUARD_EARLIEST_DATE",
            Guard.MASS_DISABLE: "a product that would turn from True to False for a larger share of the records than "
            "GUARD_DISABLE_SHARE, unless allow_mass_disable is set and a person approves",
        }[self]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits for a payload, see the settings ``guard_*``."""

    feature_row_share: float
    disable_share: float
    enabled_records: int
    earliest_date: date


@dataclass(frozen=True, slots=True)
class ProductChange:
    """How many records of a payload have a product in Salesforce now, and how many after it is sent."""

    product: str
    label: str
    enabled_now: int
    enabled_after: int
    to_enable: int
    to_disable: int


def payload_problems(facts: Mapping[str, Any], fields: FieldTable, thresholds: Thresholds, *, undoes: bool) -> list[str]:
    """
    Check a frozen payload with every guard except `Guard.MASS_DISABLE`.

    The guards on feature rows, products and dates check that the warehouse was read correctly. A payload that undoes a run holds
    values from Salesforce, so they do not apply to it.

    :param facts: the row of ``backfill/check_payload.sql``.
    :returns: a sentence for each guard that the payload fails, beginning with the guard's name.
    """
    key = fields.upsert_key.column
    records = facts["records"]
    if not records:
        return [
            f"{Guard.EMPTY_PAYLOAD}: the payload has no record. The scope became empty, or the payload was removed; start a "
            "new run."
        ]
    problems = []

    def refuse_any(guard: Guard, verb: str, what: str, cure: str) -> None:
        if count := facts[guard.value]:
            found = count_of(count, "record", f"{'has' if verb == 'have' else f'{verb}s'} {what}", f"{verb} {what}")
            problems.append(f"{guard}: {found}, such as {facts[f'{guard}_example']}. {cure}")

    refuse_any(
        Guard.EMPTY_KEYS, "have", f"no {key} (named is the property)", "Census would not send them. Fill it in Salesforce."
    )
    refuse_any(Guard.REPEATED_KEYS, "share", f"a {key} with another", "Make it unique in Salesforce.")
    refuse_any(
        Guard.MISSING_KEYS, "have", f"a {key} that no record in Salesforce has", "Start a new run when the replica is fresh."
    )
    refuse_any(Guard.EMPTY_FLAGS, "have", "an empty flag, and a Salesforce checkbox cannot be null", "Correct the feature table.")
    if undoes:
        return problems
    refuse_any(
        Guard.UNKNOWN_PROPERTIES,
        "have",
        "a property that the properties table does not have",
        "Nobody can say what they should hold. Start a new run when that table is complete.",
    )
    matched = records - facts["records_unmatched"]
    if matched < _exact(thresholds.feature_row_share) * records:
        problems.append(
            f"{Guard.FEATURE_ROWS}: only {matched / records:.1%} of {records:,} properties have a feature row; "
            f"GUARD_FEATURE_ROW_SHARE requires {thresholds.feature_row_share:.1%}. The feature table is incomplete, or a join is "
            "missing."
        )
    if facts["records_enabled"] < thresholds.enabled_records:
        problems.append(
            f"{Guard.NO_PRODUCT}: {facts['records_enabled']:,} of {records:,} properties have any product; "
            f"GUARD_ENABLED_RECORDS requires {thresholds.enabled_records:,}. The feature table is empty, or a join is missing."
        )
    refuse_any(Guard.FUTURE_DATES, "have", "a date in the future", "Correct the feature table.")
    refuse_any(
        Guard.EARLY_DATES,
        "have",
        f"a date before {thresholds.earliest_date} (GUARD_EARLIEST_DATE)",
        "Correct the feature table.",
    )
    return problems


def mass_disable_problems(changes: Iterable[ProductChange], records: int, thresholds: Thresholds) -> list[str]:
    """
    Find the products that would turn from True to False for too many records.

    :param records: number of records in the payload.
    :returns: a sentence for each of these products.
    """
    return [
        f"{Guard.MASS_DISABLE}: {change.label} would turn from True to False for {change.to_disable:,} of {records:,} records "
        f"({change.to_disable / records:.1%}); GUARD_DISABLE_SHARE allows {thresholds.disable_share:.1%}."
        for change in changes
        if change.to_disable > _exact(thresholds.disable_share) * records
    ]


def _exact(share: float) -> Fraction:
    """The share exactly as written. As a binary fraction, 0.29 of 100 would be less than 29."""
    return Fraction(str(share))
