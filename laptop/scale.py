"""The tables of ``docs/scale.md``, computed by the function that the form's estimate uses. ``make docs`` writes them.

A table stands between ``<!-- simulation: name -->`` and ``<!-- end -->``. The text around it is written by hand.
"""

import re
import sys
from collections.abc import Iterable

from feature_sync.config.paths import PROJECT
from feature_sync.config.run_config import DEFAULTS, MAX_BATCH_SIZE, Strategy
from feature_sync.config.wording import count_of, duration
from feature_sync.forecast.duration import SECONDS_PER_DAY, Forecast, forecast
from laptop.reference import checked_in_settings, table

PAGE = PROJECT / "docs" / "scale.md"
MARKED = re.compile(r"(<!-- simulation: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

RECORDS = (1_000_000, 10_000_000, 100_000_000)
MAX_MAP_LENGTH = 1024
"""Airflow's own default of ``[core] max_map_length``."""
SIZE: int = DEFAULTS["batch_size"]
WAIT: int = DEFAULTS["wait_seconds"]
SPEEDS = (100, 1_000, 10_000)
"""Records a second that a Census run is assumed to write. Nobody has measured it."""
DAYS_PER_YEAR = 365


def filled(page: str) -> str:
    """The page with its tables computed anew."""
    return MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", page)


def paces() -> str:
    """``batched``: every batch size and pause. The Flow must take a transaction of that size."""
    rows = []
    for size in (SIZE, MAX_BATCH_SIZE):
        for wait in (0, 60, WAIT, 300):
            found = [forecast(records, Strategy.BATCHED, size, wait) for records in RECORDS]
            rows.append((str(size), f"{wait} s", *(span(each.seconds) for each in found), f"{records_per_day(found[0]):,}"))
    return _table(("batch_size", "wait_seconds", *_sizes(), "records a day"), rows)


def counts() -> str:
    """What does not depend on the pause."""
    rows = []
    for size in (SIZE, MAX_BATCH_SIZE):
        for records in RECORDS:
            found = forecast(records, Strategy.BATCHED, size, WAIT, max_batches=MAX_MAP_LENGTH)
            rows.append((str(size), f"{records:,}", f"{found.batches:,}", f"{found.runs:,}", f"{found.api_calls:,}"))
    return _table(("batch_size", "records", "batches", "runs", "API calls"), rows)


def strategies() -> str:
    """Every strategy under Flows that take 50, 100 and 200 records, with the default pause."""
    rows = []
    for names in ((Strategy.BATCHED, Strategy.PILOT), (Strategy.PROBE,), (Strategy.FULL,)):
        for limit in (SIZE, 100, MAX_BATCH_SIZE):
            size = limit if names[0] is Strategy.BATCHED else SIZE  # a person gives it the size that works; a probe finds it
            found = [forecast(records, names[0], size, WAIT, flow_limit=limit, max_batches=MAX_MAP_LENGTH) for records in RECORDS]
            shown = f"{limit}, or it is off" if limit == MAX_BATCH_SIZE else f"{limit}"
            rows.append((", ".join(f"`{name}`" for name in names), shown, *map(_cell, found)))
    return _table(("strategy", "records the Flow takes", *_sizes()), rows)


def full() -> str:
    """``full``, if Census wrote so many records a second."""
    limit = checked_in_settings().census_run_limit_seconds
    rows = []
    for speed in SPEEDS:
        found = [forecast(records, Strategy.FULL, SIZE, WAIT, records_per_second=speed) for records in RECORDS]
        cells = [span(each.seconds) + (" (over the limit)" if each.seconds > limit else "") for each in found]
        rows.append((f"{speed:,}", *cells))
    return _table(("records a second (assumed)", *_sizes()), rows)


def _cell(found: Forecast) -> str:
    if not found.fits_flow:
        return "the Flow refuses it"
    is_measured = found.records <= found.batches * MAX_BATCH_SIZE
    return f"{count_of(found.batches, 'batch')}, {span(found.seconds) if is_measured else 'time not known'}"


def span(seconds: float) -> str:
    """A duration in the unit that a person would choose: 2 h 48 min, 45.1 days, 12.4 years."""
    days = seconds / SECONDS_PER_DAY
    if days >= DAYS_PER_YEAR:
        return f"{days / DAYS_PER_YEAR:,.1f} years"
    return f"{days:,.1f} days" if days >= 1 else duration(seconds)


def records_per_day(found: Forecast) -> int:
    return round(found.records / found.days)


def _sizes() -> Iterable[str]:
    return (f"{records // 1_000_000} million" for records in RECORDS)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    return table(tuple(head), [tuple(row) for row in rows])


TABLES = {"paces": paces, "counts": counts, "strategies": strategies, "full": full}

if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(PROJECT)} written\n")
