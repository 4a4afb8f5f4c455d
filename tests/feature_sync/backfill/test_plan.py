"""How records are cut into batches, and the full CSV into their files."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from airflow.sdk import ObjectStoragePath

from feature_sync.backfill.plan import PlanError, batch_sizes, check_plan, count_batches, estimate_seconds, split_csv
from feature_sync.config.run_config import Strategy
from feature_sync.sending.batches import Batch
from feature_sync.storage.csv_files import CsvError, write_csv

PLAN = [Batch(1, 1, 50, 50), Batch(2, 51, 100, 50), Batch(3, 101, 146, 46)]
SIZES = [50, 50, 46]


@pytest.mark.parametrize(
    ("strategy", "records", "sizes"),
    [
        pytest.param("batched", 1296, [50] * 25 + [46], id="the-incident"),
        pytest.param("batched", 50, [50], id="one-batch"),
        pytest.param("batched", 1, [1], id="one-record"),
        pytest.param("full", 1296, [1296], id="all-at-once"),
        pytest.param("probe", 1296, [50, 100, 1146], id="probes"),
        pytest.param("probe", 151, [50, 100, 1], id="probes-and-one"),
        pytest.param("probe", 150, [50, 100], id="no-rest"),
        pytest.param("probe", 120, [50, 70], id="short-second-probe"),
        pytest.param("probe", 20, [20], id="short-first-probe"),
    ],
)
def test_how_a_strategy_cuts_the_records_at_first(strategy: str, records: int, sizes: list[int]) -> None:
    assert batch_sizes(Strategy(strategy), records, 50) == sizes


def test_a_plan_that_covers_every_record_once_passes() -> None:
    check_plan(PLAN, SIZES)


@pytest.mark.parametrize(
    ("plan", "sizes"),
    [
        pytest.param(PLAN[1:], SIZES, id="first-missing"),
        pytest.param([PLAN[0], PLAN[2]], SIZES, id="gap"),
        pytest.param([PLAN[0], Batch(2, 50, 99, 50), Batch(3, 100, 146, 47)], SIZES, id="overlap"),
        pytest.param([PLAN[1], PLAN[0], PLAN[2]], SIZES, id="out-of-order"),
        pytest.param([PLAN[0], Batch(2, 51, 100, 49), PLAN[2]], SIZES, id="record-missing"),
        pytest.param(PLAN, [50, 50, 47], id="ends-too-early"),
        pytest.param(PLAN, [50, 50, 45], id="ends-too-late"),
        pytest.param(PLAN, [50, 50], id="one-too-many"),
        pytest.param([], SIZES, id="no-batches"),
    ],
)
def test_a_plan_that_is_not_as_planned_is_refused(plan: list[Batch], sizes: list[int]) -> None:
    with pytest.raises(PlanError):
        check_plan(plan, sizes)


@pytest.mark.parametrize(
    ("records", "size", "batches"),
    [
        pytest.param(1_296, 50, 26, id="the-incident"),
        pytest.param(1_300, 50, 26, id="no-remainder"),
        pytest.param(1_301, 50, 27, id="one-more"),
        pytest.param(49, 50, 1, id="less-than-one"),
    ],
)
def test_count_batches(records: int, size: int, batches: int) -> None:
    assert count_batches(records, size) == batches


def test_the_last_batch_is_followed_by_no_wait() -> None:
    assert estimate_seconds(26, 150) == 26 * 45 + 25 * 150


def storage(path: Path) -> ObjectStoragePath:
    return ObjectStoragePath(str(path))


@pytest.fixture
def table() -> pa.Table:
    count = 53
    names = [f"Property {n}" for n in range(count)]
    names[7], names[8], names[9] = 'A "quoted" name, with comma', "two\nlines", "Ünïcode"
    return pa.table(
        {
            "name": names,
            "flag": [n % 2 == 0 for n in range(count)],
            "day": [dt.date(2025, 1, 1) if n % 3 else None for n in range(count)],
            "at": pa.array([dt.datetime(2025, 1, 1, 23, 59, 59, 999_999, dt.UTC)] * count, pa.timestamp("us", "UTC")),
        }
    )


def test_the_parts_are_byte_for_byte_the_full_file(tmp_path: Path, table: pa.Table) -> None:
    full = tmp_path / "full.csv"
    write_csv(storage(full), [table])
    batches = [Batch(1, 1, 8, 8), Batch(2, 9, 16, 8), Batch(3, 17, 53, 37)]

    names = split_csv(storage(full), storage(tmp_path / "parts"), batches)

    header, body = full.read_bytes().split(b"\n", 1)
    parts = [(tmp_path / "parts" / name).read_bytes() for name in names]
    assert all(part.startswith(header + b"\n") for part in parts)
    assert b"".join(part[len(header) + 1 :] for part in parts) == body
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == sorted(names)


@pytest.mark.parametrize("last", [pytest.param(52, id="records-left-over"), pytest.param(54, id="records-missing")])
def test_batches_that_do_not_fit_the_file_are_refused(tmp_path: Path, table: pa.Table, last: int) -> None:
    full = tmp_path / "full.csv"
    write_csv(storage(full), [table])

    with pytest.raises(CsvError):
        split_csv(storage(full), storage(tmp_path / "parts"), [Batch(1, 1, 20, 20), Batch(2, 21, last, last - 20)])
