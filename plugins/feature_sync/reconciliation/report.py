"""The page about a reconciliation: the numbers, what was done about them, and each product's accuracy over time."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from feature_sync.config.paths import INCLUDE
from feature_sync.reconciliation.acceptances import Acceptances
from feature_sync.reconciliation.drift import UNHEALABLE, Drift, DriftClass
from feature_sync.reconciliation.verdict import Verdict, count_differences
from feature_sync.replica.mismatches import Causes

WIDTH, HEIGHT, EDGE = 220, 44, 4
"""Size of a product's curve and of its margin, in pixels."""
MAX_DIFFERENCES = 2_000
"""Differences of each class that ``mismatches.csv`` lists. The counts include all."""


@dataclass(frozen=True, slots=True)
class Curve:
    """
    A product's accuracy over time. ``points``: x and y of an SVG polyline. ``lowest``: the accuracy at the bottom of the
    scale.
    """

    points: tuple[tuple[float, float], ...]
    lowest: float

    @property
    def polyline(self) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


def draw(history: pd.DataFrame) -> Curve:
    """
    Scale one product's history into the curve's box: time from left to right, 100 % at the top.

    :param history: rows of `history_table` for one product.
    """
    if history.empty:
        return Curve((), 1.0)
    lowest = float(history["accuracy"].min())
    since_first = history["checked_at"] - history["checked_at"].iloc[0]
    whole = since_first.iloc[-1]
    shares = since_first / whole if whole else pd.Series(1.0, index=history.index)
    below = (1 - history["accuracy"]) / (1 - lowest) if lowest < 1 else pd.Series(0.0, index=history.index)
    x = EDGE + shares * (WIDTH - 2 * EDGE)
    y = EDGE + below * (HEIGHT - 2 * EDGE)
    return Curve(tuple(zip(x.tolist(), y.tolist(), strict=True)), lowest)


def render_report(
    drift: Drift,
    verdict: Verdict,
    history: pd.DataFrame,
    acceptances: Acceptances,
    causes: Causes,
    *,
    mismatched_before: int | None,
) -> str:
    """
    The page as HTML in one file.

    :param history: `history_table` of all products, including this reconciliation.
    :param mismatched_before: how many properties differed before the healing, or None if nothing was healed yet.
    """
    curves = {product.product: draw(history[history["product"] == product.product]) for product in drift.products}
    return (
        _templates(INCLUDE.resolve())
        .get_template("report.html.jinja")
        .render(
            drift=drift,
            verdict=verdict,
            curves=curves,
            reconciliations=history["run_id"].nunique(),
            since=None if history.empty else history["checked_at"].iloc[0],
            differences=[
                (kind, drift.count(kind), drift.new(kind), drift.accepted(kind), kind in UNHEALABLE) for kind in DriftClass
            ],
            both_numbers=count_differences(drift),
            acceptances=acceptances,
            causes=causes,
            mismatched_before=mismatched_before,
            size={"width": WIDTH, "height": HEIGHT},
            most=MAX_DIFFERENCES,
        )
    )


@cache
def _templates(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=True
    )
    environment.filters["thousands"] = _thousands
    environment.filters["percent"] = _percent
    return environment


def _thousands(number: Any) -> str:
    return f"{number:,}"


def _percent(share: float) -> str:
    """A share is never rounded up to 100 %: one wrong record in a million is still wrong."""
    return "100 %" if share == 1 else f"{min(share, 0.9999):.2%}".replace("%", " %")
