"""
What takes long with many records, beside the same work done by hand or by another library on the same rows.

``make bench`` writes ``benchmarks/results.md``, and ``make bench-large`` ``benchmarks/results_10000000.md``. Each step runs in a
process of its own, several times; its answer is checked each time. A ratio tells more than a time: both sides ran on the same
machine, one after another.
"""

import argparse
import datetime as dt
import json
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import peers, waiting
from benchmarks.attempts import add_attempts
from benchmarks.large import PROJECT, LargeWorld, connect, large_world

RESULTS = Path(__file__).parent
USUAL = 1_000_000
"""Records. Their table is in results.md, that of so many others in results_<records>.md."""
BATCH = 50
BATCHES = 26
"""Of the runs on a real Airflow: as many as the incident has."""
PAUSE_SECONDS = 3
SLOW_PAUSE_SECONDS = 20
"""Long enough to prepare a batch in it, as the pause of 150 seconds in production is."""
VENDOR_BATCHES = 12
USUAL_BATCH_SECONDS = 45 + 150
"""What a batch takes in production: the Census run and the pause, as in docs/scale.md."""
HISTORY_WEEKS = 104
HISTORY_RUNS = 20_000
MANY_BATCHES = 1_000
MOST_FOR_PANDAS = 1_000_000
"""Records. datacompy with pandas holds 2 GB for so many."""


@dataclass(frozen=True, slots=True)
class Measured:
    """
    ``seconds``: of each round. ``megabytes``: the most that the process held, with what it has from the one that it was forked
    from. ``answer``: of the last round.
    """

    seconds: list[float]
    megabytes: float
    answer: Any

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        return f"{self.median:.3g} ({min(self.seconds):.3g} to {max(self.seconds):.3g})"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table. ``goal``: the ratio to reach, ``limit``: the seconds, or None if the line only tells."""

    work: str
    ours: Measured
    peer_name: str
    peer: Measured
    goal: float | None = None
    limit: float | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        ratio = self.ours.median / self.peer.median
        wanted = ((self.goal, ratio, ""), (self.limit, self.ours.median, " s"))
        goals = [
            f"<= {most:g}{unit}, {'reached' if is_now <= most else 'missed'}" for most, is_now, unit in wanted if most is not None
        ]
        return (
            self.work,
            str(self.ours),
            f"{self.peer_name}: {self.peer}",
            f"{ratio:.2g}" if ratio < 1 else f"{ratio:.1f}",
            "; ".join(goals),
            f"{self.ours.megabytes:.0f}",
        )


def measure(rounds: int, work: Callable[[int], Any]) -> Measured:
    """
    Run ``work`` so many times, each in a forked process.

    :param work: given the number of the round.
    :raises RuntimeError: a process failed. It has said why.
    """
    seconds, most, answer = [], 0.0, None
    for number in range(rounds):
        context = multiprocessing.get_context("fork")
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(send, work, number))
        process.start()
        send.close()
        try:
            taken, megabytes, answer = receive.recv()
        except EOFError:
            raise RuntimeError("A step of the benchmark failed; its error is above.") from None
        finally:
            process.join()
        seconds.append(taken)
        most = max(most, megabytes)
    return Measured(seconds, most, answer)


def _run(send: Any, work: Callable[[int], Any], number: int) -> None:
    begun = time.perf_counter()
    answer = work(number)
    send.send((time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, answer))


def check(work: str, *answers: Any) -> None:
    """:raises RuntimeError: the answers are not the same, so their times say nothing."""
    if len({repr(answer) for answer in answers}) > 1:
        raise RuntimeError(f"{work}: the answers differ: {answers}")


def lines(world: LargeWorld, rounds: int) -> Iterator[Line]:
    """Measure one line after another."""
    from feature_sync.backfill import payload, plan  # noqa: PLC0415 - the world has set the environment that it reads
    from feature_sync.config.settings import load_settings  # noqa: PLC0415
    from feature_sync.storage.tables import prepare_tables  # noqa: PLC0415
    from feature_sync.storage.warehouse import Warehouse  # noqa: PLC0415

    settings = load_settings()
    with Warehouse(settings) as warehouse:
        prepare_tables(warehouse)

    def by_hand(statement: str) -> Any:
        with connect(world.url) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()[0][0] if cursor.description else None

    def freeze(scope: str) -> Callable[[int], Any]:
        return lambda number: payload.freeze_payload({"scope": scope}, f"{scope}_{number}")

    frozen: dict[str, Any] = {}
    for scope, condition, goal in (("mismatched", _differs(settings), 1.3), ("all", "TRUE", None)):
        ours = measure(rounds, freeze(scope))
        peer = measure(rounds, lambda number, scope=scope, condition=condition: _freeze_by_hand(world, scope, number, condition))  # type: ignore[misc]
        frozen = ours.answer
        check(f"freeze {scope}", frozen["records"], peer.answer)
        yield Line(f"freeze `{scope}`: {frozen['records']:,} records", ours, "INSERT by hand", peer, goal)

    run_id = "all_0"
    ours = measure(rounds, lambda _: payload.check_payload({"scope": "all"}, run_id, frozen=frozen).records)
    peer = measure(rounds, lambda _: by_hand(_summary(settings, run_id)))
    check("check_payload", ours.answer, peer.answer)
    yield Line("`check_payload`", ours, "counting by hand", peer, 1.5)

    day = dt.date(2026, 1, 1)
    ours = measure(rounds, lambda _: payload.export_csv(run_id, day)["records"])
    peer = measure(rounds, lambda _: _read_wire(world, settings, run_id))
    check("export_csv", ours.answer, peer.answer)
    batches = -(-ours.answer // BATCH)
    yield Line("`export_csv`", ours, "reading the wire alone", peer, 1.3)
    yield from _weekly(rounds, by_hand, world)

    # From here on this process, and each that it forks, holds the rows.
    ours = measure(rounds, lambda _: len(plan.plan_probes({"scope": "all", "dry_run": True}, run_id)))
    folder = Path(os.environ["FEATURE_SYNC_OUTPUT_PATH"]) / run_id
    files = {path.name: path.read_bytes() for path in sorted(next(folder.glob("*/")).glob("*.csv"))}
    peer = measure(rounds, lambda _: _write_files(folder / "floor", files))
    check("plan_probes", batches, len(files), peer.answer)
    yield Line(f"`plan_probes`: {len(files):,} batch files, read and written", ours, "writing their bytes", peer)

    yield from _in_memory(rounds, settings, run_id, files)
    yield from _parsing(rounds)


def _in_memory(rounds: int, settings: Any, run_id: str, files: Mapping[str, bytes]) -> Iterator[Line]:
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    from feature_sync.storage.csv_files import write_csv, write_csv_parts  # noqa: PLC0415
    from feature_sync.storage.warehouse import Warehouse  # noqa: PLC0415

    with Warehouse(settings) as warehouse:
        tables = list(warehouse.stream("backfill/select_payload", {"run_id": run_id}))
    folder = Path(os.environ["FEATURE_SYNC_OUTPUT_PATH"]) / "memory"
    folder.mkdir(parents=True)
    storage = ObjectStoragePath(str(folder))
    records = sum(table.num_rows for table in tables)
    sizes = [(f"{begin:08}.csv", min(BATCH, records - begin)) for begin in range(0, records, BATCH)]

    def peer(_: int) -> int:
        with csv.CSVWriter(str(folder / "peer.csv"), tables[0].schema) as writer:
            for table in tables:
                writer.write_table(table)
        return records

    ours = measure(rounds, lambda _: write_csv(storage / "ours.csv", tables))
    others = {"pyarrow": measure(rounds, peer), "DuckDB": measure(rounds, lambda _: _copy_by_duckdb(folder, tables))}
    fastest = min(others, key=lambda name: others[name].median)
    yield Line("a CSV of rows in memory", ours, f"the fastest of pyarrow and DuckDB, {fastest}", others[fastest], 1.5)
    ours = measure(rounds, lambda _: write_csv_parts(storage / "parts", sizes, tables))
    floor = measure(rounds, lambda _: _write_files(folder / "floor", files))
    parts = (path.read_bytes().partition(b"\n")[2] for path in sorted((folder / "parts").glob("*.csv")))
    if b"".join(parts) != (folder / "ours.csv").read_bytes().partition(b"\n")[2]:
        raise RuntimeError("The batch files together are not the full CSV.")
    yield Line(f"{len(sizes):,} batch files of rows in memory", ours, "writing their bytes, each renamed", floor, 4)


def _copy_by_duckdb(folder: Path, tables: list[Any]) -> int:
    import duckdb  # noqa: PLC0415
    import pyarrow  # noqa: PLC0415

    rows = pyarrow.Table.from_batches([batch for table in tables for batch in table.to_batches()])
    with duckdb.connect() as connection:
        connection.register("payload", rows)
        connection.execute(f"COPY payload TO '{folder / 'duckdb.csv'}' (HEADER)")
    return int(rows.num_rows)


def _weekly(rounds: int, by_hand: Callable[[str], Any], world: LargeWorld) -> Iterator[Line]:
    from feature_sync.config.settings import load_settings  # noqa: PLC0415
    from feature_sync.reconciliation import comparison  # noqa: PLC0415
    from feature_sync.reconciliation import verdict as verdicts  # noqa: PLC0415

    steps = verdicts.Steps(replica="success", comparison="success", approval="skipped", healing="skipped")

    def both(number: int, name: str = "week") -> int:
        found = comparison.compare(f"{name}_{number}")
        with suppress(comparison.DriftError):  # the world differs
            comparison.conclude(f"{name}_{number}", found, steps, may_reuse=True)  # as in the first try of the task
        return found.mismatched

    settings = load_settings()
    ours = measure(rounds, both)
    peer = measure(rounds, lambda _: by_hand(f"SELECT COUNT(*) FROM ({_joined(settings)}) WHERE {_differs(settings)}"))
    check("compare", ours.answer, peer.answer)
    work = "weekly `compare` and `conclude`"
    yield Line(work, ours, "one join by hand, counted", peer, 1)
    with tempfile.TemporaryDirectory() as folder:
        measure(1, lambda _: _write_tables(world, settings, Path(folder)))  # not in this process, which would keep the memory
        for library in peers.LIBRARIES:
            if library.endswith("pandas") and world.records > MOST_FOR_PANDAS:
                continue
            other = _in_other_environment(rounds, library, folder)
            check(f"compare by {library}", ours.answer, other.answer)
            yield Line(work, ours, f"{library}, in memory, {other.megabytes:.0f} MB", other)
    _add_history(world, settings)
    later = measure(rounds, lambda number: both(number, "later"))
    check("compare after two years", ours.answer, later.answer)
    yield Line(f"the same after {HISTORY_WEEKS} weeks and {HISTORY_RUNS:,} runs", later, "without them", ours, 1.2)


def _add_history(world: LargeWorld, settings: Any) -> None:
    """Add what two years leave in the drift table and the sync log. Payloads are removed earlier."""
    table = settings.drift_table
    columns = [row[0] for row in world.sql(f"DESCRIBE TABLE {table}")]
    shown = {
        "run_id": "concat('former ', CAST(week AS STRING))",
        "checked_at": "checked_at - INTERVAL '7' DAY * week",
    }
    picked = ", ".join(shown.get(name, name) for name in columns)
    weeks = f"(SELECT explode(sequence(1, {HISTORY_WEEKS})) AS week)"
    world.sql(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {picked} FROM {table} CROSS JOIN {weeks} WHERE run_id = 'week_0'"
    )
    add_attempts(world, settings.sync_log_table, range(1, HISTORY_RUNS * BATCHES + 1), run_batches=BATCHES)
    world.hang_up()


def _write_tables(world: LargeWorld, settings: Any, folder: Path) -> None:
    """Write what the other libraries compare as Parquet files."""
    from pyarrow import parquet  # noqa: PLC0415

    fields = settings.fields
    key = fields.property_id.column
    held = ", ".join(field.column for field in fields.features)
    own = ", ".join(
        field.source if field.kind == "checkbox" else f"CAST({field.source} AS {field.kind.warehouse_type}) AS {field.source}"
        for field in fields.features
    )
    tables = {
        "held": f"SELECT id, {key} AS property_id, {held} FROM {settings.salesforce_table} WHERE NOT is_deleted",
        "properties": f"SELECT id FROM {settings.properties_table}",
        "features": f"SELECT property_id, {own} FROM {settings.features_table}",
    }
    with connect(world.url) as connection, connection.cursor() as cursor:
        for name, statement in tables.items():
            cursor.execute(statement)
            parquet.write_table(cursor.fetchall_arrow(), folder / f"{name}.parquet")
    described = [{"column": field.column, "source": field.source, "kind": str(field.kind)} for field in fields.features]
    (folder / "fields.json").write_text(json.dumps(described))


def _in_other_environment(rounds: int, library: str, folder: str) -> Measured:
    python = peers.ENVIRONMENT / "bin" / "python"
    command = [str(python), str(Path(peers.__file__)), library, folder]
    told = [json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout) for _ in range(rounds)]
    return Measured([each["seconds"] for each in told], max(each["megabytes"] for each in told), told[-1]["answer"])


def live_lines() -> Iterator[Line]:
    """What waiting costs on a real Airflow, beside the vendor's operators. One run each; a line has the values of its batches."""
    peer_name = "the vendor's operator, sensor and a pause"
    with waiting.waiting_stack(VENDOR_BATCHES, PAUSE_SECONDS) as stack:
        ours = waiting.measure(stack, BATCHES, PAUSE_SECONDS)
        peer = waiting.measure_vendor(stack, PAUSE_SECONDS)
        many = waiting.measure(stack, MANY_BATCHES, PAUSE_SECONDS, limit_seconds=120)  # these two are stopped
        slow = waiting.measure(stack, BATCHES, SLOW_PAUSE_SECONDS, statement_seconds=1, limit_seconds=200)
    for found, batches in ((ours, BATCHES), (peer, VENDOR_BATCHES)):
        check("batches sent", batches, len(found.triggers))
    for found in (many, slow):
        if not found.triggers:
            raise RuntimeError(f"A run of the benchmark sent nothing, its state is {found.state}.")

    def dead(found: waiting.Waited) -> Measured:
        return Measured(found.dead_times, found.megabytes, None)

    def first(found: waiting.Waited) -> Measured:
        return Measured([found.first_seconds], found.megabytes, None)

    def slots(found: waiting.Waited) -> Measured:
        return Measured([found.slot_seconds / len(found.triggers)], found.megabytes, None)

    yield Line(f"dead time of a batch, {BATCHES} batches, pause {PAUSE_SECONDS} s", dead(ours), peer_name, dead(peer), 0.5, 2)
    late = [Measured([found.late], found.megabytes, None) for found in (ours, peer)]
    yield Line("the same, 95th percentile", late[0], peer_name, late[1], None, 4)
    yield Line(
        f"the same, each statement takes 1 s, pause {SLOW_PAUSE_SECONDS} s",
        dead(slow),
        f"{peer_name}, without statements",
        dead(peer),
        None,
        4,
    )
    work = f"from the plan to the first batch, {MANY_BATCHES:,} batches"
    yield Line(work, first(many), f"{BATCHES} batches", first(ours), 1.5)
    work = f"worker-slot seconds of a batch, which takes {USUAL_BATCH_SECONDS} s in production"
    yield Line(work, slots(ours), peer_name, slots(peer), None, USUAL_BATCH_SECONDS / 10)


def _parsing(rounds: int) -> Iterator[Line]:
    empty = "from airflow.sdk import DAG\nwith DAG('empty'): pass\n"
    script = (
        "import sys, time, airflow.sdk, airflow.dag_processing.processor; begun = time.perf_counter(); "
        "exec(compile(sys.stdin.read(), 'dag', 'exec'), {'__name__': 'dag'}); print(time.perf_counter() - begun)"
    )

    def parsed(text: str) -> Measured:
        taken = []
        for _ in range(rounds):
            done = subprocess.run(
                [sys.executable, "-c", script], input=text, cwd=PROJECT, capture_output=True, text=True, check=True
            )
            taken.append(float(done.stdout.split()[-1]))
        return Measured(taken, 0, None)

    for name in ("product_feature_backfill", "product_feature_reconciliation"):
        yield Line(f"parse of `{name}`", parsed((PROJECT / "dags" / f"{name}.py").read_text()), "an empty DAG", parsed(empty))


def _read_wire(world: LargeWorld, settings: Any, run_id: str) -> int:
    from feature_sync.storage.warehouse import FETCH_ROWS, render_statement  # noqa: PLC0415

    rows = 0
    with connect(world.url) as connection, connection.cursor(arraysize=FETCH_ROWS) as cursor:
        cursor.execute(render_statement("backfill/select_payload", settings), {"run_id": run_id})
        while taken := cursor.fetchmany_arrow(FETCH_ROWS).num_rows:
            rows += taken
    return rows


def _write_files(folder: Path, files: Mapping[str, bytes]) -> int:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        unfinished = folder / f".{name}"
        unfinished.write_bytes(content)
        unfinished.replace(folder / name)
    return len(files)


def _joined(settings: Any) -> str:
    fields = settings.fields
    own = ", ".join(f"f.{each.source} AS {each.column}" for each in fields.features)
    held = ", ".join(f"s.{each.column} AS held_{each.column}" for each in fields.features)
    return (
        f"SELECT s.id, {held}, {own} FROM {settings.salesforce_table} AS s "
        f"JOIN {settings.properties_table} AS p ON CAST(p.id AS STRING) = s.{fields.property_id.column} "
        f"LEFT JOIN {settings.features_table} AS f ON f.property_id = s.{fields.property_id.column} WHERE NOT s.is_deleted"
    )


def _differs(settings: Any) -> str:
    def one(each: Any) -> str:
        if each.kind == "checkbox":
            return f"COALESCE({each.column}, FALSE) <> held_{each.column}"
        return f"CAST({each.column} AS {each.kind.warehouse_type}) IS DISTINCT FROM held_{each.column}"

    return " OR ".join(one(each) for each in settings.fields.features)


def _freeze_by_hand(world: LargeWorld, scope: str, number: int, condition: str) -> int:
    from feature_sync.config.settings import load_settings  # noqa: PLC0415

    table = f"crm.salesforce.by_hand_{scope}_{number}"
    with connect(world.url) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {table} AS SELECT row_number() OVER (ORDER BY id) AS place, * "
            f"FROM ({_joined(load_settings())}) WHERE {condition}"
        )
        cursor.execute(f"SELECT COUNT(*) FROM {table}")
        return int(cursor.fetchall()[0][0])


def _summary(settings: Any, run_id: str) -> str:
    counted = ", ".join(
        f"COUNT_IF({each.enabled.column}), COUNT_IF(before_{each.enabled.column}), "
        f"COUNT_IF({each.enabled.column} AND NOT before_{each.enabled.column}), "
        f"COUNT_IF(before_{each.enabled.column} AND NOT {each.enabled.column})"
        for each in settings.fields.products
    )
    return f"SELECT COUNT(*), {counted} FROM {settings.payload_table} WHERE run_id = '{run_id}'"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=USUAL, help="(default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default %(default)s)")
    parser.add_argument("--without-airflow", action="store_true", help="leave out the runs on a real Airflow, ten minutes")
    arguments = parser.parse_args()
    rows: list[tuple[str, ...]] = []
    with large_world(arguments.records) as world:
        world.hang_up()
        for line in lines(world, arguments.rounds):
            _keep(rows, line, arguments)
    if not arguments.without_airflow:
        for line in live_lines():
            _keep(rows, line, arguments)


def _keep(rows: list[tuple[str, ...]], line: Line, arguments: argparse.Namespace) -> None:
    """Write the table with one more line, so that what was measured is there if a later step fails."""
    rows.append(line.cells)
    print(" | ".join(line.cells), flush=True)
    head = ("work", "ours, s", "peer, s", "ratio", "goal", "MB")
    table = [head, tuple("---" for _ in head), *rows]
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=True)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = "results.md" if arguments.records == USUAL else f"results_{arguments.records}.md"
    (RESULTS / name).write_text(
        f"# {arguments.records:,} records\n\nRounds: {arguments.rounds}; median (least to most). Commit "
        f"{commit.stdout.strip()}, {dt.datetime.now(dt.UTC):%Y-%m-%d}. {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, {platform.system()}; load at the end {os.getloadavg()[0]:.1f}. "
        "A time counts only beside its peer's.\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in table) + "\n"
    )


if __name__ == "__main__":
    main()
