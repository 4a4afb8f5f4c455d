"""The sync that sends the batches, and the other syncs of the same object, as Census shows them."""

from typing import TYPE_CHECKING

from feature_sync.census.errors import CensusError, CensusProtocolError, CensusUnavailableError
from feature_sync.census.neighbours import WriterRuns, describe_schedule
from feature_sync.census.sync_checks import batch_sync_problems
from feature_sync.checks.findings import Finding, judged, not_checked, right, wrong
from feature_sync.config.names import CENSUS_CONN_ID
from feature_sync.config.settings import Settings

if TYPE_CHECKING:
    from feature_sync.census.hook import CensusHook

SYNC, NEIGHBOURS = "Census sync of the batches", "other Census syncs"


def check_census(census: "CensusHook", settings: Settings) -> list[Finding]:
    """Look at the sync of the batches and, if Census shows it, at the other syncs that write the same object."""
    sync_id = settings.census_sync_id
    try:
        sync = census.get_sync(sync_id)
    except CensusError as error:
        text = f"Census sync {sync_id} cannot be read ({CENSUS_CONN_ID}): {error}"
        unknown = f"Census does not show sync {sync_id}, so nobody knows which other syncs write {settings.salesforce_object}."
        return [wrong(SYNC, text, is_temporary=may_pass(error)), not_checked(NEIGHBOURS, unknown)]
    harmless = settings.census_harmless_settings
    problems = batch_sync_problems(sync, settings.fields, settings.batch_table, settings.salesforce_object, harmless)
    well = f"Census sync {sync_id} ({sync.label}) reads {settings.batch_table} and updates {settings.salesforce_object}."
    return [*judged(SYNC, problems, well), *_check_neighbours(census, settings)]


def _check_neighbours(census: "CensusHook", settings: Settings) -> list[Finding]:
    """Other syncs that write the same object are no problem, but a run waits for them, so they must be known."""
    written = settings.salesforce_object
    try:
        neighbours = WriterRuns(census, settings.census_sync_id, written).neighbours
    except CensusError as error:
        text = f"Census's list of syncs cannot be read ({CENSUS_CONN_ID}): {error} Each batch waits for the runs of all syncs "
        return [wrong(NEIGHBOURS, f"{text}that write {written}, so they must be known.", is_temporary=may_pass(error))]
    found = [
        right(
            NEIGHBOURS,
            f"Census sync {sync.id} ({sync.label or 'no name'}) writes "
            f"{sync.destination_object or 'an object that cannot be read, so perhaps ours'} too: "
            f"{'paused, ' if sync.paused else ''}{describe_schedule(sync)}. Each batch waits for its runs.",
        )
        for sync in neighbours
    ]
    return found or [right(NEIGHBOURS, f"No other sync of the workspace writes {written}.")]


def may_pass(error: CensusError) -> bool:
    """Whether another look may go better."""
    return isinstance(error, CensusUnavailableError | CensusProtocolError)
