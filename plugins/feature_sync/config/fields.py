"""The field table: which columns a sync sends, where they come from and what they are called in Salesforce.

The data is ``include/feature_fields.toml``; everything else that names a field derives from here.
"""

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from feature_sync.config.paths import INCLUDE

FIELDS_FILE = INCLUDE / "feature_fields.toml"


class FieldTableError(ValueError):
    """The field table's file contradicts itself."""


class FieldKind(StrEnum):
    """The type of a column."""

    TEXT = "text"
    CHECKBOX = "checkbox"
    DATE = "date"
    DATETIME = "datetime"

    @property
    def warehouse_type(self) -> str:
        """The type's name in the warehouse."""
        return {"text": "STRING", "checkbox": "BOOLEAN", "date": "DATE", "datetime": "TIMESTAMP"}[self.value]


@dataclass(frozen=True, slots=True)
class FeatureField:
    """
    One column of the payload.

    ``source``: its column in the feature table. The two keys have none.
    """

    column: str
    kind: FieldKind
    source: str | None = None

    @property
    def salesforce_name(self) -> str:
        """The API name of the Salesforce field. Salesforce ignores its case."""
        return salesforce_name(self.column)


@dataclass(frozen=True, slots=True)
class Product:
    """A product and its three columns: the flag, the day since which it is on, the day of its last change."""

    name: str
    label: str
    source: str
    enabled: FeatureField
    start: FeatureField
    updated: FeatureField

    @property
    def fields(self) -> tuple[FeatureField, FeatureField, FeatureField]:
        return self.enabled, self.start, self.updated


@dataclass(frozen=True, slots=True)
class FieldTable:
    """All fields of the sync. Iterating yields them in the order of the CSV: the two keys, then three for each product."""

    property_id: FeatureField
    upsert_key: FeatureField
    products: tuple[Product, ...]

    def __iter__(self) -> Iterator[FeatureField]:
        yield self.property_id
        yield self.upsert_key
        yield from self.features

    @property
    def features(self) -> tuple[FeatureField, ...]:
        """The fields that the sync repairs: all but the keys."""
        return tuple(field for product in self.products for field in product.fields)

    @property
    def dates(self) -> tuple[FeatureField, ...]:
        """The features that are dates or times."""
        return tuple(field for field in self.features if field.kind is not FieldKind.CHECKBOX)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(field.column for field in self)


def salesforce_name(column: str) -> str:
    """The Salesforce field of a column: column ``x_c`` is the custom field ``x__c``."""
    return f"{column.removesuffix('_c')}__c"


@cache
def load_fields(datetime_columns: frozenset[str] = frozenset(), path: Path = FIELDS_FILE) -> FieldTable:
    """
    Read the field table.

    :param datetime_columns: date columns that are Date/Time fields in this Salesforce org.
    :raises FieldTableError: a column or product is repeated, a key is missing, or ``datetime_columns`` names another column.
    """
    return parse_fields(tomllib.loads(path.read_text(encoding="utf-8")), datetime_columns)


def parse_fields(data: Mapping[str, Any], datetime_columns: frozenset[str] = frozenset()) -> FieldTable:
    """Build the table from the parsed TOML. See `load_fields`."""

    def date_field(column: str, source: str) -> FeatureField:
        return FeatureField(column, FieldKind.DATETIME if column in datetime_columns else FieldKind.DATE, source)

    try:
        table = FieldTable(
            property_id=FeatureField(data["property_id"], FieldKind.TEXT),
            upsert_key=FeatureField(data["upsert_key"], FieldKind.TEXT),
            products=tuple(
                Product(
                    name=name,
                    label=row["label"],
                    source=row["source"],
                    enabled=FeatureField(row["enabled"], FieldKind.CHECKBOX, f"{row['source']}_enabled"),
                    start=date_field(row["start"], f"{row['source']}_enabled_at"),
                    updated=date_field(row["updated"], f"{row['source']}_updated_at"),
                )
                for name, row in data["products"].items()
            ),
        )
    except KeyError as missing:
        raise FieldTableError(f"feature_fields.toml lacks the entry {missing}.") from missing
    _refuse_repeats("column", table.columns)
    _refuse_repeats("label", (product.label for product in table.products))
    _refuse_repeats("source", (product.source for product in table.products))
    if wrong := [column for column in table.columns if not (column.isidentifier() and column.endswith("_c"))]:
        raise FieldTableError(f"feature_fields.toml: {wrong} are not names of custom fields such as 'x_enabled_c'.")
    if unknown := datetime_columns - {field.column for field in table.features if field.kind is not FieldKind.CHECKBOX}:
        raise FieldTableError(f"DATETIME_FIELDS names {sorted(unknown)}, which are not date columns of feature_fields.toml.")
    return table


def _refuse_repeats(what: str, values: Iterable[str]) -> None:
    if repeated := [value for value, count in Counter(values).items() if count > 1]:
        raise FieldTableError(f"feature_fields.toml names the {what} {', '.join(repeated)} more than once.")
