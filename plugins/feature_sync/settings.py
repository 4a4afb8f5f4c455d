"""The package's settings: environment variables ``FEATURE_SYNC_*`` over the checked-in ``include/settings.toml``."""

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any

import pydantic_settings
from croniter import croniter
from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeInt, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from feature_sync.fields import FieldTable, load_fields
from feature_sync.paths import INCLUDE, PROJECT
from feature_sync.run_config import RunConfigError, parse_run_config

SETTINGS_FILE = INCLUDE / "settings.toml"
DATABRICKS_CONN_ID = "databricks_default"
CENSUS_CONN_ID = "census_default"
CENSUS_POOL = "census_sync"
BACKFILL_DAG_ID = "product_feature_backfill"
RECONCILIATION_DAG_ID = "product_feature_reconciliation"
DEPLOY_DAG_ID = "census_dataset_deploy"


class SettingsError(ValueError):
    """A setting is missing or not allowed."""


def _three_level_name(name: str) -> str:
    # Table names are the only text that is put into SQL unbound, so nothing but plain identifiers passes.
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){2}", name, flags=re.ASCII):
        raise ValueError("must be catalog.schema.table in letters, digits and underscores")
    return name


def _cron(expression: str) -> str:
    if not croniter.is_valid(expression):
        raise ValueError("must be a cron expression such as '0 6 * * 1'")
    return expression


Share = Annotated[float, Field(ge=0, le=1)]


def _no_number(value: object) -> object:
    # pydantic takes a number for seconds since 1970.
    if isinstance(value, int | float) or (isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)):
        raise ValueError("must be a day such as 2017-01-01")
    return value


def _column_or_nothing(name: str) -> str:
    if name and not re.fullmatch(r"[A-Za-z_]\w*", name, flags=re.ASCII):
        raise ValueError("must be a column's name in letters, digits and underscores, or empty")
    return name


ColumnOrNothing = Annotated[str, AfterValidator(_column_or_nothing)]
CronSchedule = Annotated[str, AfterValidator(_cron)]
TableName = Annotated[str, AfterValidator(_three_level_name)]


class HealingMode(StrEnum):
    """What the weekly run does about records that differ from the warehouse."""

    OFF = "off"
    ASK = "ask"
    AUTO = "auto"


class SourceQuery(StrEnum):
    """
    The queries of ``include/sql`` that a regular sync may read, the incident plan's two options.

    ``PROPERTY_SYNC``: one sync with all fields. ``FEATURE_SYNC``: a sync of its own for the feature fields.
    """

    PROPERTY_SYNC = "property_sync"
    FEATURE_SYNC = "feature_sync"


PACE = ("batch_size", "wait_seconds", "on_batch_failure", "max_consecutive_failures")
"""The parameters of a run that say how it sends, not what."""


def _pace(config: Mapping[str, Any]) -> Mapping[str, Any]:
    if others := [key for key in config if key not in PACE]:
        raise ValueError(f"has {', '.join(others)}; allowed are {', '.join(PACE)}")
    try:
        parse_run_config(config)
    except RunConfigError as error:
        raise ValueError(" ".join(error.problems)) from error
    return config


HealingRunConfig = Annotated[dict[str, Any], AfterValidator(_pace)]


class AlertSettings(BaseSettings):
    """
    What is needed to tell of a failure; it can be read even when another setting is the failure.

    ``alert_conn_id``: the Airflow connection, of type Apprise, through which failures are told; empty means nobody is told.
    """

    model_config = SettingsConfigDict(env_prefix="FEATURE_SYNC_", toml_file=SETTINGS_FILE, frozen=True, extra="ignore")

    alert_conn_id: str

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


class Settings(AlertSettings):
    """
    One field a setting; times are seconds.

    ``output_path``: any URL Airflow's object storage understands; a path without a scheme lies under the project's folder.
    ``datetime_fields``: date columns that are Date/Time fields in Salesforce.
    ``parent_column``: column of the properties table that names the parent which the rollup Flow updates. Records of one parent
    are spread over the batches; empty switches that off.
    ``census_poll_seconds``: pause between two looks at a Census run.
    ``census_inline_poll_seconds``: how long a task looks itself before it hands over to the triggerer.
    ``census_run_limit_seconds``: longest time one Census run, or the wait for another one to end, may take.
    ``copy_poll_seconds``, ``copy_limit_seconds``: the same for the warehouse's copy of Salesforce.
    ``copy_age_limit_seconds``: the weekly run takes the copy for stale when none of its rows was replicated within this time.
    ``guard_feature_row_share``: least share of a payload's properties that must have a feature row.
    ``guard_disable_share``: largest share of a payload's records for which a product may turn from True to False.
    ``guard_enabled_records``: least number of a payload's records that must have a product; 0 switches the guard off.
    ``guard_earliest_date``: no product was sold before this day.
    ``approval_users``: ids of the Airflow users who may approve; empty means everybody who may edit the run.
    ``approval_limit_seconds``: a question that nobody has answered by then ends the run as failed.
    ``payload_days``: how long the payload of a run is kept after its last activity, to retry it or to undo it.
    ``reconciliation_schedule``: when the weekly DAG runs, in cron's words and UTC.
    ``census_dataset_id``, ``census_property_sync_id``: the dataset whose SQL feeds the regular sync, and that sync.
    ``source_query``: which query of ``include/sql`` that dataset must have: ``property_sync`` or ``feature_sync``.
    ``healing``: what the weekly run does about differing records: ``off``, ``ask`` a person, or ``auto`` within the limits.
    ``healing_records_limit``, ``healing_share_limit``: most records, and largest share of them, that ``auto`` heals.
    ``healing_run_config``: pace of the run that heals: ``batch_size``, ``wait_seconds``, ``on_batch_failure`` or
    ``max_consecutive_failures``.
    ``airflow_api_url``: where Airflow's API server is; empty means beside the execution API that tasks talk to.
    """

    model_config = SettingsConfigDict(extra="forbid")

    properties_table: TableName
    features_table: TableName
    salesforce_table: TableName
    payload_table: TableName
    batch_table: TableName
    rejection_table: TableName
    sync_log_table: TableName
    drift_table: TableName
    salesforce_object: Annotated[str, Field(pattern=r"^\w+__c$")]
    datetime_fields: frozenset[str]
    parent_column: ColumnOrNothing
    census_sync_id: PositiveInt
    census_dataset_id: PositiveInt
    census_property_sync_id: PositiveInt
    source_query: SourceQuery
    output_path: Annotated[str, Field(min_length=1)]
    census_poll_seconds: Annotated[float, Field(ge=0.2, le=10)]
    census_inline_poll_seconds: Annotated[float, Field(ge=0, le=60)]
    census_run_limit_seconds: PositiveInt
    copy_poll_seconds: Annotated[float, Field(ge=0.2, le=3600)]
    copy_limit_seconds: PositiveInt
    copy_age_limit_seconds: PositiveInt
    guard_feature_row_share: Share
    guard_disable_share: Share
    guard_enabled_records: NonNegativeInt
    guard_earliest_date: Annotated[date, BeforeValidator(_no_number)]
    approval_users: tuple[str, ...]
    approval_limit_seconds: PositiveInt
    payload_days: PositiveInt
    reconciliation_schedule: CronSchedule
    healing: HealingMode
    healing_records_limit: NonNegativeInt
    healing_share_limit: Share
    healing_run_config: HealingRunConfig
    airflow_api_url: str

    @property
    def fields(self) -> FieldTable:
        return load_fields(self.datetime_fields)

    @property
    def output_url(self) -> str:
        """The output path with a scheme or from the root, so that every process means the same place."""
        if "://" in self.output_path:
            return self.output_path
        return str(PROJECT / self.output_path)


def load_alert_settings() -> AlertSettings:
    """Read what is needed to tell of a failure, whatever the other settings look like."""
    return AlertSettings()  # type: ignore[call-arg]  # as below


def load_settings() -> Settings:
    """
    Read the settings, anew at each call, so that a changed environment is seen.

    :raises SettingsError: naming each wrong setting, its value and what is allowed.
    """
    try:
        return Settings()  # type: ignore[call-arg]  # the values come from the sources above
    except pydantic_settings.SettingsError as unreadable:  # a list in the environment that is not written as JSON
        raise SettingsError(f'Settings are not usable: {unreadable}. A list is written as ["a", "b"].') from unreadable
    except ValidationError as invalid:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in error['loc']).upper()}: {error['msg']} (found {error['input']!r})"
            for error in invalid.errors()
        )
        raise SettingsError(
            f"Settings are not usable (environment FEATURE_SYNC_*, {SETTINGS_FILE.name}): {problems}"
        ) from invalid


def reconciliation_schedule() -> str:
    """
    When the weekly DAG runs. With a setting that is wrong, the checked-in schedule.

    Else the DAG would vanish from Airflow, and nobody would miss it; so its tasks start, and fail with what is wrong.
    """
    try:
        return load_settings().reconciliation_schedule
    except SettingsError:
        return str(tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8"))["reconciliation_schedule"])
