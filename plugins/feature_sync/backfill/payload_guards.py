"""
What a frozen payload must fulfil before any of it is sent: counts in, problems out. Each problem begins with its guard's
name.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any

from feature_sync.config.fields import FieldTable
from feature_sync.config.wording import count_of

APPROVE = "Approve"
"""The answer that Airflow keeps for a yes."""


class Guard(StrEnum):
    """The checks of a frozen payload. A refusal names them."""

    EMPTY_PAYLOAD = "empty_payload"
    EMPTY_KEYS = "empty_keys"
    REPEATED_KEYS = "repeated_keys"
    MISSING_KEYS = "missing_keys"
    EMPTY_FLAGS = "empty_flags"
    UNKNOWN_PROPERTIES = "unknown_properties"
    MISSPELLED_FEATURES = "misspelled_features"
    UNMATCHED_FEATURES = "unmatched_features"
    FEATURE_ROWS = "feature_rows"
    NO_PRODUCT = "no_product"
    FUTURE_DATES = "future_dates"
    EARLY_DATES = "early_dates"
    MASS_DISABLE = "mass_disable"
    LOST_PRODUCT = "lost_product"
    CONSTANT_PRODUCT = "constant_product"

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
            Guard.MISSPELLED_FEATURES: "a record whose property the feature table names in another spelling: with blanks or "
            "signs, or in other case",
            Guard.UNMATCHED_FEATURES: "a feature table with more properties than GUARD_UNMATCHED_FEATURE_ROWS, or a larger "
            "share than GUARD_UNMATCHED_FEATURE_SHARE, that the properties table does not have",
            Guard.FEATURE_ROWS: "fewer properties with a feature row than GUARD_FEATURE_ROW_SHARE",
            Guard.NO_PRODUCT: "fewer records with any product than GUARD_ENABLED_RECORDS",
            Guard.FUTURE_DATES: "a date after today",
            Guard.EARLY_DATES: "a date before GUARD_EARLIEST_DATE",
            Guard.MASS_DISABLE: "a product that would turn from True to False for a larger share of the records than "
            "GUARD_DISABLE_SHARE, or for a larger share of the records that have it than GUARD_PRODUCT_DISABLE_SHARE, unless "
            "allow_mass_disable is set and a person approves",
            Guard.LOST_PRODUCT: "a product that is missing in the feature table for a larger share of the records that have it "
            "in Salesforce than GUARD_PRODUCT_DISABLE_SHARE, unless allow_mass_disable is set and a person approves",
            Guard.CONSTANT_PRODUCT: "a product that would be True in all records, although by its share in Salesforce at least "
            "GUARD_CONSTANT_RECORDS of them should be False, unless allow_mass_disable is set and a person approves",
        }[self]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits for a payload, see the settings ``guard_*``."""

    feature_row_share: float
    disable_share: float
    product_disable_share: float
    product_disable_records: int
    constant_records: int
    unmatched_feature_rows: int
    unmatched_feature_share: float
    enabled_records: int
    earliest_date: date


@dataclass(frozen=True, slots=True)
class ProductChange:
    """
    How many records of a payload have a product in Salesforce now, and how many after it is sent.

    ``before_unknown``: records of which the replica does not know the flag. They are in none of the numbers but the one after.
    ``dates_changed``: records of which a date of the product changes, whether its flag does or not. None if that was not counted.
    """

    product: str
    label: str
    enabled_now: int
    enabled_after: int
    to_enable: int
    to_disable: int
    before_unknown: int = 0
    dates_changed: int | None = None


@dataclass(frozen=True, slots=True)
class Holdings:
    """
    What there is of a product altogether, in the payload or not.

    ``enabled``, ``disabled``: records in Salesforce. One with an empty flag in the replica is in neither number.
    ``in_warehouse``: properties that have it by the feature table.
    """

    enabled: int
    disabled: int
    in_warehouse: int


@dataclass(frozen=True, slots=True)
class Approved:
    """
    What a person has approved in the weekly run that started this one to heal.

    ``records``: how many are sent at most. ``to_disable``: by product, how many may lose it at most.
    """

    run_id: str
    by: str
    records: int
    to_disable: Mapping[str, int]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Approved | None":
        """
        :param row: of ``tables/select_approvals.sql``.
        :returns: None if it was no approval, or does not say of what.
        """
        try:
            numbers = json.loads(row["approves"] or "null")
            to_disable = {str(name): int(number) for name, number in numbers["to_disable"].items()}
            records = int(numbers["records"])
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        if row["answer"] != APPROVE:
            return None
        return cls(row["run_id"], row["answered_by"] or "somebody", records, to_disable)

    def exceeded_by(self, changes: Iterable[ProductChange], records: int) -> list[str]:
        """
        Where a payload goes beyond what was approved.

        :param records: number of records in the payload.
        :returns: a sentence for each number that is larger.
        """
        whose = f"{self.by} has approved in run {self.run_id} of the weekly DAG"
        problems = []
        if records > self.records:
            problems.append(f"{Guard.MASS_DISABLE}: {whose} to send {self.records:,} records, but the payload has {records:,}.")
        problems += [
            f"{Guard.MASS_DISABLE}: {whose} to turn {each.label} off for {self.to_disable.get(each.product, 0):,} records, but "
            f"it would be {each.to_disable:,}."
            for each in changes
            if each.to_disable > self.to_disable.get(each.product, 0)
        ]
        return [f"{problem} Start a new run of that DAG." for problem in problems]


def payload_problems(
    facts: Mapping[str, Any], fields: FieldTable, thresholds: Thresholds, *, undoes: bool, may_be_empty: bool = False
) -> list[str]:
    """
    Check a frozen payload with every guard except those of `mass_disable_problems`.

    The guards on feature rows, products and dates check that the warehouse was read correctly. A payload that undoes a run holds
    values from Salesforce, so they do not apply to it.

    :param facts: the row of ``backfill/check_payload.sql``.
    :param may_be_empty: it was found that there is nothing to do. Then the guards look at the feature table alone.
    :returns: a sentence for each guard that the payload fails, beginning with the guard's name.
    """
    key = fields.upsert_key.column
    records = facts["records"]
    if not records and may_be_empty:
        return [] if undoes else _unmatched_problems(facts, thresholds)
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
    refuse_any(
        Guard.MISSPELLED_FEATURES,
        "have",
        "a feature row that names the property in another spelling",
        "The row has a blank, a sign or another case in property_id, so its products would be switched off. Correct the feature "
        "table, or name the other records by scope property_ids.",
    )
    problems += _unmatched_problems(facts, thresholds)
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


def _unmatched_problems(facts: Mapping[str, Any], thresholds: Thresholds) -> list[str]:
    unmatched, rows = facts["unmatched_features"], facts["feature_rows"]
    if unmatched <= thresholds.unmatched_feature_rows and unmatched <= _exact(thresholds.unmatched_feature_share) * rows:
        return []
    return [
        f"{Guard.UNMATCHED_FEATURES}: {unmatched:,} of {rows:,} properties in the feature table ({unmatched / rows:.2%}) are "
        f"not in the properties table, such as {facts['unmatched_features_example']!r}; GUARD_UNMATCHED_FEATURE_ROWS allows "
        f"{thresholds.unmatched_feature_rows:,} and GUARD_UNMATCHED_FEATURE_SHARE {thresholds.unmatched_feature_share:.2%}. "
        "Their ids may have blanks or another case, or the properties table lacks rows. Correct the tables, or raise the "
        "limits if these properties are really gone."
    ]


def mass_disable_problems(
    changes: Iterable[ProductChange],
    records: int,
    thresholds: Thresholds,
    holdings: Mapping[str, Holdings] | None = None,
    *,
    is_chosen_by_difference: bool = False,
) -> list[str]:
    """
    Find the products that too many records would lose, or that would become the same everywhere.

    :param records: number of records in the payload.
    :param holdings: by product, what there is altogether. None: the payload is looked at alone.
    :param is_chosen_by_difference: the payload has only records that differ. Then a product may well become True in all of them,
        and the question is whether any record in Salesforce would be left without the product.
    :returns: at most one sentence for each product.
    """
    problems = []
    for change in changes:
        if change.to_disable > _exact(thresholds.disable_share) * records:
            problems.append(
                f"{Guard.MASS_DISABLE}: {change.label} would turn from True to False for {change.to_disable:,} of {records:,} "
                f"records ({change.to_disable / records:.1%}); GUARD_DISABLE_SHARE allows {thresholds.disable_share:.1%}."
            )
        elif (
            change.to_disable > thresholds.product_disable_records
            and change.to_disable > _exact(thresholds.product_disable_share) * change.enabled_now
        ):
            problems.append(
                f"{Guard.MASS_DISABLE}: {change.label} would turn from True to False for {change.to_disable:,} of the "
                f"{change.enabled_now:,} records that have it ({change.to_disable / change.enabled_now:.1%}); "
                f"GUARD_PRODUCT_DISABLE_SHARE allows {thresholds.product_disable_share:.1%}, and GUARD_PRODUCT_DISABLE_RECORDS "
                f"{thresholds.product_disable_records:,} records in any case."
            )
        elif holdings is not None:
            held = holdings[change.product]
            problems += _lost_problems(change, thresholds, held) or _constant_problems(
                change, records, thresholds, held, is_chosen_by_difference=is_chosen_by_difference
            )
    return problems


def _lost_problems(change: ProductChange, thresholds: Thresholds, held: Holdings) -> list[str]:
    lost = held.enabled - held.in_warehouse
    if lost <= thresholds.product_disable_records or lost <= _exact(thresholds.product_disable_share) * held.enabled:
        return []
    return [
        f"{Guard.LOST_PRODUCT}: {change.label} is True in {held.enabled:,} records in Salesforce, but only for "
        f"{held.in_warehouse:,} properties in the feature table; GUARD_PRODUCT_DISABLE_SHARE allows a loss of "
        f"{thresholds.product_disable_share:.1%}, and GUARD_PRODUCT_DISABLE_RECORDS {thresholds.product_disable_records:,} in "
        "any case. Look at this product in the feature table."
    ]


def _constant_problems(
    change: ProductChange, records: int, thresholds: Thresholds, held: Holdings, *, is_chosen_by_difference: bool
) -> list[str]:
    known = held.enabled + held.disabled
    if change.enabled_after != records or not known or held.disabled * records < thresholds.constant_records * known:
        return []
    if is_chosen_by_difference and held.disabled > change.to_enable:
        return []
    return [
        f"{Guard.CONSTANT_PRODUCT}: {change.label} would be True in all {records:,} records, but in Salesforce it is False in "
        f"{held.disabled:,} of {known:,} ({held.disabled / known:.1%}). By that share about "
        f"{held.disabled * records / known:,.0f} of the records should be False; GUARD_CONSTANT_RECORDS allows fewer than "
        f"{thresholds.constant_records:,}. Look at this product in the feature table."
    ]


def _exact(share: float) -> Fraction:
    """The share exactly as written. As a binary fraction, 0.29 of 100 would be less than 29."""
    return Fraction(str(share))
