"""The files of a run: one folder a run, on any storage that Airflow's object storage knows."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import IO, Any

from airflow.sdk import ObjectStoragePath

from feature_sync.settings import BACKFILL_DAG_ID, Settings

DIGEST_DIGITS = 16


@dataclass(frozen=True, slots=True)
class RunFiles:
    """
    Paths of one run's files.

    :param folder: the run's folder.
    """

    folder: ObjectStoragePath

    def full_csv(self, day: date) -> ObjectStoragePath:
        """:param day: the run's day in UTC."""
        return self.folder / f"feature_backfill_{day:%Y%m%d}.csv"

    @property
    def batch_folder(self) -> ObjectStoragePath:
        return self.folder / "feature_backfill_batches"

    @property
    def preview(self) -> ObjectStoragePath:
        return self.folder / "preview.json"

    @property
    def approvals(self) -> ObjectStoragePath:
        return self.folder / "approvals.json"

    @property
    def probe(self) -> ObjectStoragePath:
        return self.folder / "probe.json"

    @property
    def records_not_undone(self) -> ObjectStoragePath:
        return self.folder / "records_not_undone.csv"

    @property
    def validation(self) -> ObjectStoragePath:
        return self.folder / "validation.json"

    @property
    def rejected_records(self) -> ObjectStoragePath:
        return self.folder / "rejected_records.csv"

    @property
    def report(self) -> ObjectStoragePath:
        return self.folder / "report.html"

    @property
    def mismatches(self) -> ObjectStoragePath:
        return self.folder / "mismatches.csv"


def run_files(settings: Settings, run_id: str, dag_id: str = BACKFILL_DAG_ID) -> RunFiles:
    """The files of a DAG run; those of a backfill have its run id as their folder, others the DAG's name before it."""
    owner = run_id if dag_id == BACKFILL_DAG_ID else f"{dag_id}__{run_id}"
    return RunFiles(ObjectStoragePath(settings.output_url) / folder_name(owner))


def folder_name(run_id: str) -> str:
    """
    A folder name for a run id, different for every run id.

    Run ids hold characters that file systems and object stores treat differently (``:``, ``+``), and callers may choose them,
    so anything but letters, digits, ``_``, ``-`` and inner dots is replaced and a digest tells apart what then looks alike.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]|^\.+", "-", run_id, flags=re.ASCII)[:150]
    if name and name == run_id and not re.search(rf"-[0-9a-f]{{{DIGEST_DIGITS}}}$", name):
        return name
    return f"{name}-{hashlib.sha256(run_id.encode()).hexdigest()[:DIGEST_DIGITS]}"


@contextmanager
def replacing(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """
    Open a file for writing that takes the place of ``path`` only when it is complete.

    A task that dies while writing leaves the former file, or none, and never half a one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.parent / f".{path.name}.unfinished"
    with unfinished.open("wb") as file:
        yield file
    unfinished.replace(path) if path.protocol in ("", "file") else unfinished.rename(path)


def write_text(path: ObjectStoragePath, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: ObjectStoragePath, value: dict[str, Any]) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: ObjectStoragePath) -> dict[str, Any]:
    return json.loads(path.read_bytes())
