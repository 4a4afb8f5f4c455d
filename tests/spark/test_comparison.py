"""What the comparison with Spark rests on; this needs no Java."""

import datetime as dt
from typing import Any

import pytest

from feature_sync.config.settings import Settings, load_settings
from feature_sync.storage.warehouse import Row, render_statement
from tests.spark.comparison import differences
from tests.spark.variants import OTHER_FIELDS, TOGETHER, VARIANTS, change_settings, every_variant, usual_settings
from tests.sql.script import STATEMENTS, script, script_for, source_names
from tests.sql.steps import Step


def test_each_statement_has_a_step() -> None:
    steps = [step for step in script(load_settings()) if isinstance(step, Step)]

    assert set(STATEMENTS) - {step.statement for step in steps} == set(), "add them to tests/sql/script.py"


@every_variant
def test_the_short_script_has_each_statement_that_depends_on_settings(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = usual_settings(monkeypatch)
    settings = change_settings(variant, monkeypatch)
    short = {step.statement for step in script_for(settings) if isinstance(step, Step)}

    before, after = texts(usual, usual), texts(settings, usual)
    depending = {name for name in STATEMENTS if before[name] != after[name]}

    assert depending
    assert depending - short == set()


@pytest.mark.parametrize("variant", [each for each in VARIANTS if each != OTHER_FIELDS])
def test_the_variants_together_have_each_line_that_one_of_them_has(variant: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        usual = usual_settings(patch)
        together = [lines(texts(usual, usual))]
    for each in TOGETHER:
        with pytest.MonkeyPatch.context() as patch:
            together.append(lines(texts(change_settings(each, patch), usual)))
    with pytest.MonkeyPatch.context() as patch:
        alone = lines(texts(change_settings(variant, patch), usual))

    assert alone - together[0], "it changes no line"
    assert alone.difference(*together) == set(), "no text that Spark gets in `make test` has these lines"


def test_variants_that_are_taken_together_do_not_contradict_each_other() -> None:
    for names in TOGETHER.values():
        given = [pair for name in names for pair in VARIANTS[name].items()]
        assert len({setting for setting, _ in given}) == len(set(given))
    assert sorted(name for names in TOGETHER.values() for name in names) == sorted(set(VARIANTS) - {OTHER_FIELDS})


def texts(settings: Settings, usual: Settings) -> dict[str, str]:
    """Every statement as these settings render it."""
    names: dict[str, Any] = {"table": usual.payload_table, "columns": "a INT", "mark": "m", "synced_at": "s", "written_at": "w"}
    names |= {"undecided": "FALSE", "catalog": "c", "clustered_by": ("a",)}
    return {name: render_statement(name, settings, source_names(usual).get(name, names)) for name in STATEMENTS}


def lines(given: dict[str, str]) -> set[tuple[str, str]]:
    """Each line with its statement's name; a comma at its end depends on what follows it."""
    return {(name, line.strip().removesuffix(",")) for name, text in given.items() for line in text.splitlines()}


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
