"""Where the files of a run are, whatever its id is."""

import re
from datetime import date
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath

from feature_sync.config.names import ACCEPT_DAG_ID, DEPLOY_DAG_ID, RECONCILIATION_DAG_ID, VERIFY_DAG_ID, WATCH_DAG_ID
from feature_sync.config.settings import load_settings
from feature_sync.storage.run_files import folder_name, read_json, run_files, write_json


def test_the_files_have_the_names_of_the_incident_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path))

    files = run_files(load_settings(), "manual__1")

    assert str(files.full_csv(date(2025, 11, 21))) == f"{tmp_path}/manual__1/feature_backfill_20251121.csv"
    assert files.batch_folder.name == "feature_backfill_batches"


@pytest.mark.parametrize(
    "run_id",
    [
        "manual__2025-11-21T00:00:00+00:00",
        "../../etc",
        ".",
        "..",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "<b>",
        "é",
        "x" * 400,
        "a\r\nb",
        "",
    ],
)
def test_any_run_id_becomes_a_plain_folder_name(run_id: str) -> None:
    name = folder_name(run_id)

    assert name
    assert name.isascii()
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name) < 200


def test_run_ids_that_look_alike_get_folders_of_their_own() -> None:
    ids = ["a:b", "a+b", "a-b", "a/b", "A-B", "a-b.", "a-b..", "x" * 200, "x" * 201, "é", "e\u0301"]

    assert len({folder_name(run_id).lower() for run_id in ids}) == len(ids), "a disk may ignore case"
    assert not any(folder_name(run_id).endswith(".") for run_id in ids), "a disk may drop a dot at the end"


@pytest.mark.parametrize("run_id", ["x", "a:b", "x" * 200])
@pytest.mark.parametrize("dag_id", [RECONCILIATION_DAG_ID, DEPLOY_DAG_ID, ACCEPT_DAG_ID, VERIFY_DAG_ID, WATCH_DAG_ID])
def test_a_backfill_that_is_named_after_a_run_of_another_dag_has_a_folder_of_its_own(dag_id: str, run_id: str) -> None:
    settings = load_settings()

    assert run_files(settings, f"{dag_id}__{run_id}").folder != run_files(settings, run_id, dag_id).folder


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    path = ObjectStoragePath(str(tmp_path / "deep" / "preview.json"))

    write_json(path, {"records": 1296, "label": "Ünï"})

    assert read_json(path) == {"records": 1296, "label": "Ünï"}


def test_the_files_of_a_reconciliation_are_apart_from_those_of_a_backfill_with_the_same_id() -> None:
    settings = load_settings()

    assert run_files(settings, "x").folder != run_files(settings, "x", RECONCILIATION_DAG_ID).folder
    assert isinstance(run_files(settings, "x").folder, ObjectStoragePath)


HOSTILE_RUN_IDS = {
    "up": "../x",
    "far-up": "../../../../x",
    "below": "a/b",
    "from-the-root": "/etc/x",
    "windows": "a\\..\\b",
    "quotes": "x' OR '1'='1",
    "double-quotes": '"x"',
    "line-end": "a\r\nb",
    "nul": "a\0b",
    "not-ascii": "ünï",
    "fullwidth-path": "\uff0e\uff0e\uff0fx",
    "longest": "r" * 250,
    "here": ".",
    "parent": "..",
    "hidden": ".hidden",
    "percent": "%2e%2e%2fx",
    "home": "~",
    "shell": "$(id)",
    "url": "s3://bucket/x",
    "usual": "manual__2025-11-21T00:00:00+00:00",
}


def test_each_hostile_run_id_has_a_folder_of_its_own_directly_under_the_output_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path))

    folders = [run_files(load_settings(), run_id).folder for run_id in HOSTILE_RUN_IDS.values()]

    assert all(Path(str(folder)).resolve().parent == tmp_path.resolve() for folder in folders)
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{,200}", folder.name) for folder in folders)
    assert len({folder.name for folder in folders}) == len(HOSTILE_RUN_IDS)


def test_a_run_that_is_named_after_the_folder_of_another_has_a_folder_of_its_own() -> None:
    assert folder_name(folder_name("a/b")) != folder_name("a/b")


def test_folders_cannot_be_made_to_collide_by_trying() -> None:
    [digest] = re.findall(r"-([0-9a-f]+)$", folder_name("a/b"))

    assert len(digest) >= 16
    assert folder_name("~~~:~::~:~~:::~~:~~") != folder_name("~~:~:~:~::~~~~~~~~:")
