"""Large results, slow statements, several clients at once, and a killed server."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from databricks.sql.client import Connection
from databricks.sql.exc import DatabaseError, Error
from urllib3.exceptions import HTTPError

from sandbox.warehouse.engine import Engine
from sandbox.warehouse.service import WarehouseService
from tests.sandbox.client import eventually
from tests.sandbox.warehouse_client import MERGE, Stand, ask, connect, ignore
from tests.sandbox.wire import TOKEN, serve

PROJECT = Path(__file__).parents[2]


def test_50_000_rows_stream_in_the_chunks_asked_for(connection: Connection) -> None:
    with connection.cursor(arraysize=7_000) as cursor:
        cursor.execute("SELECT range AS number, repeat('é', 100) AS text FROM range(50003) ORDER BY range")
        chunks = []
        while (chunk := cursor.fetchmany_arrow(7_000)).num_rows:
            chunks.append(chunk)

    numbers = [number for chunk in chunks for number in chunk["number"].to_pylist()]
    assert [chunk.num_rows for chunk in chunks] == [7_000] * 7 + [1_003]
    assert numbers == list(range(50_003))


def test_a_result_is_not_held_in_memory(connection: Connection) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    peak, rows = 0, 0
    with connection.cursor(arraysize=20_000) as cursor:
        cursor.execute("SELECT range AS number, concat(range, repeat('x', 500)) AS text FROM range(400000)")
        before = resident()
        while (chunk := cursor.fetchmany_arrow(20_000)).num_rows:
            rows += chunk.num_rows
            peak = max(peak, resident() - before)

    assert rows == 400_000  # more than 200 MB of text
    assert peak < 120 * 2**20


def test_a_result_that_is_half_read_blocks_nobody(connection: Connection) -> None:
    with connection.cursor(arraysize=500) as half_read:
        half_read.execute("SELECT * FROM rds.pg_rds_public.properties ORDER BY id")
        first = half_read.fetchmany(5)
        ask(connection, "CREATE OR REPLACE TABLE rds.pg_rds_public.properties_copy AS SELECT * FROM rds.pg_rds_public.properties")
        ask(connection, "DROP TABLE rds.pg_rds_public.properties_copy")
        rest = half_read.fetchall()

    assert len(first) + len(rest) == 10_050


SLOW = "SELECT COUNT(*) FROM range(100000) AS a CROSS JOIN range(:rows) AS b WHERE (a.range * 31 + b.range * 17) % 1000003 = 5"


def test_a_statement_longer_than_the_answer_may_take_is_polled(
    stand: Stand, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.warehouse.service.ANSWER_WITHIN", 0.1)
    monkeypatch.setattr("sandbox.warehouse.service.HOLD_STATUS", 0.1)
    ask(connection, "CREATE OR REPLACE TABLE crm.sfdc_dbx.awaited AS SELECT 1 AS a")
    before = stand.requests

    with ThreadPoolExecutor(1) as threads:
        with stand.engine.writing():
            update = threads.submit(ask, connection, "UPDATE crm.sfdc_dbx.awaited SET a = 2")
            eventually(lambda: stand.requests >= before + 4)  # the statement, then its status again and again
            waited = not update.done()

        assert update.result() == [(1,)]
    assert waited
    assert ask(connection, "SELECT a FROM crm.sfdc_dbx.awaited") == [(2,)]


def test_a_statement_can_be_canceled(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute_async(SLOW, {"rows": 2_000_000})
        assert cursor.is_query_pending()
        cursor.cancel()

        eventually(lambda: not cursor.is_query_pending())


def test_parallel_writers_of_one_table_all_succeed(stand: Stand, connection: Connection) -> None:
    ask(connection, "CREATE OR REPLACE TABLE crm.sfdc_dbx.log (id STRING, count BIGINT, seen_at TIMESTAMP)")
    ask(connection, MERGE, {"id": "shared", "count": 0})

    def write(writer: int) -> None:
        with connect(stand.port) as own:
            for number in range(15):
                ask(own, "UPDATE crm.sfdc_dbx.log SET count = count + 1 WHERE id = 'shared'")
                ask(own, MERGE, {"id": f"{writer}-{number}", "count": number})
                ask(own, f"CREATE OR REPLACE TABLE crm.sfdc_dbx.replaced AS SELECT {writer} AS writer, * FROM crm.sfdc_dbx.log")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))

    assert ask(connection, "SELECT count FROM crm.sfdc_dbx.log WHERE id = 'shared'") == [(60,)]
    assert ask(connection, "SELECT COUNT(*), COUNT(DISTINCT id) FROM crm.sfdc_dbx.log") == [(61, 61)]


def test_the_sandboxs_own_writes_wait_their_turn(stand: Stand, connection: Connection) -> None:
    ask(connection, "CREATE OR REPLACE TABLE crm.sfdc_dbx.log (id STRING, count BIGINT, seen_at TIMESTAMP)")
    ask(connection, MERGE, {"id": "shared", "count": 0})

    with ThreadPoolExecutor(1) as threads, stand.engine.writing() as cursor:
        cursor.begin()
        cursor.execute("UPDATE crm.sfdc_dbx.log SET count = count + 1")
        update = threads.submit(ask, connection, "UPDATE crm.sfdc_dbx.log SET count = count + 10")
        time.sleep(0.3)
        waited = not update.done()
        cursor.execute("UPDATE crm.sfdc_dbx.log SET count = count + 100")
        cursor.commit()

    assert waited
    assert update.result() == [(1,)]
    assert ask(connection, "SELECT count FROM crm.sfdc_dbx.log") == [(111,)]


def test_reads_do_not_wait_for_a_writer(stand: Stand, connection: Connection) -> None:
    with stand.engine.writing():
        assert ask(connection, "SELECT COUNT(*) FROM rds.pg_rds_public.properties") == [(10_050,)]


def test_what_clients_leave_behind_is_dropped(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    service = WarehouseService(engine, TOKEN, ignore, session_idle_seconds=0.5)
    with serve(service) as server:
        vanished = connect(server.server_port)
        vanished.cursor(arraysize=10).execute("SELECT range FROM range(100000)")
        closed = connect(server.server_port)
        closed.cursor(arraysize=10).execute("SELECT range FROM range(100000)")
        sessions = service._protocol._sessions
        opened = [len(session.operations) for session in sessions.values()]
        closed.close()
        after_close = len(sessions)
        time.sleep(0.6)

        with connect(server.server_port) as fresh:
            assert (opened, after_close, len(sessions)) == ([1, 1], 1, 1)
            with pytest.raises(DatabaseError, match="Invalid SessionHandle"):
                ask(vanished, "SELECT 1")
            del vanished
            assert ask(fresh, "SELECT 1") == [(1,)]
        server.shutdown()
    service.close()
    engine.close()


def _start(folder: Path, port: int) -> subprocess.Popen[str]:
    """This file, executed, serves an empty warehouse; see its end."""
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}"}
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(port)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "serving\n"
    return process


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = _start(tmp_path, port)
    try:
        before = connect(port)
        ask(before, "CREATE SCHEMA crm.sfdc_dbx")
        ask(before, "CREATE TABLE crm.sfdc_dbx.log (id STRING, count BIGINT, seen_at TIMESTAMP)")
        acknowledged: list[str] = []

        def write() -> None:
            number = 0
            while True:
                ask(before, MERGE, {"id": str(number), "count": number})
                acknowledged.append(str(number))
                number += 1

        with ThreadPoolExecutor(1) as threads:
            writing = threads.submit(write)
            while len(acknowledged) < 40:
                time.sleep(0.01)
            _kill(process)
            with pytest.raises((Error, HTTPError)):
                writing.result()
        process = _start(tmp_path, port)

        with connect(port) as after:
            found = {row[0] for row in ask(after, "SELECT id FROM crm.sfdc_dbx.log")}
        with pytest.raises(DatabaseError, match="Invalid SessionHandle"):
            ask(before, "SELECT 1")
        before.close()
    finally:
        _kill(process)

    assert len(acknowledged) >= 40
    assert found - set(acknowledged) <= {str(len(acknowledged))}  # the one whose answer was lost
    assert not set(acknowledged) - found


if __name__ == "__main__":
    serve(WarehouseService(Engine(Path(sys.argv[1])), TOKEN, ignore), int(sys.argv[2]))
    print("serving", flush=True)  # noqa: T201
    signal.pause()
