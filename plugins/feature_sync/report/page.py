"""Draws a report and renders it as one HTML file: no script, nothing from elsewhere, on paper and on a phone."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from feature_sync.config.paths import INCLUDE
from feature_sync.report.charts import AFTER, BEFORE, EXPECTED, GRID, HEALED, TEXT, draw_products, inlined, percent
from feature_sync.report.facts import Report, Tone
from feature_sync.storage.run_files import StoragePath, masked, write_text

log = logging.getLogger(__name__)

T = TypeVar("T")
MAX_BYTES = 300_000
"""What a page may have, so that it fits a mail."""
MAX_LABEL = 60
"""Characters of a product's name."""
COLORS = {BEFORE: "before", AFTER: "after", EXPECTED: "expected", HEALED: "healed", TEXT: "muted", GRID: "line"}
"""The colours of the charts, by the names that the page's style has for them."""
UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)
"""Characters that nobody sees and that turn the text around them, or break the file."""
_TICK = chr(96)
CODE = re.compile(f"{_TICK}([^{_TICK}]+){_TICK}")
"""A name that a sentence marks as Markdown does."""
WORDS = {Tone.RIGHT: "Right.", Tone.WRONG: "Not right.", Tone.NEUTRAL: ""}


def render_backfill(report: Report) -> str:
    """The page about a run of the backfill. If its chart cannot be drawn, the table has the numbers."""
    report = replace(report, products=[replace(each, label=shown(each.label, MAX_LABEL)) for each in report.products])
    return _render("backfill", report, chart=drawn(lambda: draw_products(report.products)))


def render_weekly(report: Report, chart: str, **values: Any) -> str:
    """
    The page about a weekly run.

    :param chart: of the accuracy, or an empty text. :param values: what ``include/report/weekly.html.jinja`` shows besides.
    """
    return _render("weekly", report, chart=chart, **values)


def drawn(draw: Callable[[], str]) -> str:
    """A chart; empty, with a warning, if it cannot be drawn. A verdict never depends on a picture."""
    try:
        return draw()
    except Exception as error:  # whatever the drawing library, or a lack of it, raises
        log.warning("A chart of the report could not be drawn (%s: %s)", type(error).__name__, error)
        return ""


def try_to_read(read: Callable[[], T]) -> T | None:
    """Read something for a page alone. None, with a warning, if it cannot be read."""
    try:
        return read()
    except Exception as error:  # whatever the warehouse raises
        log.warning("A part of the report could not be read (%s: %s)", type(error).__name__, error)
        return None


def try_to_write(path: StoragePath, make: Callable[[], str]) -> None:
    """
    Write a page. That it cannot be made or written is a warning, because the run's verdict does not depend on it.

    :param make: returns the page.
    """
    try:
        write_text(path, make())
    except Exception as error:  # each storage has errors of its own
        log.warning("%s could not be written (%s: %s)", path, type(error).__name__, error)


def shown(value: Any, most: int) -> str:
    """A text for the page: secrets are masked, what nobody sees is left out, and what is too long is cut."""
    text = UNSEEN.sub("", masked(str(value)))
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def asked_in_short(question: str) -> str:
    """A question without its tables and its marks of Markdown: the numbers are in the tables of the page."""
    lines = (line.strip().lstrip("#").strip() for line in question.splitlines())
    return " ".join(line for line in lines if line and not line.startswith("|"))


def _render(name: str, report: Report, **values: Any) -> str:
    template = templates(INCLUDE.resolve()).get_template(f"{name}.html.jinja")
    return template.render(report=report, colors=COLORS, **values)


@cache
def templates(folder: Path) -> Environment:
    """:param folder: ``include``, without a link in it, so that a process reads a new checkout."""
    environment = Environment(
        loader=FileSystemLoader(folder / "report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    filters: Mapping[str, Callable[..., Any]] = {
        "thousands": lambda number: f"{number:,}",
        "percent": percent,
        "moment": _moment,
        "shown": shown,
        "question": asked_in_short,
        "prose": _prose,
        "word": WORDS.__getitem__,
        "inlined": lambda svg: Markup(inlined(svg)),  # noqa: S704 - vl-convert has escaped every text in it
    }
    environment.filters.update(filters)
    return environment


def _prose(text: str) -> Markup:
    """A sentence whose `names` of tasks look like names."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
