"""All parts of the sandbox, put together over one state folder."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from sandbox.census.engine import RunEngine
from sandbox.census.rows import RowRecords
from sandbox.census.runs import Runs
from sandbox.census.source import quoted
from sandbox.census.syncs import Syncs
from sandbox.faults import Faults
from sandbox.journal import SANDBOX_STARTED, Journal
from sandbox.replication import Replication
from sandbox.salesforce.org import Org, check_settings
from sandbox.settings import WAREHOUSE_MEMORY, SettingsStore
from sandbox.state import State
from sandbox.warehouse import metadata
from sandbox.warehouse.engine import Engine
from sandbox.worlds.catalogue import INCIDENT, world_named

SEEDED = "seeded"
WORLD = "world"


class WorldError(Exception):
    """The state folder holds another world."""


class World:
    """The parts, wired together. After `start` time passes: runs go on, and changes are replicated."""

    def __init__(self, folder: Path, name: str | None = None, memory: str = WAREHOUSE_MEMORY) -> None:
        """
        :param name: the world; None for the one that the folder holds, or else for the incident's.
        :param memory: of the warehouse, see `Engine`.
        :raises WorldError: the folder holds another world.
        """
        self.state = State(folder / "sandbox.sqlite")
        self.definition = world_named(self._name(folder, name))
        self.engine = Engine(folder / "warehouse", memory)
        self.journal = Journal(self.state)
        self.faults = Faults(self.state)
        self.settings = SettingsStore(self.state, partial(check_settings, self.definition.schema))
        self.org = Org(
            self.state, self.journal, self.faults, self.settings, schema=self.definition.schema, companies=self._parents
        )
        self.syncs = Syncs(self.state, self.engine, self.definition.schema, self.definition.census)
        self.runs = Runs(self.state, self.journal, self.faults, self.settings)
        self.records = RowRecords(self.state)
        self.run_engine = RunEngine(
            state=self.state,
            faults=self.faults,
            settings=self.settings,
            syncs=self.syncs,
            runs=self.runs,
            records=self.records,
            org=self.org,
        )
        self.replication = Replication(
            state=self.state,
            journal=self.journal,
            faults=self.faults,
            settings=self.settings,
            org=self.org,
            engine=self.engine,
            replica=self.definition.replica,
        )
        self._seed()

    def start(self) -> None:
        self.journal.add(SANDBOX_STARTED)
        self.run_engine.start()
        self.replication.start()

    def close(self) -> None:
        self.run_engine.stop()
        self.replication.stop()
        self.engine.close()
        self.state.close()

    def replicate(self) -> int:
        """Run one pass of the replication now."""
        with self.replication.pass_lock:
            return self.replication.copy()

    def reset(self) -> None:
        """Return to the first start, with default settings. Only the numbers of runs and of journal entries go on."""
        with self.run_engine.step_lock, self.replication.pass_lock:
            with self.engine.writing() as cursor:
                for kind, of_kind in (("VIEW", "view"), ("TABLE", "table")):
                    relations = cursor.execute(
                        f"SELECT database_name, schema_name, {of_kind}_name FROM duckdb_{of_kind}s()"
                        " WHERE database_name IN ('rds', 'crm') AND NOT internal"
                    ).fetchall()
                    for names in relations:
                        cursor.execute(f"DROP {kind} IF EXISTS {'.'.join(map(quoted, names))}")
            self.state.forget()
            self.settings.reload()
            self._seed()

    def _seed(self) -> None:
        """Fill the sandbox. If a kill interrupts this, the next start does it again from the beginning."""
        if self.state.fact(SEEDED) is not None:
            return
        self.state.set_fact(WORLD, self.definition.name)
        self.definition.seed_warehouse(self.engine)
        with self.engine.writing() as cursor:
            metadata.adopt(cursor)
        with self.state.transaction():
            self.org.load(self.definition.org_records())
            self.syncs.seed()
        self.settings.change(self.definition.settings)
        self.replication.copy()
        self.definition.finish_warehouse(self.engine)
        self.state.set_fact(SEEDED, "yes")

    def _name(self, folder: Path, wanted: str | None) -> str:
        held = self.state.fact(WORLD) or (INCIDENT if self.state.fact(SEEDED) else None)
        if held and wanted and held != wanted:
            raise WorldError(f"the state folder {folder} holds the world {held}; delete the folder, or choose another one")
        return held or wanted or INCIDENT

    def _parents(self, property_ids: Sequence[str]) -> Mapping[str, str]:
        with self.engine.cursor() as cursor:
            rows = cursor.execute(
                f"SELECT CAST(id AS VARCHAR), nullif(CAST({self.definition.parent_column} AS VARCHAR), '')"
                " FROM rds.pg_rds_public.properties WHERE list_contains(?, CAST(id AS VARCHAR))",
                [list(property_ids)],
            ).fetchall()
        return dict(rows)
