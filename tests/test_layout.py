"""The house: which module lives in which room, which rooms it may import, and where Airflow is spoken."""

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "plugins" / "feature_sync"
SQL = PROJECT / "include" / "sql"
TESTS = PROJECT / "tests"

FLOORS = (
    {"task_defaults"},
    {"verify", "page", "watch"},
    {"reconciliation"},
    {"backfill"},
    {"pilot", "story", "forecast"},
    {"sending", "replica", "checks"},
    {"orchestration", "deployment", "lists"},
    {"report"},
    {"census", "salesforce", "storage"},
    {"config"},
)
"""From the roof down. A room imports itself and the rooms on lower floors."""
TREE = {
    "config": "addresses asked connections green paths fields settings run_config names problems wording",
    "census": "errors access models hook neighbours sources sync_checks sync_settings",
    "salesforce": "errors models hook reader comparison causes read_back org_checks",
    "storage": "descriptions marks warehouse tables source_tables freshness candidates privileges run_files csv_files lines "
    "evidence",
    "lists": "people spreadsheets",
    "orchestration": "dag_runs proofs verdicts approvals assets deferral pool triggers progress channel questions links",
    "report": "facts open_records answers charts page runs",
    "replica": "state sensors triggers mismatches asking",
    "sending": "batches sync_log rejections pacing outcome failure_policy adoption sender operators sensors triggers task_group",
    "deployment": "parsed_query source_query regular_sync mapped_columns value_findings value_check deploy",
    "backfill": "trigger_form preconditions scope payload payload_guards preview plan probing flow_questions validation "
    "operators retention",
    "pilot": "choice question rest result task_group",
    "forecast": "duration",
    "story": "events records __main__",
    "reconciliation": "drift history verdict comparison report acceptances accepting missing trigger_form operators digest",
    "checks": "findings pool_checks table_checks census_checks org_findings",
    "verify": "rights keys clocks surroundings page verification",
    "page": "facts batches estimate headline products progress summary files airflow_tables pool_route routes",
    "watch": "weekly sending operators",
    "task_defaults": "defaults retry_policy alerts alerted causes failure_log explanations",
}
AIRFLOW_ROOMS = {"orchestration", "task_defaults", "storage"}
AIRFLOW_MODULES = {"operators", "sensors", "triggers", "task_group", "trigger_form"}
AIRFLOW_FILES = {
    *(PACKAGE / room / "hook.py" for room in ("census", "salesforce")),
    PACKAGE / "config" / "connections.py",
    *(PACKAGE / "page" / name for name in ("airflow_tables.py", "pool_route.py", "routes.py")),  # they run in the API server
}
MAX_MODULES = 12
MAX_TEST_LINES = 500

FORMER_PATHS = {"approvals.py", "copy_sensors.py", "census/triggers.py"}
"""Aliases for what an earlier version stored in Airflow's database. They only import, and none of our modules imports them."""

MODULES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py" and path.relative_to(PACKAGE).as_posix() not in FORMER_PATHS
)
every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of all modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                assert node.level == 0, f"{path} has a relative import"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported_by(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports_of(path) if name.startswith("feature_sync.")}


def modules_imported_by(path: Path) -> set[str]:
    return {".".join(name.split(".")[1:3]) for name in imports_of(path) if name.startswith("feature_sync.")}


def floor_of(room: str) -> int:
    [floor] = [number for number, rooms in enumerate(FLOORS) if room in rooms]
    return floor


def test_every_module_is_in_the_room_where_the_plan_draws_it() -> None:
    found: dict[str, set[str]] = {}
    for path in MODULES:
        found.setdefault(path.parent.relative_to(PACKAGE).as_posix(), set()).add(path.stem)

    assert found == {room: set(modules.split()) for room, modules in TREE.items()}
    assert set().union(*FLOORS) == set(TREE)


@pytest.mark.parametrize("name", sorted(FORMER_PATHS))
def test_a_former_path_is_an_alias_and_nothing_of_ours_uses_it(name: str) -> None:
    body = ast.parse((PACKAGE / name).read_text(encoding="utf-8")).body
    dotted = name.removesuffix(".py").replace("/", ".")

    assert {type(node) for node in body} == {ast.Expr, ast.ImportFrom, ast.Assign}
    assert [path.name for path in MODULES if dotted in modules_imported_by(path)] == []


@every_module
def test_imports_only_go_down(path: Path) -> None:
    room = path.parent.name

    too_high = {other for other in rooms_imported_by(path) - {room} if floor_of(other) <= floor_of(room)}

    assert too_high == set()


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): modules_imported_by(path) for path in MODULES
    }

    assert list(graphlib.TopologicalSorter(graph).static_order())


@every_module
def test_airflow_is_imported_only_by_the_modules_named_for_it(path: Path) -> None:
    speaks_airflow = any(name.partition(".")[0] == "airflow" for name in imports_of(path))
    may = path.parent.name in AIRFLOW_ROOMS or path.stem in AIRFLOW_MODULES or path in AIRFLOW_FILES

    assert may or not speaks_airflow


@pytest.mark.parametrize("room", sorted(TREE))
def test_a_room_has_at_most_a_dozen_modules_and_one_line_that_says_what_it_is_for(room: str) -> None:
    assert len([path for path in MODULES if path.parent.name == room]) <= MAX_MODULES
    [line] = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8").splitlines()
    assert line.startswith('"""')
    assert line.endswith('."""')


def test_the_sql_has_the_same_rooms() -> None:
    rooms = {path.name for path in SQL.iterdir() if path.is_dir()}

    assert rooms - {"fragments", "tables"} <= set(TREE)
    assert [path.name for path in SQL.glob("*.sql")] == ["macros.sql"]


@every_module
def test_a_statement_is_used_only_from_the_room_that_has_its_name_or_a_room_above(path: Path) -> None:
    used = {
        value.split("/")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(value := node.value, str)
        if re.fullmatch(r"[a-z_]+/[a-z_]+", value) and (SQL / f"{value}.sql").is_file()
    }
    room = path.parent.name

    assert all(other == room or floor_of(other) > floor_of(room) for other in used - {"tables"})
    assert room == "storage" or "tables" not in used


@pytest.mark.parametrize("folder", ["feature_sync", "wire"])
def test_the_tests_have_the_rooms_of_the_package(folder: str) -> None:
    rooms = {path.name for path in (TESTS / folder).iterdir() if path.is_dir() and path.name != "__pycache__"}

    assert rooms
    assert rooms <= set(TREE)


def test_no_test_module_is_longer_than_a_person_reads_at_once() -> None:
    lines = {path.relative_to(TESTS).as_posix(): len(path.read_bytes().splitlines()) for path in TESTS.rglob("*.py")}

    assert {name: count for name, count in lines.items() if count > MAX_TEST_LINES} == {}


def calls_at_import(node: ast.AST) -> Iterator[ast.Call]:
    """Decorators and defaults are computed at import too."""
    later = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else []
    for child in ast.iter_child_nodes(node):
        if child in (later if isinstance(later, list) else [later]):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from calls_at_import(child)


def test_a_test_asks_the_clock_only_while_it_runs() -> None:
    """What it knows of the time from its import is wrong when midnight passes before its turn."""
    asked = [
        f"{path.relative_to(TESTS).as_posix()}:{call.lineno}"
        for path in sorted(TESTS.rglob("*.py"))
        for call in calls_at_import(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call.func, ast.Attribute)
        and ast.unparse(call.func).endswith((".now", ".utcnow", ".today", "time.time", "time.strftime"))
    ]

    assert asked == []
