"""What the counts of ``deployment/check_source_values.sql`` mean: counts in, sentences out."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from feature_sync.config.fields import FeatureField, FieldTable
from feature_sync.config.wording import count_of
from feature_sync.deployment.mapped_columns import MappedColumns, OtherColumn

CURE = "Correct the query."


class Concern(StrEnum):
    """
    What a finding is about: which record a row belongs to, columns that are not there, the fields of the field table, or the
    fields beside them.
    """

    KEYS = "keys"
    COLUMNS = "columns"
    FEATURES = "features"
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class ValueFinding:
    """A sentence about what a source yields. ``is_wrong``: wrong values would be written. Otherwise it is only worth knowing."""

    concern: Concern
    is_wrong: bool
    text: str


def value_findings(
    counts: Mapping[str, Any], mapped: MappedColumns, fields: FieldTable, operation: str, overwrite_share: float
) -> list[ValueFinding]:
    """
    :param counts: the row of ``deployment/check_source_values.sql``.
    :param operation: what the sync does in Salesforce, such as ``upsert``.
    :param overwrite_share: the largest share of records whose other fields may be overwritten, 0 to 1.
    """
    if not counts["records"]:
        text = "It yields no row, so nothing was compared."
        return [ValueFinding(Concern.KEYS, operation != "update", text)]
    found = [*_keys(counts, operation), *_missing_columns(mapped)]
    for product in fields.products:
        if product.enabled.column in mapped.features:
            found += _flags(counts, mapped, product.name, product.label, product.enabled)
        found += [_date(counts, mapped, product.label, date) for date in product.dates if counts.get(f"{date.column}_differs")]
    for number, other in enumerate(mapped.others, start=1):
        found += _other(counts, f"other_{number}", other, overwrite_share)
    return found


def _keys(counts: Mapping[str, Any], operation: str) -> list[ValueFinding]:
    records = counts["records"]
    wrong = {
        "empty_keys": (("row", "has", "have"), "no key, so Census never sends a value"),
        "repeated_keys": (("row", "shares", "share"), "a key with another row, so Census sends none of them"),
        "unknown_properties": (("row", "names", "name"), "a property that the properties table does not have"),
    }
    found = [
        ValueFinding(
            Concern.KEYS, True, f"Of {records:,} rows {count_of(counts[name], *words)} {rest}{_example(counts, name)}. {CURE}"
        )
        for name, (words, rest) in wrong.items()
        if counts[name]
    ]
    known = {
        "unsynced_properties": (("row", "belongs", "belong"), "to a property that does not belong in Salesforce"),
        "ambiguous_features": (
            ("row", "was", "were"),
            "not compared, because the feature table has unequal rows of the property",
        ),
    }
    if operation != "update":
        known["missing_properties"] = (("property", "has", "have"), "no row, although it belongs in Salesforce")
    return found + [
        ValueFinding(Concern.KEYS, False, f"{count_of(counts[name], *words)} {rest}{_example(counts, name)}.")
        for name, (words, rest) in known.items()
        if counts[name]
    ]


def _missing_columns(mapped: MappedColumns) -> list[ValueFinding]:
    return [
        ValueFinding(
            Concern.COLUMNS,
            True,
            f"{mapping.to} is mapped from {mapping.column}, a column that the source does not have. Add the column, or "
            "remove the mapping in Census.",
        )
        for mapping in mapped.missing
    ]


def _flags(counts: Mapping[str, Any], mapped: MappedColumns, product: str, label: str, flag: FeatureField) -> list[ValueFinding]:
    place = _place(label, flag, mapped)
    records = counts["records"]
    wanted = counts[f"{product}_wanted"]
    wrongly_false, wrongly_true = counts[f"{product}_wrongly_false"], counts[f"{product}_wrongly_true"]
    found = []
    if wrongly_false or wrongly_true:
        constant = (
            f" The column is True in no row, although the feature table has the product for {wanted:,} of them. "
            "The join with the feature table is missing, or does not match."
            if not counts[f"{product}_enabled"]
            else " The column is True in every row."
            if counts[f"{product}_enabled"] == records
            else ""
        )
        text = (
            f"{place} is wrongly False in {wrongly_false:,} and wrongly True in {wrongly_true:,} of {records:,} rows"
            f"{_example(counts, f'{product}_flag')}.{constant} {CURE}"
        )
        found.append(ValueFinding(Concern.FEATURES, True, text))
    if empty := counts[f"{product}_empty"]:
        text = f"{place} is NULL in {empty:,} of {records:,} rows{_example(counts, f'{product}_empty')}. "
        text += f"A checkbox cannot be NULL. {CURE}"
        found.append(ValueFinding(Concern.FEATURES, True, text))
    if guessed := counts[f"{product}_guessed"]:
        text = (
            f"{place} has a value in {count_of(guessed, 'row')} whose flag is empty in the feature table, so it was not compared."
        )
        found.append(ValueFinding(Concern.FEATURES, False, text))
    return found


def _date(counts: Mapping[str, Any], mapped: MappedColumns, label: str, date: FeatureField) -> ValueFinding:
    text = (
        f"{_place(label, date, mapped)} differs from the feature table in {counts[f'{date.column}_differs']:,} of "
        f"{counts['records']:,} rows{_example(counts, date.column)}. {CURE}"
    )
    return ValueFinding(Concern.FEATURES, True, text)


def _other(counts: Mapping[str, Any], name: str, other: OtherColumn, overwrite_share: float) -> list[ValueFinding]:
    place = f"{other.to} (column {other.column})"
    held, overwritten = counts.get(f"{name}_held", 0), counts.get(f"{name}_overwritten", 0)
    found = []
    if held and overwritten / held > overwrite_share:
        becomes, loses = counts.get(f"{name}_becomes_name") or 0, counts.get(f"{name}_loses_name") or 0
        text = (
            f"{place} would be overwritten in {overwritten:,} of {held:,} records for which Salesforce has a value "
            f"({overwritten / held:.0%}){_example(counts, name)}."
        )
        is_swapped = max(becomes, loses) / held > overwrite_share
        if becomes >= loses and is_swapped:
            text += f" In {becomes:,} of them it becomes the property's own name, which Salesforce does not have there."
        elif is_swapped:
            text += f" In {loses:,} of them Salesforce has the property's own name, and the query another one."
        cure = (
            f"The name is taken from the wrong table. {CURE}"
            if is_swapped
            else "If that is not intended, correct the query. REGULAR_SYNC_OVERWRITE_SHARE is the limit."
        )
        found.append(ValueFinding(Concern.OTHERS, is_swapped, f"{text} {cure}"))
    filled, records = counts[f"{name}_filled"], counts["records"]
    if records > 1 and filled in (0, records) and counts[f"{name}_is_one_value"] and held and overwritten:
        value = "NULL" if not filled else repr(counts[f"{name}_value"])
        text = f"{place} is {value} in all {records:,} rows, and Salesforce holds other values in {overwritten:,} records."
        found.append(ValueFinding(Concern.OTHERS, False, text))
    return found


def _place(label: str, field: FeatureField, mapped: MappedColumns) -> str:
    column = mapped.features[field.column].strip("`")
    return f"{label}: {field.salesforce_name} (column {column})"


def _example(counts: Mapping[str, Any], name: str) -> str:
    key = counts.get(f"{name}_example")
    return f", for example key {key}" if key else ""
