"""Every call of a statement in the package: the file exists, and the values given are exactly those that the file binds.

A typo in a name or a parameter is found here, not by a run.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from feature_sync.config.settings import load_settings
from feature_sync.sending.batches import attempt_columns
from feature_sync.storage.warehouse import SQL_FOLDER, columns_of, render_statement
from tests.sql.script import source_names

PACKAGE = Path(__file__).resolve().parents[1] / "plugins" / "feature_sync"
METHODS = ("execute", "fetch_all", "fetch_one", "stream")
COMPUTED = {("sending/sync_log.py", "row"): set(attempt_columns().values())}
"""Values that are computed: the dictionary's name in its module, and its keys."""


@dataclass(frozen=True)
class Call:
    """``keys``: the parameters given. ``names``: the identifiers rendered into the statement."""

    where: str
    statement: str
    keys: frozenset[str]
    names: frozenset[str]


@cache
def trees() -> dict[str, ast.Module]:
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def returned_dictionary(function: str) -> ast.expr:
    """What a function of the package returns, if it is one dictionary."""
    [found] = [
        node
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    [value] = [node.value for node in ast.walk(found) if isinstance(node, ast.Return) and node.value is not None]
    return value


def keys_of(value: ast.expr | None, module: str) -> set[str]:
    match value:
        case None | ast.Constant(value=None):
            return set()
        case ast.Dict(keys=keys, values=values):
            found: set[str] = set()
            for key, each in zip(keys, values, strict=True):
                found |= {str(key.value)} if isinstance(key, ast.Constant) else keys_of(each, module)
            return found
        case ast.Call(func=ast.Name(id=function)):
            return keys_of(returned_dictionary(function), module)
        case ast.BinOp(left=left, right=right):
            return keys_of(left, module) | keys_of(right, module)
        case ast.Name(id=name) if (module, name) in COMPUTED:
            return COMPUTED[module, name]
        case ast.Name(id=name):
            [assigned] = {
                ast.unparse(node.value): node.value
                for node in ast.walk(trees()[module])
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name
            }.values()
            return keys_of(assigned, module)
    raise AssertionError(f"{module}: the parameters {ast.unparse(value)} cannot be read; write them as a dictionary")


def find_calls() -> Iterator[Call]:
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if not (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS and node.args
            ):
                continue
            statement, *others = node.args
            if not (isinstance(statement, ast.Constant) and isinstance(statement.value, str)):
                continue
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            yield Call(
                f"{module}:{node.lineno}",
                statement.value,
                frozenset(keys_of(others[0] if others else given.get("parameters"), module)),
                frozenset(keys_of(given.get("names"), module)),
            )


CALLS = list(find_calls())
every_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.where}-{call.statement}")


def bound_by(call: Call) -> set[str]:
    names = source_names(load_settings()).get(call.statement) or {name: f"rendered_{name}" for name in call.names}
    assert set(names) == call.names
    text = render_statement(call.statement, load_settings(), names)
    return set(re.findall(r"(?<![\w:]):([a-z_]+)", re.sub(r"--.*|'[^']*'", "", text)))


def test_there_are_calls_to_check() -> None:
    assert len(CALLS) > 40
    assert {call.statement.split("/")[0] for call in CALLS} >= {"tables", "sending", "backfill", "replica", "reconciliation"}


@every_call
def test_the_statement_is_there(call: Call) -> None:
    assert (SQL_FOLDER / f"{call.statement}.sql").is_file()


@every_call
def test_the_values_are_those_that_it_binds(call: Call) -> None:
    assert call.keys == bound_by(call)


def test_an_attempt_has_the_columns_of_the_sync_log() -> None:
    clock = {"opened_at", "closed_at"}

    assert set(attempt_columns().values()) == {column.name for column in columns_of(load_settings(), "sync_log")} - clock
