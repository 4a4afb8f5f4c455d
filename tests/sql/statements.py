"""The statements of ``include/sql``, as they are rendered with the settings of now and with others."""

import os
from functools import cache
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from feature_sync.config.names import SETTINGS_PREFIX
from feature_sync.config.settings import load_settings
from feature_sync.storage.warehouse import SQL_FOLDER, render_statement
from tests.spark.variants import VARIANTS
from tests.sql.script import source_names

FILES = sorted(SQL_FOLDER.rglob("*.sql"))


def name_of(path: Path) -> str:
    """As `render_statement` takes it."""
    return path.relative_to(SQL_FOLDER).with_suffix("").as_posix()


PARTS = ("fragments/", "tables/columns/", "macros")
"""How the names of files begin that are no statements but parts of them."""
ONLY_DATABRICKS = {"tables/describe_detail"}
"""Not SQL but a command of Delta, which sqlglot does not parse. `tests/wire/storage/test_real_tables.py` executes it."""
STATEMENTS = [name for path in FILES if not (name := name_of(path)).startswith(PARTS) and name not in ONLY_DATABRICKS]
NAMES = {
    "tables/add_columns": {"table", "columns"},
    "tables/create_table": {"table", "columns", "clustered_by", "mark"},
    "tables/describe_table": {"table"},
    "tables/describe_detail": {"table"},
    "tables/count_rows": {"table", "synced_at"},
    "tables/measure_age": {"table", "written_at", "undecided"},
    "tables/select_look_alikes": {"catalog"},
    "tables/select_privileges": {"catalog"},
    "tables/prove_write": {"table"},
    "deployment/describe_source": {"table"},
    "deployment/select_source_columns": {"source"},
    "deployment/check_source_values": {"source", "mapped"},
    "deployment/select_property_sync_with_others": {"others", "columns", "key"},
}
"""The names that `storage` gives to statements for any table, and `deployment` to those about the regular sync's query."""

every_statement = pytest.mark.parametrize("name", STATEMENTS)


def rendered(name: str) -> str:
    """With the settings as they are now."""
    return _rendered(name, frozenset((key, value) for key, value in os.environ.items() if key.startswith(SETTINGS_PREFIX)))


@cache
def _rendered(name: str, environment: frozenset[tuple[str, str]]) -> str:  # noqa: ARG001 - the settings depend on it
    return rendered_anew(name)


def rendered_anew(name: str) -> str:
    """Also if the files have changed since."""
    settings = load_settings()
    values = {"table": settings.payload_table, "columns": "first STRING,\nsecond INT", "mark": "'key' = 'value'"}
    values |= {"clustered_by": ("first", "second"), "catalog": "system", "synced_at": "MAX(_fivetran_synced)"}
    values |= {"written_at": "_fivetran_synced", "undecided": "is_deleted IS NULL"} | source_names(settings).get(name, {})
    return render_statement(name, settings, {each: values[each] for each in NAMES.get(name, ())})


def parsed(name: str) -> exp.Expr:
    [statement] = parse(rendered(name))
    assert statement is not None
    return statement


@cache
def parse(text: str) -> list[exp.Expr | None]:
    """Most variants of the settings leave most texts as they are. No test changes what it gets."""
    return sqlglot.parse(text, dialect="databricks")


@cache
def texts_of(name: str) -> dict[str, str]:
    """A statement with settings by which its text changes in more than names: each text once, by the first variant with it."""
    texts: dict[str, str] = {}
    for variant in ("as shipped", *VARIANTS):
        with pytest.MonkeyPatch.context() as patch:
            for setting, value in VARIANTS.get(variant, {}).items():
                patch.setenv(setting, value)
            text = rendered(name)
        if text not in texts.values():
            texts[variant] = text
    return texts


every_text = pytest.mark.parametrize(
    "text",
    [pytest.param(text, id=f"{variant}-{name}") for name in STATEMENTS for variant, text in texts_of(name).items()],
)
