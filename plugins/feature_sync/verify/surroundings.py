"""What is around the three systems: the output path, alerts, the version of Census's API."""

from datetime import date
from typing import TYPE_CHECKING

from feature_sync.census.errors import CensusError
from feature_sync.checks.findings import Finding, not_checked, right, wrong
from feature_sync.config.asked import OVERRIDES
from feature_sync.config.connections import MissingConnectionError, UnreadableConnectionError, read_connection
from feature_sync.config.names import CENSUS_CONN_ID
from feature_sync.config.settings import Settings
from feature_sync.config.wording import count_of
from feature_sync.storage.run_files import output_permission

if TYPE_CHECKING:
    from feature_sync.census.hook import CensusHook

OUTPUT, ALERTS, API, LIMITS = "output path", "alerts", "Census's API", "Airflow's options"
END_OF_V1 = date(2027, 1, 15)
"""The day on which Census retires API v1, by its guide of the migration to v2."""


def option_findings(batches: int, max_batches: int, *, overrides_params: bool) -> list[Finding]:
    """
    Judge the options of Airflow without which a run loses what was asked for, or cannot begin.

    :param batches: how many a run with every record may have; 0 if that is not known.
    :param max_batches: ``[core] max_map_length``. :param overrides_params: ``[core] dag_run_conf_overrides_params``.
    """
    findings = []
    if not overrides_params:
        lost = "so a run would lose what its config asks for, and is refused. Set it to True"
        findings.append(wrong(LIMITS, f"{OVERRIDES} is off, {lost}; only runs with the form's defaults could begin."))
    if batches > max_batches:
        text = f"A run with every record has {batches:,} batches, but Airflow maps at most {max_batches:,}"
        findings.append(wrong(LIMITS, f"{text} ([core] max_map_length). Raise it, or send the records in several runs."))
    enough = f"{OVERRIDES} is on, and [core] max_map_length allows {max_batches:,} batches"
    return findings or [right(LIMITS, f"{enough}; a run with every record has {batches:,}." if batches else f"{enough}.")]


def check_output(settings: Settings) -> list[Finding]:
    """Whether the permissions let this process write files. No file is written."""
    match output_permission(settings):
        case None:
            text = f"Whether OUTPUT_PATH {settings.output_url} can be written to: a file would have to be written there."
            return [not_checked(OUTPUT, f"{text} The first task of a run does.")]
        case True:
            return [right(OUTPUT, f"This process may write to {settings.output_url}.")]
        case False:
            text = (
                f"This process may not write to {settings.output_url}. Give the user that runs tasks the right to write there, "
            )
            return [wrong(OUTPUT, f"{text}or set OUTPUT_PATH to another folder.")]


def check_alerts(settings: Settings) -> list[Finding]:
    """Whether alerts have a connection. None is sent."""
    conn_id = settings.alert_conn_id
    if not conn_id:
        return [not_checked(ALERTS, "Alerts, because they are off. Set ALERT_CONN_ID, so that people hear of a failure.")]
    try:
        read_connection(conn_id)
    except (MissingConnectionError, UnreadableConnectionError) as error:
        return [wrong(ALERTS, f"ALERT_CONN_ID is {conn_id}, but no alert can be sent: {error}")]
    return [right(ALERTS, f"Alerts go to connection {conn_id}. None was sent, so nobody knows yet whether one arrives.")]


def check_api(census: "CensusHook", today: date) -> list[Finding]:
    """Say how long API v1 still works, if the connection uses it."""
    try:
        version = census.api_version
    except CensusError as error:
        return [not_checked(API, f"Which version of Census's API is used: {error}")]
    return [api_finding(version, (END_OF_V1 - today).days)]


def api_finding(version: str, days_left: int) -> Finding:
    if version != "v1":
        return right(API, f"Connection {CENSUS_CONN_ID} uses API {version}.")
    ends = f"ends on {END_OF_V1}, in {count_of(days_left, 'day')}" if days_left > 0 else f"has ended on {END_OF_V1}"
    return wrong(
        API,
        f"Connection {CENSUS_CONN_ID} uses API v1, which {ends}. Make a personal access token in Census, put it into the "
        'connection as its password, and write "api_version": "v2" into its extra.',
    )
