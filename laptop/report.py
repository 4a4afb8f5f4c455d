"""The result of a run, read from the files that it wrote."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


class ReportError(RuntimeError):
    """A run's files are missing, or cannot be read from this machine."""


@dataclass(frozen=True, slots=True)
class ProductRow:
    label: str
    before: int
    after: int
    should_be: int
    mismatched: int


@dataclass(frozen=True, slots=True)
class Report:
    """If ``properties_checked`` is 0, the run is no success: a check of no properties finds no mismatch."""

    result: str
    properties_checked: int
    properties_mismatched: int
    products: tuple[ProductRow, ...]

    @property
    def good(self) -> bool:
        return self.properties_checked > 0 and self.properties_mismatched == 0


def local_folder(address: str) -> Path:
    """The folder of a run, from a path or a ``file://`` URL. :raises ReportError: it is not on this machine."""
    if "://" not in address:
        return Path(address)
    parts = urlsplit(address)
    if parts.scheme != "file":
        raise ReportError(f"The run's files are at {address}, which is not on this machine")
    return Path(unquote(parts.path))


def read_report(folder: Path) -> Report:
    """:raises ReportError: ``validation.json`` or ``preview.json`` is missing, or does not have the expected form."""
    validation, preview = _read(folder / "validation.json"), _read(folder / "preview.json")
    try:
        before = {product["product"]: product["enabled_now"] for product in preview["products"]}
        return Report(
            result=validation["result"],
            properties_checked=validation["properties_checked"],
            properties_mismatched=validation["properties_mismatched"],
            products=tuple(
                ProductRow(
                    label=product["label"],
                    before=before[product["product"]],
                    after=product["enabled_in_salesforce"],
                    should_be=product["enabled_in_warehouse"],
                    mismatched=product["mismatched"],
                )
                for product in validation["products"]
            ),
        )
    except (KeyError, TypeError) as wrong:
        raise ReportError(f"The reports in {folder} do not have the expected form: {wrong!r} is missing or wrong") from wrong


def product_table(rows: Sequence[ProductRow]) -> str:
    """A table of the products: enabled in Salesforce before and after the run, and enabled in the warehouse."""
    heading = ("product", "before", "after", "should be", "mismatched")
    cells = [(row.label, *(f"{number:,}" for number in (row.before, row.after, row.should_be, row.mismatched))) for row in rows]
    widths = [max(len(line[column]) for line in [heading, *cells]) for column in range(len(heading))]
    lines = [
        "  ".join(f"{cell:<{width}}" if column == 0 else f"{cell:>{width}}" for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in [heading, *cells])
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError:
        raise ReportError(f"{file} is missing: the run ended before it wrote this file") from None
    except ValueError as wrong:
        raise ReportError(f"{file} cannot be read: {wrong}") from wrong
