"""The files of a run that the page shows and hands out: a fixed list, so no name leads anywhere else."""

from dataclasses import dataclass

from feature_sync.config.settings import Settings
from feature_sync.storage.run_files import StoragePath, run_files

HTML, SVG, CSV, JSON = "text/html; charset=utf-8", "image/svg+xml", "text/csv; charset=utf-8", "application/json"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class PageFile:
    """``what``: what it holds, in words. ``is_shown``: whether a browser shows it; otherwise it saves it."""

    what: str
    media_type: str
    is_shown: bool = False


FILES = {
    "report.html": PageFile("the report for people", HTML, is_shown=True),
    "accuracy.svg": PageFile("accuracy over time", SVG, is_shown=True),
    "mismatches.csv": PageFile("each field that differs, with its cause", CSV),
    "mismatches.xlsx": PageFile("the same as a spreadsheet", XLSX),
    "rejected_records.csv": PageFile("records that Salesforce rejected, with its reason", CSV),
    "rejected_records.xlsx": PageFile("the same as a spreadsheet", XLSX),
    "rejected_then_accepted.csv": PageFile("records that were rejected first and accepted later", CSV),
    "rejected_then_accepted.xlsx": PageFile("the same as a spreadsheet", XLSX),
    "missing_records.csv": PageFile("properties that Salesforce lacks", CSV),
    "missing_records.xlsx": PageFile("the same as a spreadsheet", XLSX),
    "records_left_out.csv": PageFile("records in scope that were not sent, with the reason", CSV),
    "records_not_undone.csv": PageFile("records of the undone run that stay as they are", CSV),
    "validation.json": PageFile("what both systems held when the run ended", JSON),
    "preview.json": PageFile("what the run would change", JSON),
    "approvals.json": PageFile("each question and its answer", JSON),
    "probe.json": PageFile("the batch sizes that were tried", JSON),
}
"""By name, in the order in which the page lists them."""
MAX_BYTES = 200 * 1024 * 1024
"""A larger file is not handed out: the API server serves other people too."""


def list_files(settings: Settings, dag_id: str, run_id: str) -> list[str]:
    """The names of those files that a run has written, as far as this machine sees the storage."""
    folder = run_files(settings, run_id, dag_id).folder
    try:
        there = {entry["name"].rsplit("/", 1)[-1] for entry in folder.fs.ls(folder.path, detail=True)}
    except FileNotFoundError:
        return []
    return [name for name in FILES if name in there]


def path_of(settings: Settings, dag_id: str, run_id: str, name: str) -> StoragePath:
    """
    Where a file of a run is.

    :raises KeyError: the page has no file of this name.
    """
    if name not in FILES:
        raise KeyError(name)
    return run_files(settings, run_id, dag_id).folder / name
