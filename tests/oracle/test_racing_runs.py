"""Of two runs that freeze the same record at once, exactly one comes through, in whatever order their steps are executed."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from feature_sync.config.settings import load_settings
from sandbox.warehouse.engine import Engine
from tests.oracle.engine import Tables
from tests.oracle.worlds import random_world


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    settings = load_settings()
    tables = Tables(Engine(tmp_path_factory.mktemp("racing")), settings)
    tables.load(random_world(1, settings.fields))
    yield tables
    tables.close()


class Racing:
    """A run that freezes a record step by step, as `freeze_payload` does, so that another one can come between."""

    def __init__(self, tables: Tables, run_id: str) -> None:
        self.tables = tables
        self.run_id = run_id
        self.is_refused = False
        self.steps = iter((self.freeze, self.ask, self.cut, self.ask))

    def sql(self, text: str) -> None:
        self.tables.sql(text.format(table=self.tables.settings.payload_table, run=f"run_id = '{self.run_id}'"))

    def freeze(self) -> None:
        self.sql(
            "INSERT INTO {table} (run_id, record_number, salesforce_id, frozen_at) "
            f"VALUES ('{self.run_id}', 1, 'a record', current_timestamp())"
        )

    def ask(self) -> None:
        if self.tables.run("backfill/select_other_runs", {"run_id": self.run_id}):
            self.is_refused = True
            self.tables.run("backfill/delete_unsent_payload", {"run_id": self.run_id})

    def cut(self) -> None:
        self.sql("UPDATE {table} SET batch_number = 1 WHERE {run}")

    def go_on(self) -> None:
        step = next(self.steps)
        if not self.is_refused:
            step()


def in_its_time(_: Racing) -> None: ...


def slow(run: Racing) -> None:
    """The statement takes its time at its start, and others see what it writes at its end."""
    run.sql("UPDATE {table} SET frozen_at = frozen_at - INTERVAL '1' HOUR WHERE {run}")


def in_the_same_moment(run: Racing) -> None:
    run.sql("UPDATE {table} SET frozen_at = (SELECT MIN(frozen_at) FROM {table}) WHERE {run}")


@pytest.mark.parametrize(
    ("frozen", "names"), [(in_its_time, "ab"), (slow, "ab"), (in_the_same_moment, "ab"), (in_the_same_moment, "ba")]
)
def test_exactly_one_comes_through(tables: Tables, frozen: Callable[[Racing], None], names: str) -> None:
    for places in itertools.combinations(range(1, 8), 3):  # where the first run's other steps are
        first, second = (Racing(tables, name) for name in names)
        order = [first if number in (0, *places) else second for number in range(8)]
        for number, run in enumerate(order):
            run.go_on()
            if number == order.index(second):
                frozen(second)
        first.sql("DELETE FROM {table}")

        assert first.is_refused != second.is_refused, [run.run_id for run in order]


def test_a_run_that_asks_only_once_does_not_notice_one_that_comes_between(tables: Tables) -> None:
    """Why it asks twice: the first one was slow, and the second one had asked before it came."""
    second, first = Racing(tables, "second"), Racing(tables, "first")
    second.freeze()
    second.ask()
    first.freeze()
    slow(first)
    first.ask()
    second.cut()
    assert (first.is_refused, second.is_refused) == (False, False)

    second.ask()

    assert second.is_refused
    first.sql("DELETE FROM {table}")
