"""Syncs, datasets, sources and destinations: how to read and how to change them, and those of the incident's world."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from feature_sync.config.fields import load_fields
from sandbox.census import source
from sandbox.salesforce.schema import OBJECT, ObjectSchema
from sandbox.state import State, iso, now
from sandbox.warehouse.engine import Engine
from sandbox.worlds.definition import CensusWorkspace

BACKFILL_SYNC = 4711
PROPERTY_SYNC = 4712
PROPERTY_DATASET = 815
WAREHOUSE_CONNECTION = 31
SALESFORCE_CONNECTION = 47
GROUP = "local_workspace"

OPERATIONS = ("append", "insert", "mirror", "update", "upsert")
SUPPORTED_OPERATIONS = ("insert", "update", "upsert")
FREQUENCIES = ("never", "continuous", "quarter_hourly", "hourly", "daily", "weekly", "expression")
CHANGEABLE = frozenset(
    {
        "label",
        "paused",
        "operation",
        "schedule_frequency",
        "schedule_day",
        "schedule_hour",
        "schedule_minute",
        "cron_expression",
        "mode",
        "source_attributes",
        "destination_attributes",
        "mappings",
        "alert_attributes",
        "advanced_configuration",
        "field_behavior",
        "field_normalization",
        "field_order",
        "high_water_mark_attribute",
        "historical_sync_operation",
        "mirror_strategy",
        "instant_mode",
        "failed_run_notifications_enabled",
        "failed_record_notifications_enabled",
        "failed_record_notifications_threshold_percent",
    }
)


class ChangeError(ValueError):
    """A change that Census answers with 400."""


class Syncs:
    """Configurations as the API returns them, stored as JSON."""

    def __init__(self, state: State, engine: Engine, schema: ObjectSchema, workspace: CensusWorkspace) -> None:
        self._state = state
        self._engine = engine
        self._schema = schema
        self._workspace = workspace

    def seed(self) -> None:
        with self._state.transaction() as tx:
            for sync in self._workspace.syncs:
                tx.execute("INSERT OR REPLACE INTO census_sync VALUES (?, ?)", (sync["id"], json.dumps(sync)))
            for dataset in self._workspace.datasets:
                tx.execute("INSERT OR REPLACE INTO census_dataset VALUES (?, ?)", (dataset["id"], json.dumps(dataset)))

    def sources(self, version: str) -> list[dict[str, Any]]:
        """Census API: list sources."""
        return [_of_version(source, version) for source in self._workspace.sources]

    def destinations(self, version: str) -> list[dict[str, Any]]:
        """Census API: list destinations."""
        return [_of_version(destination, version) for destination in self._workspace.destinations]

    def get(self, sync_id: int) -> dict[str, Any] | None:
        """A sync as it is stored. Its source is a table, or the id of a dataset."""
        row = self._state.one("SELECT body FROM census_sync WHERE id = ?", (sync_id,))
        return json.loads(row["body"]) if row else None

    def ids(self) -> list[int]:
        return [row["id"] for row in self._state.query("SELECT id FROM census_sync ORDER BY id")]

    def dataset_ids(self, kind: str | None) -> list[int]:
        """Ids of the datasets, or of those of one type."""
        rows = self._state.query("SELECT id, body FROM census_dataset ORDER BY id")
        return [row["id"] for row in rows if kind is None or json.loads(row["body"])["type"] == kind]

    def present(self, sync_id: int, version: str) -> dict[str, Any] | None:
        """
        A sync as the API shows it (Census API: fetch a sync; observed).

        A dataset appears in the source with its live SQL. In API v2 the destination's id is that of an activation, a string.
        """
        sync = self.get(sync_id)
        if sync is None:
            return None
        sync["status"] = self._status(sync_id)
        object_ = sync["source_attributes"]["object"]
        dataset = self.get_dataset(object_["id"]) if object_["type"] == "dataset" else None
        if dataset is not None:
            sync["source_attributes"] = {**sync["source_attributes"], "object": _dataset_as_source(dataset)}
        if version == "v2":
            destination = sync["destination_attributes"]
            sync["destination_attributes"] = {**destination, "connection_id": str(destination["connection_id"])}
            sync["group_id"] = GROUP
        return sync

    def change(self, sync_id: int, changes: Mapping[str, Any]) -> None:
        """
        Change a sync. Top-level attributes are patched, nested ones are replaced as a whole (Census API: update a sync).

        :raises ChangeError: the changed sync is not valid, or needs something that the sandbox does not support.
        """
        with self._state.transaction() as tx:
            sync = self.get(sync_id)
            if sync is None:
                raise KeyError(sync_id)
            if unknown := set(changes) - CHANGEABLE:
                raise ChangeError(f"Unknown attributes: {', '.join(sorted(unknown))}")
            changed = {**sync, **changes, "updated_at": iso(now())}
            _check_sync(changed, self._schema)
            tx.execute("UPDATE census_sync SET body = ? WHERE id = ?", (json.dumps(changed), sync_id))

    def get_dataset(self, dataset_id: int) -> dict[str, Any] | None:
        row = self._state.one("SELECT body FROM census_dataset WHERE id = ?", (dataset_id,))
        return json.loads(row["body"]) if row else None

    def present_dataset(self, dataset_id: int, version: str) -> dict[str, Any] | None:
        """A dataset as the API shows it (Census API: update dataset), with the current columns of its SQL."""
        dataset = self.get_dataset(dataset_id)
        if dataset is None:
            return None
        try:
            columns = source.read_columns(self._engine, source.from_query(dataset["query"]))
        except source.SourceError:
            columns = []
        return _of_version({**dataset, "columns": columns}, version)

    def change_dataset(self, dataset_id: int, changes: Mapping[str, Any]) -> None:
        """:raises ChangeError: an attribute is unknown, or the SQL does not parse or run."""
        if unknown := set(changes) - {"name", "description", "query"}:
            raise ChangeError(f"Unknown attributes: {', '.join(sorted(unknown))}")
        if not all(isinstance(value, str) for value in changes.values()):
            raise ChangeError("name, description and query must be strings")
        if "query" in changes:
            try:
                source.read_columns(self._engine, source.from_query(changes["query"]))
            except source.SourceError as error:
                raise ChangeError(str(error)) from error
        with self._state.transaction() as tx:
            dataset = self.get_dataset(dataset_id)
            if dataset is None:
                raise KeyError(dataset_id)
            changed = {**dataset, **changes, "updated_at": iso(now())}
            tx.execute("UPDATE census_dataset SET body = ? WHERE id = ?", (json.dumps(changed), dataset_id))

    def read_source(self, sync: Mapping[str, Any]) -> list[dict[str, Any]]:
        """
        The rows of a sync's source, by column.

        :raises SourceError: the rows cannot be read.
        """
        object_ = sync["source_attributes"]["object"]
        columns = [mapping["from"]["data"] for mapping in sync["mappings"] if mapping["from"]["type"] == "column"]
        if object_["type"] == "table":
            return _in_segment(sync, source.read_rows(self._engine, source.from_table(object_), columns))
        dataset = self.get_dataset(object_["id"])
        if dataset is None:
            raise source.SourceError("SOURCE_NOT_FOUND", f"dataset {object_['id']} does not exist")
        return _in_segment(sync, source.read_rows(self._engine, source.from_query(dataset["query"]), columns))

    def _status(self, sync_id: int) -> str:
        """Census API: status of a sync. A sync that has never run is ``Ready``."""
        last = self._state.one(
            "SELECT status FROM census_run WHERE sync_id = ? AND NOT dry_run AND status IN ('completed', 'failed')"
            " ORDER BY id DESC LIMIT 1",
            (sync_id,),
        )
        return "Ready" if last is None else "Failing" if last["status"] == "failed" else "Up to Date"


def _in_segment(sync: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that a sync's segment lets through. What a segment means is not modelled: each lets every second row through."""
    return rows if sync["source_attributes"].get("filter_segment_id") is None else rows[::2]


def starts_itself(sync: Mapping[str, Any]) -> bool:
    """Whether Census starts a run whenever the source has new rows: live mode, or the schedule `continuous`."""
    mode = sync.get("mode") or {}
    return not sync["paused"] and (mode.get("type") == "live" or sync["schedule_frequency"] == "continuous")


def _check_sync(sync: Mapping[str, Any], schema: ObjectSchema) -> None:
    if not isinstance(sync["paused"], bool) or not isinstance(sync["label"], str):
        raise ChangeError("paused must be a boolean, and label must be a string")
    if sync["operation"] not in OPERATIONS:
        raise ChangeError(f"operation must be one of {', '.join(OPERATIONS)}")
    if sync["schedule_frequency"] not in FREQUENCIES:
        raise ChangeError(f"schedule_frequency must be one of {', '.join(FREQUENCIES)}")
    batch_size = sync["advanced_configuration"].get("batch_size") if isinstance(sync["advanced_configuration"], dict) else 0
    if batch_size is not None and (not isinstance(batch_size, int) or not 1 <= batch_size <= 200):
        raise ChangeError("advanced_configuration must be an object. Its batch_size must be 1 to 200, or absent for Automatic")
    try:
        _check_source(sync["source_attributes"]["object"])
        _check_mappings(sync["mappings"], schema)
        destination = sync["destination_attributes"]["object"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ChangeError(f"nested attributes must be sent in full; one is missing or misplaced: {error}") from error
    if not isinstance(destination, str):
        raise ChangeError("destination_attributes.object must be the API name of a Salesforce object")


def _check_source(object_: Mapping[str, Any]) -> None:
    match object_["type"]:
        case "table":
            if not object_["table_name"]:
                raise ChangeError("source_attributes.object of type table needs table_name")
        case "dataset":
            int(object_["id"])
        case other:
            raise ChangeError(f"the sandbox reads tables and datasets, not source type {other!r}")


def _check_mappings(mappings: Any, schema: ObjectSchema) -> None:
    if not isinstance(mappings, list) or not mappings:
        raise ChangeError("mappings must be a list of at least one mapping")
    keys = [mapping for mapping in mappings if mapping.get("is_primary_identifier")]
    if len(keys) != 1 or keys[0]["from"]["type"] != "column":
        raise ChangeError("exactly one mapping must be the primary identifier, and it must map a column")
    for mapping in mappings:
        kind = mapping["from"]["type"]
        if kind not in ("column", "constant_value"):
            raise ChangeError(f"the sandbox maps columns and constants, not {kind!r}")
        if schema.get(mapping["to"]) is None:
            raise ChangeError(f"{OBJECT} has no field {mapping['to']}")
        if not isinstance(mapping.get("preserve_values", False), bool):
            raise ChangeError("preserve_values must be a boolean")


def _of_version(body: Mapping[str, Any], version: str) -> dict[str, Any]:
    return {**body, **({"group_id": GROUP} if version == "v2" else {})}


def _dataset_as_source(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Observed. The key with the equals sign is a mistake of Census."""
    return {
        "type": "business_object_source",
        "id": dataset["id"],
        "source_object_id": dataset["id"],
        "dataset_id": dataset["id"],
        "dataset_id=": dataset["id"],
        "name": dataset["name"],
        "query": dataset["query"],
        "columns": [],
        "resource_identifier": dataset["resource_identifier"],
    }


def incident_workspace() -> CensusWorkspace:
    """Two syncs and a dataset."""
    return CensusWorkspace(
        syncs=(_backfill_sync(), _property_sync()),
        datasets=(_property_dataset(),),
        sources=(source_connection(WAREHOUSE_CONNECTION, "Databricks"),),
        destinations=(destination_connection(SALESFORCE_CONNECTION, "Salesforce"),),
    )


def source_connection(number: int, name: str) -> dict[str, Any]:
    """A source as the API shows it (Census API: list sources). `label` is deprecated."""
    details = {"hostname": "dbc-local.cloud.databricks.com", "port": 443, "http_path": "/sql/1.0/warehouses/local"}
    return {"id": number, "name": name, "label": name, "type": "databricks", "sync_engine": "advanced", **_tested(details)}


def destination_connection(number: int, name: str) -> dict[str, Any]:
    """A destination as the API shows it (Census API: list destinations)."""
    details = {"domain": "local.my.salesforce.com", "sandbox": False}
    return {"id": number, "name": name, "type": "salesforce", **_tested(details)}


def _tested(details: Mapping[str, Any]) -> dict[str, Any]:
    moment = "2025-10-02T09:02:11.480Z"
    return {
        "created_at": moment,
        "connection_details": dict(details),
        "last_test_succeeded": True,
        "last_tested_at": moment,
        "test_status": [{"step_name": "Connection", "status": "succeeded", "error_message": None}],
    }


def _backfill_sync() -> dict[str, Any]:
    table = {
        "type": "table",
        "table_catalog": "crm",
        "table_schema": "sfdc_dbx",
        "table_name": "feature_sync_batch",
    }
    return _incident_sync(
        BACKFILL_SYNC, "Product Property feature backfill", operation="update", object_=table, frequency="never", others=[]
    )


def _property_sync() -> dict[str, Any]:
    dataset = {"type": "dataset", "id": PROPERTY_DATASET}
    return _incident_sync(
        PROPERTY_SYNC, "Product Property sync", operation="upsert", object_=dataset, frequency="hourly", others=[("name", "Name")]
    )


def _incident_sync(
    sync_id: int, label: str, *, operation: str, object_: dict[str, Any], frequency: str, others: list[tuple[str, str]]
) -> dict[str, Any]:
    table = load_fields()
    # The keys as the org spells them, see `sandbox.worlds.incident`.
    spelled = {"snappt_property_id__c": "Snappt_Property_ID__c", "reverse_etl_id__c": "Reverse_ETL_ID__c"}
    pairs = [*others, *((field.column, spelled.get(field.salesforce_name, field.salesforce_name)) for field in table)]
    return make_sync(
        sync_id,
        label,
        operation=operation,
        object_=object_,
        frequency=frequency,
        mappings=[make_mapping(column, name, is_key=column == table.upsert_key.column) for column, name in pairs],
        connections=(WAREHOUSE_CONNECTION, SALESFORCE_CONNECTION),
        created="2025-10-02T09:14:31.207Z",
    )


def make_mapping(column: str, name: str, *, is_key: bool = False) -> dict[str, Any]:
    """A mapping of a column, as the API shows it."""
    return {
        "from": {"type": "column", "data": column},
        "to": name,
        "is_primary_identifier": is_key,
        "lookup_object": None,
        "lookup_field": None,
        "preserve_values": False,
        "generate_field": False,
        "sync_null_values": True,
        "array_field": False,
        "field_type": None,
        "follow_source_type": False,
    }


def make_sync(
    sync_id: int,
    label: str,
    *,
    operation: str,
    object_: dict[str, Any],
    frequency: str,
    mappings: Sequence[Mapping[str, Any]],
    connections: tuple[int, int],
    created: str,
    triggers: Mapping[str, Any] | None = None,
    alerts: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A sync as it is stored. ``connections``: ids of its source and its destination. ``triggers``: besides the schedule."""
    warehouse, salesforce = connections
    return {
        "id": sync_id,
        "label": label,
        "operation": operation,
        "paused": False,
        "status": "Ready",
        "created_at": created,
        "updated_at": created,
        "schedule_frequency": frequency,
        "schedule_day": None,
        "schedule_hour": None,
        "schedule_minute": 0 if frequency == "hourly" else None,
        "cron_expression": None,
        "mode": {"type": "triggered", "triggers": {"schedule": {"frequency": frequency}, **(triggers or {})}},
        "source_attributes": {"connection_id": warehouse, "object": object_, "filter_segment_id": None},
        "destination_attributes": {"connection_id": salesforce, "object": OBJECT, "lead_union_insert_to": None},
        "mappings": [{**mapping, "position": position} for position, mapping in enumerate(mappings)],
        "alert_attributes": list(alerts),
        "advanced_configuration": {"bulk_id_lookup": True},
        "field_behavior": "specific_properties",
        "field_normalization": None,
        "sync_behavior_family": "activateRecords",
        "failed_run_notifications_enabled": True,
        "failed_record_notifications_enabled": True,
        "failed_record_notifications_threshold_percent": 75,
        "resource_identifier": f"sync:{label.lower().replace(' ', '_')}",
    }


def _property_dataset() -> dict[str, Any]:
    """The mistake that caused the incident: this table does not have the products, so each product is sent as False."""
    table = load_fields()
    features = [
        f"    {'FALSE' if field is product.enabled else 'CAST(NULL AS DATE)'} AS {field.column}"
        for product in table.products
        for field in product.fields
    ]
    keys = [f"    CAST(rds.id AS STRING) AS {field.column}" for field in table.keys]
    lines = ",\n".join(["    rds.name AS name", *keys, *features])
    created = "2025-09-17T16:40:05.881Z"
    return {
        "id": PROPERTY_DATASET,
        "name": "Product properties",
        "type": "sql",
        "description": "One row per property, for the Salesforce object Product_Property__c",
        "query": f"SELECT\n{lines}\nFROM rds.pg_rds_public.properties rds\nWHERE rds.status <> 'DELETED'",
        "resource_identifier": "dataset:product_properties",
        "created_at": created,
        "updated_at": created,
        "cached_record_count": None,
        "source_id": WAREHOUSE_CONNECTION,
    }
