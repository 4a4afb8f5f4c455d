"""Every setting of the sandbox, with its type. ``--set`` and ``/sandbox/settings`` change them."""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sandbox.state import State
from sandbox.tokens import CENSUS_PERSONAL_TOKEN, SALESFORCE_CLIENT_SECRET, WAREHOUSE_CLIENT_SECRET, WAREHOUSE_TOKEN


class SettingError(ValueError):
    """A setting is unknown, or its value is not allowed."""


def _split(value: Any) -> Any:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _parse_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


# On the command line every value is a text.
FieldNames = Annotated[tuple[str, ...], BeforeValidator(_split)]
FieldValues = Annotated[dict[str, bool | str | None], BeforeValidator(_parse_json)]


WAREHOUSE_MEMORY = "1GB"
"""What the warehouse may use before it writes to disk, unless the command line says otherwise."""


class Settings(BaseModel):
    """By default time runs faster than in production, so that a run of 26 batches takes minutes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    census_queue_seconds: float = Field(0.2, ge=0, le=86_400, description="How long a run stays `queued`")
    census_work_seconds: float = Field(
        1.5, ge=0, le=86_400, description="How long a run stays `working`; its chunks are spread over it"
    )
    records_visible_seconds: float = Field(
        0.3, ge=0, le=86_400, description="From the end of a run until its row records can be read"
    )
    census_updated_seconds: float = Field(
        0.0, ge=0, le=86_400, description="How long a run's `updated_at` moves after the run's end"
    )
    census_batch_size: int = Field(200, ge=1, le=200, description="Records a Salesforce transaction, when the sync sets none")
    census_unmatched: Literal["reject", "ignore"] = Field(
        "reject", description="What an `update` does with a key that Salesforce does not know"
    )
    census_while_running: Literal["skip", "refuse"] = Field(
        "skip", description="A trigger during another run: make a run with status `skipped`, or answer 409"
    )
    census_paused_trigger: Literal["refuse", "run"] = Field("refuse", description="What triggering a paused sync does")
    census_canceled_status: Literal["completed", "failed", "cancelled"] = Field(
        "completed", description="Status of a canceled run, beside `canceled: true`"
    )
    census_body_force_full_sync: bool = Field(False, description="Whether `force_full_sync` counts in a JSON body too")
    census_v1_retired: bool = Field(False, description="Whether API v1 answers 410, as after 2027-01-15")
    census_token: str = Field(
        CENSUS_PERSONAL_TOKEN, min_length=1, description="The personal access token that Census accepts; change it to rotate it"
    )
    warehouse_token: str = Field(
        WAREHOUSE_TOKEN, min_length=1, description="The token that the warehouse accepts; change it to rotate or revoke it"
    )
    warehouse_client_secret: str = Field(
        WAREHOUSE_CLIENT_SECRET, min_length=1, description="The secret for which `/oidc/v1/token` gives out `warehouse_token`"
    )
    salesforce_client_secret: str = Field(
        SALESFORCE_CLIENT_SECRET,
        min_length=1,
        description="The secret for which `/services/oauth2/token` gives out the session of the API user",
    )
    salesforce_soap_login: bool = Field(True, description="Whether the org allows the login over SOAP; new orgs do not")
    salesforce_daily_requests: int = Field(15_000, ge=0, description="REST requests that the org allows in 24 hours")
    api_user_views_setup: bool = Field(
        True, description="Whether the API user may see limits, flows and permissions (View Setup and Configuration)"
    )
    api_user_hidden_fields: FieldNames = Field(
        (), description="Fields that the API user may not read; on the command line separated by commas"
    )
    census_uneditable_fields: FieldNames = Field((), description="Fields that Census's user may not edit")
    census_uneditable: Literal["reject", "drop"] = Field(
        "reject", description="What becomes of a row with such a field: it is rejected, or Census leaves the field out silently"
    )
    automation_overwrites: FieldValues = Field(
        {}, description="Fields and values that another flow sets in each record after it was saved; a JSON object"
    )
    automation_runs_as: Literal["user", "automated_process"] = Field(
        "user", description="Who changes the records then: whoever saved them, or `Automated Process`"
    )
    records_in_approval: FieldNames = Field(
        (), description="Ids of records that wait for an approval. They are locked: only an administrator may change them"
    )
    checkbox_null: Literal["reject", "false"] = Field("reject", description="What Salesforce does with NULL for a checkbox")
    flow_enabled: bool = Field(True, description="Whether the rollup Flow runs; off: no limits, no locks, no rollup")
    flow_fires: Literal["always", "trigger_rollups"] = Field(
        "always", description="Records that start the Flow: all, or those of which a row sets `Trigger_Rollups__c` to true"
    )
    flow_soql_per_record: int = Field(2, ge=0, description="SOQL queries the Flow makes for each record of a transaction")
    flow_soql_limit: int = Field(100, ge=0, description="SOQL queries allowed in a transaction")
    flow_dml_per_record: int = Field(1, ge=0, description="DML statements the Flow makes for each record")
    flow_dml_limit: int = Field(150, ge=0, description="DML statements allowed in a transaction")
    flow_cpu_ms_per_record: int = Field(20, ge=0, description="CPU milliseconds the Flow needs for each record")
    flow_cpu_ms_limit: int = Field(10_000, ge=0, description="CPU milliseconds allowed in a transaction")
    flow_duplicate_parents_limit: int = Field(
        0, ge=0, description="Records beyond the first of a company allowed in a transaction; 12 in Salesforce, 0 is off"
    )
    rollup_seconds: float = Field(
        2.0, ge=0, le=86_400, description="How long the rollup of an accepted transaction locks the parents"
    )
    replication_seconds: float = Field(3.0, ge=0.05, le=86_400, description="From one pass of the replication to the next")
    replication_stalled: bool = Field(False, description="Whether the replication stands still")
    replication_out_of_order: bool = Field(
        False, description="Whether a pass leaves out every second changed record, so that a later change is shown before it"
    )


class SettingsStore:
    """The settings in force: the defaults and the changes. The state keeps the changes."""

    def __init__(self, state: State, check: Callable[[Settings], None] = lambda _: None) -> None:
        """:param check: raises `SettingError` for a value that does not fit the world."""
        self._state = state
        self._check = check
        self._current = Settings.model_validate(self._changed())

    @property
    def current(self) -> Settings:
        return self._current

    def change(self, values: Mapping[str, Any]) -> Settings:
        """:raises SettingError: a value is not allowed. No setting is changed."""
        changed = {**self._changed(), **values}
        settings = parse_settings(changed)
        self._check(settings)
        with self._state.transaction() as tx:
            for name in values:
                tx.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, settings.model_dump_json(include={name})))
        self._current = settings
        return settings

    def reload(self) -> None:
        self._current = Settings.model_validate(self._changed())

    def _changed(self) -> dict[str, Any]:
        rows = self._state.query("SELECT name, value FROM setting")
        return {name: value for row in rows for name, value in _known(row["value"]).items()}


def parse_settings(values: Mapping[str, Any]) -> Settings:
    """:raises SettingError: the message names the setting and the allowed values."""
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as invalid:
        error = invalid.errors(include_url=False)[0]
        name = error["loc"][0]
        if error["type"] == "extra_forbidden":
            raise SettingError(f"there is no setting {name!r}; see sandbox/README.md") from invalid
        raise SettingError(f"setting {name!r}: {error['msg']}, not {error['input']!r}") from invalid


def _known(stored: str) -> dict[str, Any]:
    """Drop the settings that no longer exist, because a state folder may be older than the code."""
    return {name: value for name, value in json.loads(stored).items() if name in Settings.model_fields}
