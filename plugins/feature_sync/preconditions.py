"""The first step of a run: everything that can be known to be wrong is found before anything is written, and said at once."""

import logging
from collections.abc import Mapping
from typing import Any

from feature_sync.census.errors import CensusError, CensusUnavailableError
from feature_sync.census.hook import CensusHook
from feature_sync.guards import GuardError, sync_problems
from feature_sync.run_config import RunConfig, RunConfigError, check_size, parse_run_config
from feature_sync.settings import Settings, load_settings
from feature_sync.warehouse import Warehouse

log = logging.getLogger(__name__)


def check_preconditions(conf: Mapping[str, Any], max_batches: int) -> dict[str, Any]:
    """
    Check the run config, the Census sync and the scope.

    :param conf: the params of the DAG run.
    :param max_batches: Airflow's ``[core] max_map_length``.
    :returns: how many records are in scope, and of which scope.
    :raises RunConfigError: a parameter, or the scope it describes, is not usable.
    :raises GuardError: the Census sync is not as a run needs it.
    :raises CensusUnavailableError: Census does not answer now.
    """
    config = parse_run_config(conf)
    settings = load_settings()
    if problems := _census_problems(settings):
        raise GuardError(problems)
    with Warehouse(settings) as warehouse:
        records = _count_scope(warehouse, config)
    check_size(config, records, max_batches)
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


def _census_problems(settings: Settings) -> list[str]:
    try:
        sync = CensusHook().get_sync(settings.census_sync_id)
    except CensusUnavailableError:
        raise
    except CensusError as error:
        return [f"Census sync {settings.census_sync_id} cannot be read: {error}"]
    return sync_problems(sync, settings.fields, settings.batch_table, settings.salesforce_object)


def _count_scope(warehouse: Warehouse, config: RunConfig) -> int:
    parameters = scope_parameters(config)
    if config.property_ids:
        unknown = warehouse.fetch_all("select_unknown_ids", {"property_ids": parameters["property_ids"]})
        if unknown:
            total = unknown[0]["unknown"]
            named = ", ".join(row["property_id"] for row in unknown) + (" and others" if total > len(unknown) else "")
            raise RunConfigError([f"property_ids has {total:,} ids that no record in Salesforce has: {named}."])
    return warehouse.fetch_one("count_scope", parameters)["records"]
