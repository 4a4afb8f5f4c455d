"""The data of a comparison of Salesforce with the warehouse: what differs, and how much."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from feature_sync.backfill.payload_guards import ProductChange
from feature_sync.config.fields import FieldTable
from feature_sync.config.wording import count_of


class NothingComparedError(RuntimeError):
    """A comparison of nothing proves nothing."""


class DriftClass(StrEnum):
    """
    How a record, or one field of it, differs.

    The first three are differences of single fields, which a backfill can correct. The others concern whole records.
    """

    WRONGLY_FALSE = "wrongly_false"
    WRONGLY_TRUE = "wrongly_true"
    DATE_DIFFERS = "date_differs"
    MISSING_IN_SALESFORCE = "missing_in_salesforce"
    MISSING_IN_WAREHOUSE = "missing_in_warehouse"
    KEY_MISMATCH = "key_mismatch"
    AMBIGUOUS_FEATURES = "ambiguous_features"
    UNKNOWN_STATUS = "unknown_status"
    TRUE_THROUGH_SIBLING = "true_through_sibling"
    UNMATCHED_FEATURES = "unmatched_features"
    UNKNOWN_IN_SALESFORCE = "unknown_in_salesforce"
    UNKNOWN_IN_WAREHOUSE = "unknown_in_warehouse"

    def found(self, count: int) -> str:
        """A sentence's beginning that says how many there are: "3 flags are False in Salesforce and should be True"."""
        return count_of(count, *_WORDS[self])

    @property
    def description(self) -> str:
        """The class in words, for several of them."""
        return self.found(0).removeprefix("0 ")


_COLUMNS = {"replica_synced_at": "copy_synced_at"}
"""Attributes of `Drift` whose column in the drift table has another name."""
_WORDS = {
    DriftClass.WRONGLY_FALSE: (
        "flag",
        "is False in Salesforce and should be True",
        "are False in Salesforce and should be True",
    ),
    DriftClass.WRONGLY_TRUE: (
        "flag",
        "is True in Salesforce and should be False",
        "are True in Salesforce and should be False",
    ),
    DriftClass.DATE_DIFFERS: ("product", "has another date in Salesforce", "have another date in Salesforce"),
    DriftClass.MISSING_IN_SALESFORCE: ("property", "has no record in Salesforce", "have no record in Salesforce"),
    DriftClass.MISSING_IN_WAREHOUSE: (
        "record",
        "in Salesforce belongs to no property that the warehouse knows",
        "in Salesforce belong to no property that the warehouse knows",
    ),
    DriftClass.KEY_MISMATCH: (
        "record",
        "in Salesforce has two keys that disagree, or shares one with another",
        "in Salesforce have two keys that disagree, or share one with another",
    ),
    DriftClass.AMBIGUOUS_FEATURES: (
        "record",
        "in Salesforce belongs to a property with unequal rows in the feature table, or one that misspells its id",
        "in Salesforce belong to a property with unequal rows in the feature table, or one that misspells its id",
    ),
    DriftClass.UNKNOWN_STATUS: ("property", "has a status that is not known", "have a status that is not known"),
    DriftClass.TRUE_THROUGH_SIBLING: (
        "flag",
        "is True in Salesforce and False by its own property, but an ACTIVE sibling has the product",
        "are True in Salesforce and False by their own property, but an ACTIVE sibling has the product",
    ),
    DriftClass.UNMATCHED_FEATURES: (
        "property",
        "in the feature table is not in the properties table",
        "in the feature table are not in the properties table",
    ),
    DriftClass.UNKNOWN_IN_SALESFORCE: ("flag", "is empty in the replica of Salesforce", "are empty in the replica of Salesforce"),
    DriftClass.UNKNOWN_IN_WAREHOUSE: ("flag", "is empty in the feature table", "are empty in the feature table"),
}
"""Noun, and what follows after one and after several."""
UNHEALABLE = (
    DriftClass.MISSING_IN_SALESFORCE,
    DriftClass.MISSING_IN_WAREHOUSE,
    DriftClass.KEY_MISMATCH,
    DriftClass.AMBIGUOUS_FEATURES,
    DriftClass.UNKNOWN_STATUS,
    DriftClass.TRUE_THROUGH_SIBLING,
    DriftClass.UNMATCHED_FEATURES,
    DriftClass.UNKNOWN_IN_SALESFORCE,
    DriftClass.UNKNOWN_IN_WAREHOUSE,
)
"""Classes that no backfill can correct."""
OF_PRODUCTS = frozenset(
    {
        DriftClass.WRONGLY_FALSE,
        DriftClass.WRONGLY_TRUE,
        DriftClass.DATE_DIFFERS,
        DriftClass.TRUE_THROUGH_SIBLING,
        DriftClass.UNKNOWN_IN_SALESFORCE,
        DriftClass.UNKNOWN_IN_WAREHOUSE,
    }
)
"""Classes whose differences are of one product each. The others are of a whole record or property."""


@dataclass(frozen=True, slots=True)
class ProductDrift:
    """
    One product in both systems.

    ``mismatched``: properties whose flag or dates differ. ``accuracy``: share of the checked properties that agree, 0 to 1.
    ``wrongly_false_accepted``, ``wrongly_true_accepted``, ``date_differs_accepted``: how many of these a person has accepted.
    """

    product: str
    label: str
    enabled_in_salesforce: int
    enabled_in_warehouse: int
    mismatched: int
    wrongly_false: int
    wrongly_true: int
    date_differs: int
    wrongly_false_accepted: int
    wrongly_true_accepted: int
    date_differs_accepted: int
    accuracy: float

    @property
    def to_enable(self) -> int:
        return self.wrongly_false - self.wrongly_false_accepted

    @property
    def to_disable(self) -> int:
        return self.wrongly_true - self.wrongly_true_accepted


@dataclass(frozen=True, slots=True)
class Drift:
    """
    The result of a comparison. Times are UTC.

    ``properties_checked``: records in Salesforce that were compared.
    ``properties_mismatched``: checked records with a field that differs. Each is one of the next three.
    ``properties_accepted``: every one of their differences is accepted.
    ``properties_held_back``: they have a new difference, but no run with scope mismatched sends them, because another of their
    differences is accepted, or a flag is True through a sibling, or a flag is empty in the feature table.
    ``properties_to_send``: they have a new difference, and a run with scope mismatched sends them.
    ``properties_unmatched``: those of the records to send that have no feature row.

    ``missing_in_salesforce_accepted``, ``missing_in_warehouse_accepted``, ``key_mismatch_accepted``,
    ``ambiguous_features_accepted``, ``unknown_status_accepted``, ``true_through_sibling_accepted``,
    ``unmatched_features_accepted``, ``unknown_in_salesforce_accepted``, ``unknown_in_warehouse_accepted``: how many of these a
    person has accepted.
    """

    checked_at: datetime
    replica_synced_at: datetime | None
    properties_checked: int
    properties_mismatched: int
    properties_accepted: int
    properties_held_back: int
    properties_to_send: int
    properties_unmatched: int
    missing_in_salesforce: int
    missing_in_salesforce_accepted: int
    missing_in_warehouse: int
    missing_in_warehouse_accepted: int
    key_mismatch: int
    key_mismatch_accepted: int
    ambiguous_features: int
    ambiguous_features_accepted: int
    unknown_status: int
    unknown_status_accepted: int
    true_through_sibling: int
    true_through_sibling_accepted: int
    unmatched_features: int
    unmatched_features_accepted: int
    unknown_in_salesforce: int
    unknown_in_salesforce_accepted: int
    unknown_in_warehouse: int
    unknown_in_warehouse_accepted: int
    products: tuple[ProductDrift, ...]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]], fields: FieldTable) -> "Drift":
        """
        :param rows: of ``reconciliation/compare_systems.sql``, of ``reconciliation/measure_drift.sql``, or of the drift table for
            one reconciliation.
        :raises NothingComparedError: a product of the field table is not among them.
        """
        by_product = {row["product"]: row for row in rows}
        if missing := [product.label for product in fields.products if product.name not in by_product]:
            raise NothingComparedError(f"The comparison has no row for {', '.join(missing)}, so nothing was compared.")
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
                        "wrongly_false_accepted",
                        "wrongly_true_accepted",
                        "date_differs_accepted",
                    )
                },
                accuracy=by_product[product.name]["accuracy"] or 0.0,
            )
            for product in fields.products
        )
        first = by_product[fields.products[0].name]
        own = {name: first[_COLUMNS.get(name, name)] for name in cls.__dataclass_fields__ if name != "products"}
        return cls(products=products, **own)

    def count(self, kind: DriftClass) -> int:
        """How many differences of a class there are: fields for the classes `OF_PRODUCTS`, else records or properties."""
        return self._sum(kind, kind.value)

    def accepted(self, kind: DriftClass) -> int:
        """How many of these differences a person has accepted."""
        return self._sum(kind, f"{kind.value}_accepted")

    def new(self, kind: DriftClass) -> int:
        """How many of these differences nobody has accepted, or not any more."""
        return self.count(kind) - self.accepted(kind)

    @property
    def properties_new(self) -> int:
        """How many properties have a field that differs and is not accepted."""
        return self.properties_mismatched - self.properties_accepted

    @property
    def differences(self) -> int:
        """All differences of all classes, accepted or not."""
        return sum(self.count(kind) for kind in DriftClass)

    @property
    def differences_accepted(self) -> int:
        return sum(self.accepted(kind) for kind in DriftClass)

    @property
    def differences_new(self) -> int:
        return self.differences - self.differences_accepted

    def _sum(self, kind: DriftClass, name: str) -> int:
        if kind in UNHEALABLE:
            return getattr(self, name)
        return sum(getattr(product, name) for product in self.products)

    @property
    def changes(self) -> tuple[ProductChange, ...]:
        """What healing would change, for a preview: the differences that nobody has accepted."""
        return tuple(
            ProductChange(
                product=product.product,
                label=product.label,
                enabled_now=product.enabled_in_salesforce,
                enabled_after=product.enabled_in_salesforce + product.to_enable - product.to_disable,
                to_enable=product.to_enable,
                to_disable=product.to_disable,
            )
            for product in self.products
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "properties_checked": self.properties_checked,
            "properties_mismatched": self.properties_mismatched,
            "properties_new": self.properties_new,
            "properties_accepted": self.properties_accepted,
            "properties_held_back": self.properties_held_back,
            "differences": {kind.value: self.count(kind) for kind in DriftClass},
            "differences_new": {kind.value: self.new(kind) for kind in DriftClass},
            "differences_accepted": {kind.value: self.accepted(kind) for kind in DriftClass},
            "products": [asdict(product) for product in self.products],
        }
