from datetime import date
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath

from feature_sync.run_files import folder_name, read_json, run_files, write_json
from feature_sync.settings import load_settings


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
def test_any_run_id_gives_a_plain_folder_name(run_id: str) -> None:
    name = folder_name(run_id)

    assert name
    assert name.isascii()
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name) < 200


def test_run_ids_that_look_alike_get_folders_of_their_own() -> None:
    ids = ["a:b", "a+b", "a-b", "a/b", "x" * 200, "x" * 201]

    assert len({folder_name(run_id) for run_id in ids}) == len(ids)


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    path = ObjectStoragePath(str(tmp_path / "deep" / "preview.json"))

    write_json(path, {"records": 1296, "label": "Ünï"})

    assert read_json(path) == {"records": 1296, "label": "Ünï"}
