"""Every file of ``include/sql``: one statement that Databricks parses, on our tables only, with nothing put into it but names."""

import ast
import re
from pathlib import Path

import pytest
import sqlglot
from jinja2 import Environment, meta, nodes
from sqlglot import exp

from feature_sync.schema import own_tables, source_columns
from feature_sync.settings import Settings, SourceQuery, load_settings
from feature_sync.warehouse import SQL_FOLDER, render_statement

STATEMENTS = sorted(path.stem for path in SQL_FOLDER.glob("*.sql"))
FILES = sorted(SQL_FOLDER.rglob("*.sql"))
READING = {"check", "compare", "count", "describe", "find", "list", "measure", "select", "summarize", "validate"}
WRITING = {
    "add": (exp.Alter,),
    "create": (exp.Create,),
    "delete": (exp.Delete,),
    "freeze": (exp.Merge,),
    "prove": (exp.Delete,),
    "record": (exp.Merge,),
    "release": (exp.Update,),
    "revoke": (exp.Update,),
    "split": (exp.Merge,),
    "stage": (exp.Create,),
}
"""What a file's verb promises. Each is harmless when it is executed twice; the second `add` is refused."""
WRITES: tuple[type[exp.Expr], ...] = (exp.Alter, exp.Create, exp.Delete, exp.Merge, exp.Insert, exp.Update, exp.Drop)
NAMES = {
    "add_columns": {"table", "columns"},
    "create_table": {"table", "columns"},
    "describe_table": {"table"},
    "prove_write": {"table"},
}
"""The statements that are for any of our tables, and the names that `schema.py` gives them."""
COLUMN_LISTS = {"batch_columns", "drift_columns", "payload_columns", "rejection_columns", "sync_log_columns"}
"""Fragments that define the columns of our tables: `schema.py` renders them."""

PLACING = SQL_FOLDER / "fragments" / "placed_records.sql"
"""The only file that includes another by a name, `records`."""
FREEZING = SQL_FOLDER / "fragments" / "freeze_records.sql"
"""Includes `PLACING`. The statement that includes it sets the name."""
SETTINGS = {"fragments/compared_records": {"parent_column"}, "fragments/placed_records": {"parent_column"}}
"""What else than table names is taken from the settings: the name of a column, which they validate."""

every_statement = pytest.mark.parametrize("name", STATEMENTS)
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SQL_FOLDER)))


def rendered(name: str) -> str:
    settings = load_settings()
    values = {"table": settings.payload_table, "columns": "first STRING,\nsecond INT"}
    return render_statement(name, settings, {each: values[each] for each in NAMES.get(name, ())})


def parsed(name: str) -> exp.Expr:
    [statement] = sqlglot.parse(rendered(name), dialect="databricks")
    assert statement is not None
    return statement


def template(path: Path) -> nodes.Template:
    return Environment(autoescape=False).parse(path.read_text(encoding="utf-8"))  # noqa: S701 - parsed only


def verb_of(name: str) -> str:
    return name.partition("_")[0]


def table_settings() -> list[str]:
    return [name for name in Settings.model_fields if name.endswith("_table")]


def test_there_is_something_to_check() -> None:
    assert len(STATEMENTS) >= 17
    assert len(FILES) > len(STATEMENTS)


@every_statement
def test_it_is_one_statement_in_databricks_sql(name: str) -> None:
    text = rendered(name)

    statements = sqlglot.parse(text, dialect="databricks")

    assert len(statements) == 1
    assert not isinstance(statements[0], exp.Command), "sqlglot does not understand it"
    assert ";" not in re.sub("--.*", "", text)


@every_statement
def test_it_is_named_by_what_it_does_and_to_what(name: str) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", name)
    assert verb_of(name) in READING | set(WRITING)


@every_statement
def test_it_reads_only_or_writes_as_its_verb_says(name: str) -> None:
    statement = parsed(name)

    if verb_of(name) in READING:
        assert isinstance(statement, exp.Describe if verb_of(name) == "describe" else exp.Query)
        assert list(statement.find_all(*WRITES)) == []
    else:
        assert isinstance(statement, WRITING[verb_of(name)])


@every_statement
def test_it_inserts_nothing_but_by_merge(name: str) -> None:
    # The connector sends a statement again whose answer was lost: a bare INSERT would then be there twice.
    bare = [insert for insert in parsed(name).find_all(exp.Insert) if insert.find_ancestor(exp.Merge) is None]

    assert bare == []


def test_the_proof_that_we_may_write_changes_nothing() -> None:
    where = parsed("prove_write").args["where"]

    assert where.this == exp.false()


@every_statement
def test_a_table_is_created_so_that_doing_it_twice_is_harmless(name: str) -> None:
    statement = parsed(name)

    if isinstance(statement, exp.Create):
        assert statement.args.get("replace") or statement.args.get("exists")


@every_statement
def test_every_table_is_one_of_the_settings_by_its_three_levels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # With other names than the usual ones, a name written into the file would show.
    for position, setting in enumerate(table_settings()):
        monkeypatch.setenv(f"FEATURE_SYNC_{setting.upper()}", f"cat_{position}.sch_{position}.tab_{position}")
    statement = parsed(name)
    settings = load_settings()
    known = {getattr(settings, setting) for setting in table_settings()}
    own = {cte.alias for cte in statement.find_all(exp.CTE)}

    found = {".".join(part.name for part in table.parts) for table in statement.find_all(exp.Table)} - own

    assert found
    assert found <= known


@every_file
def test_nothing_is_put_into_it_but_table_names_and_the_field_table(path: Path) -> None:
    parsed_template = template(path)

    used = {
        attribute.attr
        for attribute in parsed_template.find_all(nodes.Getattr)
        if isinstance(attribute.node, nodes.Name) and attribute.node.name == "settings"
    }
    bare = {
        name.name
        for output in parsed_template.find_all(nodes.Output)
        for name in output.nodes
        if isinstance(name, nodes.Name) and name.name == "settings"
    }

    assert meta.find_undeclared_variables(parsed_template) - {"settings", "fields"} == (
        {"records"} if path == PLACING else NAMES.get(path.stem, set())
    )
    assert used <= set(table_settings()) | SETTINGS.get(str(path.relative_to(SQL_FOLDER).with_suffix("")), set())
    assert bare == set()


@every_file
def test_it_includes_fragments_of_this_folder_and_none_that_is_chosen_at_run_time(path: Path) -> None:
    parsed_template = template(path)
    included = set(meta.find_referenced_templates(parsed_template))

    if path == PLACING:
        chosen_by = [include.template for include in parsed_template.find_all(nodes.Include)]
        assert {template.name for template in chosen_by if isinstance(template, nodes.Name)} == {"records"}
        assert included == {None}
        included = set()

    assert None not in included
    # Whoever includes the freezing says by a constant which records are frozen.
    chosen = {
        assignment.node.value
        for assignment in parsed_template.find_all(nodes.Assign)
        if isinstance(assignment.target, nodes.Name) and assignment.target.name == "records"
        if isinstance(assignment.node, nodes.Const)
    }
    assert len(chosen) == (f"fragments/{FREEZING.name}" in included)
    assert all((SQL_FOLDER / str(fragment)).is_file() for fragment in chosen | included)


def test_only_the_schema_renders_names_and_they_are_those_of_the_settings() -> None:
    settings = load_settings()
    known = {getattr(settings, setting) for setting in table_settings()}
    plugins = SQL_FOLDER.parents[1] / "plugins"

    renders = {
        path.name
        for path in plugins.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if call.func.attr in ("execute", "fetch_all")
        if len(call.args) > 2 or any(keyword.arg in (None, "names") for keyword in call.keywords)
    }

    assert renders == {"schema.py"}
    assert {table.name for table in own_tables(settings)} | set(source_columns(settings)) == known
    assert {table.definition for table in own_tables(settings)} == COLUMN_LISTS


@every_file
def test_it_ends_with_a_line_break_and_has_no_tab_or_trailing_space(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert text.endswith("\n")
    assert "\t" not in text
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


@every_statement
def test_it_is_used(name: str) -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (SQL_FOLDER.parents[1] / "plugins").rglob("*.py"))

    by_setting = {f"select_{query}" for query in SourceQuery}
    assert f'"{name}"' in code or name in by_setting


@pytest.mark.parametrize("fragment", sorted({path.stem for path in (SQL_FOLDER / "fragments").glob("*.sql")} - COLUMN_LISTS))
def test_a_fragment_is_included_somewhere(fragment: str) -> None:
    assert any(f'"fragments/{fragment}.sql"' in path.read_text(encoding="utf-8") for path in FILES)


def defined_columns(fragment: str) -> list[str]:
    text = f"CREATE TABLE t (\n{render_statement(f'fragments/{fragment}', load_settings())}\n)"
    created = sqlglot.parse_one(text, dialect="databricks")
    assert all(re.fullmatch(r"[a-z][a-z0-9_]* [A-Z]+,?", line) for line in text.splitlines()[1:-1]), "one column a line"
    return [column.name for column in created.find_all(exp.ColumnDef)]


@pytest.mark.parametrize(
    ("fragment", "statement"),
    [
        ("payload_columns", "freeze_payload"),
        ("payload_columns", "freeze_undo"),
        ("sync_log_columns", "record_attempt"),
        ("rejection_columns", "record_rejections"),
        ("drift_columns", "record_drift"),
    ],
)
def test_a_table_has_the_columns_that_its_statement_writes(fragment: str, statement: str) -> None:
    [insert] = [found for found in parsed(statement).find_all(exp.Insert) if found.find_ancestor(exp.Merge)]

    written = [column.name for column in insert.this.expressions]

    filled_later = {"released_at"}
    assert sorted(set(defined_columns(fragment)) - filled_later) == sorted(written)
    assert len(written) == len(insert.expression.expressions)


def test_the_batch_table_is_made_as_it_is_staged() -> None:
    staged = parsed("stage_batch").expression

    assert defined_columns("batch_columns") == [column.alias_or_name for column in staged.expressions]


def test_the_join_whose_absence_was_the_incident_is_there() -> None:
    settings = load_settings()
    joins = list(parsed("freeze_payload").find_all(exp.Join))

    features = [join for join in joins if ".".join(part.name for part in join.this.parts) == settings.features_table]

    assert features
    for join in features:
        assert join.side == "LEFT"
        assert join.args["on"].sql(dialect="databricks") == "CAST(properties.id AS STRING) = features.property_id"


def test_the_staged_batch_has_the_mapped_columns_and_the_two_that_are_not_mapped() -> None:
    query = parsed("stage_batch").expression

    assert [column.alias_or_name for column in query.expressions] == [*load_settings().fields.columns, "run_id", "batch_number"]
