"""
The charts of a report, as SVG. Numbers in, text out; no script, no font and no file is needed to show them.

vl-convert takes a second and about 300 MB the first time, so it is imported where a chart is drawn and nowhere else.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feature_sync.report.facts import ProductNumbers

BEFORE, AFTER, EXPECTED, HEALED = "#D55E00", "#0072B2", "#1B1F24", "#009E73"
"""Okabe and Ito's colours, which colour-blind people tell apart. Each has a shape of its own too, for a page without colours."""
TEXT, GRID = "#57606A", "#D8DEE4"
INK = (BEFORE, AFTER, EXPECTED, HEALED, TEXT, GRID)
"""All colours of a chart. The page replaces them in the dark."""
MAX_DOTS = 30
"""Reconciliations up to which each is a dot. Of more, the line alone is drawn."""
COLUMNS, PANEL_WIDTH, PANEL_HEIGHT = 2, 285, 84
"""Charts of products beside each other, and the size of each, in pixels."""
TICKS = 4
LAST = "after"


@dataclass(frozen=True, slots=True)
class AccuracyPoint:
    """
    One product at one time.

    ``accuracy``: share of the checked properties that agreed, 0 to 1. ``is_after``: of the comparison at the end of the newest
    run, after its healing if there was one.
    """

    product: str
    at: datetime
    accuracy: float
    is_after: bool = False


def draw_products(products: Sequence[ProductNumbers]) -> str:
    """
    How many records have each product: before the run as a ring, after it as a dot, and what it should be as a stroke. All
    products have one scale.

    :returns: an SVG; empty if there is nothing to compare.
    """
    if not products or not any(each.before or each.after or each.expected for each in products):
        return ""
    import altair as alt  # noqa: PLC0415

    names = [each.label for each in products]
    by = alt.Y("product:N", sort=names, title=None, axis=alt.Axis(labelLimit=240, ticks=False, domain=False, labelPadding=12))
    axis = alt.Axis(title="records with the product in Salesforce", format=",.0f", tickCount=5, tickMinStep=1, labelOverlap=True)

    def layer(rows: list[dict[str, Any]], **mark: Any) -> Any:
        return alt.Chart(alt.Data(values=rows)).mark_point(opacity=1, strokeWidth=2.5, **mark).encode(y=by, x=x)

    x = alt.X("records:Q", axis=axis)
    ends = [
        {"product": each.label, "records": each.before, "to": each.expected if each.after is None else each.after}
        for each in products
        if each.before is not None
    ]
    layers = [
        alt.Chart(alt.Data(values=ends)).mark_rule(color=TEXT, strokeWidth=1.5).encode(y=by, x=x, x2=alt.X2("to:Q")),
        layer(_rows(products, "expected"), shape="stroke", angle=90, size=420, color=EXPECTED),
        layer(_rows(products, "after"), shape="circle", filled=True, size=80, color=AFTER),
        layer(_rows(products, "before"), shape="circle", filled=False, size=130, color=BEFORE),
    ]
    said = "; ".join(_in_words(each) for each in products)
    chart = alt.layer(*layers).properties(width=470, height=30 * len(names))
    return _as_svg(chart, "Records with each product in Salesforce", said)


def draw_accuracy(points: Iterable[AccuracyPoint], products: Sequence[str], after_word: str = "compared again") -> str:
    """
    How accurate each product was over time. All products have the same scale, so they can be compared.

    :param points: the oldest first. :param products: labels, in the order of the page.
    :param after_word: what the last point is, if it is not of a weekly comparison.
    :returns: an SVG; empty if there is no history, that is if a line would have one weekly point.
    """
    points = [point for point in points if point.product in products]
    times = {point.at for point in points if not point.is_after}
    if len(times) < 2:  # noqa: PLR2004 - a line has two ends
        return ""
    import altair as alt  # noqa: PLC0415

    names = [name for name in products if any(point.product == name for point in points)]
    scale = AccuracyScale.around(min(point.accuracy for point in points))
    rows = [
        {
            "product": point.product,
            "at": point.at.timestamp() * 1000,
            "accuracy": point.accuracy,
            "what": LAST if point.is_after else "",
        }
        for point in points
    ]
    when = alt.X(
        "at:T",
        title=None,
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(tickCount=3, format="%Y-%m-%d", labelOverlap=True, labelFlush=True),
    )
    share = alt.Y(
        "accuracy:Q",
        title=None,
        scale=alt.Scale(domain=[scale.lowest, 1], nice=False, zero=False),
        axis=alt.Axis(values=list(scale.ticks), format=scale.format, tickSize=0, domain=False),
    )
    base = alt.Chart().encode(x=when, y=share)
    dots = len(times) <= MAX_DOTS
    layers = [base.mark_line(color=AFTER, strokeWidth=1.8, point={"size": 26, "filled": True, "color": AFTER} if dots else False)]
    heading = "Share of the checked properties that agree with the warehouse. All products have one scale."
    if any(point.is_after for point in points):
        heading += f" The diamond: {after_word}."
        after = f"datum.what === '{LAST}'"
        layers.append(
            base.transform_filter(after).mark_point(
                shape="diamond", size=110, filled=False, color=HEALED, strokeWidth=2.5, opacity=1
            )
        )
    chart = (
        alt.layer(*layers, data=alt.Data(values=rows))
        .properties(width=PANEL_WIDTH, height=PANEL_HEIGHT)
        .facet(
            facet=alt.Facet(
                "product:N",
                sort=names,
                title=None,
                header=alt.Header(labelAnchor="start", labelFontWeight="bold", labelFontSize=12, labelColor=TEXT, labelPadding=4),
            ),
            columns=COLUMNS,
            spacing={"row": 14, "column": 34},
            title=alt.Title(heading, anchor="start", fontSize=11, fontWeight="normal", color=TEXT, offset=10),
        )
        .resolve_axis(x="independent", y="independent")
    )
    ends = {point.product: point.accuracy for point in points}
    said = "; ".join(f"{name} {percent(ends[name])} at the end" for name in names)
    return _as_svg(chart, "Accuracy of each product over time, all on one scale", said)


@dataclass(frozen=True, slots=True)
class AccuracyScale:
    """
    The one scale of all products: from a round share below the lowest one up to 100 %.

    ``ticks``: the shares that are written. ``format``: with as many digits as tell them apart.
    """

    lowest: float
    ticks: tuple[float, ...]
    format: str

    @classmethod
    def around(cls, lowest: float) -> "AccuracyScale":
        """:param lowest: the lowest share that is drawn, 0 to 1."""
        wrong = max(1 - lowest, 1e-6) * 1.0000001
        power = 10 ** math.floor(math.log10(wrong / TICKS))
        step = next(power * each for each in (1, 2, 5, 10) if power * each * TICKS >= wrong)
        step = min(step, 0.25)
        ticks = tuple(round(1 - step * each, 10) for each in range(TICKS + 1) if step * (each - 1) < wrong)
        digits = max(0, -math.floor(math.log10(step) + 1e-9) - 2)
        digits += not math.isclose(step * 100 * 10**digits, round(step * 100 * 10**digits), rel_tol=1e-6)
        return cls(max(0.0, ticks[-1]), ticks, f".{digits}%")


def percent(share: float) -> str:
    """A share in percent. It is never rounded up to 100 %: one wrong record in a million is still wrong."""
    return "100 %" if share == 1 else f"{min(share, 0.9999):.2%}".replace("%", " %")


def as_file(svg: str) -> str:
    """A chart as a file of its own: on white, because whatever shows it may be dark."""
    start, end = svg.split(">", 1)
    return f'{start}><rect width="100%" height="100%" fill="#fff"/>{end}'


def inlined(svg: str) -> str:
    """A chart for a page of HTML, which knows what an SVG is."""
    for name in ("", ":xlink"):
        svg = svg.replace(f' xmlns{name}="http://www.w3.org/{"1999/xlink" if name else "2000/svg"}"', "", 1)
    return svg


def _rows(products: Sequence[ProductNumbers], what: str) -> list[dict[str, Any]]:
    found = [(each.label, getattr(each, what)) for each in products]
    return [{"product": label, "records": number} for label, number in found if number is not None]


def _in_words(product: ProductNumbers) -> str:
    known = {"before": product.before, "after": product.after, "should be": product.expected}
    return f"{product.label}: " + ", ".join(f"{what} {number:,}" for what, number in known.items() if number is not None)


def _as_svg(chart: Any, title: str, said: str) -> str:
    import vl_convert  # noqa: PLC0415

    look: Mapping[str, Any] = {
        "axis": {"labelColor": TEXT, "titleColor": TEXT, "gridColor": GRID, "tickColor": GRID, "domainColor": GRID}
        | {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"},
        "view": {"stroke": None},
        "font": "system-ui, sans-serif",
        "aria": False,
        "background": "transparent",
    }
    # The fonts of the reader may be wider than those that it is measured with.
    spec = {**chart.to_dict(), "config": dict(look), "padding": {"left": 28, "right": 28, "top": 6, "bottom": 6}}
    svg = str(vl_convert.vegalite_to_svg(spec))
    head = f'<svg role="img" aria-label="{_escaped(title)}. {_escaped(said)}."'
    start, rest = svg.replace("<svg", head, 1).split(">", 1)
    return f"{start}><title>{_escaped(title)}</title>{rest}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
