"""Every file of ``include/sql``: one statement that Databricks parses, on our tables only, with nothing put into it but names."""

import ast
import re
from pathlib import Path

import pytest
import sqlglot
from jinja2 import Environment, meta, nodes
from sqlglot import exp

from feature_sync.config.settings import Settings, SourceQuery, load_settings
from feature_sync.storage.marks import own_tables, written_table
from feature_sync.storage.source_tables import source_columns
from feature_sync.storage.warehouse import SQL_FOLDER, render_statement
from tests.sql.statements import FILES, NAMES, STATEMENTS, every_statement, name_of, parse, parsed, rendered, texts_of

READING = {"check", "compare", "count", "describe", "find", "list", "measure", "select", "summarize", "validate"}
WRITING = {
    "add": (exp.Alter,),
    "assign": (exp.Merge,),
    "create": (exp.Create,),
    "delete": (exp.Delete,),
    "freeze": (exp.Merge,),
    "prove": (exp.Delete,),
    "record": (exp.Merge,),
    "release": (exp.Update,),
    "revoke": (exp.Update,),
    "stage": (exp.Insert,),
}
"""What a file's verb promises. Each is harmless when it is executed twice; the second `add` is refused."""
WRITES: tuple[type[exp.Expr], ...] = (exp.Alter, exp.Create, exp.Delete, exp.Merge, exp.Insert, exp.Update, exp.Drop)
COLUMN_LISTS = {
    "accepted_difference",
    "approval",
    "batch",
    "difference",
    "drift",
    "payload",
    "read_back",
    "rejection",
    "sync_log",
}
"""Files of ``tables/columns`` that define the columns of our tables."""

CHOSEN = {"records", "found", "look"}
"""Names that stand for a fragment."""
TEMPLATE_NAMES = {
    "fragments/placed_records": {"records"},
    "fragments/assign_records": {"records", "batch_number"},
    "fragments/counted_differences": {"found"},
    "fragments/measured_drift": {"look"},
}
"""The only files that include another by one of these, and the names that others set for them."""
CHOOSING = {
    "fragments/counted_differences.sql": {"found"},
    "fragments/measured_drift.sql": {"found", "look"},
    "fragments/freeze_records.sql": {"records"},
    "fragments/assign_records.sql": {"records", "batch_number"},
    "fragments/placed_records.sql": {"records"},
}
"""They, or what leads to them. The statement that includes one of them sets these names."""
SETTINGS = {
    "backfill/select_other_runs": {"census_run_limit_seconds", "copy_limit_seconds"},
    "sending/check_batch": {"copy_limit_seconds"},
    "replica/check_replica": {"copy_limit_seconds"},
    "fragments/sent_fields": {"copy_limit_seconds"},
    "fragments/compared_records": {"name_column", "parent_column", "properties_deleted_column", "watches_siblings"},
    "fragments/described_properties": {"name_column", "company_column", "properties_deleted_column"},
    "fragments/placed_records": {"parent_column"},
    "fragments/pilot_strata": {"twin_column"},
    "fragments/feature_rows": {"merges_siblings"},
    "fragments/sibling_rows": {"merges_siblings"},
    "fragments/family_members": {"twin_column", "placeholder_sfdc_ids", "properties_deleted_column"},
    "fragments/named_properties": {"features_deleted_column"},
    "fragments/repeated_properties": {"properties_deleted_column"},
    "fragments/known_properties": {"properties_deleted_column"},
    "fragments/differs": {"watches_siblings"},
    "fragments/classified_records": {"watches_siblings"},
    "fragments/records_left_out": {"watches_siblings"},
    "fragments/differences": {"watches_siblings"},
    "fragments/judged_acceptances": {"accepted_days_limit"},
    "reconciliation/select_acceptances": {"accepted_warning_days"},
    "backfill/select_mismatches": {"watches_siblings"},
    "fragments/own_feature_rows": {"features_order_column", "features_deleted_column"},
    "fragments/is_synced_property": {"synced_statuses", "placeholder_sfdc_ids", "properties_deleted_column"},
    "verify/count_keys": {"watches_siblings"},
    "verify/count_twins": {"twin_column", "placeholder_sfdc_ids", "properties_deleted_column"},
    "fragments/properties_of_unknown_status": {"all_known_statuses", "properties_deleted_column"},
}
"""What else than table names is taken from the settings: names of columns, statuses, a pattern and days, which they validate."""

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SQL_FOLDER)))


def template(path: Path) -> nodes.Template:
    return Environment(autoescape=False).parse(path.read_text(encoding="utf-8"))  # noqa: S701 - parsed only


def verb_of(name: str) -> str:
    return name.rpartition("/")[2].partition("_")[0]


def table_settings() -> list[str]:
    return [name for name in Settings.model_fields if name.endswith("_table")]


def test_there_is_something_to_check() -> None:
    assert len(STATEMENTS) >= 17
    assert len(FILES) > len(STATEMENTS)


@every_statement
def test_it_is_one_statement_in_databricks_sql(name: str) -> None:
    text = rendered(name)

    statements = parse(text)

    assert len(statements) == 1
    assert not isinstance(statements[0], exp.Command), "sqlglot does not understand it"
    assert ";" not in re.sub("--.*", "", text)


@every_statement
def test_it_is_named_by_what_it_does_and_to_what(name: str) -> None:
    assert re.fullmatch(r"[a-z]+/[a-z]+(_[a-z]+)+", name)
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
def test_it_inserts_nothing_but_by_merge_or_by_overwriting(name: str) -> None:
    # The connector sends a statement again whose answer was lost: a bare INSERT would then be there twice.
    bare = [insert for insert in parsed(name).find_all(exp.Insert) if insert.find_ancestor(exp.Merge) is None]

    assert [insert for insert in bare if not insert.args.get("overwrite")] == []


@every_statement
def test_the_table_that_it_changes_is_known_so_that_its_mark_can_be_proven(name: str) -> None:
    statement = parsed(name)

    target = statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
    changes = isinstance(statement, WRITES) and not isinstance(statement, exp.Create)

    assert written_table(rendered(name)) == (".".join(part.name for part in target.parts) if changes else None)


@every_statement
def test_it_neither_drops_nor_replaces_a_table(name: str) -> None:
    statement = parsed(name)

    assert not isinstance(statement, exp.Drop)
    assert not statement.args.get("replace")


def test_the_proof_that_we_may_write_changes_nothing() -> None:
    where = parsed("tables/prove_write").args["where"]

    assert where.this == exp.false()


@every_statement
def test_a_table_is_created_so_that_doing_it_twice_is_harmless(name: str) -> None:
    statement = parsed(name)

    if isinstance(statement, exp.Create):
        assert statement.args.get("exists")


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

    assert found or name == "tables/measure_clock"
    assert {table for table in found if not table.startswith("system.information_schema.")} <= known


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

    assert meta.find_undeclared_variables(parsed_template) - {"settings", "fields", "columns_of"} == (
        TEMPLATE_NAMES.get(name_of(path), NAMES.get(name_of(path), set()))
    )
    assert used <= set(table_settings()) | SETTINGS.get(name_of(path), set())
    assert bare == set()


@every_file
def test_it_includes_fragments_of_this_folder_and_none_that_is_chosen_at_run_time(path: Path) -> None:
    parsed_template = template(path)
    included = set(meta.find_referenced_templates(parsed_template))

    if name_of(path) in TEMPLATE_NAMES:
        chosen_by = [include.template for include in parsed_template.find_all(nodes.Include)]
        names = {template.name for template in chosen_by if isinstance(template, nodes.Name)}
        assert names == TEMPLATE_NAMES[name_of(path)] & CHOSEN
        included.remove(None)

    assert None not in included
    # Whoever includes one of them says by constants what of, and nothing else.
    constants = {
        assignment.target.name: assignment.node.value
        for assignment in parsed_template.find_all(nodes.Assign)
        if isinstance(assignment.target, nodes.Name)
        if isinstance(assignment.node, nodes.Const)
    }
    leads_to_them = path.relative_to(SQL_FOLDER).as_posix() in CHOOSING
    wanted = set().union(*(names for fragment, names in CHOOSING.items() if fragment in included and not leads_to_them))
    assert wanted <= set(constants)
    assert constants.keys() & CHOSEN == wanted & CHOSEN
    chosen = {constants[name] for name in wanted & CHOSEN}
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

    assert renders == {"candidates.py", "freshness.py", "privileges.py", "tables.py", "value_check.py", "warehouse.py"}
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

    by_setting = {query.statement for query in SourceQuery}
    assert f'"{name}"' in code or name in by_setting


@pytest.mark.parametrize("fragment", sorted(path.stem for path in (SQL_FOLDER / "fragments").glob("*.sql")))
def test_a_fragment_is_included_somewhere(fragment: str) -> None:
    assert any(f'"fragments/{fragment}.sql"' in path.read_text(encoding="utf-8") for path in FILES)


def defined_columns(table: str) -> list[str]:
    text = f"CREATE TABLE t (\n{render_statement(f'tables/columns/{table}', load_settings())}\n)"
    created = sqlglot.parse_one(text, dialect="databricks")
    assert all(re.fullmatch(r"[a-z][a-z0-9_]* [A-Z]+,?", line) for line in text.splitlines()[1:-1]), "one column a line"
    return [column.name for column in created.find_all(exp.ColumnDef)]


@pytest.mark.parametrize(
    ("table", "statement", "filled_later"),
    [
        ("payload", "backfill/freeze_payload", {"batch_number", "released_at"}),
        ("payload", "backfill/freeze_undo", {"batch_number", "released_at"}),
        ("sync_log", "sending/record_attempt", set()),
        ("rejection", "sending/record_rejections", set()),
        ("difference", "reconciliation/record_differences", set()),
        ("drift", "reconciliation/record_drift", set()),
        ("accepted_difference", "reconciliation/record_acceptances", set()),
    ],
)
def test_a_table_has_the_columns_that_its_statement_writes(table: str, statement: str, filled_later: set[str]) -> None:
    [insert] = [found for found in parsed(statement).find_all(exp.Insert) if found.find_ancestor(exp.Merge)]

    written = [column.name for column in insert.this.expressions]

    assert sorted(set(defined_columns(table)) - filled_later) == sorted(written)
    assert [column.name for column in insert.expression.expressions] == written


def test_the_batch_table_is_made_as_it_is_staged() -> None:
    staged = parsed("sending/stage_batch")

    selected = [column.alias_or_name for column in staged.expression.expressions]
    assert defined_columns("batch") == selected == [column.name for column in staged.this.expressions]


def test_the_join_whose_absence_was_the_incident_is_there() -> None:
    statement = parsed("backfill/freeze_payload")
    [rows] = [query for query in statement.find_all(exp.CTE) if query.alias == "feature_rows"]

    features = [join for join in statement.find_all(exp.Join) if join.this.name == "feature_rows"]

    assert load_settings().features_table in {".".join(part.name for part in table.parts) for table in rows.find_all(exp.Table)}
    assert features
    for join in features:
        assert join.side == "LEFT"
        assert join.args["on"].sql(dialect="databricks") == "CAST(properties.id AS STRING) = features.property_id"


def key_of(query: exp.Expr) -> str:
    """What a query yields one row for: what it is grouped by, also if the rows that do not repeat it are taken as they are."""
    if isinstance(query, exp.Union):
        [repeated] = [each.this for each in query.args["with_"].expressions if each.alias == "repeated"]
        [without] = query.left.args["joins"]
        assert (without.kind, without.this.name) == ("ANTI", "repeated")
        assert repeated.args["having"].this.sql() == "COUNT(*) > 1"
        assert repeated.find(exp.Table).sql() == query.left.find(exp.Table).sql()
        repeats = repeated.args["group"].expressions[0]
        assert without.args["on"].sql() == f"repeated.{repeats.name} = {repeats.sql()}"
        query = query.right
        assert query.args["group"].expressions[0].name == repeats.name
    return query.args["group"].expressions[0].sql(dialect="databricks")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=f"{variant}-{name}")
        for name in ("backfill/freeze_payload", "reconciliation/compare_systems", *(query.statement for query in SourceQuery))
        for variant, text in texts_of(name).items()
    ],
)
def test_what_the_feature_table_says_comes_from_one_row_a_property(text: str) -> None:
    [statement] = parse(text)
    assert statement is not None
    queries = [query.this for query in statement.find_all(exp.CTE) if query.alias == "feature_rows"]

    assert queries
    for query in queries:
        # Either one row itself, or the members of the families joined with what is one row.
        parts = [query] if isinstance(query, exp.Union) else [each.this for each in query.args["with_"].expressions]
        keys = [key_of(part) for part in parts]
        assert "property_id" in keys
        assert set(keys) <= {"property_id", "CAST(properties.id AS STRING)", "members.twin"}
        assert len(set(keys)) == len(parts)
    # What only looks for names that match no property has no values.
    names = [query.this for query in statement.find_all(exp.CTE) if query.alias == "named"]
    assert all(query.args["distinct"] and query.named_selects == ["property_id"] for query in names)
    queries += names
    read = {id(table) for table in statement.find_all(exp.Table) if table.name == load_settings().features_table.split(".")[2]}
    assert read == {id(table) for query in queries for table in query.find_all(exp.Table) if id(table) in read}


def test_the_staged_batch_has_the_mapped_columns_and_the_two_that_are_not_mapped() -> None:
    query = parsed("sending/stage_batch").expression

    assert [column.alias_or_name for column in query.expressions] == [*load_settings().fields.columns, "run_id", "batch_number"]


def test_what_the_log_keeps_of_an_attempt_is_a_parameter_except_for_the_clock() -> None:
    parameters = {placeholder.this for placeholder in parsed("sending/record_attempt").find_all(exp.Placeholder)}
    updated = {
        column.this.name for column in parsed("sending/record_attempt").find_all(exp.EQ) if column.find_ancestor(exp.Update)
    }
    read = [column.alias_or_name for column in parsed("sending/select_last_attempts").selects]

    columns = defined_columns("sync_log")

    assert parameters == set(columns) - {"opened_at", "closed_at"}
    assert set(columns) - updated == {
        *("run_id", "batch_number", "attempt"),
        *("opened_at", "records", "resends_attempt", "previous_sync_run_id"),
    }
    assert read == ["seen_at", "batch_records", *columns]


@every_statement
def test_no_query_has_the_name_of_one_around_it(name: str) -> None:
    # Spark 3 refuses that (spark.sql.legacy.ctePrecedencePolicy), and nobody could read it.
    shadowing = []
    for query in parsed(name).find_all(exp.CTE):
        around = query.parent
        while around is not None:
            clause = around.args.get("with_")
            names = (
                [each.alias for each in clause.expressions if each is not query] if clause and clause is not query.parent else []
            )
            if query.alias in names:
                shadowing.append(query.alias)
            around = around.parent

    assert shadowing == []
