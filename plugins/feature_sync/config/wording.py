"""How messages say a number and a duration, and what a record holds of a product."""

from collections.abc import Mapping
from typing import Any

from feature_sync.config.fields import Product


def count_of(number: int, noun: str, one: str = "", many: str = "") -> str:
    """
    A number with its noun, and with the verb that fits: "1 record has", "1,296 records have".

    :param noun: in the singular; its plural ends in s, es or ies.
    :param one: what follows after one. :param many: what follows after none or several; by default the same.
    """
    if number == 1:
        return f"1 {noun} {one}".rstrip()
    plural = (
        f"{noun[:-1]}ies"
        if noun.endswith("y") and noun[-2] not in "aeiou"
        else f"{noun}es"
        if noun.endswith("ch")
        else f"{noun}s"
    )
    return f"{number:,} {plural} {many or one}".rstrip()


def duration(seconds: float) -> str:
    """A duration in words, in hours and minutes, at least one minute."""
    minutes = max(1, round(seconds / 60))
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"


def before_and_after(product: Product, row: Mapping[str, Any]) -> str:
    """What a record held of a product, and what was sent, such as ``off → on since 2025-11-21``. One value if they are equal."""
    before, after = state_of(product, row, "before_"), state_of(product, row, "")
    if before != after:
        return f"{before} → {after}"
    changes = any(row[f"before_{each.column}"] != row[each.column] for each in product.fields)
    return f"{after}, another day" if changes else after


def state_of(product: Product, row: Mapping[str, Any], prefix: str = "") -> str:
    """
    What a record holds of a product, such as ``on since 2025-11-21``.

    :param prefix: of the row's columns, such as ``before_``.
    """
    flag = row[f"{prefix}{product.enabled.column}"]
    if not flag:
        return "not known" if flag is None else "off"
    start = row[f"{prefix}{product.start.column}"] if product.start else None
    return f"on since {start:%Y-%m-%d}" if start else "on"
