"""What the README says of names, defaults and commands is held against the code."""

import re
from pathlib import Path

import pytest

from feature_sync.assets import VALIDATED_FEATURES
from feature_sync.fields import load_fields
from feature_sync.payload_guards import Guard
from feature_sync.reconciliation import UNHEALABLE, DriftClass
from feature_sync.report import MOST_DIFFERENCES
from feature_sync.run_config import DEFAULTS
from feature_sync.settings import CENSUS_CONN_ID, CENSUS_POOL, DATABRICKS_CONN_ID, Settings, load_settings
from laptop.compose_env import new_values

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def table_after(header: str) -> list[list[str]]:
    lines = README.split(header, 1)[1].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_field_table_is_the_one_of_the_code() -> None:
    rows = table_after("| column | Salesforce field |")

    assert rows == [[f"`{field.column}`", f"`{field.salesforce_name}`"] for field in load_fields()]


def test_the_run_config_reference_names_every_parameter_and_its_default() -> None:
    rows = table_after("| parameter | default | meaning |")
    documented = {name: default for names, default, _ in rows for name in re.findall(r"`(\w+)`", names)}

    expected = {name: "none" if value in (None, []) else str(value) for name, value in DEFAULTS.items()}
    assert {name: default.strip("`") for name, default in documented.items()} == expected


@pytest.mark.parametrize("name", [CENSUS_POOL, CENSUS_CONN_ID, DATABRICKS_CONN_ID])
def test_the_commands_use_the_names_of_the_code(name: str) -> None:
    assert f" {name} " in README


def test_every_linked_file_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)

    assert links
    assert [link for link in links if not (PROJECT / link).exists()] == []


def test_every_make_target_exists() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([\w-]+)`|^make ([\w-]+)", README, flags=re.MULTILINE))
    targets = {a or b for a, b in named}

    assert {"run", "test", "test-spark", "up", "down"} <= targets
    for target in targets:
        assert re.search(rf"^(?:[\w-]+ )*{target}(?: [\w-]+)*:", makefile, flags=re.MULTILINE), target


def test_every_file_of_the_layout_exists() -> None:
    rows = table_after("| folder | what is in it |")

    for cell, _ in rows:
        assert (PROJECT / cell.strip("`")).is_dir(), cell


def test_the_guards_are_those_of_the_code_with_their_thresholds() -> None:
    rows = table_after("| guard | refuses |")
    thresholds = dict(re.findall(r"`(GUARD_\w+)` \(([\d.]+)\)", README))
    settings = load_settings()

    assert {name for names, _ in rows for name in re.findall(r"`(\w+)`", names)} == {guard.value for guard in Guard}
    assert thresholds
    for name, value in thresholds.items():
        assert getattr(settings, name.lower()) == float(value), name
    assert f"`PAYLOAD_DAYS` ({settings.payload_days})" in README


def test_every_setting_that_is_named_exists() -> None:
    others = {"UNABLE_TO_LOCK_ROW", *new_values()}
    named = set(re.findall(r"`(?:FEATURE_SYNC_)?([A-Z]+(?:_[A-Z]+)+)`", README)) - others

    assert {"CENSUS_SYNC_ID", "OUTPUT_PATH", "APPROVAL_USERS"} <= named
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_the_classes_of_differences_are_those_of_the_code() -> None:
    rows = table_after("| class | what it means | healed by a backfill |")
    documented = {name: healed.startswith("yes") for names, _, healed in rows for name in re.findall(r"`(\w+)`", names)}

    assert documented == {kind.value: kind not in UNHEALABLE for kind in DriftClass}
    assert f"at most {MOST_DIFFERENCES:,} differences of each class" in README


def test_the_asset_has_the_name_of_the_code() -> None:
    assert f'Asset("{VALIDATED_FEATURES.name}")' in README
