"""
Every statement of ``include/sql`` on a real Spark, with the data and values that the sandbox's warehouse gets: the same answers.

Databricks is made of Spark; the sandbox's warehouse is DuckDB behind a translation. The steps are in ``tests/sql/script.py``.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from feature_sync.config.settings import load_settings
from feature_sync.storage.warehouse import Warehouse
from sandbox.seed import seed_warehouse
from sandbox.warehouse.engine import Engine
from sandbox.warehouse.service import WarehouseService
from tests.oracle.engine import Tables
from tests.oracle.worlds import random_world
from tests.sandbox.wire import TOKEN, airflow_connection, serve
from tests.spark.comparison import Comparison
from tests.spark.java import MISSING, find_java
from tests.spark.plans import as_lines, known_plans
from tests.spark.variants import change_settings, usual_settings, variants
from tests.sql.data import COPY, fill_copy, spoil, thin_out
from tests.sql.script import adapt, freezing, looking, script, script_for
from tests.sql.steps import Change, Script

if TYPE_CHECKING:
    from tests.spark.engine import Spark

pytestmark = pytest.mark.timeout(900)

if find_java() is None:  # here and not in a fixture, so that pytest tells it once
    pytest.skip(MISSING, allow_module_level=True)
if find_spec("pyspark") is None:
    pytest.skip("pyspark is not installed; `make test-spark` does it.", allow_module_level=True)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("databricks.sql", "databricks.sql.unsafe"):  # else pytest keeps every message of the wire
        caplog.set_level(logging.WARNING, name)


@contextmanager
def filled_engine(folder: Path) -> Iterator[Engine]:
    engine = Engine(folder)
    seed_warehouse(engine)
    fill_copy(engine)
    thin_out(engine)
    spoil(engine)
    yield engine
    engine.close()


@contextmanager
def connected(engine: Engine) -> Iterator[None]:
    """The warehouse of the sandbox, at the connection that the package reads."""
    service = WarehouseService(engine, lambda: TOKEN, lambda _: None)
    server = serve(service)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", airflow_connection(server.server_port))
        yield
    server.shutdown()
    server.server_close()
    service.close()


def run_on_both(steps: Script, engine: Engine, spark: "Spark", alter: Callable[[str], str] = str) -> tuple[list[str], Comparison]:
    """The differences; ``alter`` changes what Spark gets."""
    spark.copy_from(engine)
    with connected(engine), Warehouse(load_settings()) as warehouse:
        comparison = Comparison(warehouse, engine, spark, alter)
        return comparison.run(steps), comparison


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with filled_engine(tmp_path) as engine:
        yield engine


@pytest.fixture
def compare(spark: "Spark", engine: Engine) -> Callable[..., list[str]]:
    """Runs a script on both and gives the differences; ``alter`` changes what Spark gets."""
    return lambda steps, alter=str: run_on_both(steps, engine, spark, alter)[0]


@pytest.fixture(scope="module")
def whole(spark: "Spark", tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Comparison]:
    """Every statement with all fields: it takes minutes, so it is done once."""
    with filled_engine(tmp_path_factory.mktemp("whole")) as engine:
        return run_on_both(script(load_settings()), engine, spark)


def test_every_statement_means_the_same(whole: tuple[list[str], Comparison]) -> None:
    assert whole[0] == []


def test_each_statement_reads_and_joins_as_often_as_is_written_down(whole: tuple[list[str], Comparison]) -> None:
    made = "\n".join(as_lines(whole[1].plans))

    assert made == "\n".join(as_lines(known_plans())), f"tests/spark/plans.toml has other numbers. They would be:\n{made}"


@pytest.mark.long
@variants
def test_what_depends_on_settings_means_the_same(
    compare: Callable[..., list[str]], engine: Engine, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = change_settings(variant, monkeypatch)
    adapt(engine, settings)

    assert compare(script_for(settings)) == []


@pytest.mark.parametrize("seed", [3, 7])
def test_it_means_the_same_in_a_random_world(
    compare: Callable[..., list[str]], engine: Engine, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = usual_settings(monkeypatch)
    Tables(engine, settings).load(random_world(seed, settings.fields, 40))

    assert compare(looking(3)) == []


# --- that a difference shows ----------------------------------------------------------------------------------------------------


def test_the_join_of_the_incident_would_show(compare: Callable[..., list[str]]) -> None:
    [step, *found] = compare(
        freezing(load_settings()), lambda text: text.replace("LEFT JOIN feature_rows", "INNER JOIN feature_rows")
    )

    assert "count_scope" in step
    assert "'records': ('int', 1288)" in found[1]
    assert "on Spark {'records': ('int', 1248)" in found[1]


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
