"""The warehouse's storage: one DuckDB instance with a file for each catalog."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from sandbox.settings import WAREHOUSE_MEMORY

CATALOGS = ("rds", "crm")
THREADS = 2


class Engine:
    """
    One DuckDB instance. The catalogs `rds` and `crm` are files in a folder. They are attached, so that three-level names resolve.

    Committed data survives ``kill -9``: DuckDB replays its write-ahead log when it opens the file again. Two processes cannot
    open the same folder.
    """

    def __init__(self, folder: Path, memory: str = WAREHOUSE_MEMORY) -> None:
        """
        :param folder: of the catalogs' files. :param memory: what DuckDB may use before it writes to disk, such as ``"8GB"``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        spilled = str(folder / "spilled")  # without it DuckDB makes a folder where the process happens to run
        self._root = duckdb.connect(":memory:", config={"memory_limit": memory, "threads": THREADS, "temp_directory": spilled})
        self._root.execute("SET GLOBAL TimeZone = 'UTC'")  # not possible in `config`: the setting belongs to an extension
        self._write_lock = threading.Lock()
        for catalog in CATALOGS:
            path = str(folder / f"{catalog}.duckdb").replace("'", "''")
            self._root.execute(f"ATTACH '{path}' AS {catalog}")
            self._root.execute(f'CREATE SCHEMA IF NOT EXISTS {catalog}."default"')  # every catalog of Unity Catalog has one

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """
        A separate connection to the shared instance, in UTC and DuckDB's own dialect. The caller closes it.

        Use it for reading, and `writing` for writing. Fetch times as Arrow (`to_arrow_table`): to return them as Python objects,
        DuckDB needs the package pytz, which is not installed.
        """
        return self._root.cursor()

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """
        A cursor whose holder is the only writer until the block ends.

        Delta queues statements that would fail in DuckDB with "Conflict" or "write-write conflict". Hold the cursor for the
        shortest time. Write to one catalog per transaction: DuckDB refuses a second one.
        """
        with self._write_lock, self.cursor() as cursor:
            yield cursor

    def close(self) -> None:
        """Write everything to the catalogs' files and release them."""
        self._root.close()
