"""The statuses of an attempt that SQL names: the lists in ``macros.sql`` are those of `AttemptStatus`, and stand nowhere else."""

import re

import pytest
from jinja2 import Environment, FileSystemLoader

from feature_sync.sending.batches import AttemptStatus
from feature_sync.storage.warehouse import SQL_FOLDER
from tests.sql.statements import FILES, name_of

MACROS = Environment(loader=FileSystemLoader(SQL_FOLDER), trim_blocks=True, lstrip_blocks=True).get_template("macros.sql").module  # noqa: S701
UNSENT = {AttemptStatus.SENDING, AttemptStatus.NOT_SENT, AttemptStatus.HALTED}
WITHOUT_ROWS = {AttemptStatus.ACCEPTED_BY_COUNTERS, AttemptStatus.DIFFERS, AttemptStatus.UNCONFIRMED}
"""Census said yes, whether its row records came or not. All other statuses say it by `Attempt.records_rejected` alone."""


def statuses(text: str) -> set[str]:
    return set(re.findall(r"'(\w+)'", text)) & set(AttemptStatus)


def test_the_lists_are_those_of_the_statuses() -> None:
    assert statuses(MACROS.was_accepted("attempt")) == WITHOUT_ROWS
    assert statuses(MACROS.was_contradicted("attempt")) == {AttemptStatus.DIFFERS}
    assert statuses(MACROS.has_ended("attempt")) == set(AttemptStatus) - UNSENT


@pytest.mark.parametrize("name", [name for path in FILES if (name := name_of(path)) != "macros"])
def test_no_statement_has_such_a_list_of_its_own(name: str) -> None:
    text = re.sub(r"--[^\n]*", "", (SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8"))

    assert statuses(text) & {status.value for status in WITHOUT_ROWS} == set()
