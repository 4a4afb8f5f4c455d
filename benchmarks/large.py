"""A sandbox with any number of records, for what takes long only with many."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
SHARE_CHANGED = 0.005
"""Of the records: so many have a flag in Salesforce that the warehouse does not have."""
HEALTHY = "source.created_date < DATE'2025-11-21' AND NOT source.is_deleted"
IDS_APART = 1_000_000
"""Between a property and its next copy. The ids of the sandbox's own properties are smaller."""

PROPERTIES = "rds.pg_rds_public.properties"
FEATURES = "crm.sfdc_dbx.product_property_w_features"
REPLICA = "crm.salesforce.product_property_c"


class LargeWorld:
    """A running sandbox that has been filled. ``records``: what its replica holds."""

    def __init__(self, url: str, records: int) -> None:
        self.url = url
        self.records = records
        self._connection: Any = None

    def sql(self, statement: str) -> list[Any]:
        """Run a statement over the warehouse's wire, as any client would."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @property
    def connection(self) -> Any:
        if self._connection is None:
            self._connection = connect(self.url)
        return self._connection

    def hang_up(self) -> None:
        """Close the connection, so that a child process does not share it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def connect(url: str) -> Any:
    """A connection of databricks-sql-connector, without this package around it."""
    from databricks import sql  # noqa: PLC0415 - slow

    path = "/sql/1.0/warehouses/local"
    return sql.connect("127.0.0.1", path, access_token="dapi-local", enable_telemetry=False, _connection_uri=f"{url}{path}")  # noqa: S106


@contextmanager
def large_world(records: int, memory: str = "16GB") -> Iterator[LargeWorld]:
    """
    Start a sandbox, and copy its healthy records until there are so many. Some of the copies get another flag.

    The environment of this process then has the connections and the output path that the package needs.
    """
    with tempfile.TemporaryDirectory() as folder:
        begin = [sys.executable, "-m", "sandbox"]
        process = subprocess.Popen(
            [*begin, "--port", "0", "--state", f"{folder}/state", "--warehouse-memory", memory],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            url = process.stdout.readline().split()[4]
            port = url.rpartition(":")[2]
            printed = subprocess.run(
                [*begin, "connections", "--port", port], cwd=PROJECT, capture_output=True, text=True, check=True
            )
            pairs = (line.partition("=") for line in printed.stdout.splitlines())
            os.environ.update({name: value for name, _, value in pairs})
            os.environ["FEATURE_SYNC_OUTPUT_PATH"] = f"{folder}/output"
            os.environ.setdefault("AIRFLOW_HOME", f"{folder}/airflow")
            os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{folder}/airflow.db"
            yield _fill(LargeWorld(url, records))
        finally:
            process.terminate()
            process.wait()


def _fill(world: LargeWorld) -> LargeWorld:
    [[healthy]] = world.sql(f"SELECT COUNT(*) FROM {REPLICA} AS source WHERE {HEALTHY}")
    [[own]] = world.sql(f"SELECT COUNT(*) FROM {REPLICA}")
    wanted = max(0, world.records - own)
    copies = f"(SELECT explode(sequence(1, {wanted // healthy + 1})) AS number) AS copy"
    number = f"CAST(copy.number * {IDS_APART} + CAST(source.snappt_property_id_c AS BIGINT) AS STRING)"
    columns = [row[0] for row in world.sql(f"DESCRIBE TABLE {REPLICA}")]
    shown = {
        "id": "concat(substring(source.id, 1, 4), lpad(CAST(copy.number AS STRING), 6, '0'), substring(source.id, 11, 8))",
        "snappt_property_id_c": number,
        "reverse_etl_id_c": number,
    }
    picked = ", ".join(f"{shown.get(name, f'source.{name}')} AS {name}" for name in columns)
    world.sql(
        f"INSERT INTO {REPLICA} SELECT {picked} FROM {REPLICA} AS source CROSS JOIN {copies} WHERE {HEALTHY} LIMIT {wanted}"
    )
    for table, key in ((PROPERTIES, "id"), (FEATURES, "property_id")):
        names = [row[0] for row in world.sql(f"DESCRIBE TABLE {table}")]
        kind = "BIGINT" if key == "id" else "STRING"
        made = f"CAST(copy.number * {IDS_APART} + CAST(source.{key} AS BIGINT) AS {kind}) AS {key}"
        rest = ", ".join(made if name == key else f"source.{name}" for name in names)
        world.sql(
            f"INSERT INTO {table} SELECT {rest} FROM {table} AS source CROSS JOIN {copies} "
            f"WHERE EXISTS (SELECT 1 FROM {REPLICA} AS made "
            f"WHERE made.snappt_property_id_c = CAST(copy.number * {IDS_APART} + CAST(source.{key} AS BIGINT) AS STRING))"
        )
    one_in = round(1 / SHARE_CHANGED)
    world.sql(
        f"UPDATE {REPLICA} SET fraud_detection_enabled_c = NOT fraud_detection_enabled_c "
        f"WHERE CAST(snappt_property_id_c AS BIGINT) > {IDS_APART} AND CAST(snappt_property_id_c AS BIGINT) % {one_in} = 0"
    )
    return world
