"""What must hold of a frozen payload before any of it is sent: counts in, problems out, each beginning with its guard's name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any

from feature_sync.fields import FieldTable


class Guard(StrEnum):
    """The checks of a frozen payload, by the name that a refusal gives."""

    EMPTY_PAYLOAD = "empty_payload"
    EMPTY_KEYS = "empty_keys"
    REPEATED_KEYS = "repeated_keys"
    MISSING_KEYS = "missing_keys"
    EMPTY_FLAGS = "empty_flags"
    FEATURE_ROWS = "feature_rows"
    NO_PRODUCT = "no_product"
    FUTURE_DATES = "future_dates"
    EARLY_DATES = "early_dates"
    MASS_DISABLE = "mass_disable"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a payload must reach; see the settings ``guard_*``."""

    feature_row_share: float
    disable_share: float
    enabled_records: int
    earliest_date: date


@dataclass(frozen=True, slots=True)
class ProductChange:
    """How many records of a payload have a product in Salesforce now and after it was sent."""

    product: str
    label: str
    enabled_now: int
    enabled_after: int
    to_enable: int
    to_disable: int


def payload_problems(facts: Mapping[str, Any], fields: FieldTable, thresholds: Thresholds, *, undoes: bool) -> list[str]:
    """
    Check a frozen payload, but for `Guard.MASS_DISABLE`.

    The share of feature rows, the least number of products and the dates say whether the values were read from the warehouse
    rightly. A payload that undoes a run holds values that stood in Salesforce, so these say nothing of it.

    :param facts: the row of ``check_payload.sql``.
    :returns: a sentence for each guard that does not hold; it begins with the guard's name.
    """
    key = fields.upsert_key.column
    records = facts["records"]
    if not records:
        return [
            f"{Guard.EMPTY_PAYLOAD}: it holds no record. The scope became empty, or the payload was removed; start a new run."
        ]
    problems = []

    def refuse_any(guard: Guard, what: str, cure: str) -> None:
        if count := facts[guard.value]:
            problems.append(f"{guard}: {count:,} records {what}, such as {facts[f'{guard}_example']}. {cure}")

    refuse_any(Guard.EMPTY_KEYS, f"have no {key} (named is the property)", "Census would not send them. Fill it in Salesforce.")
    refuse_any(Guard.REPEATED_KEYS, f"share their {key} with another", "Make it unique in Salesforce.")
    refuse_any(Guard.MISSING_KEYS, f"have a {key} that no record in Salesforce has", "Start a new run when the copy is fresh.")
    refuse_any(Guard.EMPTY_FLAGS, "have an empty flag; a Salesforce checkbox takes no null", "Correct the feature table.")
    if undoes:
        return problems
    matched = records - facts["records_unmatched"]
    if matched < _exact(thresholds.feature_row_share) * records:
        problems.append(
            f"{Guard.FEATURE_ROWS}: only {matched / records:.1%} of {records:,} properties have a feature row; "
            f"GUARD_FEATURE_ROW_SHARE asks for {thresholds.feature_row_share:.1%}. The feature table is incomplete, or a join is "
            "missing."
        )
    if facts["records_enabled"] < thresholds.enabled_records:
        problems.append(
            f"{Guard.NO_PRODUCT}: {facts['records_enabled']:,} of {records:,} properties have a product at all; "
            f"GUARD_ENABLED_RECORDS asks for {thresholds.enabled_records:,}. The feature table is empty, or a join is missing."
        )
    refuse_any(Guard.FUTURE_DATES, "have a date that lies in the future", "Correct the feature table.")
    refuse_any(
        Guard.EARLY_DATES,
        f"have a date before {thresholds.earliest_date} (GUARD_EARLIEST_DATE)",
        "Correct the feature table.",
    )
    return problems


def mass_disable_problems(changes: Iterable[ProductChange], records: int, thresholds: Thresholds) -> list[str]:
    """
    Say for which products too many records would turn from True to False.

    :param records: how many the payload has.
    """
    return [
        f"{Guard.MASS_DISABLE}: {change.label} would turn from True to False for {change.to_disable:,} of {records:,} records "
        f"({change.to_disable / records:.1%}); GUARD_DISABLE_SHARE allows {thresholds.disable_share:.1%}."
        for change in changes
        if change.to_disable > _exact(thresholds.disable_share) * records
    ]


def _exact(share: float) -> Fraction:
    """The share as it was written: as a binary fraction, 0.29 of 100 is less than 29."""
    return Fraction(str(share))
