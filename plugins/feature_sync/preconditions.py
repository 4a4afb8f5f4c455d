"""The first step of a run: everything that can be known to be wrong is found before anything is written, and said at once."""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk import ObjectStoragePath

from feature_sync.airflow_pool import PoolUnknownError, fetch_pool
from feature_sync.census.errors import CensusError, CensusProtocolError, CensusUnavailableError
from feature_sync.census.hook import CensusHook
from feature_sync.guards import GuardError, pool_problems, sync_problems
from feature_sync.run_config import RunConfig, RunConfigError, check_size, parse_run_config
from feature_sync.schema import OwnTableError, column_problems, describe, prepare_tables, source_columns
from feature_sync.settings import CENSUS_CONN_ID, DATABRICKS_CONN_ID, Settings, load_settings
from feature_sync.sync_log import SyncLog
from feature_sync.validation import read_copy_state
from feature_sync.warehouse import ConnectError, StatementError, Warehouse

log = logging.getLogger(__name__)


class NotReadyError(RuntimeError):
    """All that was found may pass by itself, such as a system that does not answer."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("Nothing was sent, because of what may pass:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. ``may_pass``: trying again later may help."""

    text: str
    may_pass: bool = False


def check_preconditions(conf: Mapping[str, Any], max_batches: int) -> dict[str, Any]:
    """
    Check the run config, the connections, the pool, the tables, the Census sync, the output path and the scope.

    All of it is checked, whatever was found before, so that one look at the log is enough. Our own tables are made too, empty, if
    the run config is usable and the source tables are as they must be.

    :param conf: the params of the DAG run.
    :param max_batches: Airflow's ``[core] max_map_length``.
    :returns: how many records are in scope, and of which scope.
    :raises RunConfigError: a parameter, or the scope it describes, is not usable, and nothing else is wrong.
    :raises GuardError: something else is wrong; the message has all of it.
    :raises NotReadyError: all that is wrong may pass.
    """
    settings = load_settings()
    config, config_problems = _parse(conf)
    problems = [*_pool_problems(settings), *_census_problems(settings)]
    if config:
        problems += _output_problems(settings)
    with Warehouse(settings) as warehouse:
        found = _source_problems(warehouse)
        problems += found
        records = None
        if config and not found:
            tables = _table_problems(warehouse)
            problems += tables
            try:
                if config.undo_run_id is None or not tables:
                    records = _count_scope(warehouse, config, max_batches)
            except RunConfigError as error:
                config_problems += error.problems
            except NotReadyError as error:
                problems += [Problem(text, may_pass=True) for text in error.problems]
            except StatementError as error:
                problems.append(Problem(str(error), may_pass=isinstance(error, ConnectError)))
    _refuse(config_problems, problems)
    assert config is not None  # noqa: S101 - its problems were refused; for the type checker
    log.info("In scope: %s, which are %s", f"{records:,}", config.description)
    return {"records": records, "scope": config.description}


def scope_parameters(config: RunConfig) -> dict[str, str | bool | None]:
    """The values that ``fragments/records_in_scope.sql`` binds."""
    return {
        "scope": config.scope.value,
        "created_from": config.created_from.isoformat() if config.created_from else None,
        "created_to": config.created_to.isoformat() if config.created_to else None,
        "property_ids": ",".join(config.property_ids),
        "skip_unmatched": config.skips_unmatched,
    }


def _refuse(config_problems: list[str], problems: list[Problem]) -> None:
    texts = [*config_problems, *(problem.text for problem in problems)]
    if config_problems and not problems:
        raise RunConfigError(config_problems)
    if config_problems or not all(problem.may_pass for problem in problems):
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
                f"Airflow's pools cannot be read: {error}. The API server must have this package in its plugins folder; if tasks "
                "reach it at another address than the execution API's, set AIRFLOW_API_URL.",
                may_pass=True,
            )
        ]


def _census_problems(settings: Settings) -> list[Problem]:
    try:
        sync = CensusHook().get_sync(settings.census_sync_id)
    except CensusError as error:
        passes = isinstance(error, CensusUnavailableError | CensusProtocolError)
        return [Problem(f"Census sync {settings.census_sync_id} cannot be read ({CENSUS_CONN_ID}): {error}", passes)]
    return [Problem(text) for text in sync_problems(sync, settings.fields, settings.batch_table, settings.salesforce_object)]


def _output_problems(settings: Settings) -> list[Problem]:
    try:
        folder = ObjectStoragePath(settings.output_url)
        probe = folder / f".write-test-{uuid.uuid4().hex}"
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"may this process write here?\n")
        probe.unlink()
    except Exception as error:
        return [Problem(f"OUTPUT_PATH {settings.output_url} cannot be written to: {type(error).__name__}: {error}")]
    return []


def _source_problems(warehouse: Warehouse) -> list[Problem]:
    settings = warehouse.settings
    problems = []
    for table, needed in source_columns(settings).items():
        try:
            found = describe(warehouse, table)
        except ConnectError as error:
            return [Problem(f"The warehouse cannot be reached ({DATABRICKS_CONN_ID}): {error}", may_pass=True)]
        except StatementError as error:
            problems.append(Problem(f"{table} cannot be read: {error}"))
            continue
        problems += [Problem(text) for text in column_problems(table, needed, found, settings.fields)]
    return problems


def _table_problems(warehouse: Warehouse) -> list[Problem]:
    try:
        prepare_tables(warehouse)
    except OwnTableError as error:
        return [Problem(problem) for problem in error.problems]
    except ConnectError as error:
        return [Problem(str(error), may_pass=True)]
    return []


def _count_scope(warehouse: Warehouse, config: RunConfig, max_batches: int) -> int:
    parameters = scope_parameters(config)
    if config.undo_run_id is not None:
        _wait_for_run_to_undo(warehouse, config.undo_run_id)
        records = _count_undo(warehouse, config.undo_run_id)
    else:
        if config.property_ids:
            _refuse_unknown_ids(warehouse, config)
        records = warehouse.fetch_one("count_scope", parameters)["records"]
    check_size(config, records, max_batches)
    return records


def _refuse_unknown_ids(warehouse: Warehouse, config: RunConfig) -> None:
    unknown = warehouse.fetch_all("select_unknown_ids", {"property_ids": ",".join(config.property_ids)})
    if unknown:
        total = unknown[0]["unknown"]
        named = ", ".join(row["property_id"] for row in unknown) + (" and others" if total > len(unknown) else "")
        raise RunConfigError([f"property_ids has {total:,} ids that no record in Salesforce has: {named}."])


def _count_undo(warehouse: Warehouse, undo_run_id: str) -> int:
    counts = warehouse.fetch_one("count_undone_records", {"undo_run_id": undo_run_id})
    if not counts["records"]:
        known = ", ".join(row["run_id"] for row in warehouse.fetch_all("select_frozen_runs")) or "none"
        raise RunConfigError(
            [
                f"undo_run_id is {undo_run_id!r}, but there is no payload of such a run. Payloads are kept for "
                f"{warehouse.settings.payload_days} days; the newest are of {known}."
            ]
        )
    if not counts["to_undo"]:
        raise RunConfigError(
            [
                f"undo_run_id is {undo_run_id!r}, but none of its {counts['records']:,} records holds what it sent: "
                f"{counts['as_before']:,} are as before it, {counts['not_sent']:,} it did not bring in, "
                f"{counts['changed_since']:,} were changed since, {counts['gone']:,} are gone. There is nothing to undo."
            ]
        )
    return counts["to_undo"]


def _wait_for_run_to_undo(warehouse: Warehouse, undo_run_id: str) -> None:
    """:raises NotReadyError: the run to undo has not finished: its values would be mistaken for those of somebody else."""
    problems = []
    attempts = SyncLog(warehouse).last_attempts(undo_run_id)
    if sending := [attempt.batch_number for attempt in attempts.values() if attempt.is_open]:
        named = ", ".join(f"{number:03d}" for number in sending)
        problems.append(f"Run {undo_run_id!r} is still sending batch {named}. Let it end first.")
    copy = read_copy_state(undo_run_id, warehouse.settings)
    if not copy.is_fresh:
        problems.append(
            f"{copy.records_stale:,} records that run {undo_run_id!r} sent are not yet in {warehouse.settings.salesforce_table}. "
            "Start the run again when they are."
        )
    if problems:
        raise NotReadyError(problems)
