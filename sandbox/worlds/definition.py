"""The parts of a world that differ from those of another one. The services are the same in all worlds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.salesforce.schema import FieldType, ObjectSchema
from sandbox.warehouse.engine import Engine

WAREHOUSE_TYPES = {
    FieldType.ID: "VARCHAR",
    FieldType.STRING: "VARCHAR",
    FieldType.REFERENCE: "VARCHAR",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATE: "DATE",
    FieldType.DATETIME: "TIMESTAMPTZ",
}


@dataclass(frozen=True, slots=True)
class Replica:
    """
    The warehouse's table of the object.

    ``columns``: the name of the org's field, by column. ``constants``: columns that are no field, with their SQL; the replication
    adds ``_fivetran_synced``.
    """

    table: str
    columns: Mapping[str, str]
    constants: Mapping[str, str] = field(default_factory=dict)

    def types(self, schema: ObjectSchema) -> dict[str, str]:
        """The type of each column in the warehouse."""
        return {column: WAREHOUSE_TYPES[schema[name].type] for column, name in self.columns.items()}


@dataclass(frozen=True, slots=True)
class CensusWorkspace:
    """The syncs, datasets, sources and destinations that Census starts with."""

    syncs: tuple[dict[str, Any], ...]
    datasets: tuple[dict[str, Any], ...]
    sources: tuple[dict[str, Any], ...]
    destinations: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class WorldDefinition:
    """
    One world.

    ``seed_warehouse``: creates the tables, also after a kill. ``finish_warehouse``: creates what needs the replica's rows.
    ``parent_column``: the column of the properties table with the parent that the rollup Flow updates.
    ``settings``: settings of the sandbox that differ from the defaults.
    ``project_settings``: settings of the package, by their names in the environment. ``notebook``: rebuilds the foreign table.
    """

    name: str
    schema: ObjectSchema
    replica: Replica
    census: CensusWorkspace
    seed_warehouse: Callable[[Engine], None]
    org_records: Callable[[], Iterable[Mapping[str, Any]]]
    parent_column: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    project_settings: Callable[[Path], Mapping[str, str]] = lambda _: {}
    finish_warehouse: Callable[[Engine], None] = lambda _: None
    notebook: Callable[[Engine], tuple[str, int]] | None = None
