"""Whether a run is what was asked for."""

from collections.abc import Mapping
from typing import Any

OVERRIDES = "[core] dag_run_conf_overrides_params"
"""Airflow's option that lets the config of a run replace the defaults of its params. A site can switch it off."""
AIRFLOWS_BACKFILL = "backfill"
"""The type of a run that Airflow's own backfill makes."""


def run_problems(params: Mapping[str, Any], conf: Mapping[str, Any], run_type: str) -> list[str]:
    """
    Compare what a person or another DAG asked for with what would be run.

    :param params: the params that the tasks of the run see. Empty if its DAG takes none.
    :param conf: the config that the run was started with.
    :param run_type: Airflow's type of the run.
    :returns: a sentence for each problem.
    """
    problems = []
    if run_type == AIRFLOWS_BACKFILL:
        problems.append(
            "This run was made by Airflow's own backfill. This DAG looks at the present state of Salesforce, so a run for a day "
            "in the past makes no sense, and several at once would send the same records. Start a single run instead."
        )
    problems += [
        f"{name} was asked for as {value!r}, but the run would use {params[name]!r}. Airflow's option {OVERRIDES} is off; it "
        "must be True."
        for name, value in conf.items()
        if name in params and params[name] != value
    ]
    if unknown := sorted(set(conf) - set(params)):
        named = ", ".join(map(repr, unknown))
        problems.append(
            f"{named} was asked for, but the run would not use it. Airflow's option {OVERRIDES} is off; it must be True."
            if params
            else f"{named} was asked for, but this DAG takes no parameters. Start it without a config."
        )
    return problems
