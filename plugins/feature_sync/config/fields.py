"""The field table: which columns a sync sends, where they come from and what they are called in Salesforce.

The data is ``include/feature_fields.toml``, or the file that the setting ``fields_file`` names. Everything else that names a
field derives from here.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from feature_sync.config.paths import INCLUDE

FIELDS_FILE = INCLUDE / "feature_fields.toml"
TOP_LEVEL = ("property_id", "upsert_key", "flag_type", "products")
OF_A_PRODUCT = ("label", "source", "enabled", "start", "updated")
OPTIONAL = ("start", "updated")
"""Entries of a product that may be absent: then Salesforce has no such field."""


class FieldTableError(ValueError):
    """The field table's file cannot be read, or contradicts itself."""


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


class FlagType(StrEnum):
    """How the feature table stores a flag: as BOOLEAN, or as one of the whole numbers 0 and 1."""

    BOOLEAN = "boolean"
    NUMBER = "number"


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
    """
    A product and its columns: the flag, the day since which it is on, the day of its last change.

    ``start``, ``updated``: None if Salesforce has no such field.
    """

    name: str
    label: str
    source: str
    enabled: FeatureField
    start: FeatureField | None
    updated: FeatureField | None

    @property
    def dates(self) -> tuple[FeatureField, ...]:
        """Those of its two dates that exist."""
        return tuple(each for each in (self.start, self.updated) if each is not None)

    @property
    def fields(self) -> tuple[FeatureField, ...]:
        return (self.enabled, *self.dates)

    def entry_of(self, wanted: FeatureField) -> str:
        """The entry of the product's line that names a field."""
        return next(entry for entry in ("enabled", *OPTIONAL) if getattr(self, entry) == wanted)


@dataclass(frozen=True, slots=True)
class FieldTable:
    """
    All fields of the sync. Iterating yields them in the order of the CSV: the keys, then those of each product.

    ``flag_type``: how the feature table stores the flags.
    ``file``: the name of its file. ``lines``: the line of that file that names a column.
    """

    property_id: FeatureField
    upsert_key: FeatureField
    products: tuple[Product, ...]
    flag_type: FlagType = FlagType.BOOLEAN
    file: str = FIELDS_FILE.name
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    def __iter__(self) -> Iterator[FeatureField]:
        yield from self.keys
        yield from self.features

    @property
    def keys(self) -> tuple[FeatureField, ...]:
        """The property id and the upsert key. One column may be both."""
        return (self.property_id,) if self.property_id == self.upsert_key else (self.property_id, self.upsert_key)

    @property
    def features(self) -> tuple[FeatureField, ...]:
        """The fields that the sync repairs: all but the keys."""
        return tuple(each for product in self.products for each in product.fields)

    @property
    def dates(self) -> tuple[FeatureField, ...]:
        """The features that are dates or times."""
        return tuple(each for each in self.features if each.kind is not FieldKind.CHECKBOX)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(each.column for each in self)

    def cure(self, missing: FeatureField, where: str) -> str:
        """
        What to change in the field table if a field does not exist.

        :param where: what lacks the field, such as ``Salesforce has no such field``.
        """
        number = self.lines.get(missing.column)
        place = self.file + (f" (line {number})" if number else "")
        for product in self.products:
            if missing == product.enabled:
                return f"If {where}, remove {product.name} from {place}."
            if missing in product.dates:
                return f"If {where}, remove `{product.entry_of(missing)}` from {product.name} in {place}."
        key = "property_id" if missing == self.property_id else "upsert_key"
        return f"If {where}, correct `{key}` in {place}."


def salesforce_name(column: str) -> str:
    """The Salesforce field of a column: column ``x_c`` is the custom field ``x__c``."""
    return f"{column.removesuffix('_c')}__c"


def load_fields(datetime_columns: frozenset[str] = frozenset(), path: Path = FIELDS_FILE) -> FieldTable:
    """
    Read the field table. The file is read each time, because the triggerer lives longer than a version of it.

    :param datetime_columns: date columns that are Date/Time fields in this Salesforce org.
    :raises FieldTableError: the file cannot be read, a column or product is repeated, a key is missing, or ``datetime_columns``
        names another column.
    """
    try:
        # A process may live longer than the checkout that it began with, so it is the text that is remembered, not the path.
        return _parse_text(path.read_text(encoding="utf-8"), datetime_columns, path.name)
    except FieldTableError:
        raise
    except (OSError, ValueError) as error:  # no file, not UTF-8, not TOML
        raise FieldTableError(f"The field table {path} (FIELDS_FILE) cannot be read: {error}") from error


@lru_cache(maxsize=8)
def _parse_text(text: str, datetime_columns: frozenset[str], file: str) -> FieldTable:
    return parse_fields(tomllib.loads(text), datetime_columns, file=file, text=text)


def parse_fields(
    data: Mapping[str, Any], datetime_columns: frozenset[str] = frozenset(), *, file: str = FIELDS_FILE.name, text: str = ""
) -> FieldTable:
    """
    Build the table from the parsed TOML. See `load_fields`.

    :param file: the name of its file, for messages.
    :param text: what the file says, so that messages can name a line.
    """

    def date_field(row: Mapping[str, Any], entry: str) -> FeatureField | None:
        if entry not in row:
            return None
        column, suffix = row[entry], {"start": "enabled_at", "updated": "updated_at"}[entry]
        kind = FieldKind.DATETIME if column in datetime_columns else FieldKind.DATE
        return FeatureField(column, kind, f"{row['source']}_{suffix}")

    # An entry that nobody knows may be a field with a typo in its name, which would then be missing without a word.
    _refuse_unknown(file, "", data, TOP_LEVEL)
    try:
        for name, row in data["products"].items():
            _refuse_unknown(file, f" of {name}", row, OF_A_PRODUCT)
        table = FieldTable(
            property_id=FeatureField(data["property_id"], FieldKind.TEXT),
            upsert_key=FeatureField(data["upsert_key"], FieldKind.TEXT),
            products=tuple(
                Product(
                    name=name,
                    label=row["label"],
                    source=row["source"],
                    enabled=FeatureField(row["enabled"], FieldKind.CHECKBOX, f"{row['source']}_enabled"),
                    start=date_field(row, "start"),
                    updated=date_field(row, "updated"),
                )
                for name, row in data["products"].items()
            ),
            flag_type=_flag_type(file, data.get("flag_type", FlagType.BOOLEAN)),
            file=file,
        )
    except KeyError as missing:
        raise FieldTableError(f"{file} lacks the entry {missing}.") from missing
    _check_names(table)
    _refuse_repeats(file, "column", table.columns)
    _refuse_repeats(file, "label", (product.label for product in table.products))
    _refuse_repeats(file, "source", (product.source for product in table.products))
    if unknown := datetime_columns - {each.column for each in table.dates}:
        raise FieldTableError(f"DATETIME_FIELDS names {sorted(unknown)}, which are not date columns of {file}.")
    return replace(table, lines=_line_numbers(text, table.columns))


def _check_names(table: FieldTable) -> None:
    """Names are put into SQL as text, so only plain identifiers pass."""
    if not table.products:
        raise FieldTableError(f"{table.file} has no product.")
    if wrong := [column for column in table.columns if not re.fullmatch(r"[A-Za-z_]\w*_c", str(column), flags=re.ASCII)]:
        raise FieldTableError(f"{table.file}: {wrong} are not names of custom fields such as 'x_enabled_c'.")
    names = [name for product in table.products for name in (product.name, product.source)]
    if wrong := [name for name in names if not re.fullmatch(r"[A-Za-z_]\w*", str(name), flags=re.ASCII)]:
        raise FieldTableError(f"{table.file}: {wrong} are not names in letters, digits and underscores.")


def _flag_type(file: str, value: Any) -> FlagType:
    try:
        return FlagType(value)
    except ValueError as error:
        raise FieldTableError(f"{file}: flag_type is {value!r}; allowed are {', '.join(FlagType)}.") from error


def _refuse_unknown(file: str, where: str, row: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if unknown := [name for name in row if name not in known]:
        raise FieldTableError(f"{file}: the entries {unknown}{where} are not known; allowed are {', '.join(known)}.")


def _refuse_repeats(file: str, what: str, values: Iterable[str]) -> None:
    if repeated := [value for value, count in Counter(values).items() if count > 1]:
        raise FieldTableError(f"{file} names the {what} {', '.join(repeated)} more than once.")


def _line_numbers(text: str, columns: Iterable[str]) -> dict[str, int]:
    """The first line that gives a column's name to an entry."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.lstrip().startswith("#"):
            found |= {
                column: number for column in columns if re.search(rf"""=\s*(["']){column}\1""", line) and column not in found
            }
    return found
