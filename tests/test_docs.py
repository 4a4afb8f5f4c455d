"""What the pages say of names, defaults and commands is compared with the code."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from feature_sync.backfill.payload_guards import Guard
from feature_sync.config.fields import load_fields
from feature_sync.config.names import BACKFILL_DAG_ID, CENSUS_CONN_ID, CENSUS_POOL, DATABRICKS_CONN_ID, RECONCILIATION_DAG_ID
from feature_sync.config.run_config import DEFAULTS, Scope, Strategy
from feature_sync.config.settings import HealingMode, Settings, SourceQuery, load_settings
from feature_sync.config.wording import duration
from feature_sync.forecast.duration import forecast
from feature_sync.orchestration.assets import VALIDATED_FEATURES
from feature_sync.orchestration.pool import CREATE_POOL
from feature_sync.reconciliation.drift import UNHEALABLE, DriftClass
from feature_sync.reconciliation.report import MAX_DIFFERENCES
from feature_sync.sending.pacing import SECONDS_PER_BATCH
from laptop import reference, scale
from laptop.compose_env import new_values

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "plugins" / "feature_sync"
PAGES = {page.stem: page for page in [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]}
ALL_PAGES = {**PAGES, "sandbox": PROJECT / "sandbox" / "README.md"}
TEXT = {name: page.read_text(encoding="utf-8") for name, page in ALL_PAGES.items()}
WRITTEN = [name for name in PAGES if name != "reference"]
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
every_page = pytest.mark.parametrize("name", ALL_PAGES)


def table_after(page: str, header: str) -> list[list[str]]:
    assert TEXT[page].count(header) == 1, f"{page} has not exactly one table {header}"
    rows = []
    for line in TEXT[page].split(header, 1)[1].splitlines()[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    assert rows
    return rows


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([\w./]+)`", cell)


def first_names(page: str, header: str) -> list[str]:
    return [name for first, *_ in table_after(page, header) for name in names_in(first)]


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors_of(text: str) -> set[str]:
    return {reference.anchor(heading) for heading in re.findall(r"^#+ (.+)$", without_code(text), flags=re.MULTILINE)}


def links_of(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", without_code(text))


class TestLinks:
    @every_page
    def test_every_link_leads_to_a_file_and_to_a_heading_in_it(self, name: str) -> None:
        wrong = []
        for link in links_of(TEXT[name]):
            target = urlsplit(link)
            if target.scheme:
                continue
            file = (ALL_PAGES[name].parent / target.path).resolve() if target.path else ALL_PAGES[name]
            has_heading = not target.fragment or (
                file.suffix == ".md" and target.fragment in anchors_of(file.read_text(encoding="utf-8"))
            )
            if not file.exists() or not has_heading:
                wrong.append(link)

        assert wrong == []

    @every_page
    def test_no_heading_is_there_twice(self, name: str) -> None:
        headings = re.findall(r"^#+ (.+)$", without_code(TEXT[name]), flags=re.MULTILINE)

        assert sorted(headings) == sorted(set(headings))

    @pytest.mark.parametrize("name", [name for name in PAGES if name != "README"])
    def test_the_readme_and_the_contents_lead_to_every_page_and_heading(self, name: str) -> None:
        sections = re.findall(r"^## (.+)$", without_code(TEXT[name]), flags=re.MULTILINE)

        assert f"docs/{name}.md" in links_of(TEXT["README"])
        assert [link for link in links_of(TEXT[name]) if link.startswith("#")][: len(sections)] == [
            f"#{reference.anchor(section)}" for section in sections
        ]


class TestReference:
    def test_it_is_what_the_code_says(self) -> None:
        assert TEXT["reference"] == reference.render(), "Run `make docs`."

    def test_it_has_every_parameter_setting_guard_and_default(self) -> None:
        assert first_names("reference", "| parameter | default | allowed | meaning |") == list(DEFAULTS)
        assert {
            name.lower().removeprefix("feature_sync_")
            for name in first_names("reference", "| setting | default | allowed | meaning |")
        } == set(Settings.model_fields)
        assert first_names("reference", "| guard | refuses |") == [guard.value for guard in Guard]

    def test_it_does_not_depend_on_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEATURE_SYNC_PAYLOAD_TABLE", "a.b.c")
        monkeypatch.setenv("FEATURE_SYNC_GUARD_DISABLE_SHARE", "0.9")

        assert reference.render() == TEXT["reference"]

    def test_it_leaves_no_cell_without_a_meaning(self) -> None:
        for header in (
            "| parameter | default | allowed | meaning |",
            "| setting | default | allowed | meaning |",
            "| guard | refuses |",
        ):
            assert [row for row in table_after("reference", header) if not all(row)] == []


class TestNames:
    @every_page
    def test_every_make_target_exists(self, name: str) -> None:
        named = set(re.findall(r"`make ([\w-]+)|^make ([\w-]+)", TEXT[name], flags=re.MULTILINE))

        for target in {a or b for a, b in named}:
            assert re.search(rf"^(?:[\w-]+ )*{target}(?: [\w-]+)*:", MAKEFILE, flags=re.MULTILINE), target

    @pytest.mark.parametrize("name", WRITTEN)
    def test_every_setting_that_is_named_exists(self, name: str) -> None:
        others = {"UNABLE_TO_LOCK_ROW", "CANNOT_EXECUTE_FLOW_TRIGGER", "CHANGED_SINCE_FREEZE", "FORMER_PATHS", *new_values()}
        named = set(re.findall(r"`(?:FEATURE_SYNC_)?([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", TEXT[name])) - others
        ours = {word for word in named if not word.startswith("AIRFLOW_")}

        assert {word.lower() for word in ours} <= set(Settings.model_fields)

    def test_settings_are_named_at_all(self) -> None:
        assert all(f"`{name}`" in TEXT["deploy"] for name in ("CENSUS_SYNC_ID", "OUTPUT_PATH", "APPROVAL_USERS"))

    @pytest.mark.parametrize("name", [CENSUS_CONN_ID, DATABRICKS_CONN_ID])
    def test_the_commands_use_the_connections_of_the_code(self, name: str) -> None:
        assert f" {name} " in TEXT["deploy"]

    def test_the_commands_use_the_pool_of_the_code(self) -> None:
        assert CREATE_POOL in TEXT["deploy"]
        assert f"`{CENSUS_POOL}`" in TEXT["deploy"]

    @pytest.mark.parametrize("name", WRITTEN)
    def test_every_path_that_is_named_exists(self, name: str) -> None:
        tops = "dags|docs|include|laptop|plugins|sandbox|tests"
        paths = re.findall(rf"`((?:{tops})/[\w./-]*)`", without_code(TEXT[name]))

        assert [path for path in paths if not (PROJECT / path).exists()] == []


class TestReadme:
    def test_it_is_short(self) -> None:
        assert len(TEXT["README"].splitlines()) <= 130

    def test_every_folder_exists(self) -> None:
        folders = first_names("README", "| folder | what is in it |")

        assert [folder for folder in folders if not (PROJECT / folder).is_dir()] == []

    def test_the_dags_are_those_of_the_code(self) -> None:
        dags = {path.stem for path in (PROJECT / "dags").glob("*.py")}

        assert set(first_names("README", "| DAG | what it does | when it runs |")) == dags


class TestRunABackfill:
    def test_every_guard_has_a_cure(self) -> None:
        assert sorted(first_names("run_a_backfill", "| guard | what to do |")) == sorted(guard.value for guard in Guard)

    def test_scopes_and_strategies_are_those_of_the_code(self) -> None:
        assert set(first_names("run_a_backfill", "| scope | records | use it |")) == set(Scope)
        assert first_names("run_a_backfill", "| strategy | batches | use it |") == list(Strategy)

    def test_the_tasks_are_those_of_the_dag(self) -> None:
        named = first_names("run_a_backfill", "| task | what it does |")
        files = (PROJECT / "dags" / f"{BACKFILL_DAG_ID}.py", PACKAGE / "pilot" / "task_group.py")
        text = "".join(file.read_text(encoding="utf-8") for file in files)

        groups = {f"{group}.{task}" for group in ("probe", "batch") for task in ("wait_for_turn", "send")}
        assert groups <= set(named)
        assert set(named) - groups == set(re.findall(r"@task[^\n]*\n    def (\w+)|", text)) - {""} | set(
            re.findall(r'task_id="(\w+)"', text)
        )

    def test_payloads_are_kept_as_long_as_it_says(self) -> None:
        assert f"`PAYLOAD_DAYS` ({load_settings().payload_days})" in TEXT["run_a_backfill"]


class TestScale:
    def test_the_tables_are_what_the_code_computes(self) -> None:
        assert set(re.findall(r"<!-- simulation: (\w+) -->", TEXT["scale"])) == set(scale.TABLES)
        assert TEXT["scale"] == scale.filled(TEXT["scale"]), "Run `make docs`."

    def test_the_numbers_between_the_tables_are_too(self) -> None:
        largest = forecast(scale.SIZE * scale.MAX_MAP_LENGTH, Strategy.BATCHED, scale.SIZE, scale.WAIT)
        different = forecast(5_000, Strategy.BATCHED, scale.SIZE, scale.WAIT)

        assert f"at most {largest.records:,} records (at {scale.SIZE} a batch)" in TEXT["scale"]
        assert f"{largest.api_calls:,} for {largest.batches:,} batches" in TEXT["scale"]
        assert f"they are {different.batches} batches, {duration(different.seconds)}." in TEXT["scale"]
        assert f"the simulation uses {SECONDS_PER_BATCH}" in TEXT["scale"]
        assert f"`CENSUS_RUN_LIMIT_SECONDS` ({reference.checked_in_settings().census_run_limit_seconds})" in TEXT["scale"]


class TestReconciliation:
    def test_the_classes_of_differences_are_those_of_the_code(self) -> None:
        rows = table_after("reconciliation", "| class | what it means | healed by a backfill |")
        documented = {name: healed.startswith("yes") for names, _, healed in rows for name in names_in(names)}

        assert documented == {kind.value: kind not in UNHEALABLE for kind in DriftClass}
        assert f"at most {MAX_DIFFERENCES:,} differences of each class" in TEXT["reconciliation"]

    def test_the_ways_of_healing_and_the_queries_are_those_of_the_code(self) -> None:
        assert first_names("reconciliation", "| value | what happens |") == list(HealingMode)
        assert first_names("reconciliation", "| `SOURCE_QUERY` | statement | in the incident's plan |") == list(SourceQuery)

    def test_the_tasks_are_those_of_the_dag(self) -> None:
        named = set(first_names("reconciliation", "| task | what it does |"))
        text = (PROJECT / "dags" / f"{RECONCILIATION_DAG_ID}.py").read_text(encoding="utf-8")

        assert all(re.search(rf'def {task}\(|"{task}"', text) for task in named)

    def test_the_asset_has_the_name_of_the_code(self) -> None:
        assert f'Asset("{VALIDATED_FEATURES.name}")' in TEXT["reconciliation"]


class TestDeploy:
    def test_the_field_table_is_the_one_of_the_code(self) -> None:
        rows = table_after("deploy", "| column | Salesforce field |")

        assert rows == [[f"`{field.column}`", f"`{field.salesforce_name}`"] for field in load_fields()]
        assert f"the {len(rows)} columns" in TEXT["deploy"]


class TestWhereThingsAre:
    def test_the_rooms_are_those_of_the_package_and_their_lines_are_the_code_s(self) -> None:
        rows = table_after("where_things_are", "| room | what it is for |")
        lines = {path.parent.name: path.read_text(encoding="utf-8").strip().strip('"') for path in PACKAGE.glob("*/__init__.py")}

        assert {name: line for first, line in rows for name in names_in(first)} == lines

    def test_the_floors_are_those_that_the_layout_allows(self) -> None:
        [line] = re.findall(r"^ *task_defaults -> .+$", TEXT["where_things_are"], flags=re.MULTILINE)
        floors = [{room.strip() for room in floor.split(",")} for floor in line.split("->")]
        layout = (PROJECT / "tests" / "test_layout.py").read_text(encoding="utf-8")

        assert floors == [
            set(re.findall(r'"(\w+)"', floor)) for floor in re.findall(r"^    (\{.*\}),$", layout, flags=re.MULTILINE)
        ]
