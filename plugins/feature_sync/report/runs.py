"""What the page about a backfill says: its evidence in, a `Report` out."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from feature_sync.config.fields import FieldTable
from feature_sync.config.run_config import DEFAULTS, RunConfig
from feature_sync.config.wording import count_of
from feature_sync.report.facts import Answered, CauseCount, Origin, ProductNumbers, Report, Tone, in_short
from feature_sync.report.open_records import OpenList

Row = Mapping[str, Any]
ALWAYS_SAID = ("strategy", "scope")


def validation_report(
    evidence: Row,
    *,
    config: RunConfig,
    origin: Origin,
    before: Row | None,
    fields: FieldTable,
    expected: str,
    problems: Sequence[str],
    open_records: OpenList,
    causes: Iterable[CauseCount],
    answers: Sequence[Answered] | None,
    askable: Sequence[str],
    batches: Mapping[str, int],
) -> Report:
    """
    The page about a run that was sent, whether it is green or red.

    :param evidence: what ``validation.json`` holds. :param before: the row of ``backfill/summarize_payload.sql``, or None if it
        could not be read.
    :param expected: what Salesforce is held against, as the end of a sentence. :param problems: as the error says them.
    :param batches: how many batches there are, by what became of them.
    """
    checked, differing = evidence["properties_checked"], evidence["properties_mismatched"]
    nothing = evidence["nothing_to_do"]
    books = evidence["records"]
    if nothing:
        headline = f"Nothing to do. {nothing}"
    elif problems:
        headline = f"{differing:,} of {checked:,} properties differ from {expected}." if differing else problems[0]
    else:
        headline = f"All {checked:,} properties of this run hold what they should: they agree with {expected}."
    sentences = [evidence["compared_with"]["note"]]
    if count := books["accepted_by_counters"]:
        sentences.append(
            f"{count:,} of {books['sent']:,} records sent were accepted by Census's counters alone, because its row records "
            "never came. The numbers below include their values in Salesforce."
        )
    sent = {} if nothing else {"records in scope": books["in_scope"], "sent": books["sent"]}
    sent |= {} if nothing else {"rejected": books["rejected"], "not sent": books["not_sent"], **batches}
    return Report(
        origin=origin,
        title=_title(config),
        written_at=datetime.fromisoformat(evidence["checked_at"]),
        tone=Tone.WRONG if problems and not nothing else Tone.RIGHT,
        headline=headline,
        sentences=sentences,
        products=[] if nothing else _products(evidence["products"], before, fields),
        expected="before that run" if config.undo_run_id else "in the warehouse",
        counts=sent,
        problems=() if nothing else problems,
        hints=evidence["regular_sync"],
        open_records=open_records,
        causes=tuple(causes),
        causes_note=evidence["causes_note"],
        answers=answers,
        askable=askable,
        facts={
            **_facts(config),
            "Compared": f"{evidence['checked_at'][:16].replace('T', ' ')} UTC",
            "Replica of Salesforce from": f"{(evidence['mirror_synced_at'] or 'never')[:16].replace('T', ' ')} UTC",
        },
        files=("validation.json", "mismatches.csv", "rejected_records.csv"),
    )


def dry_run_report(
    summary: Row,
    preview: Row,
    *,
    config: RunConfig,
    origin: Origin,
    written_at: datetime,
    fields: FieldTable,
    batches: int,
    seconds: int,
    askable: Sequence[str],
) -> Report:
    """
    The page about a run that was asked to send nothing.

    :param summary: the row of ``backfill/summarize_payload.sql``. :param preview: what ``preview.json`` holds, or nothing if
        this worker does not have it. :param seconds: how long sending would take.
    """
    records = summary["records"]
    nothing = preview.get("nothing_to_do")
    duration = f"about {max(1, round(seconds / 60)):,} min"
    would = f"{count_of(records, 'record')} would be sent in {count_of(batches, 'batch')}, {duration}."
    left_out = {reason: preview.get(f"records_{name}") for name, reason in LEFT_OUT.items()}
    not_undone = preview.get("records_not_undone")
    return Report(
        origin=origin,
        title=f"Dry run: {_title(config)}",
        written_at=written_at,
        tone=Tone.NEUTRAL,
        headline=f"Nothing was sent. {f'There is nothing to do: {nothing}' if nothing else would}",
        products=[
            ProductNumbers(product.label, summary[f"{product.name}_now"], None, summary[f"{product.name}_after"])
            for product in fields.products
        ]
        if records
        else [],
        expected="if it were sent",
        problems=[
            "Look at the numbers above. If they are right, start a run with the same parameters, but without dry_run. It freezes "
            "and checks the values again."
        ]
        if records
        else [],
        hints=[
            *(
                [f"{count_of(not_undone, 'record', 'is', 'are')} left out: they stay as they are, see records_not_undone.csv."]
                if not_undone
                else []
            ),
            *(
                f"{count_of(count, 'record', 'is', 'are')} left out: {reason}, see records_left_out.csv."
                for reason, count in left_out.items()
                if count
            ),
            *preview.get("regular_sync", ()),
        ],
        counts={"records to send": records, "batches": batches},
        askable=askable,
        facts=_facts(config),
        files=("preview.json", "feature_backfill_batches"),
    )


LEFT_OUT = {
    "without_property": "the properties table does not have the property",
    "with_key_mismatch": "its two keys disagree, or another record has one of them too",
    "ambiguous": "the feature table has unequal rows of the property, or one that misspells its id",
    "with_unknown_flag": "the feature table has an empty flag of the property",
    "true_through_sibling": "a product is True through an ACTIVE sibling",
    "accepted": "a difference is accepted",
}
"""Why records in scope are not sent. The preview has a number for each, such as ``records_accepted``."""


def _title(config: RunConfig) -> str:
    return "Undo of product features in Salesforce" if config.undo_run_id else "Repair of product features in Salesforce"


def _facts(config: RunConfig) -> dict[str, str]:
    asked = config.model_dump(mode="json")
    said = in_short({name: value for name, value in asked.items() if name in ALWAYS_SAID or value != DEFAULTS[name]})
    return {
        "Purpose": f"{config.purpose}{', as a dry run' if config.dry_run else ''}: {config.description}",
        "Asked for": ", ".join(f"{name} {value}" for name, value in said.items()) + "; the rest as by default",
    }


def _products(products: Sequence[Row], before: Row | None, fields: FieldTable) -> list[ProductNumbers]:
    names = [product.name for product in fields.products]
    return [
        ProductNumbers(
            label=row["label"],
            before=None if before is None else before[f"{name}_now"],
            after=row["enabled_in_salesforce"],
            expected=row.get("enabled_in_warehouse", row.get("enabled_before_that_run", 0)),
            differing=row["mismatched"],
        )
        for name, row in zip(names, products, strict=True)
    ]
