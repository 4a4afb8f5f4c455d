"""What the comparison with Spark rests on; this needs no Java."""

import datetime as dt

import pytest

from feature_sync.config.settings import load_settings
from feature_sync.storage.warehouse import Row, render_statement
from tests.spark.comparison import differences
from tests.spark.variants import change_settings, usual_settings, variants
from tests.sql.script import STATEMENTS, Step, script, script_for, source_names


def test_each_statement_has_a_step() -> None:
    steps = [step for step in script(load_settings()) if isinstance(step, Step)]

    assert set(STATEMENTS) - {step.statement for step in steps} == set(), "add them to tests/sql/script.py"


@variants
def test_the_short_script_has_each_statement_that_depends_on_settings(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = usual_settings(monkeypatch)
    settings = change_settings(variant, monkeypatch)
    short = {step.statement for step in script_for(settings) if isinstance(step, Step)}
    names = {"table": usual.payload_table, "columns": "a INT", "mark": "m", "synced_at": "s", "written_at": "w"}
    names |= {"undecided": "FALSE", "catalog": "c"}

    given = {name: source_names(usual).get(name, names) for name in STATEMENTS}
    depending = {
        name for name in STATEMENTS if render_statement(name, usual, given[name]) != render_statement(name, settings, given[name])
    }

    assert depending
    assert depending - short == set()


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
