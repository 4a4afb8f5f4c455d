"""Census's answers, parsed once, where they arrive.

Field names are the API's. Sources: the API reference's pages "fetch a sync run", "list sync runs", "fetch records", "fetch a
sync" and "datasets". Where a fact has several documented or observed forms, the property that reads it says so.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

UI_TAG_API = "API Request"
UI_TAG_DRY_RUN = "Dry Run"


class RunStatus(StrEnum):
    """Statuses of a sync run. ``UNKNOWN`` is any word that the API does not document."""

    QUEUED = "queued"
    WORKING = "working"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


_FORMER_NAMES = {
    # Deprecated in the API reference of 2023. Runs of old workspaces may still have them.
    "preparing": RunStatus.QUEUED,
    "new": RunStatus.QUEUED,
    "retrying": RunStatus.WORKING,
    # Not in the documented enum, but Census's UI and Prefect's client know it, in both spellings.
    "canceled": RunStatus.CANCELLED,
}


def _parse_status(value: Any) -> RunStatus:
    word = value if isinstance(value, str) else ""
    try:
        return _FORMER_NAMES.get(word) or RunStatus(word)
    except ValueError:
        return RunStatus.UNKNOWN


class _Answer(BaseModel):
    # Built when the first answer is read: that takes a tenth of a second, which a process that reads DAG files does not need.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class SyncRun(_Answer):
    """
    One run of a sync. Counters are None until Census sets them, and stay None in failed runs.

    ``source_record_count``: rows in the source; ``records_processed``: sent; ``records_updated``: accepted;
    ``records_failed``: rejected by Salesforce; ``records_invalid``: never sent, for a null or repeated key.
    """

    id: int
    sync_id: int
    status: Annotated[RunStatus, BeforeValidator(_parse_status)]
    raw_status: Annotated[str, BeforeValidator(str)] = Field(validation_alias="status")
    canceled: bool | None = None
    created_at: datetime
    updated_at: datetime | None = None
    completed_at: datetime | None = None
    full_sync: bool | None = None
    source_record_count: int | None = None
    records_processed: int | None = None
    records_updated: int | None = None
    records_failed: int | None = None
    records_invalid: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    error_detail: str | None = None
    ui_tag: str | None = Field(default=None, validation_alias=AliasPath("sync_trigger_reason", "ui_tag"))

    @property
    def is_active(self) -> bool:
        """Whether Census is working on it."""
        return self.status in (RunStatus.QUEUED, RunStatus.WORKING) and not self.canceled

    @property
    def may_be_active(self) -> bool:
        """Whether no other run may start. A run with an unknown status may be active until it has an end."""
        return self.is_active or (self.status is RunStatus.UNKNOWN and self.completed_at is None and not self.canceled)

    @property
    def was_canceled(self) -> bool:
        """
        The API marks a canceled run by a flag, whatever its status is. The vendor's own sample is ``completed`` and canceled.
        """
        return bool(self.canceled) or self.status is RunStatus.CANCELLED

    @property
    def is_dry_run(self) -> bool:
        """Dry runs are in the list of runs and look successful. Only this tag tells them apart (observed)."""
        return self.ui_tag == UI_TAG_DRY_RUN

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, by Census's clock. Runs that did not complete have no ``completed_at``, so their last change counts."""
        if self.may_be_active:
            return None
        return self.completed_at or self.updated_at or self.created_at

    @property
    def error(self) -> str:
        return ": ".join(part for part in (self.error_code, self.error_message, self.error_detail) if part)


class SyncRunPage(_Answer):
    """The newest runs of one sync or several, newest first, and Census's own time, so that two clocks are never compared."""

    runs: tuple[SyncRun, ...]
    now: datetime

    def of(self, sync_id: int) -> "SyncRunPage":
        """The runs of one sync only."""
        return SyncRunPage(runs=tuple(run for run in self.runs if run.sync_id == sync_id), now=self.now)


class RecordStatus(StrEnum):
    """Outcome of one row. ``NULL`` and ``DUPLICATE`` say that its key is empty or repeated."""

    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    INVALID = "invalid"
    NULL = "NULL"
    DUPLICATE = "DUPLICATE"


class RowRecord(_Answer):
    """The outcome of one row of a sync run."""

    identifier: str | None = None
    status: str
    status_message: str | None = None

    @property
    def was_accepted(self) -> bool:
        return self.status == RecordStatus.SUCCEEDED

    @property
    def reason(self) -> str:
        """Why it was not accepted, on one line."""
        return " ".join((self.status_message or self.status).split())


def _is_true(value: Any) -> bool:
    return value is True


class FieldMapping(_Answer):
    """
    One mapping of a sync. ``column`` is None if something other than a column is mapped, such as a constant or a template.

    ``attributes``: everything that Census returned for it, because a mapping can only be changed by sending all of it.
    A flag that is anything but True is False. One that is absent has Census's own default.
    """

    column: str | None = Field(default=None, validation_alias=AliasPath("from", "data"))
    source_type: str | None = Field(default=None, validation_alias=AliasPath("from", "type"))
    to: str
    is_primary_identifier: Annotated[bool, BeforeValidator(_is_true)] = False
    sync_null_values: Annotated[bool, BeforeValidator(_is_true)] = True
    attributes: dict[str, Any]


def _text_or_none(value: Any) -> Any:
    """A name or an id as text. An id is a number in API v1 and a text in v2."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _number_or_none(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _bool_or_none(value: Any) -> Any:
    return value if isinstance(value, bool) else None


OptionalText = Annotated[str | None, BeforeValidator(_text_or_none)]
OptionalNumber = Annotated[int | None, BeforeValidator(_number_or_none)]
OptionalBool = Annotated[bool | None, BeforeValidator(_bool_or_none)]


class SyncSource(_Answer):
    """The source of a sync: a table, or a dataset with its SQL."""

    type: OptionalText = None
    table_catalog: OptionalText = None
    table_schema: OptionalText = None
    table_name: OptionalText = None
    dataset_id: OptionalNumber = None
    query: OptionalText = None

    @property
    def table(self) -> str | None:
        if self.table_name is None:
            return None
        return ".".join(part for part in (self.table_catalog, self.table_schema, self.table_name) if part)


def _as_mapping(mapping: Any) -> Any:
    """``from.data`` is a column's name only for type ``column``. A constant has an object there."""
    match mapping:
        case {"from": {"type": "column", "data": str()}}:
            return {**mapping, "attributes": mapping}
        case {"from": {"type": str(kind)}}:
            return {**mapping, "attributes": mapping, "from": {"type": kind}}
        case dict():
            return {**mapping, "attributes": mapping, "from": None}
    return mapping


def _with_attributes(sync: Any) -> Any:
    """Keep all that Census returned, and look for the object's name where Census may have put it."""
    if not isinstance(sync, dict):
        return sync
    return {**sync, "attributes": sync, "destination_object": _object_name(sync.get("destination_attributes"))}


def _object_name(destination: Any) -> str | None:
    """The API name of the object that is written. Documented is a text in ``object``; other places are tried too."""
    match destination:
        case {"object": str(name)} if name:
            return name
        case {"object": {"api_name": str(name)} | {"full_name": str(name)} | {"name": str(name)} | {"id": str(name)}}:
            return name
        case {"object_api_name": str(name)} | {"object_name": str(name)} if name:
            return name
    return None


def other_triggers(mode: Any) -> list[str]:
    """What else than a clock may start a sync, by its ``mode``, in words: a live mode, another sync, dbt, and so on."""
    match mode:
        case None | {"type": "triggered", "triggers": None}:
            return []
        case {"type": "triggered", "triggers": {**triggers}}:
            others = [f"the mode {name!r}" for name, value in mode.items() if name not in ("type", "triggers") and value]
            return others + [f"the trigger {name!r}" for name, value in triggers.items() if value and name != "schedule"]
        case {"type": "triggered"} if len(mode) == 1:
            return []
        case {"type": str(kind)}:
            return [f"the mode {kind!r}"]
    return [f"the mode {mode!r}"]


class Sync(_Answer):
    """
    The live configuration of a sync.

    Only the id and the mappings must be readable. Anything else that is absent, or has an unknown form, is None.

    ``attributes``: everything that Census returned for it.
    """

    id: int
    label: OptionalText = None
    operation: OptionalText = None
    paused: OptionalBool = None
    schedule_frequency: OptionalText = None
    source: SyncSource = Field(default_factory=SyncSource, validation_alias=AliasPath("source_attributes", "object"))
    destination_object: OptionalText = None
    mappings: tuple[Annotated[FieldMapping, BeforeValidator(_as_mapping)], ...]
    attributes: dict[str, Any]

    _keep = model_validator(mode="before")(_with_attributes)

    @property
    def schedules(self) -> frozenset[str]:
        """Every schedule that Census names for it, at its top or in its mode."""
        named = {self.schedule_frequency} if self.schedule_frequency else set()
        match self.attributes.get("mode"):
            case {"triggers": {"schedule": {"frequency": str(frequency)}}} if frequency:
                named.add(frequency)
        return frozenset(named)

    @property
    def schedule(self) -> str | None:
        """The schedule in words, or None if Census names none."""
        return " and ".join(sorted(self.schedules)) or None

    def with_mappings(self, mappings: Iterable[Mapping[str, Any]]) -> "Sync":
        """The same sync with other mappings, as Census takes them."""
        return self.model_copy(
            update={"mappings": tuple(FieldMapping.model_validate(_as_mapping(dict(each))) for each in mappings)}
        )


class SyncOutline(_Answer):
    """
    What the list of syncs says of one: what it writes, and when its schedule starts it.

    Only the id must be readable. Anything else that is absent, or has an unknown form, is None.
    """

    id: int
    label: OptionalText = None
    paused: OptionalBool = None
    destination_object: OptionalText = Field(default=None, validation_alias=AliasPath("destination_attributes", "object"))
    connection_id: OptionalText = Field(default=None, validation_alias=AliasPath("destination_attributes", "connection_id"))
    frequency: OptionalText = Field(default=None, validation_alias="schedule_frequency")
    day: OptionalText = Field(default=None, validation_alias="schedule_day")
    hour: OptionalNumber = Field(default=None, validation_alias="schedule_hour")
    minute: OptionalNumber = Field(default=None, validation_alias="schedule_minute")
    cron_expression: OptionalText = None
    mode: Any = None

    @property
    def has_other_triggers(self) -> bool:
        """Whether something else than a clock starts it: a live mode, another sync, dbt, and so on."""
        return bool(other_triggers(self.mode))


class Dataset(_Answer):
    """A dataset: SQL that is the source of syncs."""

    id: int
    name: str
    query: str
