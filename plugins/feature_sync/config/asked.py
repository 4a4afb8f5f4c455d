"""Whether a run is what was asked for, and of a kind that makes sense."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

OVERRIDES = "[core] dag_run_conf_overrides_params"
"""Airflow's option that lets the config of a run replace the defaults of its params. A site can switch it off."""
BY_A_PERSON: tuple[Any, ...] = ("manual",)
"""Types of runs that a person starts: with the form, the REST API or the command line. The names are those of Airflow."""
ON_REQUEST: tuple[Any, ...] = (*BY_A_PERSON, "operator_triggered")
"""Those, and runs that a task of a DAG starts, such as the healing runs of the weekly DAG."""
BY_THE_CLOCK: tuple[Any, ...] = ("scheduled", *ON_REQUEST)
"""Those, and runs by the clock."""
NO_SENSE = {
    "backfill": "This run was made by Airflow's own backfill. This DAG looks at the present state of Salesforce, so a run for a "
    "day in the past makes no sense, and several at once would send the same records. Start a single run instead.",
    "asset_triggered": "This run was made because an asset was updated. Nobody has chosen what it does, and an update is no "
    "reason to send records. Start a run with the form instead.",
    "asset_materialization": "This run was made to materialize an asset. Nobody has chosen what it does. Start a run with the "
    "form instead.",
}
"""Types of runs that make no sense, each with the sentence that refuses it."""
NEAR = timedelta(days=1)
"""A logical date that is not farther from a run's start than this means the present. The form proposes the present."""


def run_problems(
    params: Mapping[str, Any],
    conf: Mapping[str, Any],
    run_type: str,
    *,
    partition_key: str | None = None,
    logical_date: datetime | None = None,
    run_after: datetime | None = None,
) -> list[str]:
    """
    Compare what a person or another DAG asked for with what would be run.

    :param params: the params that the tasks of the run see. Empty if its DAG takes none.
    :param conf: the config that the run was started with.
    :param run_type: Airflow's type of the run.
    :param partition_key: the partition that was asked for. :param logical_date: the day that was asked for.
    :param run_after: when the run may start at the earliest. Airflow knows it of each run.
    :returns: a sentence for each problem.
    """
    problems = []
    if run_type not in BY_THE_CLOCK:
        allowed = ", ".join(BY_THE_CLOCK)
        problems.append(
            NO_SENSE.get(run_type, f"This run is of type {run_type!r}, which is not known here; known are {allowed}.")
        )
    if partition_key is not None:
        problems.append(f"The partition {partition_key!r} was asked for, but this DAG has no partitions. Start it without one.")
    problems += _date_problems(run_type, logical_date, run_after)
    problems += [
        f"{name} was asked for as {value!r}, but the run would use {params[name]!r}. Airflow's option {OVERRIDES} is off; it "
        "must be True."
        for name, value in conf.items()
        if name in params and not _is_same(params[name], value)
    ]
    if unknown := sorted(set(conf) - set(params)):
        named = ", ".join(map(repr, unknown))
        problems.append(
            f"{named} was asked for, but the run would not use it. Airflow's option {OVERRIDES} is off; it must be True."
            if params
            else f"{named} was asked for, but this DAG takes no parameters. Start it without a config."
        )
    return problems


def lost_parameters(run_config: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """The parameters of a config that a run would lose on a site which lets no config replace the defaults."""
    return [name for name, value in run_config.items() if name not in defaults or not _is_same(defaults[name], value)]


def _is_same(used: Any, asked: Any) -> bool:
    """Whether two values of JSON are equal. In Python, True is 1 too."""
    return type(used) is type(asked) and used == asked


def _date_problems(run_type: str, logical_date: datetime | None, run_after: datetime | None) -> list[str]:
    # By the clock, both are the same. A run that another DAG starts may have that DAG's date, which is before the run.
    if logical_date is None or run_after is None or run_type == "scheduled":
        return []
    if logical_date > run_after + NEAR:
        return [
            f"The logical date of this run, {logical_date:%Y-%m-%d %H:%M}, is in the future, but Airflow starts it at once. "
            "Start it without a logical date; to let it start later, set run_after."
        ]
    if run_type in BY_A_PERSON and logical_date < run_after - NEAR:
        return [
            f"This run was asked for {logical_date:%Y-%m-%d %H:%M}, but this DAG looks at the present state of Salesforce. Start "
            "it without a logical date. Records of a day are chosen by created_from and created_to."
        ]
    return []
