"""What a run would change in Salesforce: as ``preview.json``, and as a table for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from feature_sync.backfill.payload_guards import ProductChange
from feature_sync.config.fields import FieldTable


@dataclass(frozen=True, slots=True)
class Preview:
    """
    The effect of a frozen payload.

    ``records_unmatched``: records whose property has no feature row.
    ``records_not_undone``: records of the run to undo that stay as they are.
    ``records_ambiguous``: records in scope that are left out, because the feature table has unequal rows of their property.
    ``records_true_through_sibling``: records that scope mismatched leaves out, because an ACTIVE sibling has a product that their
    own property has not.
    """

    run_id: str
    records: int
    records_unmatched: int
    records_not_undone: int
    batches: int
    estimated_seconds: int
    products: tuple[ProductChange, ...]
    records_ambiguous: int = 0
    records_true_through_sibling: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_table(self) -> str:
        """A Markdown table with the totals below it, for logs and for Airflow's approval page."""
        rows = [
            (change.label, change.enabled_now, change.enabled_after, change.to_enable, change.to_disable)
            for change in self.products
        ]
        heads = ("product", "now", "after", "to enable", "to disable")
        width = max(len(label) for label, *_ in rows)
        lines = [
            f"| {heads[0]:<{width}} | " + " | ".join(f"{head:>10}" for head in heads[1:]) + " |",
            f"|:{'-' * width}-|" + "|".join(f"{'-' * 11}:" for _ in heads[1:]) + "|",
            *(f"| {label:<{width}} | " + " | ".join(f"{number:>10,}" for number in numbers) + " |" for label, *numbers in rows),
        ]
        totals = [
            f"{self.records:,} records, {self.records_unmatched:,} of them without a feature row",
            f"{self.batches:,} batches, about {duration(self.estimated_seconds)}",
        ]
        if self.records_not_undone:
            totals.append(f"{self.records_not_undone:,} records of the undone run stay as they are: records_not_undone.csv")
        if self.records_ambiguous:
            totals.append(
                f"{self.records_ambiguous:,} records are left out, because the feature table has unequal rows of their property: "
                "records_left_out.csv"
            )
        if self.records_true_through_sibling:
            totals.append(
                f"{self.records_true_through_sibling:,} records are left out, because a product is True through an "
                "ACTIVE sibling: records_left_out.csv"
            )
        return "\n".join([*lines, "", *(f"- {total}" for total in totals)])


def product_changes(summary: Mapping[str, Any], fields: FieldTable) -> tuple[ProductChange, ...]:
    """:param summary: the row of ``backfill/summarize_payload.sql``."""
    return tuple(
        ProductChange(
            product=product.name,
            label=product.label,
            enabled_now=summary[f"{product.name}_now"],
            enabled_after=summary[f"{product.name}_after"],
            to_enable=summary[f"{product.name}_to_enable"],
            to_disable=summary[f"{product.name}_to_disable"],
        )
        for product in fields.products
    )


def duration(seconds: float) -> str:
    """A duration in words, in hours and minutes, at least one minute."""
    minutes = max(1, round(seconds / 60))
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"


def approval_body(preview: Preview, problems: Sequence[str]) -> str:
    """The question to the person who approves, in Markdown."""
    reasons = "\n".join(f"- {problem}" for problem in problems)
    return f"This run turns products off for more records than the guard allows:\n\n{reasons}\n\n{preview.as_table()}\n"
