"""How many records of a run have each product: before the run, now, and as it should be."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_sync.config.wording import count_of
from feature_sync.orchestration.progress import CHANGES
from feature_sync.page.batches import BatchProgress, BatchState
from feature_sync.page.facts import RESULT, RunFacts
from feature_sync.sending.batches import PlannedChanges

BY_VERDICT = "Now: what the verdict of this run has found."
NOT_PLANNED = "How many records have a product now is counted from the plan of the batches on."
NO_BATCH = "How many records have a product now is not known: no batch was planned, and no verdict has looked."
NO_NOTE = (
    "How many records have a product now is known when the run validates it: the plan left no note of what each batch changes."
)


@dataclass(frozen=True, slots=True)
class ProductCount:
    """How many records have a product. None where nobody knows."""

    label: str
    before: int | None
    now: int | None
    should_be: int | None


@dataclass(frozen=True, slots=True)
class ProductCounts:
    """``note``: what the numbers of now rest on, and what they leave out."""

    counts: Sequence[ProductCount]
    note: str


def count_products(run: RunFacts, batches: Sequence[BatchProgress], previewed: Sequence[Mapping[str, Any]]) -> ProductCounts:
    """
    Count the records that have each product.

    What the verdict has found counts. Until there is a verdict, ``now`` is ``before`` and what the accepted batches have changed.

    :param previewed: the products as ``check_payload`` returned them. Empty if the run had no such task.
    """
    found = {each["product"]: each for each in run.found.get("products") or ()}
    if not previewed:
        of_verdict = [
            ProductCount(each["label"], None, each["enabled_in_salesforce"], each.get("enabled_in_warehouse"))
            for each in found.values()
        ]
        return ProductCounts(of_verdict, BY_VERDICT)
    if found:
        now = {product: each.get("enabled_in_salesforce") for product, each in found.items()}
        return _counts(previewed, now, BY_VERDICT)
    if not batches:
        return _counts(previewed, {}, NO_BATCH if run.has_ended else NOT_PLANNED)
    changes = _accepted_changes(run, batches)
    if changes is None:
        return _counts(previewed, {}, NO_NOTE)
    now = {
        each["product"]: each["now"] + sum(of_batch[each["product"]] for of_batch in changes)
        for each in previewed
        if all(each["product"] in of_batch for of_batch in changes)
    }
    return _counts(previewed, now, _rests_on(batches))


def _counts(previewed: Iterable[Mapping[str, Any]], now: Mapping[str, int | None], note: str) -> ProductCounts:
    counts = [ProductCount(each["label"], each["now"], now.get(each["product"]), each["after"]) for each in previewed]
    return ProductCounts(counts, note)


def _accepted_changes(run: RunFacts, batches: Iterable[BatchProgress]) -> list[Mapping[str, int]] | None:
    """What each batch changes that was accepted whole. None if a plan has left no note of that."""
    planned: dict[int, Mapping[str, int]] = {}
    for note in _notes(run):
        if note is None:
            return None
        planned |= PlannedChanges.from_note(note).by_batch
    accepted = [each.number for each in batches if each.state is BatchState.ACCEPTED]
    return [planned[number] for number in accepted] if planned.keys() >= set(accepted) else None


def _notes(run: RunFacts) -> Iterator[Mapping[str, Any] | None]:
    """The note of each task that has planned batches, or None if it has left none."""
    return (run.note_of(plan, CHANGES) for plan in run.mapped.values() if run.note_of(plan, RESULT))


def _rests_on(batches: Iterable[BatchProgress]) -> str:
    others = [each for each in batches if each.state is not BatchState.ACCEPTED]
    rejected = sum(each.state is BatchState.REJECTED for each in others)
    unknown = sum(
        each.state is BatchState.FAILED or (each.was_tried and each.state is not BatchState.REJECTED) for each in others
    )
    said = ["Now: by what Salesforce has accepted."]
    if rejected:
        said.append(f"{count_of(rejected, 'batch')} with rejected records {'is' if rejected == 1 else 'are'} not counted yet.")
    if unknown:
        said.append(f"Nobody knows yet what Salesforce has of {count_of(unknown, 'batch')}, so that is not counted.")
    return " ".join([*said, "The verdict looks for itself."])
