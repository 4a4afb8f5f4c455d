"""Who asks Census gets the hook here. Its libraries take a fifth of a second to load, so only a task that asks loads them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feature_sync.census.hook import CensusHook


def census_hook() -> "CensusHook":
    """A hook with the connection of `feature_sync.config.names.CENSUS_CONN_ID`."""
    from feature_sync.census.hook import CensusHook  # noqa: PLC0415 - slow

    return CensusHook()
