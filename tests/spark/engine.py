"""A real Spark in this process's JVM, with the catalogs of the warehouse in its memory."""

import logging
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyspark
from pyspark.sql import SparkSession

from sandbox.warehouse.engine import CATALOGS, Engine

logging.getLogger("py4j").setLevel(logging.WARNING)  # it has words when pytest has closed its streams

CATALOG = "MemoryCatalog"
STATEMENT_LIMIT = 180
"""Seconds that Spark may take for a statement. One or two suffice on idle cores, but its optimizer can go astray for ever."""


class Spark:
    """
    A local Spark session with the settings of a Databricks SQL warehouse that matter: ANSI mode, UTC.

    Everything that it writes goes into ``folder``. ``java`` is the home of a JDK.
    """

    def __init__(self, folder: Path, java: Path) -> None:
        classes = folder / "classes"
        jars = Path(pyspark.__file__).parent / "jars"
        source = Path(__file__).with_name(f"{CATALOG}.java")
        subprocess.run(
            [java / "bin/javac", "-proc:none", "-nowarn", "-d", classes, "-cp", f"{jars}/*", source], check=True, timeout=120
        )
        java_options = (
            *(f"-Djava.io.tmpdir={folder}", f"-Dderby.system.home={folder}", "-Duser.timezone=UTC"),
            *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),  # as below
        )
        options = {
            "spark.sql.ansi.enabled": "true",
            "spark.sql.session.timeZone": "UTC",
            **{f"spark.sql.catalog.{catalog}": CATALOG for catalog in CATALOGS},
            "spark.driver.extraClassPath": str(classes),
            "spark.driver.memory": "1g",
            # Without a network, and without a trace in the project's folder.
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.local.dir": str(folder / "local"),
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.driver.extraJavaOptions": " ".join(java_options),
            # The data is small and no statement comes often: what pays for itself with more only takes time.
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.sql.shuffle.partitions": "1",
            "spark.default.parallelism": "1",
            "spark.sql.adaptive.enabled": "false",
            # Without it some plans with a UNION end in "Can't zip RDDs with unequal numbers of partitions".
            "spark.sql.unionOutputPartitioning": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
        }
        builder = SparkSession.builder.master("local[2]").appName("same-sql")
        for name, value in options.items():
            builder = builder.config(name, value)
        self.session = builder.getOrCreate()
        self._thread = ThreadPoolExecutor(1)

    def copy_from(self, engine: Engine) -> None:
        """Replace all tables by those of the sandbox's warehouse."""
        with engine.cursor() as cursor:
            names = cursor.execute("SELECT database_name, schema_name, table_name FROM duckdb_tables()").fetchall()
            for catalog in CATALOGS:
                for [schema] in self.session.sql(f"SHOW SCHEMAS IN {catalog}").collect():
                    self.session.sql(f"DROP SCHEMA {catalog}.{schema} CASCADE")
            for parts in names:
                self.session.sql(f"CREATE SCHEMA IF NOT EXISTS {parts[0]}.{parts[1]}")
                table = ".".join(parts)
                content = cursor.sql(f"FROM {table}").to_arrow_table()
                self.session.createDataFrame(content).writeTo(table).create()

    def execute(self, text: str, parameters: Mapping[str, Any]) -> tuple[pa.Table, str]:
        """
        :returns: the result, and the physical plan that Spark has made.
        :raises TimeoutError: it takes longer than `STATEMENT_LIMIT`.
        """

        def work() -> tuple[pa.Table, str]:
            frame = self.session.sql(text, args=dict(parameters))
            return frame.toArrow(), frame._jdf.queryExecution().executedPlan().toString()

        return self._thread.submit(work).result(STATEMENT_LIMIT)

    def table(self, name: str) -> pa.Table:
        return self.session.table(name).toArrow()

    def close(self) -> None:
        """End the JVM, whatever it does."""
        gateway = self.session.sparkContext._gateway
        gateway.proc.stdin.close()  # the sign to end
        try:
            gateway.proc.wait(10)
        except subprocess.TimeoutExpired:
            gateway.proc.kill()
