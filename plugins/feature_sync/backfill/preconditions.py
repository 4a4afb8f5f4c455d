"""The first step of a run: find everything that is wrong before anything is written, and say all of it at once."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from feature_sync.backfill.scope import RunScope, count_scope, status_problems
from feature_sync.census.access import census_hook
from feature_sync.checks.census_checks import check_census
from feature_sync.checks.findings import Finding, Verdict, is_right
from feature_sync.checks.org_findings import check_org
from feature_sync.checks.pool_checks import check_pool
from feature_sync.checks.table_checks import check_ages, check_sources
from feature_sync.config.problems import GuardError, NotReadyError, OwnTableError, RunConfigError
from feature_sync.config.run_config import RunConfig, parse_run_config
from feature_sync.config.settings import Settings, load_settings
from feature_sync.deployment.value_check import regular_sync_warnings
from feature_sync.forecast.duration import most_batches
from feature_sync.storage.run_files import prove_output_writable
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
    problems = _problems([*check_pool(settings), *check_census(census_hook(), settings)])
    if config:
        problems += _output_problems(settings)
    with Warehouse(settings) as warehouse:
        sources = check_sources(warehouse)
        problems += _problems([*sources, *check_ages(warehouse, sources)])
        found_scope = None
        if config and is_right(sources):
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
        problems += _problems(check_org(settings, _planned_batches(config, found_scope)))
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


def _problems(findings: Iterable[Finding]) -> list[Problem]:
    """What refuses a run. The rest is only said."""
    problems = []
    for each in findings:
        match each.verdict:
            case Verdict.WRONG:
                problems.append(Problem(each.text, each.is_temporary))
            case Verdict.NOT_CHECKED:
                log.warning("Not checked: %s", each.text)
            case Verdict.RIGHT:
                log.info("%s", each.text)
    return problems


def _output_problems(settings: Settings) -> list[Problem]:
    try:
        prove_output_writable(settings)
    except Exception as error:
        return [Problem(f"OUTPUT_PATH {settings.output_url} cannot be written to: {type(error).__name__}: {error}")]
    return []


def _table_problems(warehouse: Warehouse) -> list[Problem]:
    try:
        prepare_tables(warehouse)
    except OwnTableError as error:
        return [Problem(problem) for problem in error.problems]
    except ConnectError as error:
        return [Problem(str(error), error.is_temporary)]
    return []
