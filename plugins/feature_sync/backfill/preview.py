"""What a run would change in Salesforce: as ``preview.json``, and as a table for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from feature_sync.backfill.payload_guards import ProductChange
from feature_sync.census.neighbours import ScheduledNeighbour
from feature_sync.config.fields import FieldTable
from feature_sync.config.wording import count_of, duration
from feature_sync.report.runs import LEFT_OUT

MAX_IN_SUBJECT = 2
"""Products that the one line of a question names."""


@dataclass(frozen=True, slots=True)
class Preview:
    """
    The effect of a frozen payload.

    ``purpose``: ``repair`` or ``undo``. ``dry_run``: whether it ends after the plan.
    ``nothing_to_do``: why there is nothing to send, if everything is as the run should leave it.
    ``records_unmatched``: records whose property has no feature row.
    ``records_not_undone``: records of the run to undo that stay as they are.
    ``neighbours``: other syncs that write the same object and may start during the run; None if Census could not be asked.
    ``records_without_property``: records in scope that are left out, because the properties table does not have their property.
    ``records_with_key_mismatch``: records in scope that are left out, because their two keys disagree or are shared.
    ``records_with_unknown_flag``: records that scope mismatched leaves out, because a flag is empty in the feature table.
    ``records_ambiguous``: records in scope that are left out, because the feature table has unequal rows of their property.
    ``records_true_through_sibling``: records that scope mismatched leaves out, because an ACTIVE sibling has a product that their
    own property has not.
    ``regular_sync``: why the next run of the regular sync would undo the repair, or why that is not known. Empty if it would not.
    ``ages``: of which time the newest row is, of the replica and of both sources, by table.
    """

    run_id: str
    records: int
    records_unmatched: int
    records_not_undone: int
    batches: int
    estimated_seconds: int
    products: tuple[ProductChange, ...]
    purpose: str = "repair"
    dry_run: bool = False
    nothing_to_do: str | None = None
    neighbours: tuple[ScheduledNeighbour, ...] | None = ()
    records_without_property: int = 0
    records_with_key_mismatch: int = 0
    records_ambiguous: int = 0
    records_with_unknown_flag: int = 0
    records_true_through_sibling: int = 0
    records_accepted: int = 0
    regular_sync: tuple[str, ...] = ()
    ages: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_table(self) -> str:
        """A Markdown table with the totals below it, for Airflow's approval page and for `as_log`."""
        are_dates_counted = all(change.dates_changed is not None for change in self.products)
        heads = ("product", "now", "after", "to enable", "to disable", *(("new dates",) if are_dates_counted else ()))
        rows = [
            (
                change.label,
                change.enabled_now,
                change.enabled_after,
                change.to_enable,
                change.to_disable,
                *((change.dates_changed or 0,) if are_dates_counted else ()),
            )
            for change in self.products
        ]
        width = max(len(label) for label, *_ in rows)
        lines = [
            f"| {heads[0]:<{width}} | " + " | ".join(f"{head:>10}" for head in heads[1:]) + " |",
            f"|:{'-' * width}-|" + "|".join(f"{'-' * 11}:" for _ in heads[1:]) + "|",
            *(f"| {label:<{width}} | " + " | ".join(f"{number:>10,}" for number in numbers) + " |" for label, *numbers in rows),
        ]
        totals = [
            f"{count_of(self.records, 'record')}, {self.records_unmatched:,} of them without a feature row",
            f"{count_of(self.batches, 'batch')}, about {duration(self.estimated_seconds)}",
        ]
        totals += [
            f"{change.label}: the flag of {count_of(change.before_unknown, 'record')} is empty in the replica, so it is counted "
            "neither as enabled nor as disabled before the run"
            for change in self.products
            if change.before_unknown
        ]
        if self.records_not_undone:
            kept = count_of(
                self.records_not_undone, "record", "of the undone run stays as it is", "of the undone run stay as they are"
            )
            totals.append(f"{kept}: records_not_undone.csv")
        left_out = {reason: getattr(self, f"records_{name}") for name, reason in LEFT_OUT.items()}
        totals += [
            f"{count_of(count, 'record', 'is left out', 'are left out')}: {reason}, see records_left_out.csv"
            for reason, count in left_out.items()
            if count
        ]
        return "\n".join([*lines, "", *(f"- {total}" for total in totals)])

    def as_log(self) -> str:
        """
        The table, the syncs that may start during the run, and what the regular sync would undo.

        They are not in the table itself: a question to a person must stay the same when it is asked again, and their next start
        does not.
        """
        if self.neighbours is None:
            said = ["Census could not be asked which other syncs write the same object, so some may start during the run"]
        else:
            said = [f"{one}: writes the same object and may start during the run; batches wait for it" for one in self.neighbours]
        said += [*self.regular_sync, *(f"{table}: its newest row is of {age}" for table, age in self.ages.items())]
        first = [f"Nothing to do: {self.nothing_to_do}", ""] if self.nothing_to_do else []
        return "\n".join([*first, self.as_table(), *(f"- {one}" for one in said)])


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
            before_unknown=summary[f"{product.name}_unknown"],
            dates_changed=summary[f"{product.name}_dates"],
        )
        for product in fields.products
    )


def approval_body(preview: Preview, problems: Sequence[str], undo_run_id: str | None = None) -> str:
    """
    The question to the person who approves, in Markdown.

    :param undo_run_id: the run that this one undoes, or None.
    """
    reasons = "\n".join(f"- {problem}" for problem in problems)
    what = f"This run undoes run `{undo_run_id}`. It" if undo_run_id else "This run"
    return (
        f"{what} changes products for more records than the guards allow:\n\n{reasons}\n\n{preview.as_table()}\n\n"
        f"**Approve**: {count_of(preview.records, 'record', 'is', 'are')} sent in {count_of(preview.batches, 'batch')}, about "
        f"{duration(preview.estimated_seconds)}.\n\n**Reject**: nothing is sent, and the run fails.\n"
    )


def approval_subject(preview: Preview, undo_run_id: str | None = None) -> str:
    """The same question in one line, such as "Turn Fraud Detection off for 1,226 records (undo of manual__1)?"."""
    lost = sorted((each for each in preview.products if each.to_disable), key=lambda each: -each.to_disable)
    named = [f"{each.label} off for {count_of(each.to_disable, 'record')}" for each in lost[:MAX_IN_SUBJECT]]
    if more := len(lost) - len(named):
        named.append(f"{count_of(more, 'other product')} off")
    what = f"Turn {', '.join(named)}" if named else f"Send {count_of(preview.records, 'record')} that a guard would refuse"
    return f"{what} (undo of {undo_run_id})?" if undo_run_id else f"{what}?"
