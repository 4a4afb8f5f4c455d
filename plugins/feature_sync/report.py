"""The page that shows a reconciliation: numbers, what was done about them, and each product's accuracy over time, drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from feature_sync.paths import INCLUDE
from feature_sync.reconciliation import UNHEALABLE, Drift, DriftClass, Verdict

WIDTH, HEIGHT, EDGE = 220, 44, 4
"""Of a product's curve, in pixels."""
MOST_DIFFERENCES = 2_000
"""Differences of each class in ``mismatches.csv``; the counts are of all."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What one reconciliation found of one product: the share of checked properties that agreed, 0 to 1."""

    run_id: str
    product: str
    checked_at: datetime
    accuracy: float
    mismatched: int


@dataclass(frozen=True, slots=True)
class Curve:
    """A product's accuracy over time. ``points`` are the x and y of an SVG polyline; ``lowest`` is the bottom of the scale."""

    points: tuple[tuple[float, float], ...]
    lowest: float

    @property
    def polyline(self) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


def draw(history: Sequence[Accuracy]) -> Curve:
    """
    Scale one product's history into the curve's box: time from left to right, the top is 100 %.

    :param history: of one product, the oldest first.
    """
    lowest = min((each.accuracy for each in history), default=1.0)
    first = history[0].checked_at if history else None
    whole = (history[-1].checked_at - history[0].checked_at).total_seconds() if history else 0.0

    def x(each: Accuracy) -> float:
        assert first is not None  # noqa: S101 - there is one when there is `each`; for the type checker
        share = (each.checked_at - first).total_seconds() / whole if whole else 1.0
        return EDGE + share * (WIDTH - 2 * EDGE)

    def y(each: Accuracy) -> float:
        below = (1 - each.accuracy) / (1 - lowest) if lowest < 1 else 0.0
        return EDGE + below * (HEIGHT - 2 * EDGE)

    return Curve(tuple((x(each), y(each)) for each in history), lowest)


def render_report(drift: Drift, verdict: Verdict, history: Sequence[Accuracy], *, mismatched_before: int | None) -> str:
    """
    The page as HTML that needs nothing else.

    :param history: of all products, the oldest first, this reconciliation among them.
    :param mismatched_before: how many properties differed before healing; nothing while it is not known what healing did.
    """
    curves = {product.product: draw([each for each in history if each.product == product.product]) for product in drift.products}
    return (
        _templates()
        .get_template("report.html.jinja")
        .render(
            drift=drift,
            verdict=verdict,
            curves=curves,
            reconciliations=len({each.run_id for each in history}),
            since=history[0].checked_at if history else None,
            differences=[(kind, drift.count(kind), kind in UNHEALABLE) for kind in DriftClass],
            mismatched_before=mismatched_before,
            size={"width": WIDTH, "height": HEIGHT},
            most=MOST_DIFFERENCES,
        )
    )


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(INCLUDE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=True
    )
    environment.filters["thousands"] = _thousands
    environment.filters["percent"] = _percent
    return environment


def _thousands(number: Any) -> str:
    return f"{number:,}"


def _percent(share: float) -> str:
    """Never rounded up to 100 %: one wrong record of a million is still wrong."""
    return "100 %" if share == 1 else f"{min(share, 0.9999):.2%}".replace("%", " %")
