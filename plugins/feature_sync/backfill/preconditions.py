"""The first step of a run: find everything that is wrong before anything is written, and say all of it at once."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feature_sync.backfill.plan import most_batches
from feature_sync.backfill.scope import RunScope, count_scope, status_problems
from feature_sync.census.errors import CensusError, CensusProtocolError, CensusUnavailableError
from feature_sync.census.hook import CensusHook
from feature_sync.census.neighbours import WriterRuns, describe_schedule
from feature_sync.census.sync_checks import batch_sync_problems
from feature_sync.config.names import CENSUS_CONN_ID, DATABRICKS_CONN_ID, SALESFORCE_CONN_ID
from feature_sync.config.problems import GuardError, NotReadyError, OwnTableError, RunConfigError
from feature_sync.config.run_config import RunConfig, parse_run_config
from feature_sync.config.settings import Settings, load_settings
from feature_sync.deployment.value_check import regular_sync_warnings
from feature_sync.orchestration.pool import PoolUnknownError, fetch_pool, pool_problems
from feature_sync.salesforce.errors import SalesforceError, SalesforceLimitError, SalesforceUnavailableError
from feature_sync.salesforce.hook import SalesforceReader
from feature_sync.salesforce.org_checks import look_at_org
from feature_sync.storage.candidates import describe_candidates, key_columns
from feature_sync.storage.freshness import freshness_problems, read_freshness
from feature_sync.storage.run_files import prove_output_writable
from feature_sync.storage.source_tables import describe_source, source_columns, source_problems
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import ConnectError, StatementError, Warehouse

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. ``is_temporary``: trying again later may help."""

    text: str
    is_temporary: bool = False


def check_preconditions(conf: Mapping[str, Any], max_batches: int) -> dict[str, Any]:
    """
    Check the run config, the connections, the pool, the tables, the Census sync, the output path, the scope and, if there is a
    connection to Salesforce, the org.

    A problem does not end the checks, so one look at the log is enough. If the run config can be used and the source tables
    are as they must be, our own tables are created too, empty. A regular sync that would undo the repair is a warning in the log.

    :param conf: the params of the DAG run.
    :param max_batches: Airflow's ``[core] max_map_length``.
    :returns: how many records are in scope, and the scope in words. 0 records: there is nothing to do.
    :raises RunConfigError: a parameter, or the scope it describes, cannot be used, and nothing else is wrong.
    :raises GuardError: something else is wrong; the message has all of it.
    :raises NotReadyError: every problem may be temporary.
    """
    settings = load_settings()
    config, config_problems = _parse(conf)
    problems = [*_pool_problems(settings), *_census_problems(settings)]
    if config:
        problems += _output_problems(settings)
    with Warehouse(settings) as warehouse:
        found = _source_problems(warehouse)
        problems += [*found, *_age_problems(warehouse, found)]
        found_scope = None
        if config and not found:
            tables = _table_problems(warehouse)
            problems += tables
            try:
                if config.undo_run_id is None:
                    problems += [Problem(text) for text in status_problems(warehouse)]
                if not tables:
                    found_scope = count_scope(warehouse, config, max_batches)
            except RunConfigError as error:
                config_problems += error.problems
            except NotReadyError as error:
                problems += [Problem(text, is_temporary=True) for text in error.problems]
            except StatementError as error:
                problems.append(Problem(str(error), is_temporary=error.is_temporary))
        problems += _org_problems(settings, _planned_batches(config, found_scope))
        if not problems and not config_problems:
            for warning in regular_sync_warnings(warehouse):
                log.warning("%s", warning)
    _refuse(config_problems, problems)
    assert config is not None  # noqa: S101 - its problems were refused; for the type checker
    assert found_scope is not None  # noqa: S101 - the same
    if found_scope.nothing_to_do:
        log.warning("Nothing to do: %s Nothing will be sent", found_scope.nothing_to_do)
    else:
        log.info("In scope: %s, which are %s", f"{found_scope.records:,}", config.description)
    return {"records": found_scope.records, "scope": config.description}


def _planned_batches(config: RunConfig | None, found: RunScope | None) -> int:
    """How many batches the run may have. 0 if that is not known, or if it sends nothing."""
    if config is None or found is None or config.dry_run:
        return 0
    return most_batches(config.strategy, found.records, config.batch_size)


def _refuse(config_problems: list[str], problems: list[Problem]) -> None:
    texts = [*config_problems, *(problem.text for problem in problems)]
    if config_problems and not problems:
        raise RunConfigError(config_problems)
    if config_problems or not all(problem.is_temporary for problem in problems):
        raise GuardError(texts)
    if problems:
        raise NotReadyError(texts)


def _parse(conf: Mapping[str, Any]) -> tuple[RunConfig | None, list[str]]:
    try:
        return parse_run_config(conf), []
    except RunConfigError as error:
        return None, error.problems


def _pool_problems(settings: Settings) -> list[Problem]:
    try:
        return [Problem(text) for text in pool_problems(fetch_pool(settings))]
    except PoolUnknownError as error:
        return [
            Problem(
                f"Airflow's pools cannot be read: {error}. The API server must have this package in its plugins folder. If tasks "
                "reach it at another address than the execution API's, set AIRFLOW_API_URL.",
                is_temporary=True,
            )
        ]


def _census_problems(settings: Settings) -> list[Problem]:
    census = CensusHook()
    try:
        sync = census.get_sync(settings.census_sync_id)
    except CensusError as error:
        return [Problem(f"Census sync {settings.census_sync_id} cannot be read ({CENSUS_CONN_ID}): {error}", _may_pass(error))]
    harmless = settings.census_harmless_settings
    problems = batch_sync_problems(sync, settings.fields, settings.batch_table, settings.salesforce_object, harmless)
    return [*(Problem(text) for text in problems), *_neighbour_problems(census, settings)]


def _neighbour_problems(census: CensusHook, settings: Settings) -> list[Problem]:
    """Other syncs that write the same object are no problem, but a run waits for them, so they must be known."""
    try:
        neighbours = WriterRuns(census, settings.census_sync_id, settings.salesforce_object).neighbours
    except CensusError as error:
        text = f"Census's list of syncs cannot be read ({CENSUS_CONN_ID}): {error} Each batch waits for the runs of all syncs "
        return [Problem(f"{text}that write {settings.salesforce_object}, so they must be known.", _may_pass(error))]
    for sync in neighbours:
        log.info(
            "Census sync %s (%s) writes %s too: %s%s. Each batch waits for its runs",
            sync.id,
            sync.label or "no name",
            sync.destination_object or "an object that cannot be read, so perhaps ours",
            "paused, " if sync.paused else "",
            describe_schedule(sync),
        )
    return []


def _org_problems(settings: Settings, batches: int) -> list[Problem]:
    """Ask Salesforce itself, if there is a connection. What could not be looked at is said and is no problem."""
    reader = SalesforceReader()
    try:
        if not reader.is_configured():
            log.info(
                "Not checked: fields, limits and Flow in Salesforce itself, because there is no connection %s", SALESFORCE_CONN_ID
            )
            return []
        findings = look_at_org(reader, settings, batches)
    except SalesforceError as error:
        is_temporary = isinstance(error, SalesforceUnavailableError) and not isinstance(error, SalesforceLimitError)
        return [Problem(f"Salesforce cannot be asked ({SALESFORCE_CONN_ID}): {error}", is_temporary)]
    for sentence in findings.not_checked:
        log.warning("%s", sentence)
    for sentence in findings.notes:
        log.info("%s", sentence)
    return [Problem(text) for text in findings.problems]


def _may_pass(error: CensusError) -> bool:
    return isinstance(error, CensusUnavailableError | CensusProtocolError)


def _output_problems(settings: Settings) -> list[Problem]:
    try:
        prove_output_writable(settings)
    except Exception as error:
        return [Problem(f"OUTPUT_PATH {settings.output_url} cannot be written to: {type(error).__name__}: {error}")]
    return []


def _source_problems(warehouse: Warehouse) -> list[Problem]:
    settings = warehouse.settings
    problems = []
    for table in source_columns(settings):
        try:
            found = describe_source(warehouse, table).columns
        except ConnectError as error:
            return [Problem(f"The warehouse cannot be reached ({DATABRICKS_CONN_ID}): {error}", error.is_temporary)]
        except StatementError as error:
            problems.append(Problem(f"{table} cannot be read: {error}{describe_candidates(warehouse, table)}"))
            continue
        complaints = source_problems(settings, table, found)
        if complaints and not set(key_columns(settings, table)) <= set(found):  # so it is probably another table
            complaints[0] += describe_candidates(warehouse, table)
        problems += [Problem(text) for text in complaints]
    return problems


def _age_problems(warehouse: Warehouse, known: list[Problem]) -> list[Problem]:
    """:param known: the problems with the source tables. If a table cannot be read, they say so."""
    try:
        ages = read_freshness(warehouse)
    except StatementError as error:
        return [] if known else [Problem(str(error), is_temporary=error.is_temporary)]
    for each in ages:
        log.info("%s: its newest row is of %s", each.table, each)
    return [Problem(text) for text in freshness_problems(ages)]


def _table_problems(warehouse: Warehouse) -> list[Problem]:
    try:
        prepare_tables(warehouse)
    except OwnTableError as error:
        return [Problem(problem) for problem in error.problems]
    except ConnectError as error:
        return [Problem(str(error), error.is_temporary)]
    return []
