"""A table that is not provably ours is never changed, and a person can take one over by the statements of the message."""

import re
import uuid
from collections.abc import Iterator

import pytest

from feature_sync.config.problems import OwnTableError
from feature_sync.config.settings import load_settings
from feature_sync.storage.marks import FORMER_NAMES, own_tables
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Warehouse
from tests.sandbox.client import Sandbox

STAGED = {"run_id": "nobody", "batch_number": 1, "resends_attempt": None, "attempt": 1}


@pytest.fixture
def own(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """A session whose tables have the default names in a schema of their own."""
    schema = f"crm.s{uuid.uuid4().hex}"
    sandbox.sql(f"CREATE SCHEMA {schema}")
    for table in own_tables(load_settings()):
        monkeypatch.setenv(f"FEATURE_SYNC_{table.setting}", f"{schema}.{table.name.rpartition('.')[2]}")
    with Warehouse(load_settings()) as warehouse:
        yield warehouse


def names(own: Warehouse) -> list[str]:
    return [table.name for table in own_tables(own.settings)]


def make(sandbox: Sandbox, own: Warehouse, properties: str = "") -> None:
    """All tables as an earlier version made them, which set no mark."""
    prepare_tables(own)
    for name in names(own):
        sandbox.sql(f"CREATE OR REPLACE TABLE {name} {properties} AS SELECT * FROM {name}")


def refused(own: Warehouse) -> list[str]:
    with Warehouse(own.settings) as another, pytest.raises(OwnTableError) as error:
        prepare_tables(another)
    return error.value.problems


def changes(sandbox: Sandbox, after: int) -> list[str]:
    return [
        entry["sql"]
        for entry in sandbox.journal("warehouse.statement", after)
        if not entry["sql"].startswith(("DESCRIBE", "SELECT"))
    ]


def run_statements(sandbox: Sandbox, problems: list[str]) -> int:
    """Do what the messages say, as a person would."""
    statements = [found for problem in problems for found in re.findall(r"^    (ALTER TABLE .*);$", problem, re.MULTILINE)]
    for statement in statements:
        sandbox.sql(statement)
    return len(statements)


def test_a_table_is_made_with_the_mark_and_a_staged_batch_keeps_it(sandbox: Sandbox, own: Warehouse) -> None:
    prepare_tables(own)
    own.execute("sending/stage_batch", STAGED)

    found = {name: dict(sandbox.sql(f"SHOW TBLPROPERTIES {name}"))["feature_sync.table"] for name in names(own)}

    roles = ["payload", "batch", "sync_log", "rejection", "drift", "difference", "accepted_difference", "read_back", "approval"]
    assert list(found.values()) == [f"{role}/1" for role in roles]


def test_one_table_of_somebody_else_keeps_all_tables_as_they_are(sandbox: Sandbox, own: Warehouse) -> None:
    payload, _, log, *_ = names(own)
    sandbox.sql(f"CREATE TABLE {log} AS SELECT 'a' AS run_id, 1 AS product")
    sandbox.sql(
        f"CREATE TABLE {payload} TBLPROPERTIES ('feature_sync.table' = 'payload/1') AS"
        " SELECT 'old' AS run_id, 'id' AS salesforce_id, CAST(7 AS BIGINT) AS record_number"
    )
    before = sandbox.seq()

    [problem] = refused(own)

    assert problem.startswith(f"{log} belongs to somebody else: it has no mark of ours, and it lacks our columns batch_number,")
    assert changes(sandbox, before) == []
    assert [row[0] for row in sandbox.sql(f"DESCRIBE TABLE {log}")] == ["run_id", "product"]
    assert len(sandbox.sql(f"DESCRIBE TABLE {payload}")) == 3


def test_tables_without_a_mark_are_taken_over_by_the_statements_of_the_message(sandbox: Sandbox, own: Warehouse) -> None:
    make(sandbox, own)
    before = sandbox.seq()

    problems = refused(own)

    assert changes(sandbox, before) == []
    assert run_statements(sandbox, problems) == len(names(own))
    with Warehouse(own.settings) as another:
        prepare_tables(another)


def test_tables_of_the_former_names_are_renamed_by_a_person_and_keep_their_rows(sandbox: Sandbox, own: Warehouse) -> None:
    make(sandbox, own)
    payload = names(own)[0]
    sandbox.sql(f"INSERT INTO {payload} (run_id, salesforce_id) VALUES ('former', 'id')")
    for name in names(own):
        schema, _, table = name.rpartition(".")
        if table in FORMER_NAMES:
            sandbox.sql(f"ALTER TABLE {name} RENAME TO {schema}.{FORMER_NAMES[table]}")
    before = sandbox.seq()

    problems = refused(own)

    assert changes(sandbox, before) == []
    assert run_statements(sandbox, problems) == 2 * len(FORMER_NAMES) + 4, "four tables have no former name"
    with Warehouse(own.settings) as another:
        prepare_tables(another)
    assert sandbox.sql(f"SELECT run_id, salesforce_id FROM {payload}") == [("former", "id")]


def test_a_table_of_a_former_name_with_other_columns_is_nobodys_business(sandbox: Sandbox, own: Warehouse) -> None:
    schema, _, table = names(own)[0].rpartition(".")
    foreign = f"{schema}.{FORMER_NAMES[table]}"
    sandbox.sql(f"CREATE TABLE {foreign} AS SELECT 'p' AS property_id")

    prepare_tables(own)

    assert sandbox.sql(f"SELECT * FROM {foreign}") == [("p",)]


def test_a_batch_table_that_was_built_again_is_not_overwritten(sandbox: Sandbox, own: Warehouse) -> None:
    prepare_tables(own)
    batch = names(own)[1]
    sandbox.sql(f"CREATE OR REPLACE TABLE {batch} AS SELECT * REPLACE ('theirs' AS run_id) FROM (SELECT 'x' AS run_id, 1 AS n)")

    with Warehouse(own.settings) as another, pytest.raises(OwnTableError, match=f"{batch} belongs to somebody else"):
        another.execute("sending/stage_batch", STAGED)

    assert sandbox.sql(f"SELECT * FROM {batch}") == [("theirs", 1)]


@pytest.mark.parametrize(
    ("statement", "parameters", "position"),
    [
        ("backfill/delete_payload", {"run_id": "r"}, 0),
        ("backfill/release_payload", {"run_id": "r"}, 0),
        ("backfill/delete_rejections", {"run_id": "r"}, 3),
        ("reconciliation/record_drift", {"compared_by": "r"}, 4),
        ("reconciliation/record_differences", {"run_id": "r"}, 5),
    ],
)
def test_no_statement_writes_to_a_table_without_the_mark(
    sandbox: Sandbox, own: Warehouse, statement: str, parameters: dict[str, str], position: int
) -> None:
    make(sandbox, own)
    before = sandbox.seq()

    with Warehouse(own.settings) as another, pytest.raises(OwnTableError, match=f"{names(own)[position]} has our columns but no"):
        another.execute(statement, parameters)

    assert changes(sandbox, before) == []


def test_the_mark_is_looked_for_once_a_session(sandbox: Sandbox, own: Warehouse) -> None:
    prepare_tables(own)
    before = sandbox.seq()

    with Warehouse(own.settings) as another:
        for _ in range(3):
            another.execute("backfill/delete_payload", {"run_id": "r"})

    described = [entry["sql"] for entry in sandbox.journal("warehouse.statement", before) if "DESCRIBE" in entry["sql"]]
    assert described == [f"DESCRIBE TABLE EXTENDED {names(own)[0]}"]


def test_a_view_in_our_place_is_refused(sandbox: Sandbox, own: Warehouse) -> None:
    drift = names(own)[4]
    sandbox.sql(f"CREATE VIEW {drift} AS SELECT 1 AS run_id")

    assert refused(own) == [
        f"{drift} is a view, so it is not ours. It is neither written nor changed. Set DRIFT_TABLE to a name that nobody uses."
    ]
