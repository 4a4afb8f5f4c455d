"""The files of a run: one folder per run, on any storage that Airflow's object storage supports."""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import IO, Any

from airflow.sdk import ObjectStoragePath

from feature_sync.config.names import BACKFILL_DAG_ID
from feature_sync.config.settings import Settings

DIGEST_DIGITS = 16
StoragePath = ObjectStoragePath
"""A path on any storage that Airflow's object storage supports."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """
    Paths of one run's files.

    :param folder: the run's folder.
    """

    folder: ObjectStoragePath

    def full_csv(self, day: date) -> ObjectStoragePath:
        """
        All records of the run, as frozen.

        :param day: the run's day in UTC.
        """
        return self.folder / f"feature_backfill_{day:%Y%m%d}.csv"

    @property
    def batch_folder(self) -> ObjectStoragePath:
        """One CSV for each batch."""
        return self.folder / "feature_backfill_batches"

    @property
    def preview(self) -> ObjectStoragePath:
        """What the run would change in Salesforce."""
        return self.folder / "preview.json"

    @property
    def approvals(self) -> ObjectStoragePath:
        """Each question that people were asked, and the answer."""
        return self.folder / "approvals.json"

    @property
    def probe(self) -> ObjectStoragePath:
        """The batch sizes that strategy probe tried, and what happened."""
        return self.folder / "probe.json"

    @property
    def records_not_undone(self) -> ObjectStoragePath:
        """The records of the run to undo that stay as they are, with the reason."""
        return self.folder / "records_not_undone.csv"

    @property
    def records_left_out(self) -> ObjectStoragePath:
        """The records in scope that are not sent, with the reason. Only if there are any."""
        return self.folder / "records_left_out.csv"

    @property
    def validation(self) -> ObjectStoragePath:
        """What both systems hold after the run."""
        return self.folder / "validation.json"

    @property
    def rejected_records(self) -> ObjectStoragePath:
        """The rows that are still rejected, with Salesforce's reason."""
        return self.folder / "rejected_records.csv"

    @property
    def report(self) -> ObjectStoragePath:
        """The weekly run's page for people."""
        return self.folder / "report.html"

    @property
    def mismatches(self) -> ObjectStoragePath:
        """Each field that differs between Salesforce and the warehouse."""
        return self.folder / "mismatches.csv"


def run_files(settings: Settings, run_id: str, dag_id: str = BACKFILL_DAG_ID) -> RunFiles:
    """
    The files of a DAG run. A backfill's folder is named by its run id; the folder of another DAG has that DAG's name in
    front.
    """
    owner = run_id if dag_id == BACKFILL_DAG_ID else f"{dag_id}__{run_id}"
    return RunFiles(ObjectStoragePath(settings.output_url) / folder_name(owner))


def folder_name(run_id: str) -> str:
    """
    A folder name for a run id, different for every run id.

    Callers may choose run ids, and these have characters that file systems and object stores treat differently (``:``, ``+``). So
    all but letters, digits, ``_``, ``-`` and inner dots is replaced, and a digest keeps apart what then looks alike.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]|^\.+", "-", run_id, flags=re.ASCII)[:150]
    if name and name == run_id and not re.search(rf"-[0-9a-f]{{{DIGEST_DIGITS}}}$", name):
        return name
    return f"{name}-{hashlib.sha256(run_id.encode()).hexdigest()[:DIGEST_DIGITS]}"


def prove_output_writable(settings: Settings) -> None:
    """
    Write a file below the output path and remove it.

    :raises Exception: whatever the storage raises.
    """
    folder = ObjectStoragePath(settings.output_url)
    probe = folder / f".write-test-{uuid.uuid4().hex}"
    folder.mkdir(parents=True, exist_ok=True)
    probe.write_bytes(b"may this process write here?\n")
    probe.unlink()


@contextmanager
def replacing(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """
    Open a file for writing that replaces ``path`` only when it is complete.

    A task that dies while writing leaves the former file, or none, and never half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.parent / f".{path.name}.unfinished"
    with unfinished.open("wb") as file:
        yield file
    unfinished.replace(path) if path.protocol in ("", "file") else unfinished.rename(path)


def write_text(path: ObjectStoragePath, text: str) -> None:
    """Write a whole file, see `replacing`."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: ObjectStoragePath, value: dict[str, Any]) -> None:
    """Write a whole JSON file, see `replacing`."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: ObjectStoragePath) -> dict[str, Any]:
    return json.loads(path.read_bytes())
