"""
Every statement of ``include/sql`` on a real Spark, with the data and values that the sandbox's warehouse gets: the same answers.

Databricks is made of Spark; the sandbox's warehouse is DuckDB behind a translation. The steps are in ``tests/sql_script.py``.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from feature_sync.settings import Settings, load_settings
from feature_sync.warehouse import Row, Warehouse, render_statement
from sandbox.seed import seed_warehouse
from sandbox.warehouse.engine import Engine
from sandbox.warehouse.service import WarehouseService
from tests.sandbox.wire import TOKEN, airflow_connection, serve
from tests.spark.comparison import Comparison, differences
from tests.sql_script import COPY, STATEMENTS, Change, Script, Step, fill_copy, freezing, script, short_script, spoil, thin_out

if TYPE_CHECKING:
    from tests.spark.engine import Spark

pytestmark = pytest.mark.timeout(900)

DATETIME = "fraud_detection_start_date_c"
VARIANTS = {
    "no parent": {"FEATURE_SYNC_PARENT_COLUMN": ""},
    "a date is a point in time": {"FEATURE_SYNC_DATETIME_FIELDS": f'["{DATETIME}"]'},
}
"""Settings by which the SQL changes in more than names."""

variants = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("databricks.sql", "databricks.sql.unsafe"):  # else pytest keeps every message of the wire
        caplog.set_level(logging.WARNING, name)


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("warehouse"))
    seed_warehouse(engine)
    fill_copy(engine)
    thin_out(engine)
    spoil(engine)
    yield engine
    engine.close()


@pytest.fixture
def compare(spark: "Spark", engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """Runs a script on both and gives the differences; ``alter`` changes what Spark gets."""
    service = WarehouseService(engine, lambda: TOKEN, lambda _: None)
    server = serve(service)
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", airflow_connection(server.server_port))

    def run(steps: Script, alter: Callable[[str], str] = str) -> list[str]:
        spark.copy_from(engine)
        with Warehouse(load_settings()) as warehouse:
            return Comparison(warehouse, engine, spark, alter).run(steps)

    yield run
    server.shutdown()
    server.server_close()
    service.close()


def change_settings(variant: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in VARIANTS[variant].items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_every_statement_means_the_same(compare: Callable[..., list[str]]) -> None:
    assert compare(script(load_settings())) == []


@variants
def test_what_depends_on_settings_means_the_same(
    compare: Callable[..., list[str]], engine: Engine, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = change_settings(variant, monkeypatch)
    if settings.datetime_fields:
        with engine.writing() as cursor:
            cursor.execute(f"ALTER TABLE {COPY} ALTER COLUMN {DATETIME} TYPE TIMESTAMPTZ")
            cursor.execute(f"UPDATE {COPY} SET {DATETIME} = {DATETIME} + INTERVAL 86399900 MILLISECOND WHERE id LIKE '%A'")

    assert compare(short_script(settings)) == []


def test_each_statement_has_a_step() -> None:
    steps = [step for step in script(load_settings()) if isinstance(step, Step)]

    assert set(STATEMENTS) - {step.statement for step in steps} == set(), "add them to tests/sql_script.py"


@variants
def test_the_short_script_has_each_statement_that_depends_on_settings(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = load_settings()
    settings = change_settings(variant, monkeypatch)
    short = {step.statement for step in short_script(settings) if isinstance(step, Step)}
    names = {"table": usual.payload_table, "columns": "a INT"}

    depending = {name for name in STATEMENTS if render_statement(name, usual, names) != render_statement(name, settings, names)}

    assert depending
    assert depending - short == set()


# --- that a difference shows ----------------------------------------------------------------------------------------------------


def test_the_join_of_the_incident_would_show(compare: Callable[..., list[str]]) -> None:
    features = load_settings().features_table

    [step, *found] = compare(
        freezing(load_settings()), lambda text: text.replace(f"LEFT JOIN {features}", f"INNER JOIN {features}")
    )

    assert "count_scope" in step
    assert "'records': ('int', 1296)" in found[1]
    assert "on Spark {'records': ('int', 1256)" in found[1]


def test_another_time_zone_would_show(compare: Callable[..., list[str]], spark: "Spark") -> None:
    spark.session.conf.set("spark.sql.session.timeZone", "America/Los_Angeles")
    try:
        found = compare(freezing(load_settings()))
    finally:
        spark.session.conf.set("spark.sql.session.timeZone", "UTC")

    assert "count_scope" in found[0]


def test_a_changed_value_would_show(compare: Callable[..., list[str]]) -> None:
    change = Change(f"UPDATE {COPY} SET name = 'Łódź' WHERE id = (SELECT MIN(id) FROM {COPY})")

    [_, counts, example] = compare([change], lambda text: text.replace("Łódź", "Lodz"))

    assert COPY in counts
    assert "1 of them differ" in counts
    assert "{'name': ('str', 'Łódź')}, on Spark {'name': ('str', 'Lodz')}" in example


NOON = dt.datetime(2025, 11, 21, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("one", "other", "in_order", "same"),
    [
        pytest.param([{"a": 1}, {"a": 2}], [{"a": 2}, {"a": 1}], False, True, id="another-order-that-nobody-asked-for"),
        pytest.param([{"a": 1}, {"a": 2}], [{"a": 2}, {"a": 1}], True, False, id="another-order"),
        pytest.param([{"a": 1}, {"a": 1}], [{"a": 1}], False, False, id="a-row-less"),
        pytest.param([{"a": True}], [{"a": 1}], True, False, id="another-type"),
        pytest.param([{"a": None}], [{"a": ""}], True, False, id="empty-text"),
        pytest.param([{"a": 1}], [{"b": 1}], True, False, id="another-name"),
        pytest.param([{"a": NOON}], [{"a": NOON.astimezone(dt.timezone(dt.timedelta(hours=2)))}], True, True, id="same-time"),
        pytest.param([{"a": NOON}], [{"a": NOON.date()}], True, False, id="day-for-a-time"),
        pytest.param([{"seen_at": NOON}], [{"seen_at": NOON.replace(hour=13)}], True, True, id="own-clock"),
        pytest.param([{"seen_at": NOON}], [{"seen_at": None}], True, False, id="own-clock-or-nothing"),
    ],
)
def test_rows_are_compared_by_value_and_type(one: list[Row], other: list[Row], in_order: bool, same: bool) -> None:
    assert (differences(one, other, in_order=in_order) == []) is same
