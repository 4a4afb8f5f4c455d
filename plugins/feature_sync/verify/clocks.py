"""How far the clocks of the warehouse and of Census are from the clock of this machine."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from feature_sync.checks.findings import Finding, right, wrong
from feature_sync.storage.freshness import read_clock
from feature_sync.storage.warehouse import Warehouse

if TYPE_CHECKING:
    from feature_sync.census.hook import CensusHook

NAME = "clocks"
LIMIT = timedelta(seconds=60)
"""
The pauses between batches are measured by Census's clock alone, so they bear any difference. Time limits are not: this machine
begins them. The shortest of them are minutes.
"""
HALF_A_SECOND = timedelta(seconds=0.5)


def check_warehouse_clock(warehouse: Warehouse) -> list[Finding]:
    return [clock_finding("The warehouse", difference(lambda: read_clock(warehouse)))]


def check_census_clock(census: "CensusHook", sync_id: int) -> list[Finding]:
    # Census says its time in whole seconds, rounded down.
    return [clock_finding("Census", difference(lambda: census.list_runs(sync_id).now + HALF_A_SECOND))]


def difference(ask: Callable[[], datetime]) -> timedelta:
    """How far a clock is ahead of this machine's. Half of the time that the answer takes counts as its way back."""
    before = datetime.now(UTC)
    told = ask()
    return told - (before + (datetime.now(UTC) - before) / 2)


def clock_finding(whose: str, ahead: timedelta) -> Finding:
    seconds = abs(ahead.total_seconds())
    said = f"{whose}'s clock is {seconds:,.0f} s {'ahead of' if ahead > timedelta(0) else 'behind'} this machine's"
    if abs(ahead) <= LIMIT:
        return right(NAME, f"{said}.")
    return wrong(
        NAME,
        f"{said}, which is more than {LIMIT.total_seconds():.0f} s. Time limits would end too early or too late. Let this "
        "machine, and each worker and triggerer, keep time with NTP.",
    )
