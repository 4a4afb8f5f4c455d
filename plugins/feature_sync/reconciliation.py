"""What the weekly comparison of Salesforce and the warehouse means: counts in, verdict out."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

from feature_sync.fields import FieldTable
from feature_sync.payload_guards import ProductChange
from feature_sync.settings import HealingMode


class DriftClass(StrEnum):
    """
    What is wrong with a record, or with one field of it.

    The first three are differences of single fields, which a backfill corrects; the others are about whole records.
    """

    WRONGLY_FALSE = "wrongly_false"
    WRONGLY_TRUE = "wrongly_true"
    DATE_DIFFERS = "date_differs"
    MISSING_IN_SALESFORCE = "missing_in_salesforce"
    MISSING_IN_WAREHOUSE = "missing_in_warehouse"
    KEY_MISMATCH = "key_mismatch"

    @property
    def description(self) -> str:
        return {
            DriftClass.WRONGLY_FALSE: "flags are False in Salesforce and should be True",
            DriftClass.WRONGLY_TRUE: "flags are True in Salesforce and should be False",
            DriftClass.DATE_DIFFERS: "products have another date in Salesforce",
            DriftClass.MISSING_IN_SALESFORCE: "properties have no record in Salesforce",
            DriftClass.MISSING_IN_WAREHOUSE: "records in Salesforce belong to no property that the warehouse knows",
            DriftClass.KEY_MISMATCH: "records in Salesforce have two keys that disagree, or share their property with another",
        }[self]


UNHEALABLE = (DriftClass.MISSING_IN_SALESFORCE, DriftClass.MISSING_IN_WAREHOUSE, DriftClass.KEY_MISMATCH)


@dataclass(frozen=True, slots=True)
class ProductDrift:
    """
    One product in both systems.

    ``mismatched``: properties for which the flag or a date differs. ``accuracy``: share of the checked ones that agree, 0 to 1.
    """

    product: str
    label: str
    enabled_in_salesforce: int
    enabled_in_warehouse: int
    mismatched: int
    wrongly_false: int
    wrongly_true: int
    date_differs: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class Drift:
    """
    What a comparison has found. Times are UTC.

    ``properties_checked``: records in Salesforce that were compared. ``properties_mismatched``: those with a field that differs;
    ``properties_unmatched``: those of them that have no feature row.
    """

    checked_at: datetime
    copy_synced_at: datetime | None
    properties_checked: int
    properties_mismatched: int
    properties_unmatched: int
    missing_in_salesforce: int
    missing_in_warehouse: int
    key_mismatch: int
    products: tuple[ProductDrift, ...]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]], fields: FieldTable) -> "Drift":
        """
        :param rows: of ``compare_systems.sql``, or of the drift table for one reconciliation.
        :raises NothingComparedError: a product of the field table is not among them.
        """
        by_product = {row["product"]: row for row in rows}
        if missing := [product.label for product in fields.products if product.name not in by_product]:
            raise NothingComparedError(f"Nothing is known of {', '.join(missing)}, so nothing was compared.")
        products = tuple(
            ProductDrift(
                product=product.name,
                label=product.label,
                **{
                    name: by_product[product.name][name]
                    for name in (
                        "enabled_in_salesforce",
                        "enabled_in_warehouse",
                        "mismatched",
                        "wrongly_false",
                        "wrongly_true",
                        "date_differs",
                    )
                },
                accuracy=by_product[product.name]["accuracy"] or 0.0,
            )
            for product in fields.products
        )
        first = by_product[fields.products[0].name]
        return cls(products=products, **{name: first[name] for name in cls.__dataclass_fields__ if name != "products"})

    def count(self, kind: DriftClass) -> int:
        """How many differences of a class there are: fields for the first three, records for the others."""
        if kind in UNHEALABLE:
            return getattr(self, kind.value)
        return sum(getattr(product, kind.value) for product in self.products)

    @property
    def changes(self) -> tuple[ProductChange, ...]:
        """What healing would change, as a preview has it."""
        return tuple(
            ProductChange(
                product=product.product,
                label=product.label,
                enabled_now=product.enabled_in_salesforce,
                enabled_after=product.enabled_in_salesforce + product.wrongly_false - product.wrongly_true,
                to_enable=product.wrongly_false,
                to_disable=product.wrongly_true,
            )
            for product in self.products
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "properties_checked": self.properties_checked,
            "properties_mismatched": self.properties_mismatched,
            "differences": {kind.value: self.count(kind) for kind in DriftClass},
            "products": [asdict(product) for product in self.products],
        }


class NothingComparedError(RuntimeError):
    """A comparison that has looked at nothing says nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What is done about the records that differ.

    ``heals``: they are sent again, after an approval if it ``asks``. ``reason``: why, or why not.
    """

    heals: bool
    asks: bool
    reason: str


def decide(drift: Drift, mode: HealingMode, records_limit: int, share_limit: float) -> Verdict:
    """
    Decide whether the records that differ are sent again.

    :param records_limit: most records that ``auto`` heals.
    :param share_limit: largest share of all records that ``auto`` heals, 0 to 1.
    """
    records = drift.properties_mismatched
    if not records:
        return Verdict(heals=False, asks=False, reason="No record differs in a feature field; there is nothing to heal.")
    if mode is HealingMode.OFF:
        return Verdict(heals=False, asks=False, reason="HEALING is off; nothing is sent.")
    if mode is HealingMode.ASK:
        return Verdict(heals=True, asks=True, reason="HEALING is ask; a person decides.")
    over = []
    if records > records_limit:
        over.append(f"HEALING_RECORDS_LIMIT allows {records_limit:,}")
    if records > Fraction(str(share_limit)) * drift.properties_checked:
        over.append(f"HEALING_SHARE_LIMIT allows {share_limit:.2%}")
    of_all = f"{records:,} of {drift.properties_checked:,} records differ ({records / drift.properties_checked:.2%})"
    if over:
        return Verdict(heals=False, asks=False, reason=f"{of_all}; {' and '.join(over)}. So many are not healed automatically.")
    return Verdict(heals=True, asks=False, reason=f"{of_all}, which is within the limits of HEALING=auto.")


def outcome_of_healing(found: Mapping[str, Any], states: Mapping[str, str]) -> Verdict:
    """
    What became of the healing.

    :param found: ``heals``, ``question`` and ``reason`` as they were before it.
    :param states: of the tasks ``approve_healing`` and ``heal``.
    """
    asks = found["question"] is not None
    if states.get("approve_healing") == "failed":
        return Verdict(heals=False, asks=asks, reason="The healing was not approved; nothing was sent.")
    match states.get("heal"):
        case "success":
            return Verdict(heals=True, asks=asks, reason="What differed was sent again.")
        case "failed":
            return Verdict(heals=False, asks=asks, reason="The healing failed: look at the task heal.")
        case "skipped" if found["heals"]:
            return Verdict(heals=False, asks=asks, reason="When the healing was to start, nothing differed any more.")
        case _:
            return Verdict(heals=False, asks=asks, reason=found["reason"])


def drift_problems(drift: Drift, verdict: Verdict) -> list[str]:
    """What is still wrong at the end of a reconciliation: one sentence each, with what to do."""
    problems = []
    if not drift.properties_checked:
        problems.append("No record was checked: the copy of Salesforce, or the properties table, is empty. Look at both.")
    if drift.properties_mismatched:
        found = "; ".join(
            f"{drift.count(kind):,} {kind.description}" for kind in DriftClass if kind not in UNHEALABLE and drift.count(kind)
        )
        problems.append(
            f"{drift.properties_mismatched:,} of {drift.properties_checked:,} properties differ from the warehouse: {found}. "
            f"{verdict.reason} To send them again, start product_feature_backfill with scope=mismatched; if its guards refuse "
            "them, it says which and what to do."
        )
    cures = {
        DriftClass.MISSING_IN_SALESFORCE: "The regular property sync has to create them; look at its last runs in Census.",
        DriftClass.MISSING_IN_WAREHOUSE: "Is the properties table complete? If so: are these records still needed?",
        DriftClass.KEY_MISMATCH: "Correct the keys in Salesforce, or repeated rows in the feature table.",
    }
    problems += [
        f"{drift.count(kind):,} {kind.description}. {cure} No backfill heals that."
        for kind, cure in cures.items()
        if drift.count(kind)
    ]
    return problems
