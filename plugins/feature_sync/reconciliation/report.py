"""The page about a weekly run: the numbers, what was done about them, and each product's accuracy over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feature_sync.config.wording import count_of
from feature_sync.reconciliation.acceptances import Acceptances
from feature_sync.reconciliation.drift import UNHEALABLE, Drift, DriftClass
from feature_sync.reconciliation.verdict import Verdict, count_differences
from feature_sync.replica.mismatches import Causes
from feature_sync.report.charts import AccuracyPoint, draw_accuracy
from feature_sync.report.facts import Answered, Origin, Report, Tone, cause_counts
from feature_sync.report.open_records import NOTHING_OPEN, OpenList
from feature_sync.report.page import drawn, render_weekly

if TYPE_CHECKING:
    import pandas as pd

MAX_DIFFERENCES = 2_000
"""Differences of each class that ``mismatches.csv`` lists. The counts include all."""


@dataclass(frozen=True, slots=True)
class WeeklyPage:
    """
    What the page about a weekly run is made of.

    ``history``: `history_table` of all products, including this reconciliation.
    ``problems``: what is wrong at the end, as the error says it. None: the run has not ended, this is its first comparison.
    ``mismatched_before``: how many properties differed before the healing, or None if nothing was healed.
    """

    origin: Origin
    drift: Drift
    verdict: Verdict
    history: "pd.DataFrame"
    acceptances: Acceptances
    causes: Causes
    problems: Sequence[str] | None = None
    open_records: OpenList = NOTHING_OPEN
    answers: Sequence[Answered] | None = ()
    askable: Sequence[str] = ()
    mismatched_before: int | None = None

    @property
    def points(self) -> list[AccuracyPoint]:
        """
        The curves, the oldest point first. The drift table has the comparison before the healing, so after it one point more is
        needed: a curve ends at what the page says.
        """
        labels = {product.product: product.label for product in self.drift.products}
        weekly = [
            AccuracyPoint(labels[row.product], row.checked_at.to_pydatetime(), float(row.accuracy))
            for row in self.history.itertuples()
            if row.product in labels
        ]
        last = {point.product: point.accuracy for point in weekly}
        now = [AccuracyPoint(each.label, self.drift.checked_at, each.accuracy, is_after=True) for each in self.drift.products]
        has_changed = any(last.get(point.product, point.accuracy) != point.accuracy for point in now)
        return [*weekly, *now] if has_changed or self.mismatched_before is not None else weekly

    def draw(self) -> str:
        """The accuracy over time as SVG; empty if there is no history yet, or if it cannot be drawn."""
        labels = [product.label for product in self.drift.products]
        after = "compared again" if self.mismatched_before is None else "after the healing"
        return drawn(lambda: draw_accuracy(self.points, labels, after))

    def render(self, chart: str) -> str:
        """
        The page as HTML in one file.

        :param chart: as `draw` returns it.
        """
        own = self.history[self.history["run_id"] == self.origin.run_id]
        return render_weekly(
            self._report,
            chart,
            drift=self.drift,
            before=dict(zip(own["product"], own["mismatched"].tolist(), strict=True)) if self.mismatched_before else {},
            reconciliations=self.history["run_id"].nunique(),
            since=None if self.history.empty else self.history["checked_at"].iloc[0],
            differences=[
                (kind, self.drift.count(kind), self.drift.new(kind), self.drift.accepted(kind), kind in UNHEALABLE)
                for kind in DriftClass
                if self.drift.count(kind)
            ],
            most=MAX_DIFFERENCES,
        )

    @property
    def _report(self) -> Report:
        drift = self.drift
        is_wrong = bool(drift.differences_new or self.problems)
        replica = drift.replica_synced_at
        is_first = self.problems is None
        waiting = "This page is of the first comparison of the run. The task `conclude` compares again and replaces it."
        return Report(
            origin=self.origin,
            title="Product features in Salesforce, compared with the warehouse",
            written_at=drift.checked_at,
            tone=Tone.WRONG if is_wrong else Tone.RIGHT,
            headline=_headline(drift, self.mismatched_before),
            sentences=[f"{count_differences(drift)}. {self.verdict.reason}", *([waiting] if is_first else [])],
            counts={
                "properties checked": drift.properties_checked,
                "mismatched": drift.properties_mismatched,
                "new": drift.properties_new,
                "accepted": drift.properties_accepted,
                **({} if self.mismatched_before is None else {"before the healing": self.mismatched_before}),
            },
            problems=self.problems or ([f"{self.verdict.reason} Wait for the end of the run."] if is_first and is_wrong else []),
            hints=self.acceptances.sentences,
            open_records=self.open_records,
            causes=cause_counts(self.causes.rows),
            causes_note=self.causes.note,
            answers=self.answers,
            askable=self.askable,
            facts={
                "Purpose": "the weekly comparison of all properties",
                "Compared": f"{drift.checked_at:%Y-%m-%d %H:%M} UTC",
                "Replica of Salesforce from": f"{replica:%Y-%m-%d %H:%M} UTC" if replica else "it has never been updated",
            },
            files=("validation.json", "mismatches.csv"),
        )


def describe_difference(row: Mapping[str, Any]) -> str:
    """What a row of ``reconciliation/select_differences.sql`` says that is about a whole record and no product."""
    return DriftClass(row["class"]).description if row.get("class") else ""


def _headline(drift: Drift, mismatched_before: int | None) -> str:
    differ: Any = count_of(drift.properties_mismatched, "property", "has", "have")
    accepted = drift.properties_accepted
    said = f"{differ} mismatched feature data, of {drift.properties_checked:,} that were checked"
    said += f"; {count_of(accepted, 'property', 'is', 'are')} accepted." if accepted else "."
    if mismatched_before and not drift.properties_new:
        said += f" {count_of(mismatched_before, 'property', 'was', 'were')} corrected in this run."
    if drift.differences_new and not drift.properties_new:
        said += " There are other new differences, see below."
    return said
