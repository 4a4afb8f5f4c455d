"""Every file of ``include/sql``: one statement that Databricks parses, on our tables only, with nothing put into it but names."""

import re
from pathlib import Path

import pytest
import sqlglot
from jinja2 import Environment, meta, nodes
from sqlglot import exp

from feature_sync.settings import Settings, load_settings
from feature_sync.warehouse import SQL_FOLDER, render_statement

STATEMENTS = sorted(path.stem for path in SQL_FOLDER.glob("*.sql"))
FILES = sorted(SQL_FOLDER.rglob("*.sql"))
READING = {"check", "compare", "count", "find", "list", "measure", "select", "summarize", "validate"}
WRITING = {
    "create": (exp.Create,),
    "delete": (exp.Delete,),
    "freeze": (exp.Merge,),
    "record": (exp.Merge,),
    "stage": (exp.Create,),
}
"""What a file's verb promises. Each of these statements is harmless when it is executed twice."""
WRITES: tuple[type[exp.Expression], ...] = (exp.Create, exp.Delete, exp.Merge, exp.Insert, exp.Update, exp.Drop)

every_statement = pytest.mark.parametrize("name", STATEMENTS)
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SQL_FOLDER)))


def parsed(name: str) -> exp.Expression:
    [statement] = sqlglot.parse(render_statement(name, load_settings()), dialect="databricks")
    assert statement is not None
    return statement


def verb_of(name: str) -> str:
    return name.partition("_")[0]


def table_settings() -> list[str]:
    return [name for name in Settings.model_fields if name.endswith("_table")]


def test_there_is_something_to_check() -> None:
    assert len(STATEMENTS) >= 17
    assert len(FILES) > len(STATEMENTS)


@every_statement
def test_it_is_one_statement_in_databricks_sql(name: str) -> None:
    text = render_statement(name, load_settings())

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
        assert isinstance(statement, exp.Query)
        assert list(statement.find_all(*WRITES)) == []
    else:
        assert isinstance(statement, WRITING[verb_of(name)])


@every_statement
def test_it_inserts_nothing_but_by_merge(name: str) -> None:
    # The connector sends a statement again whose answer was lost: a bare INSERT would then be there twice.
    bare = [insert for insert in parsed(name).find_all(exp.Insert) if insert.find_ancestor(exp.Merge) is None]

    assert bare == []


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
    template = Environment(autoescape=False).parse(path.read_text(encoding="utf-8"))  # noqa: S701 - parsed only

    used = {
        attribute.attr
        for attribute in template.find_all(nodes.Getattr)
        if isinstance(attribute.node, nodes.Name) and attribute.node.name == "settings"
    }
    bare = {
        name.name
        for output in template.find_all(nodes.Output)
        for name in output.nodes
        if isinstance(name, nodes.Name) and name.name == "settings"
    }

    assert meta.find_undeclared_variables(template) <= {"settings", "fields"}
    assert used <= set(table_settings())
    assert bare == set()
    # Includes bring fragments of this folder and nothing that is chosen at run time.
    assert None not in set(meta.find_referenced_templates(template))


@every_file
def test_it_ends_with_a_line_break_and_has_no_tab_or_trailing_space(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert text.endswith("\n")
    assert "\t" not in text
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


@every_statement
def test_it_is_used(name: str) -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (SQL_FOLDER.parents[1] / "plugins").rglob("*.py"))

    assert f'"{name}"' in code


@pytest.mark.parametrize("fragment", sorted(path.name for path in (SQL_FOLDER / "fragments").glob("*.sql")))
def test_a_fragment_is_included_somewhere(fragment: str) -> None:
    assert any(f'"fragments/{fragment}"' in path.read_text(encoding="utf-8") for path in FILES)


def test_the_join_whose_absence_was_the_incident_is_there() -> None:
    settings = load_settings()
    joins = list(parsed("freeze_payload").find_all(exp.Join))

    [features] = [join for join in joins if ".".join(part.name for part in join.this.parts) == settings.features_table]

    assert features.side == "LEFT"
    assert features.args["on"].sql(dialect="databricks") == "CAST(properties.id AS STRING) = features.property_id"


def test_the_staged_batch_has_the_mapped_columns_and_the_two_that_are_not_mapped() -> None:
    query = parsed("stage_batch").expression

    assert [column.alias_or_name for column in query.expressions] == [*load_settings().fields.columns, "run_id", "batch_number"]
