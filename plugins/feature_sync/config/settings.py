"""The package's settings: environment variables ``FEATURE_SYNC_*`` over the checked-in ``include/settings.toml``.

What a setting means stands at its field. ``docs/reference.md`` lists them all.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Self

import pydantic_settings
from croniter import croniter
from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from feature_sync.config.fields import FieldTable, load_fields
from feature_sync.config.names import SETTINGS_PREFIX
from feature_sync.config.paths import INCLUDE, PROJECT, output_home
from feature_sync.config.problems import RunConfigError
from feature_sync.config.run_config import PROPERTY_ID, parse_run_config

SETTINGS_FILE = INCLUDE / "settings.toml"


class BadSettingsError(ValueError):
    """A setting is missing or not allowed."""


def _three_level_name(name: str) -> str:
    # Table names are the only text that is put into SQL unbound, so only plain identifiers pass.
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){2}", name, flags=re.ASCII):
        raise ValueError("must be catalog.schema.table in letters, digits and underscores")
    return name


def _run_url(pattern: str) -> str:
    if pattern and not (re.match(r"https?://", pattern) and "{sync_id}" in pattern):
        raise ValueError("must be an address with {sync_id} in it, or empty")
    return pattern


def _cron(expression: str) -> str:
    if not croniter.is_valid(expression):
        raise ValueError("must be a cron expression such as '0 6 * * 1'")
    return expression


def _iso_day(value: object) -> object:
    # pydantic takes a number for seconds since 1970.
    if isinstance(value, int | float) or (isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)):
        raise ValueError("must be a day such as 2017-01-01")
    return value


def _column_or_empty(name: str) -> str:
    if name and not re.fullmatch(r"[A-Za-z_]\w*", name, flags=re.ASCII):
        raise ValueError("must be the name of a column in letters, digits and underscores, or empty")
    return name


def _web_address(address: str) -> str:
    if address and not re.fullmatch(r"https://[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:\d{1,5})?/?", address, flags=re.ASCII):
        raise ValueError("must be an address such as https://acme.my.salesforce.com, without a user, a path or a query, or empty")
    return address.removesuffix("/")


def _statuses(names: tuple[str, ...]) -> tuple[str, ...]:
    # They are put into SQL as text.
    if not all(re.fullmatch(r"\w[\w -]*|", name.strip(), flags=re.ASCII) for name in names):
        raise ValueError(
            'must be a list of statuses in letters, digits, underscores, blanks and hyphens, or "" for an empty status'
        )
    return tuple(dict.fromkeys(name.strip().upper() for name in names))


def _id_pattern(pattern: str) -> str:
    # It is put into SQL as text.
    if not re.fullmatch(r"[\w\[\]{}.*+?|,-]*", pattern, flags=re.ASCII):
        raise ValueError("must be a regular expression of letters, digits and [ ] { } . * + ? | , -, or empty")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"must be a regular expression: {error}") from error
    return pattern


def _regular_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"must be a regular expression: {error}") from error
    return pattern


def _property_ids(ids: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch(PROPERTY_ID, each.strip()) for each in ids):
        raise ValueError("must be a list of ids of 1 to 64 letters, digits, '-' or '_'")
    return tuple(dict.fromkeys(each.strip() for each in ids))


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


Share = Annotated[float, Field(ge=0, le=1)]
Day = Annotated[date, BeforeValidator(_iso_day)]
Statuses = Annotated[tuple[str, ...], AfterValidator(_statuses)]
IdPattern = Annotated[str, AfterValidator(_id_pattern)]
ColumnOrEmpty = Annotated[str, AfterValidator(_column_or_empty)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
RunUrl = Annotated[str, AfterValidator(_run_url)]
CronSchedule = Annotated[str, AfterValidator(_cron)]
HealingRunConfig = Annotated[dict[str, Any], AfterValidator(_pace)]
PropertyIds = Annotated[tuple[str, ...], AfterValidator(_property_ids)]
TableName = Annotated[str, AfterValidator(_three_level_name)]


class HealingMode(StrEnum):
    """What the weekly run does about records that differ from the warehouse."""

    OFF = "off"
    ASK = "ask"
    AUTO = "auto"


class TwinRule(StrEnum):
    """
    What a record is compared with if several properties share one object in Salesforce.

    ``OWN``: its own property's feature row. ``ANY_ACTIVE_SIBLING``: that and the rows of its ACTIVE siblings; any True wins.
    """

    OWN = "own"
    ANY_ACTIVE_SIBLING = "any_active_sibling"


class AlertLevel(StrEnum):
    """How loud a message to people is. The names are those of Apprise, which channels show in their own way."""

    INFO = "info"
    WARNING = "warning"
    FAILURE = "failure"

    @property
    def rank(self) -> int:
        """A larger number is louder."""
        return [*AlertLevel].index(self)

    @property
    def louder(self) -> "AlertLevel":
        """The next louder level, if there is one."""
        return [*AlertLevel][min(self.rank + 1, len(AlertLevel) - 1)]


class ReasonRule(StrEnum):
    """What a person has to type to approve: nothing, a reason, or a reason that names a ticket."""

    NONE = "none"
    REASON = "reason"
    TICKET = "ticket"


class SourceQuery(StrEnum):
    """
    The queries of ``include/sql/deployment`` that a regular sync may read; they are the incident plan's options A and B.

    ``PROPERTY_SYNC``: one sync with all fields. ``FEATURE_SYNC``: a separate sync for the feature fields.
    """

    PROPERTY_SYNC = "property_sync"
    FEATURE_SYNC = "feature_sync"

    @property
    def statement(self) -> str:
        """The statement's name, see `feature_sync.storage.warehouse.render_statement`."""
        return f"deployment/select_{self.value}"


def _setting(description: str, **limits: Any) -> Any:
    """A setting. Its default stands in ``include/settings.toml``."""
    return Field(description=description, **limits)


class AlertSettings(BaseSettings):
    """What an alert needs. It can be read even when another setting is the cause of the failure."""

    model_config = SettingsConfigDict(env_prefix=SETTINGS_PREFIX, toml_file=SETTINGS_FILE, frozen=True, extra="ignore")

    alert_conn_id: str = _setting("Airflow connection of type Apprise that alerts go to. Empty: alerts are off.")
    alert_level: AlertLevel = _setting(
        "The least level that is sent: info (somebody has answered a question, or the digest), warning (a question waits, or "
        "something is late), or failure."
    )

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
    """One field per setting. Times are seconds."""

    model_config = SettingsConfigDict(extra="forbid")

    properties_table: TableName = _setting("All properties.")
    features_table: TableName = _setting("The product flags and dates of each property.")
    salesforce_table: TableName = _setting("The replica: the warehouse's copy of the Salesforce object.")
    known_statuses: Statuses = _setting(
        "Every status that a property may have; upper case and blanks around it do not matter. An empty text stands for none. "
        "If a property has another status, nothing is sent until it is named here."
    )
    unsynced_statuses: Statuses = _setting("Those of them whose properties do not belong in Salesforce.")
    placeholder_sfdc_ids: IdPattern = _setting(
        "Regular expression for a whole sfdc_id of the properties table that marks a property as a test, such as `X{15}`. "
        "These properties do not belong in Salesforce. Empty: there are none."
    )
    twins: TwinRule = _setting(
        "What a record is compared with: the feature row of its own property, or also those of its ACTIVE siblings, the "
        "properties with the same value in TWIN_COLUMN. Then any True wins, with the earliest start and the latest change."
    )
    twin_column: ColumnOrEmpty = _setting(
        "Column of the properties table that siblings share, such as sfdc_id. With TWINS=own, a flag that is True in Salesforce, "
        "and only through a sibling, is shown and never turned off automatically. Empty: no property has siblings."
    )
    name_column: ColumnOrEmpty = _setting(
        "Column of the properties table with the name that people know a property by. Empty: there is none, and ids are shown."
    )
    company_column: ColumnOrEmpty = _setting(
        "Column of the properties table with the company of a property, for the lists that people read. Empty: there is none."
    )
    properties_deleted_column: ColumnOrEmpty = _setting(
        "BOOLEAN column of the properties table that is True for a row which the replication has deleted, such as "
        "_fivetran_deleted. These rows do not count. Empty: every row counts."
    )
    features_deleted_column: ColumnOrEmpty = _setting("The same for the feature table.")
    features_order_column: ColumnOrEmpty = _setting(
        "Column of the feature table that says which of several unequal rows of a property is the newest. That row counts. "
        "Empty: such a property is left alone, and reported."
    )
    fields_file: Annotated[str, Field(min_length=1)] = _setting(
        "The field table: a TOML file with the products and columns that are sent. A path that is not absolute is below the "
        "project's folder."
    )
    payload_table: TableName = _setting("Ours: the frozen payloads of all runs.")
    batch_table: TableName = _setting("Ours: the batch in flight. It is the source of the Census sync.")
    rejection_table: TableName = _setting("Ours: the rows that Salesforce rejected.")
    sync_log_table: TableName = _setting("Ours: one row for each attempt at a batch.")
    drift_table: TableName = _setting("Ours: one row for each product and reconciliation.")
    difference_table: TableName = _setting("Ours: the differences that a reconciliation has found, for a week.")
    accepted_table: TableName = _setting("Ours: the differences that people have accepted, each with a reason and an end date.")
    read_back_table: TableName = _setting("Ours: what Salesforce itself held of a run's records when it was asked.")
    approval_table: TableName = _setting("Ours: what people were asked before a run went on, and who answered what.")
    salesforce_object: Annotated[str, Field(pattern=r"^\w+__c$")] = _setting("API name of the Salesforce object.")
    salesforce_url: WebAddress = _setting(
        "Address at which people open Salesforce, for links to records in the lists that they read. Empty: there are no links."
    )
    datetime_fields: frozenset[str] = _setting("Date columns of the field table that are Date/Time fields in Salesforce.")
    parent_column: ColumnOrEmpty = _setting(
        "Column of the properties table that names the parent which the rollup Flow updates. Records of one parent are spread "
        "over the batches. Empty: they are not."
    )
    census_sync_id: PositiveInt = _setting("Id of the Census sync that sends the batches.")
    census_run_url: RunUrl = _setting(
        "Address of a run in Census, for the button at a batch: with {sync_id}, and {sync_run_id} where your Census has a page "
        "of a run, such as https://app.getcensus.com/workspaces/7/syncs/{sync_id}/sync-runs/{sync_run_id}. Empty: no button."
    )
    census_harmless_settings: tuple[str, ...] = _setting(
        "Settings of the sync of the batches, by the names that the first task prints, which it does not know and which you have "
        "looked at: they change neither what is written nor when. Empty: there are none."
    )
    census_dataset_id: NonNegativeInt = _setting(
        "Id of the Census dataset whose SQL feeds the regular sync. 0: there is none, because that sync reads a table or a view."
    )
    census_property_sync_id: PositiveInt = _setting("Id of the regular sync in Census.")
    source_query: SourceQuery = _setting(
        "The query that the dataset must have: include/sql/deployment/select_<source_query>.sql."
    )
    regular_sync_overwrite_share: Share = _setting(
        "For each field beside those of the field table, of the records for which Salesforce has a value: the largest share that "
        "the regular sync may overwrite without a word from the weekly run, 0 to 1."
    )
    output_path: Annotated[str, Field(min_length=1)] = _setting(
        "Folder for the files of all runs: any URL of Airflow's object storage. A path without a scheme that is not absolute is "
        "below the project's folder, or, if that is reached through a link as git-sync makes it, below AIRFLOW_HOME."
    )
    census_poll_seconds: float = _setting("Pause between two looks at a Census run.", ge=0.2, le=10)
    census_inline_poll_seconds: float = _setting(
        "How long a task polls Census itself before it defers to the triggerer.", ge=0, le=60
    )
    census_prepare_seconds: float = _setting(
        "How long before the end of wait_seconds a batch begins to read, check and stage its records, so that its Census run "
        "starts on time.",
        ge=0,
        le=60,
    )
    census_run_limit_seconds: PositiveInt = _setting("Longest time that a Census run, or the wait for another one, may take.")
    census_records_limit_seconds: NonNegativeInt = _setting(
        "Longest time that the row records of a completed Census run are waited for. If some are still missing then, and all "
        "counters of the run are right, the batch is accepted by counters."
    )
    salesforce_flow: Annotated[str, Field(pattern=r"^\w*$")] = _setting(
        "Developer name of the rollup Flow. If there is a connection salesforce_default, Salesforce is asked whether it is on. "
        "Empty: people are asked alone."
    )
    canary_every: NonNegativeInt = _setting(
        "If there is a connection salesforce_default, the first batch of a run is read back from Salesforce before the next one "
        "is sent, and so is every batch whose number is a multiple of this. 1: every batch. 0: only the first."
    )
    validate_by_asking_records: Annotated[int, Field(ge=0, le=10_000)] = _setting(
        "If there is a connection salesforce_default, a run of up to so many records is validated at once by asking Salesforce "
        "itself; it does not wait for the replica. 0: every run waits and is validated from the replica."
    )
    validation_sample_records: Annotated[int, Field(ge=0, le=10_000)] = _setting(
        "A larger run is validated from the replica. So many of the records that the replica shows as right are read from "
        "Salesforce itself too, if there is that connection. 0: none."
    )
    pilot_sentinels: PropertyIds = _setting(
        "Ids of properties that everybody knows. Strategy pilot sends their records first, and shows them to the person who "
        "decides. Empty: there are none."
    )
    copy_poll_seconds: float = _setting("Pause between two looks at the replica.", ge=0.2, le=3600)
    copy_limit_seconds: PositiveInt = _setting("Longest wait until the replica shows what was sent.")
    copy_age_limit_seconds: PositiveInt = _setting(
        "The replica is stale if no row was replicated within this time. Then no run chooses or compares records."
    )
    source_age_limit_seconds: NonNegativeInt = _setting(
        "The same for the properties table and the feature table. Their age is that of the newest row by _fivetran_synced, or by "
        "FEATURES_ORDER_COLUMN; without such a column, it is that of the table's last change. 0: their age does not matter."
    )
    guard_feature_row_share: Share = _setting("Smallest share of a payload's properties that must have a feature row, 0 to 1.")
    guard_disable_share: Share = _setting(
        "Largest share of a payload's records for which a product may turn from True to False, 0 to 1."
    )
    guard_product_disable_share: Share = _setting(
        "Of the records that have a product in Salesforce, those of a payload and all together: the largest share that may lose "
        "it, 0 to 1. It counts only if more records than GUARD_PRODUCT_DISABLE_RECORDS lose it."
    )
    guard_product_disable_records: NonNegativeInt = _setting(
        "So many records may lose a product whatever their share of the records that have it is."
    )
    guard_constant_records: PositiveInt = _setting(
        "A product may be True in all records of a payload only if, by its share in Salesforce, fewer records than this would "
        "be expected to be False."
    )
    guard_unmatched_feature_rows: NonNegativeInt = _setting(
        "Largest number of properties in the feature table that may be missing in the properties table."
    )
    guard_unmatched_feature_share: Share = _setting(
        "Largest share of the properties in the feature table that may be missing in the properties table, 0 to 1."
    )
    guard_enabled_records: NonNegativeInt = _setting(
        "Smallest number of a payload's records that must have a product. 0 switches the guard off."
    )
    guard_earliest_date: Day = _setting("No product was sold before this day.")
    approval_users: tuple[str, ...] = _setting("Ids of the Airflow users who may approve. Empty: everybody who may edit the run.")
    approval_limit_seconds: PositiveInt = _setting(
        "A question that nobody answers in this time fails the run. After half of it, and after nine tenths, people are reminded."
    )
    approval_reason: ReasonRule = _setting(
        "What a person has to type to approve: none, a reason, or a reason that names a ticket. An approval without it does not "
        "count, and the question is asked again."
    )
    approval_ticket_pattern: Annotated[str, Field(min_length=1), AfterValidator(_regular_expression)] = _setting(
        "Regular expression for a ticket, which a reason has to have somewhere if APPROVAL_REASON is ticket."
    )
    approval_excludes_starter: bool = _setting(
        "Whether whoever started a run may not approve in it. An approval by that person does not count, and the question is "
        "asked again. A run that its schedule has started has no such person."
    )
    payload_days: PositiveInt = _setting(
        "Days that a run's payload is kept after its last activity, so that the run can be retried or undone."
    )
    reconciliation_schedule: CronSchedule = _setting("When the weekly DAG runs: a cron expression, in UTC.")
    healing: HealingMode = _setting(
        "What the weekly run does about records that differ: off, ask a person, or auto within the two limits below."
    )
    healing_records_limit: NonNegativeInt = _setting("Largest number of records that healing=auto sends again.")
    healing_share_limit: Share = _setting("Largest share of all records that healing=auto sends again, 0 to 1.")
    healing_run_config: HealingRunConfig = _setting(f"Pace of the run that heals, as JSON with some of {', '.join(PACE)}.")
    weekly_digest: bool = _setting(
        "Whether a weekly run that went well sends a message with its numbers, and with what changed since the run before it. "
        "Then a Monday without any message says that the run has not ended, or was not started at all."
    )
    weekly_verdict_hours: NonNegativeInt = _setting(
        "Hours after its scheduled time in which the weekly run should have given its verdict. If it has not, people are told, "
        "and reminded once a day. 0: nobody is told."
    )
    accepted_days_limit: PositiveInt = _setting(
        "Longest time in days that a difference may be accepted. An entry that ends later does not count."
    )
    accepted_warning_days: NonNegativeInt = _setting("The weekly run names the acceptances that end within so many days.")
    airflow_api_url: str = _setting("Address of Airflow's API server. Empty: the address that tasks use for the execution API.")

    @property
    def all_known_statuses(self) -> tuple[str, ...]:
        """Every status that a property may have."""
        return tuple(dict.fromkeys((*self.known_statuses, *self.unsynced_statuses)))

    @property
    def synced_statuses(self) -> tuple[str, ...]:
        """The statuses of the properties that belong in Salesforce."""
        return tuple(status for status in self.known_statuses if status not in self.unsynced_statuses)

    @property
    def merges_siblings(self) -> bool:
        """Whether the features of a property include those of its siblings."""
        return self.twins is TwinRule.ANY_ACTIVE_SIBLING

    @property
    def watches_siblings(self) -> bool:
        """Whether flags that are True through a sibling are a class of their own."""
        return self.twins is TwinRule.OWN and bool(self.twin_column)

    @model_validator(mode="after")
    def _siblings_share_something(self) -> Self:
        if self.merges_siblings and not self.twin_column:
            raise ValueError("TWINS is any_active_sibling, so TWIN_COLUMN must name the column that siblings share")
        return self

    @model_validator(mode="after")
    def _something_is_synced(self) -> Self:
        if not self.synced_statuses:
            raise ValueError("KNOWN_STATUSES has no status that is not in UNSYNCED_STATUSES, so no property would be synced")
        return self

    @property
    def fields(self) -> FieldTable:
        return load_fields(self.datetime_fields, PROJECT / self.fields_file)

    @property
    def output_url(self) -> str:
        """The output path as a URL or an absolute path, so that every process means the same place."""
        if "://" in self.output_path:
            return self.output_path
        return str(output_home() / self.output_path)


def load_alert_settings() -> AlertSettings:
    """Read what an alert needs, whatever the other settings look like. A level that does not exist silences nobody."""
    try:
        return AlertSettings()
    except ValidationError:
        return AlertSettings(alert_level=AlertLevel.INFO)


def load_settings() -> Settings:
    """
    Read the settings again at each call, so that a changed environment is seen.

    :raises BadSettingsError: naming each wrong setting, its value and what is allowed.
    """
    try:
        return Settings()  # the values come from the sources above
    except pydantic_settings.SettingsError as unreadable:  # a list in the environment that is not written as JSON
        raise BadSettingsError(f'The settings cannot be read: {unreadable}. A list is written as ["a", "b"].') from unreadable
    except ValidationError as invalid:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in error['loc']).upper()}: {error['msg']} (found {error['input']!r})"
            if error["loc"]
            else error["msg"]
            for error in invalid.errors()
        )
        raise BadSettingsError(
            f"The settings cannot be used (environment {SETTINGS_PREFIX}*, {SETTINGS_FILE.name}): {problems}"
        ) from invalid


def reconciliation_schedule() -> str:
    """
    When the weekly DAG runs. If a setting is wrong: the checked-in schedule.

    Without this fallback a wrong setting would remove the DAG from Airflow and nobody would notice. With it, the DAG's tasks
    start and fail with the reason.
    """
    try:
        return load_settings().reconciliation_schedule
    except BadSettingsError:
        return str(tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8"))["reconciliation_schedule"])
