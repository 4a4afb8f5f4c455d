"""How a statement is rendered."""

import re

import pytest
from jinja2 import UndefinedError

from feature_sync.config.settings import load_settings
from feature_sync.storage.warehouse import render_statement


def test_a_name_that_is_missing_is_a_mistake_of_ours() -> None:
    with pytest.raises(UndefinedError, match="'table' is undefined"):
        render_statement("tables/describe_table", load_settings())


def test_a_statement_whose_name_is_wrong_is_a_mistake_of_ours() -> None:
    with pytest.raises(Exception, match=re.escape("select_nothing.sql")):
        render_statement("select_nothing", load_settings())
